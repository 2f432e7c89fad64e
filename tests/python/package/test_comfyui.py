# SPDX-License-Identifier: Apache-2.0
"""The nodes of examples/comfyui, beside stand-ins of what ComfyUI gives to nodes."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from safetensors.torch import load_file
from samples import same

NODES = Path(__file__).resolve().parents[3] / "examples" / "comfyui" / "__init__.py"


@pytest.fixture
def comfy(qstore, pair, tmp_path, monkeypatch):
    """The nodes, with `asked`: what ComfyUI's loaders were called with."""
    place = tmp_path / "models" / "qstore"
    place.mkdir(parents=True)
    (place / "m.qstore").symlink_to(pair.archive)
    paths, sd, utils = ModuleType("folder_paths"), ModuleType("comfy.sd"), ModuleType("comfy.utils")
    paths.models_dir = str(tmp_path / "models")
    paths.folder_names_and_paths = {"embeddings": (["/embeddings"], {".pt"})}

    def find(kind, name):
        for folder in paths.folder_names_and_paths[kind][0]:
            if os.path.exists(found := os.path.join(folder, name)):
                return found
        raise FileNotFoundError(name)

    def names(kind):
        folders, suffixes = paths.folder_names_and_paths[kind]
        files = (file for folder in folders for file in sorted(Path(folder).rglob("*")))
        return [file.name for file in files if file.suffix in suffixes]

    paths.get_full_path_or_raise, paths.get_filename_list = find, names
    paths.get_folder_paths = lambda kind: paths.folder_names_and_paths[kind][0]
    asked = []

    def load_checkpoint(sd, output_vae, output_clip, embedding_directory, metadata):
        asked.append((sd, metadata))
        assert output_vae and output_clip and embedding_directory == ["/embeddings"]
        return "model", "clip", "vae", None

    def load_model(sd, model_options=None, metadata=None):
        asked.append((sd, metadata))
        return "model" if "0.weight" in sd else None

    sd.load_state_dict_guess_config = load_checkpoint
    sd.load_diffusion_model_state_dict = load_model
    utils.load_torch_file = lambda path, return_metadata: (load_file(path), {"of": path})
    package = ModuleType("comfy")
    package.sd, package.utils = sd, utils  # Of which "import comfy.sd" needs the first.
    for name, module in (
        ("comfy", package),
        ("comfy.sd", sd),
        ("comfy.utils", utils),
        ("folder_paths", paths),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("QSTORE_CACHE", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("qstore_nodes", NODES)
    nodes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nodes)
    nodes.asked = asked
    return nodes


def run(comfy, name, **inputs):
    """As ComfyUI runs a node."""
    node = comfy.NODE_CLASS_MAPPINGS[name]
    required = node.INPUT_TYPES()["required"]
    assert set(inputs) <= set(required) and inputs["archive"] in required["archive"][0]
    defaults = {key: more[1]["default"] for key, more in required.items() if len(more) > 1}
    result = getattr(node(), node.FUNCTION)(**defaults | inputs)
    assert len(result) == len(node.RETURN_TYPES)
    return result


def test_nodes(qstore, comfy, expected):
    assert run(comfy, "QStoreCheckpointLoader", archive="m.qstore", variant="int8") == (
        "model",
        "clip",
        "vae",
    )
    assert run(comfy, "QStoreDiffusionModelLoader", archive="m.qstore", variant="bf16")
    assert same(comfy.asked[0][0], expected["int8"]) and same(comfy.asked[1][0], expected["bf16"])
    assert comfy.asked[1][1]["format"] == "pt"
    files = {"archive": "m.qstore", "variant": "bf16", "file": "b.safetensors"}
    run(comfy, "QStoreDiffusionModelLoader", **files)
    assert set(comfy.asked[2][0]) == {"0.weight", "2.weight"}
    with pytest.raises(RuntimeError, match="no model that ComfyUI knows"):
        run(comfy, "QStoreDiffusionModelLoader", **files | {"file": "a.safetensors"})
    with pytest.raises(qstore.UnknownNameError, match="there are: "):
        run(comfy, "QStoreCheckpointLoader", archive="m.qstore", variant="fp8")


def test_what_comfyui_asks_of_nodes(comfy):
    for name, node in comfy.NODE_CLASS_MAPPINGS.items():
        assert comfy.NODE_DISPLAY_NAME_MAPPINGS[name] and node.CATEGORY and node.__doc__
        assert node.IS_CHANGED(archive="m.qstore", variant="x") == node.IS_CHANGED("m.qstore")

# SPDX-License-Identifier: Apache-2.0
"""llama.cpp finds in files that were unpacked, and in those of a mount, what it finds in those that
were packed."""

import json
import subprocess

import pytest
from command import assert_comes_back, pack
from made import HERE, made_once
from mounting import mounted

pytestmark = pytest.mark.slow  # Trains a model, and installs an engine.
TYPES = ("bf16", "q8_0", "q4_k", "q4_k_m")
PROMPT = "def main(self):\n    return "


@pytest.fixture(scope="module")
def ggufs(trained, ggml):
    """The folder of GGUF files of the trained Llama."""
    maker = HERE / "make_ggufs.py"
    recipe = [maker, HERE / "requirements-ggml.txt", HERE / "trained_llm.py"]
    arguments = ("--types", ",".join(TYPES), trained / "bf16")
    return made_once("ggufs", recipe, maker, *arguments, python=ggml)


@pytest.fixture(scope="module")
def archive(trained, ggufs, tmp_path_factory):
    """An archive in which these follow from the weights."""
    archive = tmp_path_factory.mktemp("engine") / "m.qstore"
    pack(archive, "--level", "max", hf=trained / "bf16", **variants_of(ggufs))
    return archive


def variants_of(ggufs):
    return {name: ggufs / f"{name}.gguf" for name in TYPES}


@pytest.fixture(scope="module")
def unpacked(archive, ggufs):
    """These, unpacked from it; by type."""
    space = archive.parent
    assert_comes_back(archive, space, **variants_of(ggufs))
    return {name: space / f"back-{name.replace('_', '-')}" / f"{name}.gguf" for name in TYPES}


@pytest.fixture(scope="module")
def continued(ggml):
    """What llama.cpp makes of a text by a file: tokens, each with the likeliest ones."""

    def by(path):
        command = [ggml, HERE / "llama_engine.py", path, PROMPT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        (choice,) = json.loads(done.stdout)["choices"]
        return choice["logprobs"]["content"]

    return by


@pytest.mark.parametrize("name", TYPES)
def test_it_says_the_same(ggufs, unpacked, continued, name):
    original = continued(ggufs / f"{name}.gguf")
    assert continued(unpacked[name]) == original
    assert len(original) > 4
    assert all(len(token["top_logprobs"]) == 10 for token in original)


@pytest.mark.fuse
def test_it_says_the_same_of_a_mount(archive, ggufs, continued, space):
    """It maps the file into its memory."""
    with mounted(archive, space / "at") as mount:
        for name in TYPES:
            seen = continued(mount / name.replace("_", "-") / f"{name}.gguf")
            assert seen == continued(ggufs / f"{name}.gguf"), name


def test_types_differ(ggufs, continued):
    """So that equal figures mean something."""
    found = [continued(ggufs / f"{name}.gguf")[0]["top_logprobs"] for name in TYPES]
    assert all(one != other for i, one in enumerate(found) for other in found[:i])

# SPDX-License-Identifier: Apache-2.0
"""Folders of models, and GGUF models in several files, by the command."""

import folder_models
import pytest
from command import contents, ok_json, run, unpack
from gguf import GGMLQuantizationType as Type


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in BF16 with a card, and quants: in one file, in three, and in a subfolder."""
    folder = tmp_path_factory.mktemp("models") / "Tiny 1B"
    tensors = folder_models.weights(blocks=1)
    folder_models.write(folder / "Tiny-BF16.gguf", tensors, Type.BF16)
    folder_models.write(folder / "Tiny-Q8_0.gguf", tensors, Type.Q8_0, split_max_tensors=2)
    folder_models.write(folder / "Q4_0" / "Tiny-Q4_0.gguf", tensors, Type.Q4_0, split_max_tensors=2)
    folder_models.write(folder / "more" / "Tiny-Q5_0.gguf", tensors, Type.Q5_0)
    folder_models.write(folder / "more" / "Tiny-Q4_1.gguf", tensors, Type.Q4_1)
    (folder / "README.md").write_text("A card.")
    return folder


NAMES = {"Tiny_1B", "Tiny-BF16", "Tiny-Q8_0", "Q4_0", "Tiny-Q5_0", "Tiny-Q4_1"}
QUANTS = NAMES - {"Tiny_1B", "Tiny-BF16"}


def test_every_model_of_a_folder(folder, space, figure):
    archive = space / "m.qstore"
    options = ("--each", folder, "--direct", "Tiny-BF16")
    report = ok_json("pack", "-o", archive, *options)
    told = {v["name"]: v for v in ok_json("inspect", archive)["variants"]}
    assert told.keys() == NAMES
    assert told["Tiny-Q8_0"]["tensors"] == told["Tiny-BF16"]["tensors"]
    added = sum(told[name]["own_bytes"] for name in QUANTS) / report["stored_bytes"]
    figure(f"four quants of GGUF beside BF16 add {added:.2%}")
    assert added < 0.01
    back = {name: contents(unpack(archive, name, space / name)) for name in NAMES}
    assert back["Tiny_1B"].keys() == {"README.md"}
    assert len(back["Q4_0"]) == 3 and back["Q4_0"] == contents(folder / "Q4_0")
    assert back["Tiny-Q5_0"] | back["Tiny-Q4_1"] == contents(folder / "more")
    rest = back["Tiny-BF16"] | back["Tiny-Q8_0"] | back["Tiny_1B"]
    assert rest == {name: data for name, data in contents(folder).items() if "/" not in name}
    verified = ok_json("verify", archive, "--each", folder)
    assert verified["compared_bytes"] == report["source_bytes"]


def test_an_estimate_of_a_folder(folder):
    estimate = ok_json("pack", "--estimate", "--each", folder, "--direct", "Tiny-BF16")
    variants = estimate["arrangements"][0]["variants"]
    assert {variant["name"] for variant in variants} == NAMES


def test_folders_beside_named_variants(folder, space):
    archive = space / "m.qstore"
    again = f"again={folder}/Q4_0/Tiny-Q4_0-00002-of-00003.gguf"
    (space / "other").mkdir()
    (space / "other" / "x.gguf").write_bytes(b"no GGUF")
    ok_json("pack", "-o", archive, again, "--each", folder / "more", "--each", space / "other")
    told = {v["name"]: v for v in ok_json("inspect", archive)["variants"]}
    assert told.keys() == {"again", "Tiny-Q5_0", "Tiny-Q4_1", "x"}
    assert contents(unpack(archive, "again", space / "out")) == contents(folder / "Q4_0")


@pytest.mark.parametrize("absent", (1, 2, 3))
def test_a_file_that_is_not_there(folder, space, absent):
    (space / "Q4_0").mkdir()
    for path in (folder / "Q4_0").iterdir():
        if f"0000{absent}-of" not in path.name:
            (space / "Q4_0" / path.name).symlink_to(path)
    there = space / "Q4_0" / f"Tiny-Q4_0-0000{absent % 3 + 1}-of-00003.gguf"
    for source in ((f"q4={there}",), (f"q4={space}/Q4_0",), ("--each", space / "Q4_0")):
        for command in (("pack", "-o", space / "m.qstore"), ("pack", "--estimate")):
            text = run(*command, *source)
            assert text.returncode == 1
            assert "not-found" in text.stderr
            assert f"Tiny-Q4_0-0000{absent}-of-00003.gguf" in text.stderr
    assert not (space / "m.qstore").exists()


def test_names_that_clash(folder, space):
    for name in ("a", "b"):
        (space / name).mkdir()
        (space / name / "m.gguf").write_bytes(name.encode())
    text = run("pack", "-o", space / "m.qstore", "--each", space / "a", "--each", space / "b")
    assert text.returncode == 1 and "'m'" in text.stderr and f"{space}/b" in text.stderr

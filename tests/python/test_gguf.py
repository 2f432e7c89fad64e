# SPDX-License-Identifier: Apache-2.0
"""GGUF files of the package gguf through the command: they come back, and are taken apart."""

import sys

import gguf
import gguf_models
import numpy as np
import pytest
from command import ROOT, contents, ok, ok_json, pack, run, unpack
from gguf import GGMLQuantizationType as Type

sys.path.insert(0, str(ROOT / "tests" / "reference"))
import decoder  # noqa: E402
import gguf_head  # noqa: E402
import planes  # noqa: E402


def tensors_of(archive, variant):
    (found,) = (
        v for v in ok_json("inspect", "--tensors", archive)["variants"] if v["name"] == variant
    )
    return {tensor["name"]: tensor for tensor in found["tensor_list"]}


def check(space, path, level="balanced"):
    """Packs one file, and gets it back by the command and by the second decoder."""
    archive = space / "m.qstore"
    pack(archive, "--force", "--level", level, v=path)
    ok("verify", archive, f"v={path}")
    out = unpack(archive, "v", space / f"out-{path.name}", "--force")
    assert contents(out) == contents(path)
    restored = decoder.Archive(archive.read_bytes()).variant("v")
    assert restored == {path.name: path.read_bytes()}
    return archive


@pytest.mark.parametrize("level", ["fast", "balanced", "max"])
def test_every_type_comes_back(space, level):
    tensors = gguf_models.every_type()
    path = gguf_models.write(space / "m.gguf", tensors, gguf_models.vocabulary())
    archive = check(space, path, level)
    listed = tensors_of(archive, "v")
    reader = gguf.GGUFReader(path)
    assert listed.keys() == {tensor.name for tensor in reader.tensors} == tensors.keys()
    for tensor in reader.tensors:
        mine = listed[tensor.name]
        assert mine["dtype"] == tensor.tensor_type.name
        assert mine["shape"] == tensor.shape.tolist()[::-1], "in weights, outermost first"
        assert mine["bytes"] == tensor.n_bytes


def test_blocks_of_weights_take_less(space):
    for kind in (Type.Q4_0, Type.Q5_1, Type.Q8_0):
        weights = gguf_models.quantized(kind, 256, 1024, 3)
        path = gguf_models.write(space / f"{kind.name}.gguf", {"w": (weights, kind)})
        size = check(space, path).stat().st_size
        assert size < 0.97 * weights.nbytes
        assert tensors_of(space / "m.qstore", "v")["w"]["codecs"] == ["blocks"]


def test_alignments(space):
    tensors = {"a": (gguf_models.blocks_of_noise(Type.Q4_0, 3, 1, 1), Type.Q4_0)}
    for alignment in (8, 64, 4096):
        path = gguf_models.write(space / "m.gguf", tensors, alignment=alignment)
        assert tensors_of(check(space, path), "v").keys() == {"a"}


def test_without_tensors(space):
    path = gguf_models.write(space / "vocabulary.gguf", {}, gguf_models.vocabulary())
    check(space, path)


def test_one_vocabulary_is_stored_once(space):
    tokens = gguf_models.vocabulary()
    for seed, kind in enumerate((Type.Q4_0, Type.Q8_0)):
        tensors = {"w": (gguf_models.quantized(kind, 16, 64, seed), kind)}
        gguf_models.write(space / f"{kind.name}.gguf", tensors, tokens, name=kind.name)
    one = pack(space / "one.qstore", q4=space / "Q4_0.gguf")
    both = pack(space / "both.qstore", q4=space / "Q4_0.gguf", q8=space / "Q8_0.gguf")
    added = (space / "Q8_0.gguf").stat().st_size
    assert added > 100_000
    assert both - one < 4_000
    for name in ("Q4_0", "Q8_0"):
        out = unpack(space / "both.qstore", name.split("_")[0].lower(), space / name)
        assert contents(out) == contents(space / f"{name}.gguf")


def test_big_endian_and_cut_files_are_bytes(space):
    tensors = {"w": gguf_models.quantized(Type.Q8_0, 4, 64, 1).view("int8")}
    big = gguf_models.write(space / "big.gguf", tensors, endianess=gguf.GGUFEndian.BIG)
    assert not tensors_of(check(space, big), "v")
    whole = gguf_models.write(space / "whole.gguf", tensors, gguf_models.vocabulary(50))
    content = whole.read_bytes()
    for part in (0, 3, 24, 1000, len(content) - 65):
        (space / "cut.gguf").write_bytes(content[:part])
        archive = space / "m.qstore"
        pack(archive, "--force", v=space / "cut.gguf")
        assert not tensors_of(archive, "v")
        out = unpack(archive, "v", space / f"cut-{part}")
        assert contents(out) == contents(space / "cut.gguf")


def is_gguf(content):
    """Whether it is one that is taken apart, by the spec."""
    try:
        entries, end = gguf_head.read(content)
    except planes.Corrupt:
        return False
    places = sorted(place for _, _, place in entries.values())
    at = 0
    for begin, last in places:
        if begin < at:
            return False
        at = last
    return end + at <= len(content) and (not places or places[0][0] == 0)


def test_changed_heads_are_judged_by_the_spec(space):
    """A folder of files that differ in a few bytes of the head; all come back."""
    random = np.random.default_rng(5)
    tensors = {
        "a": (gguf_models.blocks_of_noise(Type.Q4_0, 3, 1, 1), Type.Q4_0),
        "b": np.zeros((2, 3), np.float32),
        "c": np.zeros(7, np.int8),
    }
    whole = gguf_models.write(space / "m.gguf", tensors, ["x", "yz"], alignment=8).read_bytes()
    _, end = gguf_head.read(whole)
    files = {"whole.gguf": whole}
    for number in range(400):
        changed = bytearray(whole)
        for _ in range(1 + number % 2):
            at = random.integers(0, end)
            values = (changed[at] ^ 1 << random.integers(0, 8), random.integers(0, 20), 255)
            changed[at] = values[random.integers(0, 3)]
        files[f"{number}.gguf"] = bytes(changed)
    (space / "in").mkdir()
    for name, content in files.items():
        (space / "in" / name).write_bytes(content)
    archive = space / "m.qstore"
    pack(archive, v=space / "in")
    assert contents(unpack(archive, "v", space / "out")) == contents(space / "in")
    assert decoder.Archive(archive.read_bytes()).variant("v") == files
    (variant,) = ok_json("inspect", "--files", archive)["variants"]
    found = {file["path"]: file["container"] for file in variant["file_list"]}
    differences = {
        name: found[name] for name in files if (found[name] == "gguf") != is_gguf(files[name])
    }
    assert differences == {}
    assert 50 < sum(is_gguf(content) for content in files.values()) < 350


def test_chosen_tensors_are_bytes_of_safetensors(space):
    tensors = {"a.weight": (gguf_models.blocks_of_noise(Type.Q4_K, 6, 2, 1), Type.Q4_K)}
    path = gguf_models.write(space / "m.gguf", tensors)
    archive = space / "m.qstore"
    pack(archive, v=path)
    unpack(archive, "v", space / "out", "--tensors", "a.*")
    from safetensors.numpy import load_file  # noqa: PLC0415

    (loaded,) = load_file(space / "out" / "model.safetensors").values()
    assert loaded.tobytes() == tensors["a.weight"][0].tobytes()
    assert loaded.shape == (6, 288)
    assert run("unpack", archive, "v", "-o", space / "none", "--tensors", "b.*").returncode == 1

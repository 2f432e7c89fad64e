# SPDX-License-Identifier: Apache-2.0
"""The files that one model is released in for llama.cpp, made by ggml itself: beside the weights
each adds next to nothing, and all come back."""

import struct
import sys

import gguf
import numpy as np
import pytest
from command import ROOT, contents, ok, ok_json, pack, unpack
from made import made_once
from make_ladders import CHUNKS, TYPES, WEIGHTED

sys.path.insert(0, str(ROOT / "tests" / "reference"))
import ggml_made  # noqa: E402
import records  # noqa: E402

# The most that a file adds beside the 16-bit weights, of its own size: blocks follow from weights
# by rounding alone, or their scales are stored.
ROUNDED = 0.003
BALANCED = {
    **dict.fromkeys(("Q8_0", "MXFP4", "Q4_0", "Q4_1", "Q5_0", "Q5_1"), ROUNDED),
    **{"Q4_K": 0.10, "Q5_K": 0.10, "Q6_K": 0.10, "Q3_K": 0.115, "Q2_K": 0.21},
    **{"IQ4_NL": 0.10, "IQ4_XS": 0.06},
}
VOCABULARY = 10000
HEADER = 2048  # The most that a later file adds beside its tensors.


@pytest.fixture(scope="session")
def ladders(pairs):
    """The folder of tests/python/make_ladders.py."""
    maker = ROOT / "tests" / "python" / "make_ladders.py"
    recipe = [maker, ROOT / "tests" / "python" / "requirements.txt"]
    return made_once("ladders", recipe, maker, pairs / "minilm" / "bf16")


def packed(space, level, paths):
    """Packs variants, gets every one back; what each takes of its own."""
    archive = space / f"{level}.qstore"
    names = {name: name.lower().replace("_", "-") for name in paths}
    pack(archive, "--level", level, **{names[name]: path for name, path in paths.items()})
    for name, path in paths.items():
        out = unpack(archive, names[name], space / f"{level}-{name}")
        assert contents(out) == contents(path), name
    listed = own_bytes(ok_json("inspect", archive)["variants"])
    return {name: listed[names[name]] for name in paths}


def own_bytes(variants):
    listed = {v["name"]: v["own_bytes"] for v in variants}
    # The first file that the archive lists has what all have in common for its own.
    first = next(iter(listed))
    listed[first] = max(0, listed[first] - VOCABULARY)
    return listed


def ladder(folder, kinds):
    """A file for each, and before them one of the vocabulary, which all have in common."""
    paths = {"vocabulary": folder / "vocabulary.gguf"}
    return paths | {kind: folder / f"{kind}.gguf" for kind in kinds}


def check_shares(own, paths, most, figure, title):
    for kind, share in most.items():
        taken = own[kind] / paths[kind].stat().st_size
        figure(f"{kind} {title}: {100 * taken:.2f} %")
        assert taken <= share, (kind, title)
        if share <= ROUNDED:
            assert own[kind] <= HEADER, (kind, title)


MAX = pytest.param("max", marks=pytest.mark.rest)


@pytest.mark.parametrize("level", ["balanced", MAX])
def test_a_ladder_takes_little_beside_the_weights(space, ladders, figure, level):
    paths = {"hf": ladders / "hf", **ladder(ladders, ("BF16", "F16", *TYPES))}
    own = packed(space, level, paths)
    most = BALANCED if level == "balanced" else dict.fromkeys(TYPES, ROUNDED)
    check_shares(own, paths, most, figure, f"beside BF16 at {level}")
    assert own["BF16"] <= 4096
    assert own["F16"] <= 4096


@pytest.mark.rest
def test_importance_tells_blocks(space, ladders, figure):
    paths = {"hf": ladders / "hf", "vocabulary": ladders / "vocabulary.gguf"}
    paths |= {kind: ladders / "weighted" / f"{kind}.gguf" for kind in ("imatrix", *WEIGHTED)}
    own = packed(space, "max", paths)
    check_shares(own, paths, dict.fromkeys(WEIGHTED, ROUNDED), figure, "with importance at max")


def write_older(path, importance):
    """The older form of an importance matrix that is a GGUF file; both say the same."""
    tensors = {t.name: t.data for t in gguf.GGUFReader(importance).tensors}
    entries = {}
    for name, sums in tensors.items():
        if name.endswith(".in_sum2"):
            entries[name[: -len(".in_sum2")]] = sums
    data = struct.pack("<I", len(entries))
    for name, sums in entries.items():
        calls = int(tensors[f"{name}.counts"].item())
        data += struct.pack("<I", len(name)) + name.encode()
        data += struct.pack("<iI", calls, sums.size) + sums.astype("<f4").tobytes()
    path.write_bytes(data + struct.pack("<II", CHUNKS, 4) + b"text")


@pytest.mark.parametrize(
    "kinds", [("Q4_K", "Q6_K"), pytest.param(WEIGHTED, marks=pytest.mark.rest)]
)
def test_importance_of_the_older_form_tells_blocks(space, ladders, figure, kinds):
    """In a folder of quants, as they are released."""
    folder, archive = space / "quants", space / "m.qstore"
    folder.mkdir()
    write_older(folder / "imatrix.dat", ladders / "weighted" / "imatrix.gguf")
    (folder / "notes.dat").write_bytes(b"no importance")
    for kind in kinds:
        (folder / f"{kind}.gguf").symlink_to(ladders / "weighted" / f"{kind}.gguf")
    named = (f"hf={ladders}/hf", f"vocabulary={ladders}/vocabulary.gguf")
    ok("pack", "-o", archive, "--level", "max", *named, "--each", folder)
    told = {v["name"]: v for v in ok_json("inspect", archive)["variants"]}
    assert told.keys() == {"hf", "vocabulary", "imatrix", "quants", *kinds}
    assert told["imatrix"]["tensors"] > 0 and told["quants"]["tensors"] == 0
    ok("verify", archive, *named, "--each", folder)
    for name, path in (
        ("imatrix", folder / "imatrix.dat"),
        *((k, folder / f"{k}.gguf") for k in kinds),
    ):
        assert contents(unpack(archive, name, space / name)) == contents(path), name
    own = own_bytes(told.values())
    paths = {kind: folder / f"{kind}.gguf" for kind in kinds}
    most = dict.fromkeys(kinds, ROUNDED)
    check_shares(own, paths, most, figure, "with importance of the older form at max")
    size = (folder / "imatrix.dat").stat().st_size
    figure(f"imatrix.dat: {own['imatrix']} of {size} bytes")
    assert own["imatrix"] <= size


@pytest.mark.parametrize(
    ("level", "most"), [("balanced", 1.35), pytest.param("max", 1.15, marks=pytest.mark.rest)]
)
def test_a_ladder_without_weights_of_16_bits(space, ladders, figure, level, most):
    kinds = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K")
    packed(space, level, ladder(ladders, kinds))
    alone = pack(space / "alone.qstore", "--level", level, v=ladders / "Q8_0.gguf")
    ratio = (space / f"{level}.qstore").stat().st_size / alone
    figure(f"{', '.join(kinds)} at {level}: {ratio:.3f} of the first")
    assert ratio <= most


def test_two_models_that_blocks_may_be_of(space, ladders):
    names = {"hf": "hf", "tuned": "tuned", "Q4_K": "Q4_K.gguf", "tuned-Q4_K": "tuned-Q4_K.gguf"}
    paths = {name: ladders / path for name, path in names.items()}
    own = packed(space, "max", paths)
    for kind in ("Q4_K", "tuned-Q4_K"):
        assert own[kind] <= 0.02 * paths[kind].stat().st_size


def test_the_spec_makes_what_ggml_makes():
    data = (ROOT / "tests" / "golden" / "ggml_blocks.bin").read_bytes()
    rows, columns = struct.unpack("<II", data[:8])
    weights = np.frombuffer(data, "<f4", rows * columns, 8).reshape(rows, columns)
    at = 8 + weights.nbytes
    importance = np.frombuffer(data, "<f4", columns, at)
    at += importance.nbytes
    while at < len(data):
        name = records.DTYPES[data[at]]
        given = importance if data[at + 1] else None
        size, per_block = records.BLOCKS[name]
        end = at + 2 + rows * columns // per_block * size
        made = ggml_made.make_blocks(name, weights, given)
        assert made.tobytes() == data[at + 2 : end], (name, given is not None)
        at = end

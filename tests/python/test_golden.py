# SPDX-License-Identifier: Apache-2.0
"""Golden archives: what was once written stays readable, and what is damaged stays refused."""

import functools
import hashlib
import os
import sys
from collections import Counter

import models
import numpy as np
import pytest
from command import EXIT_CODES, ROOT, contents, ok, ok_json, pack, run, unpack

sys.path.insert(0, str(ROOT / "tests" / "reference"))
sys.path.insert(0, str(ROOT / "tests" / "golden"))
import decoder  # noqa: E402
import golden_damage  # noqa: E402
import golden_sources  # noqa: E402
import planes  # noqa: E402
import records  # noqa: E402
import schemes  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
VALID = sorted(path.stem for path in (GOLDEN / "valid").glob("*.qstore"))
# The reference decoder makes their blocks again, searches and all: it takes half a minute.
SLOW = {"importance", "ladder-max"}
INVALID = sorted(path.stem for path in (GOLDEN / "invalid").glob("*.qstore"))


def expectations(name):
    """The archive's digest, and for each variant its files' digests."""
    lines = (GOLDEN / "valid" / f"{name}.sha256").read_text().splitlines()
    pairs = [line.split("  ", 1) for line in lines]
    variants = {}
    for digest, path in pairs[1:]:
        variant, file = path.split("/", 1)
        variants.setdefault(variant, {})[file] = digest
    assert pairs[0][1] == f"{name}.qstore"
    return pairs[0][0], variants


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_there_are_golden_archives():
    assert len(VALID) >= 8
    assert len(INVALID) >= 25


@pytest.mark.parametrize("name", VALID)
def test_valid_archive_restores(space, name):
    archive = GOLDEN / "valid" / f"{name}.qstore"
    digest, variants = expectations(name)
    assert sha256(archive.read_bytes()) == digest, "a golden archive was changed"
    ok("verify", archive)
    assert {v["name"] for v in ok_json("inspect", archive)["variants"]} == set(variants)
    for variant, files in variants.items():
        assert contents(unpack(archive, variant, space / variant)) == files


@pytest.mark.parametrize("name", VALID)
def test_instruction_sets_make_and_read_the_same(space, name):
    """Those that this machine lacks are the best one that it has."""
    source = golden_sources.ARCHIVES[name][0]
    source(space, np.random.Generator(np.random.PCG64(20)))
    _, files = expectations(name)
    archives = set()
    for isa in ("scalar", "avx2", "avx512"):
        env = os.environ | {"QSTORE_ISA": isa}
        run_there = functools.partial(ok, env=env)
        golden_sources.make(run_there, name, space, space / f"{isa}.qstore")
        archives.add((space / f"{isa}.qstore").read_bytes())
        for variant in files:
            out = space / f"{isa}-{variant}"
            ok("unpack", GOLDEN / "valid" / f"{name}.qstore", variant, "-o", out, env=env)
            assert contents(out) == files[variant]
    assert len(archives) == 1


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.rest if name in SLOW else ()) for name in VALID],
)
def test_reference_decoder_restores_valid_archive(name):
    archive = decoder.Archive((GOLDEN / "valid" / f"{name}.qstore").read_bytes())
    _, variants = expectations(name)
    assert {variant.name for variant in archive.index.variants} == set(variants)
    for variant, files in variants.items():
        restored = archive.variant(variant)
        assert {path: sha256(content) for path, content in restored.items()} == files


def test_valid_archives_use_everything_the_format_has():
    """Every codec, scheme, plane mode, container, and type of blocks: none can change unseen."""
    seen = Counter()
    plane = planes.decode_plane

    def counting(cursor, count):
        seen[f"plane {cursor.data[cursor.at]}"] += 1
        return plane(cursor, count)

    planes.decode_plane = counting
    try:
        for name in VALID:
            archive = decoder.Archive((GOLDEN / "valid" / f"{name}.qstore").read_bytes())
            for variant in archive.index.variants if name not in SLOW else ():
                archive.variant(variant.name)
            for thing in archive.index.objects:
                seen.update(chunk.codec for chunk in thing.chunks)
                seen[f"scheme {thing.scheme}"] += 1
                if any(chunk.codec == "kBlocks" for chunk in thing.chunks):
                    seen[f"blocks of {thing.dtype}"] += 1
            seen.update(file.container for file in archive.index.files)
            seen.update(tensor.dtype for file in archive.index.files for tensor in file.tensors)
    finally:
        planes.decode_plane = plane
    everything = [
        *records.CODECS,
        *records.CONTAINERS,
        *records.DTYPES,
    ]
    everything += [f"plane {mode}" for mode in range(5)]
    everything += [f"blocks of {dtype}" for dtype in records.BLOCKS]
    everything += [f"scheme {number}" for number in (0, *schemes.SCHEMES)]
    assert set(everything) - set(seen) == set()


@pytest.mark.parametrize("name", INVALID)
def test_invalid_archive_is_refused(space, name):
    """By verify always; by unpack unless the damage lies in what that variant does not need."""
    kind = name.split(".", 1)[0]
    archive = GOLDEN / "invalid" / f"{name}.qstore"
    done = run("verify", archive)
    assert done.returncode == EXIT_CODES[kind], done.stderr
    assert f"({kind})" in done.stderr
    assert archive.name in done.stderr
    refusals = 0
    _, variants = expectations(golden_damage.DAMAGES[name][0])
    for variant in variants:
        done = run("unpack", archive, variant, "-o", space / variant)
        refusals += done.returncode != 0
        assert (done.returncode == 0) == (space / variant).exists()
    assert refusals > 0


@pytest.mark.parametrize("name", INVALID)
def test_reference_decoder_refuses_invalid_archive(name):
    with pytest.raises(planes.Corrupt):
        archive = decoder.Archive((GOLDEN / "invalid" / f"{name}.qstore").read_bytes())
        for variant in archive.index.variants:
            archive.variant(variant.name)


def small_pair(space, dtype, **shapes):
    torch_dtype = {"bf16": models.torch.bfloat16, "fp16": models.torch.float16}[dtype]
    tensors = {
        f"{name}.weight": models.llm_weights(*shape, seed, torch_dtype)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    return models.save_pair(tensors, space)


@pytest.mark.parametrize("level", ("fast", "balanced", "max"))
@pytest.mark.parametrize("dtype", ("bf16", "fp16"))
def test_reference_decoder_agrees_on_fresh_archives(space, dtype, level):
    high, low = small_pair(space, dtype, a=(96, 300), b=(7, 11), c=(40, 700))
    pack(space / "m.qstore", "--level", level, high=high, low=low)
    archive = decoder.Archive((space / "m.qstore").read_bytes())
    for name, folder in {"high": high, "low": low}.items():
        restored = archive.variant(name)
        assert {path: sha256(content) for path, content in restored.items()} == contents(folder)

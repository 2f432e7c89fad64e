# SPDX-License-Identifier: Apache-2.0
"""What `pack --estimate` tells beforehand, and what `pack` then writes."""

import models
import pytest
from command import ok, ok_json, pack, raw_size, run

MOST_OFF = 0.02
# Of the archive: what takes less than this is known less well.
SMALL = 0.01


def small_pair(space):
    tensors = {"a.weight": models.llm_weights(256, 256, 1)}
    high, low = models.save_pair(tensors, space / "pair")
    return {"high": high, "low": low}


def named(variants):
    return [f"{name}={path}" for name, path in variants.items()]


def options_of(arrangement):
    return [word for name in arrangement["direct"] for word in ("--direct", name)]


def assert_near(estimated, written, what):
    assert abs(estimated - written) <= MOST_OFF * written, (what, estimated, written)


def compare(space, figure, arrangement, *options, **variants):
    """An arrangement of an estimate with the archive that `pack` makes of it."""
    size = pack(space / "m.qstore", "--force", *options, *options_of(arrangement), **variants)
    off = arrangement["stored_bytes"] / size - 1
    figure(f"{variants['copy'].name:10} {options} {arrangement['direct']}: {off:+.2%} of {size:,}")
    assert_near(arrangement["stored_bytes"], size, "archive")
    written = {v["name"]: v for v in ok_json("inspect", space / "m.qstore")["variants"]}
    for variant in arrangement["variants"]:
        stored = written[variant["name"]]
        assert variant["source_bytes"] == raw_size(variants[variant["name"]])
        assert_near(variant["load_bytes"], stored["load_bytes"], variant["name"])
        if stored["own_bytes"] > SMALL * size:
            assert_near(variant["own_bytes"], stored["own_bytes"], variant["name"])
        else:
            assert abs(variant["own_bytes"] - stored["own_bytes"]) <= SMALL * SMALL * size


@pytest.mark.parametrize("name", ("llm-int8", "fp8-block", "nf4", "nvfp4"))
def test_estimate_is_what_pack_writes(pairs, twins, space, figure, name):
    """Of every arrangement. The models have more elements than are sampled."""
    variants = {"bf16": pairs / "minilm" / "bf16", "copy": twins / name}
    estimate = ok_json("pack", "--estimate", *named(variants))
    assert [a["direct"] for a in estimate["arrangements"]] == [[], ["bf16"], ["copy"]]
    for arrangement in estimate["arrangements"]:
        compare(space, figure, arrangement, **variants)


@pytest.mark.parametrize("level", ("fast", "max"))
def test_estimate_of_other_levels(pairs, twins, space, figure, level):
    variants = {"bf16": pairs / "minilm" / "bf16", "copy": twins / "llm-int8"}
    options = ("--level", level, "--direct", "bf16")
    estimate = ok_json("pack", "--estimate", *options, *named(variants))
    first = estimate["arrangements"][0]
    assert first["direct"] == ["bf16"]
    compare(space, figure, first, "--level", level, **variants)


@pytest.mark.parametrize("given", (False, True))
def test_nothing_is_written(space, given):
    variants = small_pair(space)
    before = sorted(space.rglob("*"))
    output = ("-o", space / "m.qstore") if given else ()
    ok("pack", "--estimate", *output, *named(variants), cwd=space)
    assert sorted(space.rglob("*")) == before


def test_table_and_document_say_the_same(space):
    variants = small_pair(space)
    document = ok_json("pack", "--estimate", *named(variants))
    assert document["source_bytes"] == sum(map(raw_size, variants.values()))
    table = ok("pack", "--estimate", *named(variants)).stdout
    lines = table.splitlines()
    assert len(lines) == 2 + 3 * len(document["arrangements"])
    assert [line.split()[0] for line in lines[2::3]] == ["default", "--direct", "--direct"]
    for arrangement, archive in zip(document["arrangements"], lines[4::3], strict=True):
        assert archive.split() == [
            "archive",
            f"{document['source_bytes']:,}",
            f"{arrangement['stored_bytes']:,}",
            "-",
        ]
        for variant in arrangement["variants"]:
            for key in ("source_bytes", "own_bytes", "load_bytes"):
                assert f"{variant[key]:,}" in table


def test_refusals(space):
    missing = run("pack", "--estimate", f"a={space}/nowhere")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "not-found" in missing.stderr
    variants = small_pair(space)
    unknown = run("pack", "--estimate", "--direct", "x", *named(variants))
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert run("pack", "--estimate").returncode == 2
    without_output = run("pack", *named(variants))
    assert without_output.returncode == 2
    assert "--output" in without_output.stderr

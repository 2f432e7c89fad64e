# SPDX-License-Identifier: Apache-2.0
"""Copies of a real model in formats that servers load, made by the real tools, beside its BF16."""

import pytest
from command import assert_comes_back, ok, ok_json, pack, raw_size

# Of its raw size, what a copy may take beside BF16 that loads from its own bytes.
MOST_BESIDE = 0.005
# Of the archive of BF16 alone, what a pair may take whose copy loads from its own bytes.
MOST_OF_PAIR = 1.005


@pytest.fixture(scope="module")
def alone(pairs, tmp_path_factory):
    """Bytes of the archive of BF16 alone."""
    path = tmp_path_factory.mktemp("alone") / "m.qstore"
    return pack(path, bf16=pairs / "minilm" / "bf16")


def variant_of(archive, name):
    (found,) = (v for v in ok_json("inspect", archive)["variants"] if v["name"] == name)
    return found


@pytest.mark.parametrize("kind", ("channel", "tensor"))
def test_fp8_beside_direct_bf16(pairs, fp8, alone, space, figure, kind):
    variants = {"bf16": pairs / "minilm" / "bf16", "fp8": fp8 / kind}
    size = pack(space / "m.qstore", "--direct", "bf16", **variants)
    share = (size - alone) / raw_size(fp8 / kind)
    figure(f"FP8 by {kind} of minilm beside BF16: {size - alone:,} bytes, {share:.3%} of its own")
    assert share <= MOST_BESIDE
    assert_comes_back(space / "m.qstore", space, **variants)
    ok("verify", space / "m.qstore", *(f"{name}={path}" for name, path in variants.items()))
    assert variant_of(space / "m.qstore", "bf16")["load_bytes"] < 1.01 * alone


@pytest.mark.parametrize("kind", ("channel", "tensor"))
def test_fp8_that_loads_from_its_own_bytes(pairs, fp8, alone, space, figure, kind):
    variants = {"bf16": pairs / "minilm" / "bf16", "fp8": fp8 / kind}
    size = pack(space / "m.qstore", **variants)
    figure(f"minilm in BF16 and FP8 by {kind}: {size:,} bytes, {size / alone:.4f} of BF16 alone")
    assert size <= MOST_OF_PAIR * alone
    assert_comes_back(space / "m.qstore", space, **variants)
    assert variant_of(space / "m.qstore", "fp8")["load_bytes"] < 0.9 * alone


def test_several_copies_take_what_one_takes(pairs, fp8, alone, space, figure):
    minilm = pairs / "minilm"
    variants = {"bf16": minilm / "bf16", "int8": minilm / "bf16-int8"}
    variants |= {kind: fp8 / kind for kind in ("channel", "tensor")}
    size = pack(space / "m.qstore", **variants)
    raw = sum(map(raw_size, variants.values()))
    figure(f"minilm in BF16, int8 and FP8 twice: {size:,} bytes of {raw:,}; BF16 alone {alone:,}")
    assert_comes_back(space / "m.qstore", space, **variants)
    # int8 does not follow from BF16 yet, so BF16 follows from it.
    assert size < 1.03 * alone

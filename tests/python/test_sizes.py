# SPDX-License-Identifier: Apache-2.0
"""What a pair costs: the promise for large layers, and that no shape is ever made worse."""

import os

import models
import pytest
import torch
from command import assert_comes_back, ok, pack, raw_size

# An index entry and a chunk's few bytes for every tensor; nothing that grows with the content.
SLACK_PER_TENSOR = 96


def weights_of(*shape, seed=1, dtype=torch.bfloat16):
    count = 1
    for dim in shape:
        count *= dim
    return models.llm_weights(1, count, seed, dtype).reshape(shape)


SHAPES = {
    "one scalar": {"a.weight": [()]},
    "one element": {"a.weight": [(1, 1)]},
    "3x5": {"a.weight": [(3, 5)]},
    "one row": {"a.weight": [(1, 4096)]},
    "one column": {"a.weight": [(4096, 1)]},
    "one dimension": {"a.weight": [(1000,)]},
    "one huge row": {"a.weight": [(1, 3_000_000)]},
    "zero rows": {"a.weight": [(0, 64)], "b.weight": [(16, 64)]},
    "zero columns": {"a.weight": [(64, 0)], "b.weight": [(16, 64)]},
    "only zero-size": {"a.weight": [(0,)]},
    "convolution": {"conv.weight": [(64, 32, 3, 3)], "conv.bias": [(64,)]},
    "depthwise": {"conv.weight": [(512, 1, 31)], "conv.bias": [(512,)]},
    "five dimensions": {"conv.weight": [(8, 4, 3, 3, 3)]},
    "odd sizes": {"a.weight": [(127, 1023)], "b.weight": [(3, 4097)], "c.weight": [(61, 67)]},
    "many small": {f"layers.{i}.weight": [(8, 8)] for i in range(400)},
    "many tiny": {f"layers.{i}.weight": [(2,)] for i in range(400)},
    "wide": {"a.weight": [(16, 50_000)]},
    "tall": {"a.weight": [(50_000, 16)]},
    "experts": {f"experts.{i}.weight": [(64, 256)] for i in range(32)},
    "square": {"a.weight": [(1024, 1024)]},
}


def build(shapes, dtype):
    return {
        name: weights_of(*shape, seed=number + 1, dtype=dtype)
        for number, (name, (shape,)) in enumerate(shapes.items())
    }


def check_pair(space, high, low, tensors):
    """Comes back, and costs no more than its parts alone, nor than the raw bytes."""
    pair = pack(space / "pair.qstore", high=high, low=low)
    assert_comes_back(space / "pair.qstore", space, high=high, low=low)
    alone = pack(space / "high.qstore", high=high) + pack(space / "low.qstore", low=low)
    assert pair <= alone + SLACK_PER_TENSOR * tensors
    raw = raw_size(high) + raw_size(low)
    assert pair <= raw * 1.001 + 64 * 1024
    return pair, alone, raw


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16, torch.float32), ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_every_shape(space, name, dtype):
    tensors = build(SHAPES[name], dtype)
    high, low = models.save_pair(tensors, space)
    check_pair(space, high, low, len(tensors))


BITS = {
    "noise": lambda n: torch.randint(-(2**15), 2**15, (n,), dtype=torch.int16),
    "zeros": lambda n: torch.zeros(n, dtype=torch.int16),
    "NaNs and infinities": lambda n: torch.randint(0, 2, (n,), dtype=torch.int16) * 0x7FFF,
    "denormals": lambda n: torch.randint(0, 128, (n,), dtype=torch.int16),
    "one value": lambda n: torch.full((n,), 0x3F80, dtype=torch.int16),
    "counting, over and over": lambda n: torch.arange(n).to(torch.int16),
}


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
@pytest.mark.parametrize("name", BITS)
def test_every_bit_pattern(space, name, dtype):
    """Content that no weights are, beside the twin the rule gives of it."""
    torch.manual_seed(7)
    tensor = BITS[name](800 * 300).view(dtype).reshape(800, 300)
    high, low = models.save_pair({"a.weight": tensor}, space)
    check_pair(space, high, low, 1)


def unrelated():
    torch.manual_seed(3)
    tensors = {"a.weight": weights_of(512, 512), "b.weight": weights_of(256, 1024, seed=2)}
    good = models.twin_of(tensors)
    noise = torch.randint(-127, 128, (512, 512), dtype=torch.int8)
    scale = good["a.SCB"]
    other = models.twin_of({k: weights_of(*v.shape, seed=99) for k, v in tensors.items()})
    return tensors, {
        "another model": other,
        "noise": {**good, "a.weight": noise},
        "rows shuffled": {**good, "a.weight": good["a.weight"].flip(0)},
        "scales shuffled": {**good, "a.SCB": scale.flip(0)},
        "scales zero": {**good, "a.SCB": torch.zeros_like(scale)},
        "scales negative": {**good, "a.SCB": -scale},
        "scales infinite": {**good, "a.SCB": scale * float("inf")},
        "scales NaN": {**good, "a.SCB": scale * float("nan")},
        "scales tiny": {**good, "a.SCB": torch.full_like(scale, 1e-45)},
        "scales missing": {k: v for k, v in good.items() if not k.endswith("SCB")},
        "scales of another length": {**good, "a.SCB": scale[:100].clone()},
        "scales of another type": {**good, "a.SCB": scale.to(torch.float16)},
        "q transposed": {**good, "b.weight": good["b.weight"].T.contiguous()},
        "q of another shape": {**good, "a.weight": good["a.weight"][:, :500].contiguous()},
        "q flat": {**good, "a.weight": good["a.weight"].reshape(-1)},
        "q -128": {**good, "a.weight": torch.full((512, 512), -128, dtype=torch.int8)},
        "q unsigned": {**good, "a.weight": good["a.weight"].view(torch.uint8)},
        "no tensor of the same name": {f"x.{k}": v for k, v in good.items()},
    }


@pytest.mark.parametrize("name", unrelated()[1])
def test_twin_that_is_none(space, name):
    """A wrong guess costs bytes, never data."""
    tensors, twins = unrelated()
    high, low = models.save_pair(tensors, space, twins[name])
    check_pair(space, high, low, len(twins[name]))


def test_twin_with_exceptions(space, figure):
    """A twin that is right but for one value in a thousand still explains the rest."""
    torch.manual_seed(5)
    tensors = {"a.weight": weights_of(1024, 1024)}
    good = models.twin_of(tensors)
    off = torch.rand(1024, 1024) < 0.001
    q = torch.where(off, torch.randint_like(good["a.weight"], -127, 128), good["a.weight"])
    right = check_pair(space / "right", *models.save_pair(tensors, space / "right"), 1)[0]
    high, low = models.save_pair(tensors, space / "off", {**good, "a.weight": q})
    pair = check_pair(space / "off", high, low, 1)[0]
    figure(f"1024x1024 BF16 pair with 0.1 % of q off: {pair:,} bytes, with none off {right:,}")
    assert pair <= right + 0.001 * 1024 * 1024 * 4


def test_large_layers(space, figure):
    """The figure that the README promises: layers of 4096x4096, by the synth command."""
    ok("synth", "-o", space / "bf16", "--count", "2", "--shape", "4096x4096", "--dtype", "bf16")
    ok("quantize", "--to", "llm-int8", space / "bf16", "-o", space / "int8")
    size = pack(space / "m.qstore", bf16=space / "bf16", int8=space / "int8")
    weights = 2 * 4096 * 4096
    bits = 8 * size / weights
    figure(f"synth, 2 x 4096x4096 BF16 + int8: {size:,} bytes = {bits:.3f} b/w (at most 10.75)")
    assert bits <= 10.75
    assert_comes_back(space / "m.qstore", space, bf16=space / "bf16", int8=space / "int8")


def test_equal_tensors_and_files_are_stored_once(space):
    tensors = {"a.weight": weights_of(700, 700)}
    one = models.save(tensors, space / "one")
    two = models.save({**tensors, "b.weight": tensors["a.weight"].clone()}, space / "two")
    for folder in (one, two):
        (folder / "vocab.bin").write_bytes(os.urandom(100_000))
    (two / "vocab.bin").write_bytes((one / "vocab.bin").read_bytes())
    alone = pack(space / "one.qstore", one=one)
    both = pack(space / "both.qstore", one=one, two=two)
    assert both <= alone + 2000
    assert_comes_back(space / "both.qstore", space, one=one, two=two)


@pytest.mark.parametrize("low", (torch.bfloat16, torch.float16), ids=str)
def test_cast_costs_next_to_nothing(space, low):
    """F32 and its 16-bit cast cost hardly more than the F32 alone."""
    high = {"a.weight": weights_of(700, 700, dtype=torch.float32)}
    f32 = models.save(high, space / "f32")
    half = models.save({"a.weight": high["a.weight"].to(low)}, space / "low")
    both = pack(space / "both.qstore", f32=f32, low=half)
    alone = pack(space / "f32.qstore", f32=f32)
    assert both <= alone * 1.03
    assert_comes_back(space / "both.qstore", space, f32=f32, low=half)


@pytest.mark.parametrize("level", ("fast", "balanced", "max"))
def test_every_level(space, level):
    tensors = {"a.weight": weights_of(512, 512), "b.weight": weights_of(64, 8, 3, 3)}
    high, low = models.save_pair(tensors, space)
    pack(space / "m.qstore", "--level", level, high=high, low=low)
    assert_comes_back(space / "m.qstore", space, high=high, low=low)

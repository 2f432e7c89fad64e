# SPDX-License-Identifier: Apache-2.0
"""What codes of blocks stand for, and the nearest codes of weights: "Grids" of docs/format-ggml.md,
read literally."""

from dataclasses import dataclass

import numpy as np
from blocks import STREAMS
from ggml_plain import MINI, half_of_e4m3
from ggml_search import F32, LIST, MIDPOINTS
from records import BLOCKS


@dataclass
class Grid:
    per: int
    kind: str  # "linear", "iq4" or "mini".
    zero: int = 0
    low: int = 0
    high: int = 0
    has_offset: bool = False


GRIDS = {
    "Q4_0": Grid(32, "linear", 8, -8, 7),
    "Q4_1": Grid(32, "linear", 0, 0, 15, True),
    "Q5_0": Grid(32, "linear", 16, -16, 15),
    "Q5_1": Grid(32, "linear", 0, 0, 31, True),
    "Q8_0": Grid(32, "linear", 0, -127, 127),
    "Q2_K": Grid(16, "linear", 0, 0, 3, True),
    "Q3_K": Grid(16, "linear", 4, -4, 3),
    "Q4_K": Grid(32, "linear", 0, 0, 15, True),
    "Q5_K": Grid(32, "linear", 0, 0, 31, True),
    "Q6_K": Grid(16, "linear", 32, -32, 31),
    "IQ4_NL": Grid(32, "iq4"),
    "IQ4_XS": Grid(32, "iq4"),
    "MXFP4": Grid(32, "mini"),
    "NVFP4": Grid(16, "mini"),
    "TQ2_0": Grid(256, "linear", 1, -1, 1),
}
MINI_MIDPOINTS = (MINI[:7] + MINI[1:8]) / F32(2)


def split(name, content):
    """The numbers of the streams of blocks, each of (blocks, numbers)."""
    blocks = np.frombuffer(content, np.uint8).reshape(-1, BLOCKS[name][0]).astype(np.int64)
    fields = []
    for _, count, place in STREAMS[name]:
        numbers = np.zeros((len(blocks), count), np.int64)
        for k in range(count):
            at = 0
            for where, first, bits in place(k):
                numbers[:, k] |= ((blocks[:, where] >> first) & ((1 << bits) - 1)) << at
                at += bits
        fields.append(numbers)
    return fields


def bits_of_stream(name, stream):
    """Of the numbers of a stream."""
    return sum(bits for _, _, bits in STREAMS[name][stream][2](0))


def value_of_half(pattern):
    return pattern.astype(np.uint16).view(np.float16).astype(F32)


def signed(numbers):
    return numbers.astype(np.uint8).view(np.int8)


def steps_and_offsets(name, fields):
    """Of all groups in their order."""
    h = [value_of_half(f) for f, s in zip(fields, STREAMS[name], strict=True) if s[0] == "F"]
    none = np.zeros(1, F32)
    if name in ("Q4_1", "Q5_1"):
        return h[0].reshape(-1), h[1].reshape(-1)
    if name in ("Q2_K", "Q4_K", "Q5_K"):
        step = h[0] * fields[2].astype(F32)
        return step.reshape(-1), (-(h[1] * fields[3].astype(F32))).reshape(-1)
    if name in ("Q3_K", "IQ4_XS"):
        return (h[0] * (fields[1] - 32).astype(F32)).reshape(-1), none
    if name == "Q6_K":
        return (h[0] * signed(fields[1]).astype(F32)).reshape(-1), none
    if name == "MXFP4":
        return np.ldexp(1.0, fields[0] - 128).astype(F32).reshape(-1), none
    if name == "NVFP4":
        step = np.where(np.isin(fields[0], (0, 127)), F32(0), half_of_e4m3(fields[0] & 127))
        return step.reshape(-1), none
    return h[0].reshape(-1), none


def values_of_blocks(name, content):
    """The weights that blocks stand for."""
    grid, fields = GRIDS[name], split(name, content)
    steps, offsets = steps_and_offsets(name, fields)
    codes = fields[-1].reshape(-1, grid.per)
    with np.errstate(all="ignore"):
        if grid.kind == "iq4":
            number = LIST[codes]
        elif grid.kind == "mini":
            number = MINI[codes]
        else:
            number = (signed(codes) if name == "Q8_0" else codes - grid.zero).astype(F32)
        values = number * steps[:, None]
        return (values + offsets[:, None] if grid.has_offset else values).reshape(-1)


def place_of(f):
    return np.where(np.isnan(f), 15, np.minimum(np.abs(f) * F32(32), F32(15))).astype(np.int64)


def between(numbers, code, x):
    """f of a list of numbers."""
    v = numbers[code]
    other = np.clip(np.where(x >= v, code + 1, code - 1), 0, len(numbers) - 1)
    gap = np.abs(numbers[other] - v)
    return np.where(gap == 0, x - v, (x - v) / np.where(gap == 0, F32(1), gap))


def nearest(name, fields, weights):
    """The nearest codes of weights, their places, and where weights lie below."""
    grid = GRIDS[name]
    steps, offsets = steps_and_offsets(name, fields)
    with np.errstate(all="ignore"):
        step = steps[:, None]
        x = (weights.reshape(-1, grid.per) - offsets[:, None]) / step
        if grid.kind == "iq4":
            codes = sum((x >= middle).astype(np.int64) for middle in MIDPOINTS)
            f = between(LIST, codes, x)
        elif grid.kind == "mini":
            z = np.where(x < 0, -x, x)
            codes = sum((z > middle).astype(np.int64) for middle in MINI_MIDPOINTS)
            f = between(MINI[:8], codes, z)
            codes = np.where((x < 0) & (codes != 0), codes + 8, codes)
        else:
            y = np.where(np.isnan(x), F32(grid.low), np.clip(x, F32(grid.low), F32(grid.high)))
            y = np.rint(y).astype(F32)
            f = x - y
            codes = (y.astype(np.int64) + grid.zero) & 255
        is_step = (step < 0) | (step > 0)
        codes, f = np.where(is_step, codes, 0), np.where(is_step, f, F32(np.nan))
    return codes.reshape(-1), place_of(f).reshape(-1), (f < 0).reshape(-1)

# SPDX-License-Identifier: Apache-2.0
"""FP8 E4M3 with a BF16 scale: "FP8" of docs/format-coding.md, read literally."""

from functools import cache

import numpy as np

LEAST_SCALE = 2.0**-100
INFINITY = 0x7F80


def value_of(patterns):
    return (np.asarray(patterns).astype(np.uint32) << np.uint32(16)).view(np.float32)


# The numbers that codes of sign 0 stand for.
VALUES = np.array([m * 2.0**-9 if e == 0 else (8 + m) * 2.0 ** (e - 10)
                   for e in range(16) for m in range(8)][:127])  # fmt: skip


def nearest_code(values):
    """Of numbers from 0 to 448; ties go to the even code."""
    above = np.clip(np.searchsorted(VALUES, values), 1, 126)
    low, high = values - VALUES[above - 1], VALUES[above] - values
    takes_low = (low < high) | ((low == high) & (above % 2 == 1))
    return np.where(takes_low, above - 1, above)


def codes_of(weights, scales):
    """Of BF16 patterns, each with the pattern of its scale."""
    scale = value_of(scales)
    with np.errstate(all="ignore"):
        usable = np.isfinite(scale) & (scale >= LEAST_SCALE)
    magnitude = weights & 0x7FFF
    normal = np.where(magnitude < 0x80, 0, magnitude)
    with np.errstate(all="ignore"):
        bits = (value_of(normal) / np.where(usable, scale, 1)).astype(np.float32).view(np.uint32)
    bits = bits.astype(np.uint64)
    bf16 = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)
    quotient = value_of(np.minimum(bf16, 0x43E0))
    code = np.where(magnitude > INFINITY, 127, nearest_code(quotient.astype(np.float64)))
    return np.where(usable, code | (weights >> 8 & 0x80), 0).astype(np.int64)


@cache
def first_of(scale):
    patterns = np.arange(INFINITY, dtype=np.uint16)
    codes = codes_of(patterns, np.full(INFINITY, scale, np.uint16))
    return {k: int(np.searchsorted(codes, k)) for k in range(1, 129)}


def first_patterns(scale, dtype, via_fp16):
    value = value_of(np.array([scale]))[0]
    if dtype != "BF16" or via_fp16 or not np.isfinite(value) or value < LEAST_SCALE:
        return None
    return first_of(int(scale))

# SPDX-License-Identifier: Apache-2.0
"""Blocks made without a search: "Plain rules" of docs/format-ggml.md, read literally."""

import numpy as np
from ggml_rows import blocks_of, column, inverse, put
from ggml_search import F32, cut, most, rounded_away, zeros_of

MINI = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], F32)


def lasting_size(x):
    """0, and then the size of each element unless it is greater."""
    size = zeros_of(x)
    for row in x:
        size = np.where(size > np.abs(row), size, np.abs(row))
    return size


def q8_0(rows):
    x = rows.groups(32)
    d = lasting_size(x) / F32(127)
    return put("Q8_0", [column(d), cut(rounded_away(x * inverse(d))).T])


def ternary(name, rows):
    x = rows.groups(256)
    d = lasting_size(x)
    codes = ((cut(rounded_away(x * inverse(d))) + 1) & 255).T
    if name == "TQ2_0":
        return put(name, [column(d), codes])
    packed = []
    for first, count, digits in ((0, 32, 5), (160, 16, 5), (240, 4, 4)):
        v = np.zeros((len(codes), count), np.int64)
        for k in range(5):
            begin = first + k * count
            v = v * 3 + (codes[:, begin : begin + count] if k < digits else 0)
        packed.append(((v & 255) * 256 + 242) // 243)
    return put(name, [np.hstack(packed[:2]), packed[2], column(d)])


def mini_codes(x, step):
    best, code = None, np.zeros(x.shape, np.int64)
    for k, number in enumerate(MINI):
        error = np.abs(number * step - x)
        less = error < best if best is not None else np.zeros(x.shape, bool)
        best = error if best is None else np.where(less, error, best)
        code = np.where(less, k, code)
    return code


def mxfp4(rows):
    x = rows.groups(32)
    _, size = most(x)
    is_usual = (size > 0) & (size < np.inf)
    logarithm = np.log2(np.where(is_usual, size, 1).astype(np.float64)).astype(F32)
    e = np.where(is_usual, np.floor(logarithm).astype(np.int64) + 125, 0) & 255
    step = np.ldexp(1.0, e - 128).astype(F32)
    return put("MXFP4", [e.reshape(-1, 1), mini_codes(x, step).T])


def e4m3(f):
    """The code without a sign."""
    bits = np.where(f > 0, f, F32(0)).view(np.int32)
    exponent = (bits >> 23) - 127 + 7
    small = np.minimum(cut(f * F32(512) + F32(0.5)), 7)
    large = exponent * 8 + (bits >> 20 & 7) + (bits >> 19 & 1)
    code = np.where(exponent <= 0, small, np.where(large >= 120, 126, large))
    return np.where(f > 0, code, 0)


def half_of_e4m3(code):
    exponent, mantissa = code >> 3, code & 7
    normal = np.ldexp(1.0 + mantissa / 8.0, exponent - 8)
    return np.where(exponent == 0, mantissa / 1024.0, normal).astype(F32)


def nvfp4(rows):
    x = rows.groups(16)
    code = e4m3(most(x)[1] / F32(6))
    codes = mini_codes(x, half_of_e4m3(code))
    return put("NVFP4", [code.reshape(-1, 4), blocks_of(codes, 64)])

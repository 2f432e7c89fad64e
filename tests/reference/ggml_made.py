# SPDX-License-Identifier: Apache-2.0
"""Blocks of ggml made of rows of weights: "Types with searches" of docs/format-ggml.md, read
literally."""

import numpy as np
from ggml_plain import mxfp4, nvfp4, q8_0, ternary
from ggml_rows import Rows, blocks_of, column, inverse, put
from ggml_search import (
    F32,
    LEAST_SIZE,
    Affine,
    affine,
    by_turns,
    byte,
    cut,
    half,
    levels,
    listed,
    listed_code,
    most,
    near,
    symmetric,
    total,
    zeros_of,
)
from records import BLOCKS

# Affine blocks: weights of a group, the greatest level, the rules without and with importance.
AFFINE = {
    "Q2_K": (16, 15, Affine(3, -0.5, 0.1, 15, True), Affine(3, -0.9, 0.05, 36)),
    "Q4_K": (32, 63, Affine(15, -1.0, 0.1, 20), Affine(15, -0.9, 0.05, 36)),
    "Q5_K": (32, 63, Affine(31, -0.5, 0.1, 15), Affine(31, -0.9, 0.05, 36)),
}


def stored_levels(name, scales, minima):
    """What is read of levels of (blocks, groups) once they are stored."""
    if name == "Q2_K":
        joined = (scales | minima << 4) & 255
        return joined & 15, joined >> 4
    found = []
    for v in (scales, minima):
        joined = (v[:, :4] | v[:, 4:] >> 4 << 6) & 255
        found.append(np.hstack([joined & 63, v[:, 4:] & 15 | joined >> 6 << 4]))
    return found


def levels_by_most(top, values):
    """Of (blocks, groups), with the value of a level."""
    m = np.zeros(len(values), F32)
    for v in values.T:
        m = np.where(v > m, v, m)
    r = np.where(m > 0, F32(top) / m, F32(0))
    return near(r[:, None] * values) & 255, m / F32(top)


def affine_blocks(name, rows):
    size, top, plain, weighted = AFFINE[name]
    x, count = rows.groups(size), 256 // size
    if rows.importance is not None:
        squares = rows.squares(256)
        sigma = squares / F32(256) if name == "Q2_K" else F32(2) * squares / F32(256)
        rule, u = weighted, rows.errors(size, sigma, 256)
    else:
        mean = F32(0) if plain.is_absolute else np.sqrt(rows.squares(size) / F32(size))
        rule, u = plain, np.abs(x) if plain.is_absolute else mean + np.abs(x)
    scales, floors, codes = affine(rule, x, u)
    sums = total(u).reshape(-1, count)
    found = []
    for values in (scales.reshape(-1, count), (-floors).reshape(-1, count)):
        if rows.importance is not None:
            unit, level = levels(top, np.ascontiguousarray(values.T), np.ascontiguousarray(sums.T))
            level = level.T
        else:
            level, unit = levels_by_most(top, values)
        if name == "Q5_K" or (name == "Q4_K" and rows.importance is None):
            level = np.minimum(level, 63)
        found.append((unit, level))
    (d, scale_levels), (dmin, minimum_levels) = found
    scale_levels, minimum_levels = stored_levels(name, scale_levels, minimum_levels)
    step = (half(d)[:, None] * scale_levels.astype(F32)).reshape(-1)
    minimum = (half(dmin)[:, None] * minimum_levels.astype(F32)).reshape(-1)
    anew = near((x + minimum) / step, 0, rule.top)
    codes = np.where(step == 0, codes, anew)
    fields = [column(d), column(dmin), scale_levels, minimum_levels, blocks_of(codes, 256)]
    return put(name, fields)


def q3_k(rows):
    x = rows.groups(16)
    if rows.importance is None:
        scales, codes = by_turns(4, x)
        scales = scales.reshape(-1, 16)
        m, _ = most(scales.T)
        r = F32(-32) / m
        level = np.clip(byte(near(r[:, None] * scales)), -32, 31)
        level = np.where((m == 0)[:, None], -32, level)
        d = np.where(m == 0, F32(0), F32(1) / r)
    else:
        u = rows.errors(16, F32(2) * rows.squares(256) / F32(256), 256)
        scales, codes = symmetric(4, x, u)
        sums = total(u, zeros_of(u)).reshape(-1, 16)
        of_blocks = np.ascontiguousarray(scales.reshape(-1, 16).T)
        d, level = symmetric(32, of_blocks, np.ascontiguousarray(sums.T))
        level = level.T - 32
    step = (half(d)[:, None] * level.astype(F32)).reshape(-1)
    codes = np.where(step == 0, codes, near(x / step, -4, 3) + 4)
    return put("Q3_K", [column(d), level + 32, blocks_of(codes, 256)])


def q6_k(rows):
    x = rows.groups(16)
    u = x * x if rows.importance is None else rows.importance_of(16)
    scales, codes = symmetric(32, x, u)
    scales = scales.reshape(-1, 16)
    m, size = most(scales.T)
    r = F32(-128) / m
    d = F32(1) / r
    level = byte(np.minimum(near(r[:, None] * scales), 127))
    step = (half(d)[:, None] * level.astype(F32)).reshape(-1)
    codes = np.where(step == 0, codes, near(x / step, -32, 31) + 32)
    out = put("Q6_K", [column(d), level, blocks_of(codes, 256)])
    return np.where((size < LEAST_SIZE)[:, None], 0, out).astype(np.uint8)


def iq4(name, rows):
    x, run = rows.groups(32), BLOCKS[name][1]
    sigma = rows.squares(run) * F32(2 / run)
    u = x * x if rows.importance is None else rows.errors(32, sigma, run)
    scales = listed(x, u)
    if name == "IQ4_NL":
        return put(name, [column(scales), listed_code(inverse(scales) * x).T])
    scales = scales.reshape(-1, 8)
    m, _ = most(scales.T)
    e = -m / F32(32)
    level = near(inverse(e)[:, None] * scales, -32, 31)
    step = (e[:, None] * level.astype(F32)).reshape(-1)
    codes = listed_code(inverse(step) * x)
    return put(name, [column(e), level + 32, blocks_of(codes, 256)])


def small(name, rows):
    """Q4_0, Q4_1, Q5_0 and Q5_1."""
    x, five, has_minimum = rows.groups(32), name[1] == "5", name[3] == "1"
    top = 31 if five else 15
    if rows.importance is not None:
        sigma = rows.squares(rows.columns) / F32(rows.columns)
        u = rows.errors(32, sigma, rows.columns)
        if not has_minimum:
            d, codes = symmetric(16 if five else 8, x, u)
            return put(name, [column(d), codes.T])
        d, m, codes = affine(Affine(top, -0.9, 0.05, 36), x, u)
        return put(name, [column(d), column(m), codes.T])
    if not has_minimum:
        d = most(x)[0] / F32(-16 if five else -8)
        scaled = x * inverse(d) + F32(16.5 if five else 8.5)
        return put(name, [column(d), np.minimum(byte(cut(scaled)), top).T])
    greatest = np.finfo(F32).max
    low, high = np.full(x.shape[1], greatest), np.full(x.shape[1], -greatest)
    for row in x:
        low, high = np.where(row < low, row, low), np.where(row > high, row, high)
    d = (high - low) / F32(top)
    codes = cut((x - low) * inverse(d) + F32(0.5))
    codes = codes if five else np.minimum(byte(codes), top)
    return put(name, [column(d), column(low), codes.T])


def maker_of(name):
    """Makes blocks of Rows; None for types that nobody makes again."""
    if name in AFFINE:
        return lambda rows: affine_blocks(name, rows)
    if name in ("IQ4_NL", "IQ4_XS"):
        return lambda rows: iq4(name, rows)
    if name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1"):
        return lambda rows: small(name, rows)
    if name in ("TQ1_0", "TQ2_0"):
        return lambda rows: ternary(name, rows)
    return {"Q3_K": q3_k, "Q6_K": q6_k, "Q8_0": q8_0, "MXFP4": mxfp4, "NVFP4": nvfp4}.get(name)


def make_blocks(name, weights, importance=None):
    """The bytes that ggml makes of rows of weights, block by block."""
    with np.errstate(all="ignore"):
        return maker_of(name)(Rows(weights, importance))

# SPDX-License-Identifier: Apache-2.0
"""Scales and codes of groups of weights: "Searches" of docs/format-ggml.md, read literally.

Arrays have an element of all groups in a row, so that a sum over a group is one over rows.
"""

from dataclasses import dataclass

import numpy as np

F32 = np.float32
LIST = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], F32)
MIDPOINTS = (LIST[:-1] + LIST[1:]) / F32(2)
LEAST_SIZE = F32(1e-15)


def near(f, low=None, high=None):
    bits = (f + F32(12582912)).view(np.int32)
    found = np.where(np.isnan(f), 0, (bits & 0x7FFFFF) - 0x400000)
    return found if low is None else np.clip(found, low, high)


def cut(f):
    inside = np.abs(f) < F32(2.0**31)
    return np.where(inside, np.where(inside, f, F32(0)).astype(np.int64), -(1 << 31))


def rounded_away(f):
    return np.copysign(np.floor(np.abs(f.astype(np.float64)) + 0.5), f)


def byte(n):
    """As a byte with a sign."""
    return n.astype(np.int64).astype(np.uint8).view(np.int8).astype(np.int64)


def half_bits(f):
    with np.errstate(all="ignore"):
        bits = f.astype(np.float16).view(np.uint16)
    return np.where(np.isnan(f), np.uint16(0xFE00), bits)


def half(f):
    return half_bits(f).view(np.float16).astype(F32)


def most(x):
    """The element of the largest size, and that size."""
    size, found = zeros_of(x), zeros_of(x)
    for row in x:
        larger = np.abs(row) > size
        size = np.where(larger, np.abs(row), size)
        found = np.where(larger, row, found)
    return found, size


def zeros_of(x):
    return np.zeros(x.shape[1], F32)


def total(rows, start=None):
    """The sum of rows, one after another."""
    rows = iter(rows)
    found = next(rows) if start is None else start
    for row in rows:
        found = found + row
    return found


@dataclass
class Affine:
    top: int
    first: float
    step: float
    last: int
    is_absolute: bool = False


def affine(rule, x, u):
    """Scales, floors and codes."""
    deviation = np.abs if rule.is_absolute else lambda t: t * t
    low, high = x[0], x[0]
    for row in x[1:]:
        low = np.where(row < low, row, low)
        high = np.where(row > high, row, high)
    sum_u, sum_x = total(u), total(u * x)
    floor = first_floor = np.where(low > 0, F32(0), low)
    is_flat = high == floor
    top = F32(rule.top)
    r = top / (high - floor)
    scale = F32(1) / r
    codes = near(r * (x - floor), 0, rule.top)
    error = total(u * deviation(scale * codes.astype(F32) + floor - x), zeros_of(x))
    for k in range(rule.last + 1):
        r = (F32(rule.first) + F32(rule.step) * F32(k) + top) / (high - floor)
        c = near(r * (x - floor), 0, rule.top)
        cf = c.astype(F32)
        sum_c, q = total(u * cf, zeros_of(x)), total(u * cf * cf, zeros_of(x))
        p = total(u * cf * x, zeros_of(x))
        d = sum_u * q - sum_c * sum_c
        s = (sum_u * p - sum_x * sum_c) / d
        f = (q * sum_x - sum_c * p) / d
        is_above = f > 0
        f, s = np.where(is_above, F32(0), f), np.where(is_above, p / q, s)
        e = total(u * deviation(s * cf + f - x), zeros_of(x))
        better = (d > 0) & (e < error)
        error, scale = np.where(better, e, error), np.where(better, s, scale)
        floor, codes = np.where(better, f, floor), np.where(better, c, codes)
    floor = np.where(is_flat, first_floor, floor)
    return np.where(is_flat, F32(0), scale), floor, np.where(is_flat, 0, codes)


def symmetric(top, x, u):
    """Scales, and codes as they are stored."""
    m, size = most(x)
    is_none = size < LEAST_SIZE

    def sums(r):
        c = near(r * x, -top, top - 1)
        cf = c.astype(F32)
        return c, total(u * x * cf, zeros_of(x)), total(u * cf * cf, zeros_of(x))

    codes, p, q = sums(F32(-top) / m)
    scale = np.where(q != 0, p / q, F32(0))
    best = scale * p
    for k in [*range(-9, 0), *range(1, 10)]:
        c, p, q = sums(-(F32(top) + F32(0.1) * F32(k)) / m)
        better = (q > 0) & (p * p > best * q)
        scale = np.where(better, p / q, scale)
        best = np.where(better, scale * p, best)
        codes = np.where(better, c, codes)
    return np.where(is_none, F32(0), scale), np.where(is_none, 0, codes + top)


def by_turns(top, x):
    """Scales, and codes as they are stored."""
    m, size = most(x)
    is_none = size < LEAST_SIZE
    u = x * x
    c = near(F32(-top) / m * x, -top, top - 1)
    cf = c.astype(F32)
    p, q = total(u * x * cf, zeros_of(x)), total(u * cf * cf, zeros_of(x))
    for _ in range(5):
        before = c.copy()
        for i in range(len(x)):
            old = c[i].astype(F32)
            p1, q1 = p - u[i] * x[i] * old, q - u[i] * old * old
            n = near(x[i] * q1 / p1, -top, top - 1)
            new = n.astype(F32)
            p2, q2 = p1 + u[i] * x[i] * new, q1 + u[i] * new * new
            better = (p1 > 0) & (n != c[i]) & (q2 > 0) & (p2 * p2 * q > p * p * q2)
            c[i] = np.where(better, n, c[i])
            p, q = np.where(better, p2, p), np.where(better, q2, q)
        if (c == before).all():
            break
    scale = np.where((q > 0) & ~is_none, p / q, F32(0))
    return scale, np.where(is_none, 0, c + top)


def levels(top, x, u):
    """Scales, and levels as bytes."""
    m = zeros_of(x)
    for row in x:
        m = np.where(m > row, m, row)
    is_none = m < LEAST_SIZE

    def error_of(r, is_limited):
        t = F32(1) / r
        v = near(r * x)
        v = np.minimum(v, top) if is_limited else v & 255
        d = x - t * v.astype(F32)
        return total(u * d * d, zeros_of(x))

    r = F32(top) / m
    error = error_of(r, False)
    for k in (-4, -3, -2, -1, 1, 2, 3, 4):
        other = (F32(0.1) * F32(k) + F32(top)) / m
        e = error_of(other, True)
        better = e < error
        error, r = np.where(better, e, error), np.where(better, other, r)
    v = np.minimum(near(r * x), top)
    vf = v.astype(F32)
    p, q = total(u * x * vf, zeros_of(x)), total(u * vf * vf, zeros_of(x))
    v &= 255
    for _ in range(5):
        before = v.copy()
        for i in range(len(x)):
            old = v[i].astype(F32)
            p1, q1 = p - u[i] * x[i] * old, q - u[i] * old * old
            n = np.minimum(near(x[i] * q1 / p1), top)
            new = n.astype(F32)
            p2, q2 = p1 + u[i] * x[i] * new, q1 + u[i] * new * new
            better = (p1 > 0) & (q1 > 0) & (n != v[i]) & (p2 * p2 * q > p * p * q2)
            v[i] = np.where(better, n & 255, v[i])
            p, q = np.where(better, p2, p), np.where(better, q2, q)
        if (v == before).all():
            break
    return np.where((q > 0) & ~is_none, p / q, F32(0)), np.where(is_none, 0, v)


def listed_code(f):
    return 15 - sum((f < middle).astype(np.int64) for middle in MIDPOINTS)


def listed(x, u):
    """Scales."""
    m, size = most(x)
    is_none = size < LEAST_SIZE

    def sums(r):
        v = LIST[listed_code(r * x)]
        return total(u * v * x, zeros_of(x)), total(u * v * v, zeros_of(x))

    p, q = sums(F32(1) / (-m / F32(-127)))
    scale = np.where(q > 0, p / q, F32(0))
    best = scale * p
    for k in range(-7, 8):
        p, q = sums(F32(k - 127) / m)
        better = (q > 0) & (p * p > best * q)
        scale = np.where(better, p / q, scale)
        best = np.where(better, scale * p, best)
    return np.where(is_none, F32(0), scale)

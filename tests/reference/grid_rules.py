# SPDX-License-Identifier: Apache-2.0
"""Rules by which formats round weights to codes: docs/format-grids.md, read literally."""

from dataclasses import dataclass

import numpy as np
from floats import FLOATS, convert, values_of

F32 = np.float32
LEAST, MOST = F32(2.0**-100), F32(2.0**100)
SMALL = F32(2.0**-125)
EPSILON = {"BF16": 2.0**-7, "F16": 2.0**-10, "F32": 2.0**-23}
E4M3_EPSILON, E4M3_ONE = 0x20, 0x38

NF4 = [-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
       -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
       0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1]  # fmt: skip
FP4 = [-1, -0.6666666865348816, -0.5, -0.3333333432674408, -0.25, -0.1666666716337204,
       -0.0052083334885537624, 0, 0, 0.0052083334885537624, 0.1666666716337204, 0.25,
       0.3333333432674408, 0.5, 0.6666666865348816, 1]  # fmt: skip
FP4_CODES = [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3]
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.array([m * 2.0**-9 if e == 0 else (8 + m) * 2.0 ** (e - 10)
                 for e in range(16) for m in range(8)][:127])  # fmt: skip


def rounded(values, dtype):
    """T(x)."""
    if dtype == "F32":
        return np.asarray(values, F32)
    patterns = np.asarray(values, F32).view(np.uint32)
    return values_of(convert(patterns, "F32", dtype), dtype)


def pattern_of(values, dtype):
    return np.asarray(convert(np.asarray(values, F32).view(np.uint32), "F32", dtype), np.int64)


def is_usable(values):
    with np.errstate(invalid="ignore"):
        return (values >= LEAST) & (values <= MOST)


def nearest(numbers, sizes):
    """Places of the nearest numbers, ties to the even place; beyond the last the last."""
    above = np.clip(np.searchsorted(numbers, sizes), 1, len(numbers) - 1)
    low, high = sizes - numbers[above - 1], numbers[above] - sizes
    takes_low = (low < high) | ((low == high) & (above % 2 == 1))
    return np.where(takes_low, above - 1, above)


def e4m3(values):
    sizes = np.minimum(np.abs(values).astype(np.float64), 448)
    codes = np.where(np.isnan(values), 127, nearest(E4M3, np.nan_to_num(sizes)))
    return codes | np.signbit(values) << 7


def e2m1(values):
    sizes = np.minimum(np.abs(values).astype(np.float64), 6)
    codes = np.where(np.isnan(values), 7, nearest(E2M1, np.nan_to_num(sizes)))
    is_small = np.abs(values) < SMALL
    return np.where(is_small, 0, codes | np.signbit(values) << 3)


def integers(low, high):
    def codes(values):
        below = np.where(values < high, values, F32(high))
        return np.rint(np.maximum(below, F32(low))).astype(np.int64)

    return codes


def table(numbers, codes):
    numbers = np.array(numbers, F32)
    steps = (numbers[:-1] + numbers[1:]) / F32(2)

    def codes_of(values):
        values = np.where(np.abs(values) < SMALL, F32(0), values)
        return np.array(codes)[(values[:, None] > steps).sum(axis=1)]

    return codes_of


def number_of(rule, code):
    """What a code stands for."""
    if rule.grid == "e4m3":
        size = np.array([*E4M3, np.nan], F32)[code & 127]
        return -size if code & 128 else size
    if rule.grid == "e2m1":
        return F32(-E2M1[code & 7]) if code & 8 else F32(E2M1[code & 7])
    if rule.grid in ("nf4", "fp4"):
        numbers, codes = (NF4, range(16)) if rule.grid == "nf4" else (FP4, FP4_CODES)
        return F32(numbers[list(codes).index(code)])
    sign = 1 << (rule.bits - 1)
    return F32((code ^ sign) - sign)


@dataclass
class Rule:
    number: int
    grid: str
    bits: int
    top: float = 0
    low: int = 0
    high: int = 0

    @property
    def codes(self):
        if self.grid == "integers":
            return integers(self.low, self.high)
        tables = {"nf4": (NF4, range(16)), "fp4": (FP4, FP4_CODES)}
        if self.grid in tables:
            numbers, codes = tables[self.grid]
            return table(numbers, list(codes))
        return {"e4m3": e4m3, "e2m1": e2m1}[self.grid]

    @property
    def has_biases(self):
        return 18 <= self.number <= 23

    @property
    def has_global(self):
        return self.number in (10, 17)

    @property
    def has_range(self):
        """Zero points."""
        return self.number in (9, 25, 26)

    @property
    def zero_bytes(self):
        """Of an element of zero points."""
        return 1 if self.number == 26 else 4

    @property
    def zero_rows(self):
        return 8 * self.zero_bytes // self.bits

    @property
    def is_power(self):
        return self.number in (11, 24)

    def scale_type(self, weights):
        if self.number in (5, 7, 8, 12) or self.has_range or self.has_biases:
            return weights
        return "U8" if self.is_power else "F8_E4M3" if self.has_global else "F32"

    def scale_bytes(self, weights):
        kind = self.scale_type(weights)
        return FLOATS[kind].bytes if kind in FLOATS else 1


RULES = {
    1: Rule(1, "integers", 8, 127, -128, 127),
    2: Rule(2, "integers", 8, 127, -128, 127),
    3: Rule(3, "nf4", 4),
    4: Rule(4, "fp4", 4),
    5: Rule(5, "e4m3", 8, 448),
    6: Rule(6, "e4m3", 8, 448),
    7: Rule(7, "integers", 8, 127.5, -128, 127),
    8: Rule(8, "integers", 4, 7.5, -8, 7),
    9: Rule(9, "integers", 4, 15, -8, 7),
    10: Rule(10, "e2m1", 4, 6),
    11: Rule(11, "e2m1", 4, 2),
    12: Rule(12, "integers", 8, 127, -128, 127),
    13: Rule(13, "integers", 8, 127.5, -128, 127),
    14: Rule(14, "e4m3", 8, 448),
    15: Rule(15, "e4m3", 8, 448),
    16: Rule(16, "e4m3", 8, 448),
    17: Rule(17, "e2m1", 4, 6),
    24: Rule(24, "e4m3", 8, 8),
    25: Rule(25, "integers", 8, 255, -128, 127),
    26: Rule(26, "integers", 8, 255, -128, 127),
    27: Rule(27, "e4m3", 8, 448),
} | {
    number: Rule(number, "integers", bits, 2**bits - 1, 0, 2**bits - 1)
    for number, bits in zip(range(18, 24), (2, 3, 4, 5, 6, 8), strict=True)
}


def weights_of(patterns, dtype, rule):
    """Values, subnormals being zeros of their sign."""
    values = np.array(values_of(patterns, dtype), F32)
    bits = values.view(np.uint32)
    values = np.where(bits & 0x7F800000, bits, bits & 0x80000000).astype(np.uint32).view(F32)
    if rule.number in (1, 2):
        with np.errstate(over="ignore"):
            values = rounded(values, "F16")
    return values


def extremes_of(values, groups):
    """The largest magnitude, and least and most, of each group; groups are 0, 1, 2, …"""
    count = int(groups.max()) + 1
    bits = values.view(np.uint32)
    most = np.zeros(count, np.uint32)
    np.maximum.at(most, groups, bits & 0x7FFFFFFF)
    signed = bits.view(np.int32).astype(np.int64)
    ordered = np.where(signed < 0, signed ^ 0x7FFFFFFF, signed)
    low, high = np.full(count, 1 << 40), np.full(count, -(1 << 40))
    np.minimum.at(low, groups, ordered)
    np.maximum.at(high, groups, ordered)

    def back(numbers):
        numbers = np.where(numbers < 0, numbers ^ 0x7FFFFFFF, numbers)
        return numbers.astype(np.int32).view(F32)

    return most.view(F32), back(low), back(high)


def at_least(values):
    with np.errstate(invalid="ignore"):
        return np.where(values >= LEAST, values, F32(0))


def or_epsilon(values, dtype):
    patterns = pattern_of(values, dtype)
    return np.where(patterns == 0, pattern_of(F32(EPSILON[dtype]), dtype), patterns)


def scales_of(rule, dtype, extremes, global_scale):
    """What is stored for groups: patterns of scales, and zero points."""
    absmax, low, high = extremes
    top, one = F32(rule.top), F32(1)
    zeros = np.zeros(len(absmax), np.int64)
    if rule.has_biases:
        size, bias = affine_of(top, low, high)
        return pattern_of(size, dtype), bias
    with np.errstate(all="ignore"):
        if rule.number <= 4:
            return absmax.view(np.uint32).astype(np.int64), zeros
        if rule.is_power:
            bits = absmax.view(np.uint32).astype(np.int64) >> 16
            return np.clip((bits + 32 >> 7) - int(top), 0, 254), zeros
        if rule.has_range:
            return scales_of_range(rule, dtype, low, high)
        absmax = at_least(absmax)
        if rule.number == 6:
            scale = np.where(absmax == 0, one, one / (one / absmax * top))
            return scale.view(np.uint32).astype(np.int64), zeros
        if rule.number == 10:
            codes = e4m3(global_scale * rounded(absmax / top, dtype))
            return np.where(codes == 0, E4M3_EPSILON, codes), zeros
        if rule.number == 17:
            codes = e4m3(absmax / (top * global_scale))
            return np.where(codes == 0, E4M3_ONE, codes), zeros
        if rule.number >= 13:
            scale = {
                13: lambda: rounded(absmax / top, dtype),
                14: lambda: rounded(absmax / top, dtype),
                15: lambda: absmax / top,
                27: lambda: absmax / top,
                16: lambda: one / rounded(top / absmax, dtype),
            }[rule.number]()
            return np.asarray(scale, F32).view(np.uint32).astype(np.int64), zeros
        return or_epsilon(absmax / top, dtype), zeros


def affine_of(top, low, high):
    """Sizes before they are rounded, and biases."""
    with np.errstate(all="ignore"):
        size = (high - low) / top
        size = np.where(size > F32(1e-7), size, F32(1e-7))
        is_low = np.abs(low) > np.abs(high)
        edge, size = np.where(is_low, low, high), np.where(is_low, size, -size)
        steps = edge / size
        steps = np.where(np.abs(steps) < 2**22, np.rint(steps), steps)
        has_steps = ~(steps == 0)
        size = np.where(has_steps, edge / steps, size)
    return size.astype(F32), np.where(has_steps, edge, F32(0)).astype(F32)


def scales_of_range(rule, dtype, low, high):
    least = np.where(low < 0, low, np.where(np.isnan(low), low, F32(0)))
    most = np.where(high > 0, high, np.where(np.isnan(high), high, F32(0)))
    patterns = or_epsilon(at_least(rounded(most - least, dtype)) / F32(rule.top), dtype)
    scale = values_of(patterns, dtype)
    low, high = F32(rule.low), F32(rule.high)
    zero = rounded(low - rounded(least / scale, dtype), dtype)
    zero = np.rint(np.maximum(np.where(zero < high, zero, high), low))
    return patterns, np.where(is_usable(scale), zero, 0).astype(np.int64)


def factors_of(rule, dtype, patterns, global_scale, extremes=None):
    """What weights are multiplied with or divided by. `extremes` when no scales are given."""
    top, one = F32(rule.top), F32(1)
    kind = rule.scale_type(dtype)
    absmax = None if extremes is None else extremes[0]
    if rule.has_biases:
        size = values_of(patterns, kind)
        size = np.array(size if extremes is None else affine_of(top, *extremes[1:])[0], F32)
        return np.where(is_usable(np.abs(size)), size, MOST)
    with np.errstate(all="ignore"):
        if rule.is_power:
            factor = F32(2) ** (np.clip(patterns, 1, 254) - 127).astype(F32)
        elif rule.has_global:
            numbers = np.array([number_of(RULES[5], int(code)) for code in patterns], F32)
            factor = numbers / global_scale if rule.number == 10 else numbers * global_scale
        else:
            scale = values_of(patterns, kind)
            if rule.number == 6 and absmax is not None:
                factor = one / absmax * top
            elif rule.number == 6:
                m = one / rounded(scale * top, dtype) * top
                factor = np.where(one / m == scale, m, one / scale)
            elif rule.number in (3, 4, 13):
                factor = one / scale
            elif rule.number == 16:
                factor = rounded(one / scale, dtype)
            elif rule.number == 1:
                factor = one / scale * top
            elif rule.number == 2:
                factor = top / scale
            else:
                factor = scale
    multiplies = rule.number in MULTIPLIES
    return np.where(is_usable(factor), factor, LEAST if multiplies else MOST).astype(F32)


MULTIPLIES = (1, 2, 3, 4, 6, 13, 16)


def scaled(rule, dtype, values, factors, zeros):
    with np.errstate(all="ignore"):
        if rule.has_biases:
            return (values - zeros) / factors
        if rule.number in MULTIPLIES:
            result = values * factors
            return rounded(result, dtype) if rule.number == 16 else result
        if rule.number >= 10 and rule.number not in (12, 27) and not rule.has_range:
            return values / factors
        quotient = rounded(values / factors, dtype)
        return rounded(quotient + zeros.astype(F32), dtype) if rule.has_range else quotient

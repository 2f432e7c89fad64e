# SPDX-License-Identifier: Apache-2.0
"""Near codes, AWQ and values of experts: docs/format-grids.md, read literally."""

import numpy as np
from floats import FLOATS
from gptq import decode_near, without_small
from grid_params import Params
from grid_rules import (
    F32,
    RULES,
    factors_of,
    is_usable,
    number_of,
    pattern_of,
    rounded,
    values_of,
    weights_of,
)
from grids import exponents, put_listed
from planes import Cursor, decode_plane, require
from records import DTYPES

MAX_SIDE_BYTES = 1 << 26
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # Outputs of a word of AWQ.


def decode_factors(cursor, count):
    patterns = np.zeros(count, np.uint32)
    for shift in range(0, 32, 8):
        patterns |= decode_plane(cursor, count).astype(np.uint32) << np.uint32(shift)
    factors = patterns.view(F32)
    return np.where(is_usable(factors), factors, F32(1))


def decode_near_codes(cursor, weights, scales, zeros, dtype, bits, axis):
    """Codes of matrices of weights, scales and zero points in the order of the elements; inputs are
    along `axis`. `dtype` is that of the scales."""
    flags = cursor.byte()
    require(flags < 16, "near codes: flags")
    inputs, outputs = weights.shape[axis], weights.shape[1 - axis]
    values = weights
    for flag, count, along in ((4, inputs, axis), (8, outputs, 1 - axis)):
        if not flags & flag:
            continue
        factors = decode_factors(cursor, count)
        with np.errstate(all="ignore"):
            values = without_small(values * (factors[:, None] if along == 0 else factors[None, :]))
            values = rounded(values, dtype) if flags & 1 else values
    with np.errstate(all="ignore"):
        x = without_small(np.where(scales == 0, F32(0), values / scales))
        x = rounded(x, dtype) if flags & 2 else x
    x = np.where(np.isnan(x), F32(-65536), np.clip(x, -65536, 65536)).astype(F32)
    return decode_near(cursor, x.reshape(-1), zeros.reshape(-1).astype(np.int64), bits)


class AwqCodes:
    by_chunks = None

    def __init__(self, child, parents, params):
        require(len(parents) == 3 and len(params) == 1, "awq codes: parents and parameters")
        weights, scales, zeros = parents
        require(params[0] < len(DTYPES) and DTYPES[params[0]] in FLOATS, "awq codes: scales")
        self.scale_type = DTYPES[params[0]]
        size = FLOATS[self.scale_type].bytes
        require(max(scales.byte_size, zeros.byte_size) <= MAX_SIDE_BYTES, "awq codes: large sides")
        require(child.elem_bytes == 4 and scales.byte_size % size == 0, "awq codes: words")
        self.words, self.outputs = child.row_elems, 8 * child.row_elems
        self.inputs, rest = divmod(child.elem_count, self.words)
        require(rest == 0 and self.inputs > 0, "awq codes: shape")
        self.groups, rest = divmod(scales.byte_size // size, self.outputs)
        require(
            rest == 0 and self.groups > 0 and self.inputs % self.groups == 0, "awq codes: shape"
        )
        require(2 * zeros.byte_size == self.groups * self.outputs, "awq codes: zero points")
        self.dtype = weights.dtype
        require(self.dtype in ("F16", "BF16"), "awq codes: weights are no 16-bit floats")
        require(weights.row_elems == self.inputs, "awq codes: rows")
        require(weights.elem_count == self.inputs * self.outputs, "awq codes: elements")
        require(child.chunk_elems % self.words == 0, "awq codes: chunks of whole inputs")

    def unpacked(self, data):
        words = np.frombuffer(data, "<u4").astype(np.int64)[:, None]
        fields = words >> (4 * np.arange(8)) & 15
        out = np.zeros_like(fields)
        out[:, ORDER] = fields
        return out.reshape(-1, self.outputs)

    def decode(self, cursor, spec, contents):
        first, count = spec.first_elem // self.words, spec.elem_count // self.words
        patterns = np.frombuffer(contents[0], FLOATS[self.dtype].unsigned)
        values = weights_of(patterns, self.dtype, RULES[8]).reshape(self.outputs, self.inputs)
        group = (first + np.arange(count)) // (self.inputs // self.groups)
        kind = FLOATS[self.scale_type].unsigned
        scales = values_of(np.frombuffer(contents[1], kind), self.scale_type)
        scales = np.where(is_usable(np.abs(scales)), scales, F32(0)).reshape(-1, self.outputs)[
            group
        ]
        zeros = self.unpacked(contents[2])[group]
        here = values[:, first : first + count].T
        codes = decode_near_codes(cursor, here, scales, zeros, self.scale_type, 4, 0)
        fields = codes.reshape(-1, 8)[:, ORDER] << (4 * np.arange(8))
        return fields.sum(axis=1).astype("<u4").tobytes()


class ExpertValues:
    by_chunks = None
    by_range = (0,)

    def __init__(self, child, parents, params):
        cursor = Cursor(params)
        self.inputs, self.outputs = cursor.varint(), cursor.varint()
        require(cursor.at == len(params), "expert values: parameters")
        require(0 < self.inputs < 1 << 32 and self.inputs % 32 == 0, "expert values: inputs")
        require(0 < self.outputs <= 1 << 20, "expert values: outputs")
        require(len(parents) == 2, "expert values: parents")
        blocks, scales = parents
        require(scales.byte_size <= MAX_SIDE_BYTES, "expert values: large scales")
        count = child.elem_count
        require(child.dtype == "BF16", "expert values: weights")
        require(count % (self.inputs * self.outputs) == 0, "expert values: shape")
        require(2 * blocks.byte_size == count, "expert values: codes")
        require(32 * scales.byte_size == count, "expert values: scales")
        cut = child.chunk_elems
        require(cut >= self.outputs or self.outputs % cut == 0, "expert values: chunks")

    def need(self, first, count):
        """From the first byte of the blocks that elements need to the last."""
        last = first + count - 1
        groups = self.inputs // 32
        rows = first // self.outputs, last // self.outputs
        experts = rows[0] // self.inputs, rows[1] // self.inputs
        if experts[0] != experts[1]:
            expert = 16 * self.outputs * groups
            return range(experts[0] * expert, (experts[1] + 1) * expert)
        outputs = (0, self.outputs - 1)
        if rows[0] == rows[1]:
            outputs = first % self.outputs, last % self.outputs
        blocks = rows[0] % self.inputs // 32, rows[1] % self.inputs // 32
        base = experts[0] * self.outputs
        return range(
            16 * ((base + outputs[0]) * groups + blocks[0]),
            16 * ((base + outputs[1]) * groups + blocks[1] + 1),
        )

    def decode(self, cursor, spec, contents):
        packed = np.frombuffer(contents[0], np.uint8).reshape(-1, 16)
        codes = np.stack([packed & 15, packed >> 4], 2).reshape(-1, 32)
        numbers = np.array([number_of(RULES[11], code) for code in range(16)], F32)
        scales = np.frombuffer(contents[1], np.uint8).astype(np.int64)
        factors = exponents(scales)
        values = numbers[codes] * np.where(is_usable(factors), factors, F32(0))[:, None]
        values = values.reshape(-1, self.outputs, self.inputs).transpose(0, 2, 1).reshape(-1)
        here = values[spec.first_elem : spec.first_elem + spec.elem_count]
        content = pattern_of(here, "BF16").astype("<u2").tobytes()
        return put_listed(cursor, content, 2, len(cursor.data) > 0)


class Mxfp4Cast:
    def __init__(self, child, parents, params):
        require(len(params) == 1 and params[0] < 2, "mxfp4 cast: parameters")
        self.is_scales = params[0] == 1
        require(len(parents) == 1 + self.is_scales, "mxfp4 cast: parents")
        require(child.elem_bytes == parents[0].elem_bytes == 1, "mxfp4 cast: elements")
        wanted = parents[0].byte_size * (1 + self.is_scales)
        require(child.byte_size == wanted, "mxfp4 cast: sizes")
        self.by_chunks, self.by_range = (None, (0,)) if self.is_scales else (0, ())
        if self.is_scales:
            require(parents[1].byte_size == 4, "mxfp4 cast: global scale")

    def need(self, first, count):
        if self.is_scales:
            return range(first // 2, (first + count - 1) // 2 + 1)
        return range(first, first + count)

    def decode(self, cursor, spec, contents):
        given = np.frombuffer(contents[0], np.uint8)
        if self.is_scales:
            given = given.repeat(2)[spec.first_elem : spec.first_elem + spec.elem_count]
            content = cast_scales(given.astype(np.int64), contents[1]).astype(np.uint8)
        else:
            low, high = given & 15, given >> 4
            content = np.where(low == 8, 0, low) | np.where(high == 8, 0, high) << 4
        return put_listed(cursor, content.astype(np.uint8).tobytes(), 1, len(cursor.data) > 0)


def cast_scales(scales, unit):
    bits = int.from_bytes(unit, "little")
    exponent = bits >> 23
    if bits & 0x7FFFFF or not 0 < exponent < 255:
        return np.zeros_like(scales)
    power = np.clip(scales - 127 - (exponent - 127), -10, 9)
    table = {-10: 1, -9: 1, -8: 2, -7: 4, 9: 0x7E} | {p: (p + 7) << 3 for p in range(-6, 9)}
    return np.array([table[int(p)] for p in power])


class GridNear:
    by_chunks = 0

    def __init__(self, child, parents, params):
        require(len(params) > 0 and params[-1] < 2, "grid near: parameters")
        self.params, self.has_order = Params(params[:-1]), params[-1] == 1
        sides = self.params.side_count()
        require(len(parents) == 1 + sides + self.has_order, "grid near: parents")
        rule, flags = self.params.rule, self.params.flags
        require(rule.number in (7, 8, 12) or rule.has_range, "grid near: rule")
        require(flags == (3 if rule.has_range else 1), "grid near: flags")
        require(self.params.layout != 1, "grid near: layout")
        weights = parents[0]
        self.dtype, self.total = weights.dtype, weights.elem_count
        require(self.dtype in ("F16", "BF16"), "grid near: weights are no 16-bit floats")
        require(self.params.are_codes(child, self.total), "grid near: number")
        self.params.check_sides(self.dtype, self.total, parents[1 : 1 + sides])
        self.per_elem = 8 * child.elem_bytes // rule.bits
        columns = self.params.groups.columns
        require(child.chunk_elems * self.per_elem % columns == 0, "grid near: chunks of whole rows")
        if self.has_order:
            require(parents[-1].byte_size == 4 * columns <= MAX_SIDE_BYTES, "grid near: groups")

    def need(self, first, count):
        size = self.per_elem * FLOATS[self.dtype].bytes
        return range(first * size, (first + count) * size)

    def decode(self, cursor, spec, contents):
        rule, groups = self.params.rule, self.params.groups
        patterns = np.frombuffer(contents[0], FLOATS[self.dtype].unsigned)
        values = weights_of(patterns, self.dtype, rule).reshape(-1, groups.columns)
        rows = spec.first_elem * self.per_elem // groups.columns + np.arange(len(values))
        group = np.arange(groups.columns) // groups.width
        if self.has_order:
            order = np.frombuffer(contents[-1], "<u4").astype(np.int64)
            group = np.where(order == 0xFFFFFFFF, group, order)
            require((group < groups.per_row).all(), "grid near: group")
        sides = contents[1 : len(contents) - self.has_order]
        scales, zeros, _ = self.params.take(sides, self.dtype)
        of = rows[:, None] // groups.height * groups.per_row + group[None, :]
        factors = factors_of(rule, self.dtype, scales, F32(1))
        half = 1 << (rule.bits - 1)
        points = (zeros + half)[of] if zeros is not None else np.full(of.shape, half)
        codes = decode_near_codes(cursor, values, factors[of], points, self.dtype, rule.bits, 1)
        return self.params.pack(codes - half).tobytes()

# SPDX-License-Identifier: Apache-2.0
"""The schemes of docs/format-grids.md, read literally."""

import re
from functools import cache

import numpy as np
from floats import FLOATS, decode_bins, values_of
from grid_params import Params
from grid_rules import (
    F32,
    MOST,
    RULES,
    e4m3,
    extremes_of,
    factors_of,
    is_usable,
    number_of,
    pattern_of,
    rounded,
    scaled,
    scales_of,
    weights_of,
)
from planes import Cursor, require


def put_listed(cursor, content, elem_bytes, has_payload):
    """Replaces listed elements of what is predicted."""
    content = bytearray(content)
    if not has_payload:
        return bytes(content)
    at, count = 0, len(content) // elem_bytes
    for _ in range(cursor.varint()):
        at += cursor.varint()
        require(at < count, "grid: listed outside the chunk")
        content[at * elem_bytes : (at + 1) * elem_bytes] = cursor.take(elem_bytes)
        at += 1
    return bytes(content)


def patterns_in(data, dtype):
    return np.frombuffer(data, FLOATS[dtype].unsigned)


class GridCodes:
    by_chunks = 0

    def __init__(self, child, parents, params):
        self.params = Params(params)
        rule, groups = self.params.rule, self.params.groups
        require(len(parents) == 1 + self.params.side_count(), "grid codes: parents")
        weights = parents[0]
        self.dtype, self.total = weights.dtype, weights.elem_count
        require(self.params.are_codes(child, self.total), "grid codes: number")
        self.elem_bits, self.bits = 8 * child.elem_bytes, rule.bits
        self.params.check_sides(self.dtype, self.total, parents[1:])
        wanted = 3 if self.params.has_zeros else 1
        self.takes_from_weights = self.params.flags & wanted != wanted
        if self.takes_from_weights:
            chunk = child.chunk_elems * self.elem_bits // self.bits
            require(groups.are_runs(self.total) and chunk % groups.width == 0, "grid codes: groups")

    def need(self, first, count):
        size, elem_bits = FLOATS[self.dtype].bytes, self.elem_bits
        begin, end = (at * elem_bits // self.bits * size for at in (first, first + count))
        return range(begin, end)

    def decode(self, cursor, spec, contents):
        rule, dtype = self.params.rule, self.dtype
        values = weights_of(patterns_in(contents[0], dtype), dtype, rule)
        first = spec.first_elem * self.elem_bits // self.bits
        groups = self.params.groups.of(first + np.arange(len(values)))
        scales, zeros, global_scale = self.params.take(contents[1:], dtype)
        base, own_zeros, own_extremes = 0, None, None
        if self.takes_from_weights:
            base = int(groups[0])
            extremes = extremes_of(values, groups - base)
            own_scales, own_zeros = scales_of(rule, dtype, extremes, global_scale)
            own_extremes = extremes if scales is None else None
            scales = own_scales if scales is None else scales[base : base + len(own_scales)]
            zeros = own_zeros if zeros is None else zeros[base : base + len(own_zeros)]
        factors = factors_of(rule, dtype, scales, global_scale, own_extremes)[groups - base]
        zeros = None if zeros is None else zeros[groups - base]
        codes = rule.codes(scaled(rule, dtype, values, factors, zeros))
        packed = self.params.pack(codes).tobytes()
        return put_listed(cursor, packed, spec.elem_bytes, len(cursor.data) > 0)


class GridScales:
    by_chunks = 0

    def __init__(self, child, parents, params):
        self.params = Params(params)
        rule, groups = self.params.rule, self.params.groups
        require(self.params.flags & 3 in (1, 2), "grid scales: flags")
        self.is_zeros = bool(self.params.flags & 2)
        self.are_zeros = self.is_zeros and not rule.has_biases
        self.rows = rule.zero_rows if self.are_zeros else 1
        require(len(parents) == 1 + (self.params.flags >> 2), "grid scales: parents")
        weights = parents[0]
        self.dtype, self.total = weights.dtype, weights.elem_count
        self.params.check_sides(self.dtype, self.total, [child, *parents[1:]])
        require(groups.are_runs(self.total), "grid scales: runs")
        size = rule.zero_bytes if self.are_zeros else rule.scale_bytes(self.dtype)
        require(child.elem_bytes == size, "grid scales: elements")
        whole = self.rows == 1 or child.chunk_elems % groups.per_row == 0
        require(whole, "grid scales: chunks")

    def weights(self, first, count):
        groups = self.params.groups
        if self.rows > 1:
            rows = self.rows * groups.columns // groups.per_row
            return first * rows, (first + count) * rows
        return first * groups.width, min((first + count) * groups.width, self.total)

    def need(self, first, count):
        begin, end = self.weights(first, count)
        size = FLOATS[self.dtype].bytes
        return range(begin * size, end * size)

    def decode(self, cursor, spec, contents):
        rule, dtype, groups = self.params.rule, self.dtype, self.params.groups
        values = weights_of(patterns_in(contents[0], dtype), dtype, rule)
        begin, _ = self.weights(spec.first_elem, spec.elem_count)
        numbers = groups.of(begin + np.arange(len(values)))
        extremes = extremes_of(values, numbers - numbers[0])
        global_scale = F32(1)
        if self.params.flags & 4:
            global_scale = np.frombuffer(contents[1], "<f4")[0]
            global_scale = global_scale if is_usable(global_scale) else F32(1)
        scales, zeros = scales_of(rule, dtype, extremes, global_scale)
        if self.is_zeros and not self.are_zeros:
            unsigned = FLOATS[dtype].unsigned
            content = pattern_of(zeros, dtype).astype(unsigned).tobytes()
        elif self.is_zeros:
            content = self.params.zeros_out(zeros)
        else:
            content = scales.astype(f"<u{spec.elem_bytes}").tobytes()
        return put_listed(cursor, content, spec.elem_bytes, len(cursor.data) > 0)


@cache
def first_of(number, dtype, factor, via_fp16):
    """The first pattern of each bin of a rule with that factor."""
    rule, kind = RULES[number], FLOATS[dtype]
    factor = F32(factor)

    def bin_of(patterns):
        values = np.array(values_of(patterns, dtype), F32)
        if via_fp16:
            with np.errstate(over="ignore"):
                values = rounded(values, "F16")
        result = scaled(rule, dtype, values, factor, None)
        return e4m3(result) if rule.grid == "e4m3" else np.rint(result)

    wanted = np.arange(1, 129)
    below, reached = np.full(128, -1), np.full(128, kind.infinity)
    while (reached - below > 1).any():
        middle = (below + reached) // 2
        ok = bin_of(np.maximum(middle, 0)) >= wanted
        is_open = reached - below > 1
        reached = np.where(is_open & ok, middle, reached)
        below = np.where(is_open & ~ok, middle, below)
    return dict(zip(wanted.tolist(), reached.tolist(), strict=True))


class GridWeights:
    by_chunks = 0

    def __init__(self, child, parents, params):
        self.params = Params(params)
        require(len(parents) == 1 + self.params.side_count(), "grid weights: parents")
        require(self.params.flags & 3 == 1, "grid weights: flags")
        rule, groups = self.params.rule, self.params.groups
        has_bins = rule.bits == 8 and rule.number not in (1, 2, 23, 25, 26)
        require(has_bins and self.params.layout == 0, "grid weights: rule")
        require(child.dtype in FLOATS, "grid weights: object is no float")
        codes = parents[0]
        require(codes.elem_bytes == 1 and codes.elem_count == child.elem_count, "grid weights")
        self.params.check_sides(child.dtype, child.elem_count, parents[1:])
        require(groups.columns % groups.width == 0, "grid weights: groups")

    def need(self, first, count):
        return range(first, first + count)

    def decode(self, cursor, spec, contents):
        rule = self.params.rule
        codes = np.frombuffer(contents[0], np.uint8).astype(np.int64)
        if rule.grid == "e4m3":
            q = np.where(codes > 127, -(codes & 127), codes)
        else:
            q = np.where(codes > 127, codes - 256, codes)
        scales, _, global_scale = self.params.take(contents[1:], spec.dtype)
        groups = self.params.groups.of(spec.first_elem + np.arange(spec.elem_count))
        factors = factors_of(rule, spec.dtype, scales, global_scale)

        def first_patterns(factor, dtype, via_fp16):
            return first_of(rule.number, dtype, float(factor), bool(via_fp16))

        patterns = decode_bins(cursor, spec, q, groups, factors, first_patterns)
        return patterns.astype(FLOATS[spec.dtype].unsigned).tobytes()


class GridValues:
    by_chunks = 0

    def __init__(self, child, parents, params):
        self.params = Params(params)
        require(len(parents) == 1 + self.params.side_count(), "grid values: parents")
        require(self.params.flags & 3 == 1, "grid values: flags")
        rule = self.params.rule
        has_values = not (rule.number <= 2 or rule.has_range or rule.has_biases)
        require(has_values, "grid values: rule")
        require(child.dtype in FLOATS, "grid values: object is no float")
        codes = parents[0]
        require(self.params.are_codes(codes, child.elem_count), "grid values: number")
        self.bits = rule.bits
        whole = child.chunk_elems * self.bits % (8 * codes.elem_bytes) == 0
        require(whole, "grid values: chunks")
        self.params.check_sides(child.dtype, child.elem_count, parents[1:])

    def need(self, first, count):
        return range(first * self.bits // 8, (first + count) * self.bits // 8)

    def decode(self, cursor, spec, contents):
        rule, dtype = self.params.rule, spec.dtype
        codes = self.params.unpack(contents[0])
        numbers = np.array([number_of(rule, code) for code in range(1 << rule.bits)], F32)
        scales, _, global_scale = self.params.take(contents[1:], dtype)
        with np.errstate(all="ignore"):
            if rule.has_global:
                numbers_of = [number_of(RULES[5], int(c)) for c in scales]
                exact = np.array(numbers_of, F32)
                exact = exact / global_scale if rule.number == 10 else exact * global_scale
            elif rule.is_power:
                exact = exponents(scales)
            else:
                exact = values_of(scales, rule.scale_type(dtype))
            factors = np.where(is_usable(exact), exact, F32(0))
            groups = self.params.groups.of(spec.first_elem + np.arange(spec.elem_count))
            values = (numbers[codes] * factors[groups]).astype(F32)
            patterns = pattern_of(values, dtype)
        content = patterns.astype(FLOATS[dtype].unsigned).tobytes()
        return put_listed(cursor, content, spec.elem_bytes, len(cursor.data) > 0)


def exponents(scales):
    return F32(2) ** (np.clip(scales, 1, 254) - 127).astype(F32)


def offset_in(state):
    """The nested offset that a state of bitsandbytes names."""
    found = re.search(rb'"nested_offset": *(-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?)', state)
    first = state.find(b'"nested_offset":')
    if not found or found.start() != first or not abs(float(found[1])) <= MOST:
        return None
    offset = F32(float(found[1]))
    return offset if is_usable(np.abs(offset)) else None


class NestedScales:
    by_chunks = 0

    def __init__(self, child, parents, params):
        cursor = Cursor(params)
        self.block, self.outer = cursor.varint(), cursor.varint()
        require(cursor.at == len(params), "nested scales: parameters")
        require(0 < self.block <= 4096 and 0 < self.outer <= 4096, "nested scales: parameters")
        require(len(parents) == 4, "nested scales: parents")
        weights, outer, numbers, state = parents
        self.dtype, self.total = weights.dtype, weights.elem_count
        require(self.dtype in FLOATS, "nested scales: weights")
        count = -(-self.total // self.block)
        require(child.elem_bytes == 1 and child.elem_count == count, "nested scales: number")
        require(outer.byte_size == 4 * -(-count // self.outer), "nested scales: outer scales")
        require(numbers.byte_size == 1024 and state.byte_size <= 4096, "nested scales: sides")

    def need(self, first, count):
        end = min((first + count) * self.block, self.total)
        size = FLOATS[self.dtype].bytes
        return range(first * self.block * size, end * size)

    def decode(self, cursor, spec, contents):
        weights, outer, numbers, state = contents
        numbers = np.frombuffer(numbers, "<f4")
        with np.errstate(all="ignore"):
            steps = (numbers[:-1] + numbers[1:]) / F32(2)
            is_ordered = (steps[1:] >= steps[:-1]).all()
        offset = offset_in(state)
        codes = np.zeros(spec.elem_count, np.uint8)
        if offset is not None and is_ordered:
            values = weights_of(patterns_in(weights, self.dtype), self.dtype, RULES[3])
            absmax = extremes_of(values, np.arange(len(values)) // self.block)[0]
            of = (spec.first_elem + np.arange(spec.elem_count)) // self.outer
            scale = np.frombuffer(outer, "<f4")[of]
            with np.errstate(all="ignore"):
                number = (absmax - offset) * (F32(1) / scale)
            is_known = is_usable(np.abs(scale)) & ~np.isnan(number)
            codes[is_known] = np.searchsorted(steps, number[is_known])
        return put_listed(cursor, codes.tobytes(), 1, len(cursor.data) > 0)

# SPDX-License-Identifier: Apache-2.0
"""Groups, parameters and layouts of grid schemes: docs/format-grids.md, read literally."""

import math
from dataclasses import dataclass

import numpy as np
from floats import FLOATS, values_of
from grid_rules import F32, RULES, is_usable
from planes import Cursor, require
from records import Unsupported

MAX_SIZE = 1 << 62
MAX_SIDE_BYTES = 1 << 26


@dataclass
class Groups:
    height: int
    width: int
    columns: int

    @property
    def per_row(self):
        return -(-self.columns // self.width)

    def of(self, elements):
        row, column = elements // self.columns, elements % self.columns
        return row // self.height * self.per_row + column // self.width

    def count(self, total):
        return -(-(total // self.columns) // self.height) * self.per_row

    def are_runs(self, total):
        return self.height == 1 and (self.columns % self.width == 0 or self.columns == total)


class Params:
    """The parameters of an object, and its sides among its parents."""

    def __init__(self, data):
        cursor = Cursor(data)
        rule, self.layout, self.flags = (cursor.byte() for _ in range(3))
        numbers = [cursor.varint() for _ in range(3)]
        require(cursor.at == len(data), "grid: parameters")
        require(rule > 0 and self.layout < 3 and self.flags < 8, "grid: parameters")
        if rule not in RULES:
            raise Unsupported(f"unknown rule {rule}")
        self.rule = RULES[rule]
        self.groups = Groups(*numbers)
        height, width, columns = numbers
        require(min(numbers) > 0 and columns >= width, "grid: groups")
        require(max(columns, height) <= MAX_SIZE, "grid: groups")
        require(bool(self.flags & 4) == self.rule.has_global, "grid: global scale")
        require(not self.flags & 2 or self.has_zeros, "grid: zero points")
        layouts = {4: 3, 8: 1 if self.layout == 1 else 3}.get(self.rule.bits, 1)
        require(self.layout < layouts, "grid: layout")

    @property
    def has_zeros(self):
        return self.rule.has_range or self.rule.has_biases

    def side_count(self):
        return self.flags.bit_count()

    def check_sides(self, dtype, total, sides):
        """`sides` by the flags."""
        require(dtype in FLOATS and (not self.rule.is_power or dtype == "BF16"), "grid: weights")
        require(total % self.groups.columns == 0, "grid: last row")
        require(all(side.byte_size <= MAX_SIDE_BYTES for side in sides), "grid: large sides")
        sides = iter(sides)
        count = self.groups.count(total)
        if self.flags & 1:
            size = count * self.rule.scale_bytes(dtype)
            require(next(sides).byte_size == size, "grid: scales")
        if self.flags & 2 and self.rule.has_biases:
            require(next(sides).byte_size == count * FLOATS[dtype].bytes, "grid: biases")
        elif self.flags & 2:
            rows = total // self.groups.columns
            whole = rows % self.rule.zero_rows == 0
            require(self.groups.height == 1 and whole, "grid: rows of zero points")
            require(8 * next(sides).byte_size == count * self.rule.bits, "grid: zero points")
        if self.flags & 4:
            require(next(sides).byte_size == 4, "grid: global scale")

    def take(self, contents, dtype):
        """Scales as patterns, zero points by group, global scale; None for what is not given."""
        contents, scales, zeros, global_scale = iter(contents), None, None, F32(1)
        if self.flags & 1:
            kind = np.dtype(f"<u{self.rule.scale_bytes(dtype)}")
            scales = np.frombuffer(next(contents), kind).astype(np.int64)
        if self.flags & 2 and self.rule.has_biases:
            zeros = values_of(np.frombuffer(next(contents), FLOATS[dtype].unsigned), dtype)
        elif self.flags & 2:
            zeros = self.zeros_in(next(contents))
        if self.flags & 4:
            global_scale = np.frombuffer(next(contents), "<f4")[0]
            global_scale = global_scale if is_usable(global_scale) else F32(1)
        return scales, zeros, global_scale

    def zeros_in(self, data):
        rule = self.rule
        if rule.zero_bytes == 1:
            return np.frombuffer(data, np.int8).astype(np.int64)
        words = np.frombuffer(data, "<u4").astype(np.int64).reshape(-1, 1, self.groups.per_row)
        fields = words >> (rule.bits * np.arange(rule.zero_rows)[None, :, None])
        return (fields & ((1 << rule.bits) - 1)).reshape(-1) + rule.low

    def zeros_out(self, zeros):
        rule = self.rule
        if rule.zero_bytes == 1:
            return zeros.astype(np.int8).tobytes()
        fields = (zeros - rule.low).reshape(-1, rule.zero_rows, self.groups.per_row)
        words = (fields << (rule.bits * np.arange(rule.zero_rows)[None, :, None])).sum(axis=1)
        return words.reshape(-1).astype("<u4").tobytes()

    def pack(self, codes):
        codes = np.asarray(codes, np.int64) & ((1 << self.rule.bits) - 1)
        if self.layout == 2:
            codes ^= 1 << (self.rule.bits - 1)
        if self.rule.bits == 8:
            return codes.astype(np.uint8)
        if self.rule.bits != 4:
            bits = codes[:, None] >> np.arange(self.rule.bits) & 1
            return np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little")
        first, second = codes[::2], codes[1::2]
        low, high = (second, first) if self.layout == 1 else (first, second)
        return (low | high << 4).astype(np.uint8)

    def unpack(self, data):
        data = np.frombuffer(data, np.uint8).astype(np.int64)
        if self.rule.bits == 4:
            halves = [data & 15, data >> 4]
            data = np.stack(halves[::-1] if self.layout == 1 else halves, 1).reshape(-1)
        return data ^ (1 << (self.rule.bits - 1)) if self.layout == 2 else data

    def are_codes(self, codes, total):
        """Whether these are one for each weight, in bytes or words, and chunks have whole ones."""
        bits, elem_bits = self.rule.bits, 8 * codes.elem_bytes
        step = math.lcm(bits, elem_bits) // elem_bits
        is_whole = codes.chunk_elems % step == 0 or codes.chunk_elems >= codes.elem_count
        return codes.elem_bytes in (1, 4) and codes.byte_size * 8 == total * bits and is_whole

# SPDX-License-Identifier: Apache-2.0
"""Floats, bins and cast deltas of docs/format-coding.md, read literally."""

from dataclasses import dataclass

import numpy as np
import planes
from planes import bits_of, fields_at, require


@dataclass
class FloatType:
    bytes: int
    mantissa_bits: int

    @property
    def sign_bit(self):
        return 8 * self.bytes - 1

    @property
    def infinity(self):
        return (1 << self.sign_bit) - (1 << self.mantissa_bits)

    @property
    def unsigned(self):
        return np.dtype(f"<u{self.bytes}")


FLOATS = {"F16": FloatType(2, 10), "BF16": FloatType(2, 7), "F32": FloatType(4, 23)}


def apply_listed(cursor, patterns, kind):
    """Replaces the listed elements."""
    at = 0
    for _ in range(cursor.varint()):
        at += cursor.varint()
        require(at < len(patterns), "listed value outside the chunk")
        patterns[at] = cursor.unsigned(kind.bytes)
        at += 1


def decode_floats(cursor, count, kind):
    """The patterns, as 64-bit numbers."""
    shift = cursor.byte()
    require(kind.mantissa_bits - 3 <= shift <= kind.mantissa_bits, "floats: shift")
    rest_bytes = 1 if kind.bytes == 2 else 3
    require(shift + 1 <= 8 * rest_bytes, "floats: shift")
    base = cursor.varint()
    require(base < 1 << (kind.sign_bit - shift), "floats: base")
    symbols = planes.decode_plane(cursor, count).astype(np.int64)
    rest = np.zeros(count, np.int64)
    for byte in range(rest_bytes):
        rest |= planes.decode_plane(cursor, count).astype(np.int64) << (8 * byte)
    low_mask = (1 << shift) - 1
    magnitude = (symbols + base) << shift | rest & low_mask
    magnitude &= (1 << kind.sign_bit) - 1
    sign = rest >> shift & 1
    patterns = sign << kind.sign_bit | magnitude
    apply_listed(cursor, patterns, kind)
    return patterns


def values_of(patterns, dtype):
    """Patterns to their values in binary32."""
    patterns = np.asarray(patterns)
    if dtype == "BF16":
        return (patterns.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F16":
        return patterns.astype(np.uint16).view(np.float16).astype(np.float32)
    return patterns.astype(np.uint32).view(np.float32)


def first_patterns(absmax, dtype, via_fp16):
    """first[1] to first[128] of a row as a dictionary, or None when the row has no bins."""
    kind = FLOATS[dtype]
    with np.errstate(all="ignore"):
        if not (np.isfinite(absmax) and absmax >= np.float32(2.0**-100)):
            return None
        scale = np.float32(127) / np.float32(absmax)

        def bin_of(pattern):
            value = values_of(pattern, dtype)
            if via_fp16:
                value = value.astype(np.float16).astype(np.float32)
            return np.rint(value * scale)

        wanted = np.arange(1, 129)
        below = np.full(128, -1)  # the highest pattern known to lie below the bin
        reached = np.full(128, kind.infinity)  # the lowest known to reach it, or infinity
        while (reached - below > 1).any():
            middle = (below + reached) // 2
            ok = bin_of(np.maximum(middle, 0)) >= wanted
            open_ = reached - below > 1
            reached = np.where(open_ & ok, middle, reached)
            below = np.where(open_ & ~ok, middle, below)
    return dict(zip(wanted.tolist(), reached.tolist(), strict=True))


def decode_bins(cursor, spec, q, rows, scales, first_of_scale):
    """`q` are signed magnitudes; `rows` says which scale an element has; `first_of_scale` gives for
    a scale, the dtype and via_fp16 the first pattern of each bin, or None."""
    kind = FLOATS[spec.dtype]
    n = spec.elem_count
    shift = cursor.byte()
    require(shift <= kind.mantissa_bits, "bins: shift")
    low_bits = cursor.byte()
    expected_low = 8 - shift if spec.dtype == "F32" and shift < 8 else 0
    require(low_bits == expected_low, "bins: low_bits")
    via_fp16 = cursor.byte()
    require(via_fp16 <= 1, "bins: via_fp16")
    # Few codes, many elements to a number.
    small = spec.dtype == "BF16" or (spec.dtype == "F16" and shift >= 3)
    group = cursor.byte()
    require(group in (1, 7 if small else 4), "bins: group")
    floor_count, extra_count, wide_count = cursor.varint(), cursor.varint(), cursor.varint()
    floor_bits = bits_of(cursor.take((floor_count + 7) // 8))
    extra_bits = bits_of(cursor.take((extra_count + 7) // 8))
    low = planes.decode_plane(cursor, n).astype(np.int64) if low_bits else np.zeros(n, np.int64)
    wide_values = decode_floats(cursor, wide_count, kind)

    # For every element: the first candidate of its bin, and how many index codes the bin has.
    limit = 255 if small else 16383
    magnitude = np.where(q == -128, 0, np.abs(q))
    first = np.zeros(n, np.int64)
    codes = np.zeros(n, np.int64)
    for row in np.unique(rows):
        starts = first_of_scale(scales[row], spec.dtype, via_fp16)
        if starts is None:
            continue
        up = {k: (p + (1 << shift) - 1) >> shift for k, p in starts.items()}
        first_of = np.array([0] + [up[k] for k in range(1, 128)])
        count_of = np.array([0] + [up[k + 1] - up[k] for k in range(1, 128)])
        codes_of = np.where(count_of > 0, ((count_of - 1) >> low_bits) + 1, 0)
        codes_of[codes_of > limit] = 0
        here = rows == row
        first[here] = first_of[magnitude[here]]
        codes[here] = codes_of[magnitude[here]]
    wide = codes == 0
    require(int(wide.sum()) == wide_count, "bins: wide_count")

    # Truncated binary of one number for every group, padded to whole groups.
    radix = np.ones(-(-n // group) * group, np.int64)
    radix[:n][~wide] = codes[~wide]
    radix = radix.reshape(-1, group)
    product = radix.prod(axis=1)
    k = np.array([int(x).bit_length() - 1 for x in product], np.int64)
    require(int(k.sum()) == floor_count, "bins: floor_count")
    number = fields_at(floor_bits, np.cumsum(k) - k, k)
    u = (np.int64(2) << k) - product
    needs_extra = number >= u
    require(int(needs_extra.sum()) == extra_count, "bins: extra_count")
    number[needs_extra] = (2 * number - u)[needs_extra] + extra_bits[:extra_count]
    digits = np.zeros_like(radix)
    for place in reversed(range(group)):
        digits[:, place] = number % radix[:, place]
        number //= radix[:, place]
    index = digits.reshape(-1)[:n]

    candidate = first + (index << low_bits | low)
    sign = (q < 0).astype(np.int64)
    patterns = sign << kind.sign_bit | candidate << shift
    patterns[wide] = wide_values
    apply_listed(cursor, patterns, kind)
    return patterns


def to_f32(patterns, dtype):
    """Patterns of F16 or BF16 as patterns of F32."""
    patterns = patterns.astype(np.uint32)
    if dtype == "BF16":
        return patterns << np.uint32(16)
    with np.errstate(all="ignore"):
        wide = patterns.astype(np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
    nan = (patterns & 0x7FFF) > 0x7C00
    quiet = (patterns & 0x8000) << 16 | 0x7FC00000 | (patterns & 0x3FF) << 13
    return np.where(nan, quiet, wide)


def from_f32(patterns, dtype):
    """Patterns of F32 rounded to F16 or BF16."""
    nan = (patterns & 0x7FFFFFFF) > 0x7F800000
    if dtype == "BF16":
        rounded = (patterns.astype(np.uint64) + 0x7FFF + (patterns >> 16 & 1)) >> np.uint64(16)
        return np.where(nan, patterns >> 16 | 0x40, rounded).astype(np.int64)
    with np.errstate(all="ignore"):
        rounded = patterns.view(np.float32).astype(np.float16).view(np.uint16).astype(np.int64)
    quiet = (patterns >> 16 & 0x8000) | 0x7E00 | (patterns >> 13 & 0x3FF)
    return np.where(nan, quiet.astype(np.int64), rounded)


def convert(patterns, source, target):
    if source == target:
        return patterns.astype(np.int64)
    wide = patterns.astype(np.uint32) if source == "F32" else to_f32(patterns, source)
    return wide.astype(np.int64) if target == "F32" else from_f32(wide, target)


def decode_cast_delta(cursor, spec, parent_base, parent_dtype):
    kind = FLOATS[spec.dtype]
    z = np.frombuffer(
        planes.decode_byte_planes(cursor, spec.elem_count, kind.bytes), kind.unsigned
    ).astype(np.int64)
    parent = np.frombuffer(parent_base, FLOATS[parent_dtype].unsigned)
    cast = convert(parent, parent_dtype, spec.dtype)
    mask = (1 << 8 * kind.bytes) - 1
    sign = 1 << kind.sign_bit
    ordinal = np.where(cast & sign, ~cast & mask, cast | sign)
    ordinal = (ordinal + ((z >> 1) ^ -(z & 1))) & mask
    return np.where(ordinal & sign, ordinal & ~sign, ~ordinal & mask)

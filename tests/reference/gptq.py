# SPDX-License-Identifier: Apache-2.0
"""GPTQ chunks: docs/format-coding.md from "GPTQ tensors" on, read literally."""

from dataclasses import dataclass

import numpy as np
import planes
from floats import FLOATS, apply_listed, values_of
from planes import INT8_BLOCK, bits_of, require

BITS = (2, 3, 4, 8)
SMALLEST_SCALE = 2.0**-100


@dataclass
class Shape:
    inputs: int
    outputs: int
    groups: int
    bits: int


def shape_of(outputs, word_bytes, scale_bytes, scale_type, zero_bytes):
    """What the sizes of a tensor's parts tell."""
    require(scale_type in FLOATS, "gptq: type of the scales")
    scales, rest = divmod(scale_bytes, FLOATS[scale_type].bytes)
    require(rest == 0 and 0 < outputs < 1 << 32 and scales > 0, "gptq: sizes")
    require(scales % outputs == 0 and 8 * zero_bytes % scales == 0, "gptq: sizes")
    bits = 8 * zero_bytes // scales
    require(bits in BITS and outputs * bits % 32 == 0, "gptq: bits")
    words, rest = divmod(word_bytes, 4 * outputs)
    require(rest == 0 and words > 0 and 32 * words % bits == 0, "gptq: words")
    shape = Shape(32 * words // bits, outputs, scales // outputs, bits)
    require(shape.inputs < 1 << 32 and shape.groups <= shape.inputs, "gptq: shape")
    return shape


class Tensor:
    """Scales, zero points and groups of a GPTQ tensor."""

    def __init__(self, shape, scale_type, scales, zeros, groups):
        self.shape = shape
        kind = FLOATS[scale_type]
        with np.errstate(all="ignore"):
            values = values_of(np.frombuffer(scales, kind.unsigned), scale_type)
            odd = ~np.isfinite(values) | (np.abs(values) < np.float32(SMALLEST_SCALE))
        self.scales = np.where(odd, np.float32(0), values).reshape(shape.groups, shape.outputs)
        self.zero_words = np.frombuffer(zeros, "<u4").reshape(shape.groups, -1)
        if groups is None:
            require(shape.inputs % shape.groups == 0, "gptq: groups of unequal size")
            self.group_of = np.arange(shape.inputs) // (shape.inputs // shape.groups)
        else:
            numbers = np.frombuffer(groups, "<i4").astype(np.int64)
            require(len(numbers) == shape.inputs, "gptq: one group for each input")
            self.group_of = np.where(numbers < 0, numbers + shape.groups, numbers)
        inside = (self.group_of >= 0) & (self.group_of < shape.groups)
        require(inside.all(), "gptq: group outside")

    def zeros(self, meaning):
        """By group and output."""
        bits = self.shape.bits
        require(meaning < 3 and (meaning < 2 or bits != 3), "gptq: meaning of zero points")
        words = self.zero_words.astype(np.uint64)
        if meaning == 2:
            ones = sum(1 << at for at in range(0, 32, bits))
            words = (words + np.uint64(ones)) & np.uint64(0xFFFFFFFF)
        rows = [fields_of(row.astype("<u4").tobytes(), bits) for row in words]
        zeros = np.array(rows)
        return (zeros + 1) % (1 << bits) if meaning == 1 else zeros


def fields_of(data, bits):
    stream = bits_of(data).reshape(-1, bits).astype(np.int64)
    return (stream << np.arange(bits)).sum(axis=1)


def unpack_words(words, outputs, bits):
    """Integers by input and output."""
    rows = np.frombuffer(words, "<u4").reshape(-1, outputs)
    columns = [fields_of(np.ascontiguousarray(rows[:, o]).tobytes(), bits) for o in range(outputs)]
    return np.stack(columns, axis=1)


def pack_words(integers, bits):
    out = []
    for column in integers.T:
        stream = (column[:, None] >> np.arange(bits) & 1).astype(np.uint8)
        out.append(np.packbits(stream.reshape(-1), bitorder="little").view("<u4"))
    return np.stack(out, axis=1).tobytes()


def decode_nibbles(cursor, count):
    sizes = [min(INT8_BLOCK, count - start) for start in range(0, count, INT8_BLOCK)]
    halves = [(size + 1) // 2 for size in sizes]
    plane = planes.decode_plane(cursor, sum(halves))
    out = []
    at = 0
    for size, half in zip(sizes, halves, strict=True):
        pairs = plane[at : at + half].astype(np.int64)
        out.append(np.concatenate([pairs >> 4, pairs & 15])[:size])
        at += half
    return np.concatenate(out) if out else np.zeros(0, np.int64)


def take_bits(bits, at, count):
    require(at + count <= len(bits), "gptq floats: bit stream ends early")
    return int(sum(int(bits[at + i]) << i for i in range(count)))


def exponent_field(pattern, mantissa):
    return (pattern & 0x7FFF) >> mantissa


def round_to(values, dtype):
    if dtype == "F16":
        return values.astype(np.float16).view(np.uint16).astype(np.int64)
    bits = values.view(np.uint32).astype(np.int64)
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def decode_gptq_floats(cursor, spec, words, parent):
    mantissa = FLOATS[spec.dtype].mantissa_bits
    shape = parent.shape
    n = spec.elem_count
    require(n % shape.inputs == 0, "gptq floats: whole rows")
    meaning, width = cursor.byte(), cursor.byte()
    require(width <= mantissa + 1, "gptq floats: width")
    low_count, extra_count = cursor.varint(), cursor.varint()
    zeros = parent.zeros(meaning)
    nibbles = decode_nibbles(cursor, n)
    low_bits = bits_of(cursor.take((low_count + 7) // 8))[:low_count]
    extra_bits = bits_of(cursor.take((extra_count + 7) // 8))[:extra_count]

    order = np.argsort(parent.group_of, kind="stable")
    group = parent.group_of[order]
    rows = np.arange(n // shape.inputs) + spec.first_elem // shape.inputs
    q = unpack_words(words, shape.outputs, shape.bits)[order][:, rows].T
    scale = parent.scales[group][:, rows].T
    steps = q - zeros[group][:, rows].T
    with np.errstate(all="ignore"):
        predicted = round_to(scale * steps.astype(np.float32), spec.dtype)
        exponent = np.maximum(exponent_field(round_to(scale.copy(), spec.dtype), mantissa), 1)
    steps, predicted, exponent = (x.reshape(-1) for x in (steps, predicted, exponent))

    magnitude = predicted & 0x7FFF
    cell = np.where(steps == 0, 0, (magnitude - ((exponent - 1) << mantissa)) & 0xFFFF)
    above = np.maximum((magnitude >> mantissa) - exponent, 0)
    low_width = np.where(steps == 0, width, np.maximum(width - above, 0))
    negative = (steps != 0) & (predicted >> 15 & 1 != 0)
    patterns = np.zeros(n, np.int64)
    low_at = extra_at = 0
    for i in range(n):
        bits = int(low_width[i])
        low = take_bits(low_bits, low_at, bits)
        low_at += bits
        t = (int(cell[i]) + ((int(nibbles[i]) - 8) << bits) + low) & 0xFFFF
        t -= (t & 0x8000) << 1
        a, sign, e = abs(t), bool(negative[i]) ^ (t < 0), int(exponent[i])
        if a >= 1 << mantissa:
            j = 0
        elif a > 0:
            j = min(mantissa - (a.bit_length() - 1), e - 1)
        elif e - 1 <= mantissa:
            j = e - 1
        else:
            continue
        extra = take_bits(extra_bits, extra_at, j)
        extra_at += j
        value = (((e - 1 - j) << mantissa) + (a << j) + extra) & 0x7FFF
        patterns[i] = value | (0x8000 if sign and a > 0 else 0)
    require(low_at == low_count and extra_at == extra_count, "gptq floats: bits left over")
    apply_listed(cursor, patterns, FLOATS[spec.dtype])
    out = np.zeros((len(rows), shape.inputs), np.int64)
    out[:, order] = patterns.reshape(len(rows), shape.inputs)
    return out.astype("<u2").tobytes()


def decode_gptq_integers(cursor, spec, words, parent, own):
    outputs, bits = own.shape.outputs, own.shape.bits
    inputs = 32 * spec.elem_count // (outputs * bits)
    first = 32 * spec.first_elem // (outputs * bits)
    meaning, own_meaning, width = cursor.byte(), cursor.byte(), cursor.byte()
    require(width <= max(bits - 4, 0), "gptq integers: width")
    zeros, own_zeros = parent.zeros(meaning), own.zeros(own_meaning)
    n = inputs * outputs
    nibbles = decode_nibbles(cursor, n)
    low = planes.decode_plane(cursor, n).astype(np.int64) if width else np.zeros(n, np.int64)
    here = slice(first, first + inputs)
    group, own_group = parent.group_of[here], own.group_of[here]
    steps = unpack_words(words, outputs, parent.shape.bits) - zeros[group]
    with np.errstate(all="ignore"):
        over, under = parent.scales[group], own.scales[own_group]
        ratio = np.where(under == 0, np.float32(0), over / under)
        moved = ratio * steps.astype(np.float32)
        moved = np.where(np.isnan(moved), np.float32(-65536), np.clip(moved, -65536, 65536))
    predicted = np.clip(own_zeros[own_group] + np.rint(moved).astype(np.int64), 0, (1 << bits) - 1)
    integers = (predicted.reshape(-1) + ((nibbles - 8) << width) + low) % (1 << bits)
    at = 0
    for _ in range(cursor.varint()):
        at += cursor.varint()
        require(at < n, "gptq integers: listed integer outside the chunk")
        integers[at] = cursor.byte()
        require(integers[at] < 1 << bits, "gptq integers: listed integer too large")
        at += 1
    return pack_words(integers.reshape(inputs, outputs), bits)


def decode_gptq_codes(cursor, spec, weights, dtype, own):
    shape = own.shape
    per_input = shape.outputs * shape.bits // 32
    first, rest = divmod(spec.first_elem * 32 // shape.bits, shape.outputs)
    count = spec.elem_count * 32 // shape.bits // shape.outputs
    require(rest == 0 and per_input * 32 == shape.outputs * shape.bits, "gptq codes: inputs")
    zeros = own.zeros(cursor.byte())
    values = np.array(values_of(np.frombuffer(weights, FLOATS[dtype].unsigned), dtype), np.float32)
    bits = values.view(np.uint32)
    values = np.where(bits & 0x7F800000, bits, bits & 0x80000000).astype(np.uint32)
    values = values.view(np.float32).reshape(shape.outputs, shape.inputs)
    inputs = np.arange(first, first + count)
    group = own.group_of[inputs]
    scale, zero = own.scales[group], zeros[group]
    with np.errstate(all="ignore"):
        x = np.where(scale == 0, np.float32(0), values[:, inputs].T / scale)
    x = without_small(x)
    x = np.where(np.isnan(x), np.float32(-65536), np.clip(x, -65536, 65536)).astype(np.float32)
    integers = decode_near(cursor, x.reshape(-1), zero.reshape(-1), shape.bits)
    return pack_words(integers.reshape(count, shape.outputs), shape.bits)


def without_small(values):
    return np.where(np.abs(values) < np.float32(2.0**-125), np.float32(0), values)


def decode_near(cursor, x, zeros, bits):
    """Codes of weights that are counted in codes, in the order of the elements."""
    top = (1 << bits) - 1
    nearest = np.clip(np.rint(x).astype(np.int64) + zeros, 0, top)
    f = x - (nearest - zeros).astype(np.float32)
    places = np.minimum(np.abs(f) * 32, 15).astype(np.int64)
    symbols = planes.decode_context_rans(cursor, places.tolist(), 16).astype(np.int64)
    steps = np.where(symbols & 1, -(symbols >> 1) - 1, symbols >> 1)
    return np.where(f < 0, nearest - steps, nearest + steps) & top

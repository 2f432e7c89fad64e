# SPDX-License-Identifier: Apache-2.0
"""Chunk payloads to bytes: docs/format-coding.md, read literally.

Written from that page alone, never from the sources, so that a difference between the two shows.
Slow on purpose: what a loop says plainly is a loop.
"""

from dataclasses import dataclass

import numpy as np
import zstandard
from rows import decode_row_stream, float_symbols, int8_symbols

READ_SLACK = 8
HUFFMAN_RUN = 4
MAX_CODE_LENGTH = 12
RANS_STATES = 32
RANS_SCALE_BITS = 14
RANS_LOWEST = 1 << 16
INT8_BLOCK = 128


class Corrupt(Exception):
    """The bytes break a rule of the format; the message names it."""


def require(condition, rule):
    if not condition:
        raise Corrupt(rule)


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


@dataclass
class ChunkSpec:
    """What the index says of the chunk's object, and where in it the chunk lies."""

    dtype: str
    elem_bytes: int
    first_elem: int
    elem_count: int
    row_elems: int
    relation: str
    parent_dtype: str


class Cursor:
    """Little-endian fields, one after another."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        require(count <= len(self.data) - self.at, "field runs past the end")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def unsigned(self, count):
        return int.from_bytes(self.take(count), "little")

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(value < 1 << 64, "varint beyond 64 bits")
                return value
        raise Corrupt("varint of more than 10 bytes")

    def rest(self):
        return self.take(len(self.data) - self.at)


def bits_of(data):
    """The bit stream as one array of 0 and 1."""
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")


def fields_at(bits, start, width):
    """The fields of width[i] bits at start[i], lowest bit first."""
    values = np.zeros(len(start), np.int64)
    for i in range(int(width.max(initial=0))):
        here = width > i
        values[here] |= bits[start[here] + i].astype(np.int64) << i
    return values


def decode_plane(cursor, count):
    """A plane stream of `count` symbols."""
    mode = cursor.byte()
    if mode == 0:  # kConstant
        return np.full(count, cursor.byte(), np.uint8)
    if mode == 1:  # kPacked
        width = cursor.byte()
        require(1 <= width <= 8, "packed plane: width")
        bits = bits_of(cursor.take((count * width + 7) // 8))
        starts = np.arange(count) * width
        return fields_at(bits, starts, np.full(count, width)).astype(np.uint8)
    if mode == 2:  # kHuffman
        return decode_huffman(cursor, count)
    if mode == 4:  # kRans
        return decode_rans(cursor, count)
    require(mode == 3, "plane of unknown mode")  # kSparse
    plane = np.full(count, cursor.byte(), np.uint8)
    at = 0
    for _ in range(cursor.varint()):
        at += cursor.varint()
        require(at < count, "sparse plane: exception outside")
        plane[at] = cursor.byte()
        at += 1
    return plane


def huffman_codes(lengths):
    """(length, code) to symbol, for a dictionary of symbol to length."""
    codes = {}
    code = 0
    previous = None
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        if previous is not None:
            code = (code + 1) << (length - previous)
        codes[length, code] = symbol
        previous = length
    return codes


def decode_huffman(cursor, count):
    streams = cursor.byte()
    require(streams in (1, 32), "huffman: number of streams")
    first, last = cursor.byte(), cursor.byte()
    require(first < last, "huffman: range of symbols")
    nibbles = []
    for byte in cursor.take((last - first + 2) // 2):
        nibbles += [byte & 15, byte >> 4]
    require(not any(nibbles[last - first + 1 :]), "huffman: a length behind the last symbol")
    lengths = {first + i: length for i, length in enumerate(nibbles) if length}
    require(all(length <= MAX_CODE_LENGTH for length in lengths.values()), "huffman: long code")
    require(sum(2.0**-length for length in lengths.values()) == 1, "huffman: code is not complete")
    codes = huffman_codes(lengths)
    sizes = [cursor.varint() for _ in range(streams)]
    plane = np.zeros(count, np.uint8)
    for stream, size in enumerate(sizes):
        bits = bits_of(cursor.take(size)).tolist()
        at = 0
        for round_start in range(0, count, HUFFMAN_RUN * streams):
            begin = round_start + HUFFMAN_RUN * stream
            for place in range(begin, min(begin + HUFFMAN_RUN, count)):
                length = code = 0
                while (length, code) not in codes:
                    require(at < len(bits), "huffman: stream ends early")
                    code = code << 1 | bits[at]
                    length += 1
                    at += 1
                plane[place] = codes[length, code]
        require((at + 7) // 8 == size, "huffman: stream is longer than its codes")
    return plane


def decode_rans(cursor, count):
    scale = 1 << RANS_SCALE_BITS
    first, last = cursor.byte(), cursor.byte()
    require(first <= last, "rans: range of symbols")
    symbol_of, start_of, frequency_of = [], [], []
    for symbol in range(first, last + 1):
        frequency = cursor.varint()
        require(frequency < scale, "rans: frequency")
        start = len(symbol_of)
        symbol_of += [symbol] * frequency
        start_of += [start] * frequency
        frequency_of += [frequency] * frequency
    require(len(symbol_of) == scale, "rans: frequencies do not fill the scale")
    states = [cursor.unsigned(4) for _ in range(RANS_STATES)]
    words = np.frombuffer(cursor.take(2 * cursor.varint()), "<u2").tolist()
    plane = np.zeros(count, np.uint8)
    at = 0
    for i in range(count):
        x = states[i % RANS_STATES]
        slot = x % scale
        plane[i] = symbol_of[slot]
        x = frequency_of[slot] * (x >> RANS_SCALE_BITS) + slot - start_of[slot]
        if x < RANS_LOWEST:
            require(at < len(words), "rans: words end early")
            x = x << 16 | words[at]
            at += 1
        states[i % RANS_STATES] = x
    require(at == len(words), "rans: words left over")
    require(all(x == RANS_LOWEST for x in states), "rans: last states")
    return plane


def decode_byte_planes(cursor, count, elem_bytes):
    planes = [decode_plane(cursor, count) for _ in range(elem_bytes)]
    return np.stack(planes, axis=1).tobytes()


def decode_int8(cursor, count):
    split = cursor.byte()
    require(split in (3, 4), "int8: split")
    if split == 3:
        high = decode_plane(cursor, count)
        low = decode_plane(cursor, count)
        return (((high & 31) << 3 | low & 7) ^ 0x80).astype(np.uint8).tobytes()
    halves = [(min(INT8_BLOCK, count - start) + 1) // 2 for start in range(0, count, INT8_BLOCK)]
    high = decode_plane(cursor, sum(halves))
    low = decode_plane(cursor, sum(halves))
    out = bytearray()
    pair = 0
    for block, half in enumerate(halves):
        size = min(INT8_BLOCK, count - block * INT8_BLOCK)
        tops, lows = high[pair : pair + half], low[pair : pair + half]
        first = (tops & 0xF0) | lows >> 4
        second = (tops & 15) << 4 | lows & 15
        out += np.concatenate([first, second])[:size].astype(np.uint8).tobytes()
        pair += half
    return bytes(out)


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
    symbols = decode_plane(cursor, count).astype(np.int64)
    rest = np.zeros(count, np.int64)
    for byte in range(rest_bytes):
        rest |= decode_plane(cursor, count).astype(np.int64) << (8 * byte)
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


def decode_bins(cursor, spec, parent_base, parent_scales):
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
    low = decode_plane(cursor, n).astype(np.int64) if low_bits else np.zeros(n, np.int64)
    wide_values = decode_floats(cursor, wide_count, kind)

    # For every element: the first candidate of its bin, and how many index codes the bin has.
    limit = 255 if small else 16383
    q = np.frombuffer(parent_base, np.int8).astype(np.int64)
    magnitude = np.where(q == -128, 0, np.abs(q))
    scales = np.frombuffer(parent_scales, "<f4")
    rows = (spec.first_elem + np.arange(n)) // spec.row_elems
    require(len(scales) * spec.row_elems >= spec.first_elem + n, "bins: too few scales")
    first = np.zeros(n, np.int64)
    codes = np.zeros(n, np.int64)
    for row in np.unique(rows):
        starts = first_patterns(scales[row], spec.dtype, via_fp16)
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


def decode_rows(cursor, spec):
    require(spec.dtype == "I8" or spec.dtype in FLOATS, "rows: type")
    columns = spec.row_elems
    rows, over = divmod(spec.elem_count, columns)
    require(over == 0 and rows >= 8 and columns >= 8, "rows: no matrix")
    if spec.dtype == "I8":
        symbols = decode_row_stream(cursor, int8_symbols(), rows, columns, require)
        return (symbols - 128).astype(np.int8).tobytes()
    kind = FLOATS[spec.dtype]
    shift, base, count = cursor.byte(), cursor.varint(), cursor.varint()
    require(kind.mantissa_bits - 3 <= shift <= kind.mantissa_bits, "rows: shift")
    require(1 <= count <= 2048, "rows: magnitudes")
    require(base + count <= kind.infinity >> shift, "rows: magnitudes beyond the finite")
    low = np.zeros(spec.elem_count, np.int64)
    for byte in range((shift + 7) // 8):
        low |= decode_plane(cursor, spec.elem_count).astype(np.int64) << (8 * byte)
    symbols = float_symbols(lambda p: values_of(p, spec.dtype), shift, base, count)
    s = decode_row_stream(cursor, symbols, rows, columns, require)
    m = np.where(s >= count, s - count, count - 1 - s)
    patterns = (base + m) << shift | low & ((1 << shift) - 1)
    patterns |= (s < count).astype(np.int64) << kind.sign_bit
    return patterns.astype(kind.unsigned).tobytes()


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


def decode_cast_delta(cursor, spec, parent_base):
    kind = FLOATS[spec.dtype]
    z = np.frombuffer(
        decode_byte_planes(cursor, spec.elem_count, kind.bytes), kind.unsigned
    ).astype(np.int64)
    parent = np.frombuffer(parent_base, FLOATS[spec.parent_dtype].unsigned)
    cast = convert(parent, spec.parent_dtype, spec.dtype)
    mask = (1 << 8 * kind.bytes) - 1
    sign = 1 << kind.sign_bit
    ordinal = np.where(cast & sign, ~cast & mask, cast | sign)
    ordinal = (ordinal + ((z >> 1) ^ -(z & 1))) & mask
    return np.where(ordinal & sign, ordinal & ~sign, ~ordinal & mask)


def check_parents(spec, parent_base, parent_scales):
    require(spec.dtype in FLOATS, "relation: object is no float")
    if spec.relation == "kLlmInt8":
        require(spec.parent_dtype == "I8", "relation: base parent is not I8")
        require(len(parent_base) == spec.elem_count, "relation: base parent of another size")
        require(parent_scales is not None, "relation: no scales")
    else:
        require(spec.parent_dtype in FLOATS, "relation: base parent is no float")
        size = spec.elem_count * FLOATS[spec.parent_dtype].bytes
        require(len(parent_base) == size, "relation: base parent of another size")


def decode_chunk(codec, spec, payload, parent_base=None, parent_scales=None):
    """The content of one chunk; `parent_base` covers its elements, `parent_scales` all rows."""
    size = spec.elem_count * spec.elem_bytes
    if codec == "kRaw":
        require(len(payload) == size, "raw chunk of another length")
        return bytes(payload)
    if codec == "kZstd":
        return decode_zstd(payload, size)
    cursor = Cursor(payload)
    n = spec.elem_count
    if codec == "kPlanes":
        content = decode_byte_planes(cursor, n, spec.elem_bytes)
    elif codec == "kInt8":
        require(spec.elem_bytes == 1, "int8 chunk of larger elements")
        content = decode_int8(cursor, n)
    elif codec == "kFloat":
        require(spec.dtype in FLOATS, "float chunk of a type that is none")
        kind = FLOATS[spec.dtype]
        content = decode_floats(cursor, n, kind).astype(kind.unsigned).tobytes()
    elif codec == "kRows":
        content = decode_rows(cursor, spec)
    elif codec in ("kBins", "kCastDelta"):
        wanted = {"kBins": "kLlmInt8", "kCastDelta": "kCast"}[codec]
        require(spec.relation == wanted, "codec without its relation")
        check_parents(spec, parent_base, parent_scales)
        if codec == "kBins":
            patterns = decode_bins(cursor, spec, parent_base, parent_scales)
        else:
            patterns = decode_cast_delta(cursor, spec, parent_base)
        content = patterns.astype(FLOATS[spec.dtype].unsigned).tobytes()
    else:
        raise Corrupt("unknown codec")
    require(cursor.rest() == bytes(READ_SLACK), "payload does not end in the slack")
    return content


def decode_zstd(frame, size):
    """One frame, and nothing behind it."""
    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
    try:
        content = decoder.decompress(frame)
    except zstandard.ZstdError as error:
        raise Corrupt("zstd frame") from error
    require(decoder.eof and not decoder.unused_data, "not one zstd frame")
    require(len(content) == size, "zstd frame of another size")
    return content


def states_content_size(frame):
    return zstandard.get_frame_parameters(frame).content_size != zstandard.CONTENTSIZE_UNKNOWN

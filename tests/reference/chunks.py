# SPDX-License-Identifier: Apache-2.0
"""Chunk payloads to bytes: "Chunk codecs" and "Rows" of docs/format-coding.md, read literally."""

from dataclasses import dataclass

import numpy as np
import planes
import zstandard
from blocks import decode_blocks
from floats import FLOATS, decode_floats, values_of
from planes import Corrupt, Cursor, require
from rows import decode_row_stream, float_symbols, int8_symbols

READ_SLACK = 8


@dataclass
class ChunkSpec:
    """What the index says of the chunk's object, and where in it the chunk lies."""

    dtype: str
    elem_bytes: int
    first_elem: int
    elem_count: int
    row_elems: int


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
        low |= planes.decode_plane(cursor, spec.elem_count).astype(np.int64) << (8 * byte)
    symbols = float_symbols(lambda p: values_of(p, spec.dtype), shift, base, count)
    s = decode_row_stream(cursor, symbols, rows, columns, require)
    m = np.where(s >= count, s - count, count - 1 - s)
    patterns = (base + m) << shift | low & ((1 << shift) - 1)
    patterns |= (s < count).astype(np.int64) << kind.sign_bit
    return patterns.astype(kind.unsigned).tobytes()


def decode_chunk(codec, spec, payload, given=None):
    """The content of one chunk. `given` is for kScheme: the scheme, and the parents' contents."""
    size = spec.elem_count * spec.elem_bytes
    if codec == "kRaw":
        require(len(payload) == size, "raw chunk of another length")
        return bytes(payload)
    if codec == "kZstd":
        return decode_zstd(payload, size)
    cursor = Cursor(payload)
    n = spec.elem_count
    if codec == "kPlanes":
        content = planes.decode_byte_planes(cursor, n, spec.elem_bytes)
    elif codec == "kInt8":
        require(spec.elem_bytes == 1, "int8 chunk of larger elements")
        content = planes.decode_int8(cursor, n)
    elif codec == "kFloat":
        require(spec.dtype in FLOATS, "float chunk of a type that is none")
        kind = FLOATS[spec.dtype]
        content = decode_floats(cursor, n, kind).astype(kind.unsigned).tobytes()
    elif codec == "kRows":
        content = decode_rows(cursor, spec)
    elif codec == "kBlocks":
        content = decode_blocks(cursor, spec.dtype, n)
    elif codec == "kBlocksByZero":
        content = decode_blocks(cursor, spec.dtype, n, by_zero=True)
    elif codec == "kScheme":
        scheme, contents = given
        content = scheme.decode(cursor, spec, contents)
        # What parents tell all of has no payload, and so no slack.
        if not payload:
            return content
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

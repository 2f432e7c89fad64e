# SPDX-License-Identifier: Apache-2.0
"""Archives taken apart, and what is changed in them before they are put together again."""

import struct
import sys
from pathlib import Path

import xxhash
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
import records  # noqa: E402

IDENTITY_SIZE, HEADER_SIZE, FOOTER_SIZE = 24, 72, 56


def checksum(data):
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(data)))


class Parts:
    """An archive taken apart, put together again with right checksums."""

    def __init__(self, data):
        self.header = bytearray(data[: IDENTITY_SIZE - 8])
        self.roots = bytearray(data[IDENTITY_SIZE:HEADER_SIZE])
        footer = data[-FOOTER_SIZE:]
        offset, size, raw_size = struct.unpack_from("<3Q", footer)
        self.payloads = bytearray(data[HEADER_SIZE:offset])
        decompressor = zstandard.ZstdDecompressor()
        self.index = bytearray(decompressor.decompress(data[offset : offset + size], raw_size))
        self.footer_magic = footer[40:48]
        self.declared_raw_size = None
        self.root_excess = 0  # What a root says beyond the bytes that there are.

    def replace(self, old, new):
        """The first place in the index that reads `old`, without moving anything."""
        assert len(old) == len(new) and old in self.index, old
        self.index[:] = self.index.replace(old, new, 1)

    def varint(self, at):
        """The number at a place of the index, and the place behind it."""
        value = shift = 0
        while True:
            byte = self.index[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    def section(self, kind):
        """Where a section's content begins and ends."""
        at = 0
        while at < len(self.index):
            found = self.index[at]
            size, at = self.varint(at + 1)
            if found == kind:
                return at, at + size
            at += size
        raise KeyError(kind)

    def chunk(self, number):
        """A chunk's codec and payload, as places: index of its codec, payload begin and end."""
        begin, _ = self.section(5)
        count, at = self.varint(begin)
        codec = at + number
        at, end = at + count, 0
        for _ in range(number + 1):
            stored, at = self.varint(at)
            start, end = end, end + stored
        return codec, start, end

    def rechecksum(self, number):
        """Makes a chunk's checksum right for its payload."""
        begin, _ = self.section(5)
        count, at = self.varint(begin)
        at += count
        for _ in range(count):
            _, at = self.varint(at)
        at += 8 * number
        _, start, stop = self.chunk(number)
        self.index[at : at + 8] = checksum(self.payloads[start:stop])

    def roots_for(self, file_size):
        """The roots, the later one of which counts for so many bytes."""
        generations = struct.unpack_from("<Q16xQ", self.roots)
        if any(generations):
            root = struct.pack("<2Q", max(generations), file_size + self.root_excess)
            at = 24 * generations.index(max(generations))
            self.roots[at : at + 24] = root + checksum(root)
        return bytes(self.roots)

    def assemble(self, stored=None):
        """`stored` is what is written for the index, where that is not one frame as usual."""
        if stored is None:
            stored = zstandard.ZstdCompressor(level=12).compress(bytes(self.index))
        offset = HEADER_SIZE + len(self.payloads)
        raw_size = self.declared_raw_size or len(self.index)
        file_size = offset + len(stored) + FOOTER_SIZE
        footer = struct.pack("<3Q", offset, len(stored), raw_size) + checksum(stored)
        footer += struct.pack("<Q", file_size) + self.footer_magic
        header = bytes(self.header)
        ends = checksum(header) + self.roots_for(file_size), stored, footer, checksum(footer)
        return b"".join([header, ends[0], self.payloads, *ends[1:]])


def set_header(offset, layout, value):
    return lambda parts: struct.pack_into(layout, parts.header, offset, value)


def swap(old, new):
    return lambda parts: parts.replace(old, new)


def first_of_section(kind, skip, value):
    """A byte near the beginning of a section."""

    def change(parts):
        parts.index[parts.section(kind)[0] + skip] = value

    return change


def drop_last_section(parts):
    begin, end = parts.section(5)
    header = 2 if end - begin < 128 else 3
    del parts.index[begin - header :]


def drop_last_bytes(kind, count):
    """Of the last section, whose length takes so many bytes as before."""

    def change(parts):
        begin, end = parts.section(kind)
        assert end == len(parts.index)
        size, at = end - begin - count, begin
        while at > 0 and parts.varint(at - 1)[1] == begin:
            at -= 1
        at += 1  # Behind the kind.
        width = begin - at
        number = bytes((size >> 7 * i) & 127 | (128 if i + 1 < width else 0) for i in range(width))
        parts.index[at:] = number + parts.index[begin : end - count]

    return change


def claim_raw_size(size):
    def change(parts):
        parts.declared_raw_size = size

    return change


def objects_of(parts):
    """The object table: (bytes of an element, size, chunk_elems, scheme) by object."""
    begin, _ = parts.section(4)
    count, at = parts.varint(begin)
    widths = [DTYPE_BYTES[dtype] for dtype in parts.index[at : at + count]]
    at += count
    columns = []
    for _ in range(4):
        column = []
        for _ in range(count):
            value, at = parts.varint(at)
            column.append(value)
        columns.append(column)
    sizes, _, chunk_elems, schemes = columns
    return list(zip(widths, sizes, chunk_elems, schemes, strict=True))


def has_payload(parts, chunk):
    _, start, stop = parts.chunk(chunk)
    return start < stop


def number_of_scheme(scheme, parts):
    """The first chunk that is coded by that scheme, and has a payload."""
    begin, _ = parts.section(5)
    count, at = parts.varint(begin)
    codecs = parts.index[at : at + count]
    first = 0
    for width, size, chunk_elems, number in objects_of(parts):
        chunks = -(-size // (width * chunk_elems))
        for chunk in range(first, first + chunks):
            if number == scheme and codecs[chunk] == SCHEME and has_payload(parts, chunk):
                return chunk
        first += chunks
    raise KeyError(scheme)


def number_of_codec(codec, parts):
    """The first chunk of that codec, or of a scheme's name."""
    if isinstance(codec, str):
        return number_of_scheme(SCHEMES[codec], parts)
    begin, _ = parts.section(5)
    count, at = parts.varint(begin)
    return parts.index[at : at + count].index(codec)


def damage_payload(codec, offset, value):
    """A chunk made senseless under a right checksum; `offset` counts from its end when negative."""

    def change(parts):
        number = number_of_codec(codec, parts)
        _, start, stop = parts.chunk(number)
        parts.payloads[(start if offset >= 0 else stop) + offset] = value
        parts.rechecksum(number)

    return change


def unknown_scheme(scheme):
    """An object of that scheme is of one that no reader knows."""

    def change(parts):
        begin, _ = parts.section(4)
        count, at = parts.varint(begin)
        at += count
        for _ in range(3 * count):
            _, at = parts.varint(at)
        column = parts.index[at : at + count]
        parts.index[at + column.index(scheme)] = 99

    return change


def unknown_codec(parts):
    parts.index[parts.chunk(0)[0]] = 200


def pad_first_varint(kind):
    """A section whose first number is spelled with a byte more than it takes."""

    def change(parts):
        begin, end = parts.section(kind)
        assert parts.index[begin] < 128 and end - begin < 127
        parts.index[begin - 1] += 1
        parts.index[begin : begin + 1] = bytes([parts.index[begin] | 128, 0])

    return change


def set_tensor_parts(first, *deltas):
    """The first field of rows of the tensor table, from the row `first` on; one byte each."""

    def change(parts):
        begin, _ = parts.section(3)
        count, at = parts.varint(begin)
        assert first + len(deltas) <= count < 128 and max(parts.index[at : at + count]) < 128
        parts.index[at + first : at + first + len(deltas)] = bytes(deltas)

    return change


def set_tensor_dtype(row, dtype):
    def change(parts):
        begin, _ = parts.section(3)
        count, at = parts.varint(begin)
        parts.index[at + count + row] = dtype

    return change


def exchange_tensor_dtype(dtype, other):
    """The first tensor of a type is said to be of another one of as many bytes."""

    def change(parts):
        begin, _ = parts.section(3)
        count, at = parts.varint(begin)
        for _ in range(count):
            _, at = parts.varint(at)
        parts.index[at + parts.index[at : at + count].index(dtype)] = other

    return change


RAW, ZSTD, PLANES, INT8, FLOAT, SCHEME, ROWS, BLOCKS = range(8)
BINS, CAST, GPTQ_FLOATS, GPTQ_INTEGERS = "llm-int8", "cast", "gptq", "gptq-integers"
GRID_CODES, GRID_SCALES, GRID_WEIGHTS, GRID_VALUES = (
    f"grid-{name}" for name in ("codes", "scales", "weights", "values")
)
NESTED, GPTQ_CODES = "nested-scales", "gptq-codes"
AWQ_CODES, GRID_NEAR, EXPERTS = "awq-codes", "grid-near", "expert-values"
MXFP4_CAST, GGML = "mxfp4-cast", "ggml-blocks"
# Parameters of a matrix of BF16 without heads.
TRANSPOSED = b"\x10\0\x0e\x80\2\0\1"
SCHEMES = {
    BINS: 1, CAST: 2, GPTQ_FLOATS: 3, GPTQ_INTEGERS: 4,
    GRID_CODES: 5, GRID_SCALES: 6, GRID_WEIGHTS: 7, GRID_VALUES: 8,
    NESTED: 9, GPTQ_CODES: 10, AWQ_CODES: 11, GRID_NEAR: 12, EXPERTS: 13, MXFP4_CAST: 14,
    GGML: 15,
}  # fmt: skip
# By number of a dtype; 0 for those of parts of bytes.
DTYPE_BYTES = [1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8]
DTYPE_BYTES += [size for size, _ in records.BLOCKS.values()]
Q4_0, IQ4_NL = 22, 41
PATH = b"tokenizer/vocab.txt"


# KIND.RULE: the valid archive it is made from, and what is changed.
def lengthen_root(parts):
    parts.root_excess = 1


DAMAGES = {
    "unsupported-version.future": ("file", set_header(8, "<H", 2)),
    "unsupported-feature.reserved": ("file", set_header(10, "<H", 1)),
    "unsupported-feature.flag": ("file", set_header(12, "<I", 1)),
    "corrupt.version-zero": ("file", set_header(8, "<H", 0)),
    "corrupt.magic": ("file", set_header(0, "<B", ord("P"))),
    "corrupt.absolute-path": ("pair", swap(PATH, b"/okenizer/vocab.txt")),
    "corrupt.parent-path": ("pair", swap(PATH, b"../enizer/vocab.txt")),
    "corrupt.parent-inside-path": ("pair", swap(PATH, b"tokenizer/../ab.txt")),
    "corrupt.empty-component": ("pair", swap(PATH, b"tokenizer//ocab.txt")),
    "corrupt.backslash-in-path": ("pair", swap(PATH, b"tokenizer/vocab\\txt")),
    "corrupt.nul-in-path": ("pair", swap(PATH, b"tokenizer/vocab\0txt")),
    "corrupt.variant-name": ("pair", swap(b"\x04int8", b"\x04in/8")),
    "corrupt.equal-variants": ("pair", swap(b"\x04bf16", b"\x04int8")),
    "corrupt.missing-section": ("pair", drop_last_section),
    "corrupt.root-length": ("generations", lengthen_root),
    "unsupported-feature.section": ("pair", lambda parts: parts.index.extend(b"\x14\0")),
    "unsupported-feature.codec": ("pair", unknown_codec),
    "unsupported-feature.scheme": ("pair", unknown_scheme(1)),
    "unsupported-feature.rule": ("fp8", swap(b"\x05\x00\x01\x80\x01", b"\x63\x00\x01\x80\x01")),
    "corrupt.sha256": ("sha256", first_of_section(128, 0, 0)),
    "corrupt.sha256-cut": ("sha256", drop_last_bytes(128, 1)),
    "corrupt.padded-varint": ("pair", pad_first_varint(1)),
    "corrupt.tensor-name": ("pair", swap(b"norm.bias", b"norm.bits")),
    "corrupt.tensor-dtype": ("pair", set_tensor_dtype(1, 4)),
    "corrupt.tensor-shape": ("pair", swap(b"\x60\x60\x80\x01", b"\x60\x80\x01\x60")),
    "corrupt.tensor-parts": ("related-max", set_tensor_parts(10, 9, 0, 2)),
    "corrupt.too-many-variants": ("pair", first_of_section(1, 0, 127)),
    "limit.index-size": ("file", claim_raw_size(1 << 40)),
    "corrupt.index-size": ("file", claim_raw_size(7)),
    "corrupt.plane-mode": ("pair", damage_payload(FLOAT, 2, 99)),
    "corrupt.run-bits": ("runs", damage_payload(FLOAT, 4, 4)),
    "corrupt.run-classes": ("runs", damage_payload(FLOAT, 5, 17)),
    "corrupt.runs-in-runs": ("runs", damage_payload(FLOAT, 6, 5)),
    "corrupt.float-shift": ("pair", damage_payload(FLOAT, 0, 30)),
    "corrupt.int8-split": ("pair", damage_payload(INT8, 0, 9)),
    "corrupt.bins-shift": ("pair", damage_payload(BINS, 0, 30)),
    "corrupt.bins-group": ("pair", damage_payload(BINS, 3, 3)),
    "corrupt.bins-floor-count": ("pair", damage_payload(BINS, 4, 1)),
    "corrupt.slack": ("pair", damage_payload(BINS, -1, 1)),
    "corrupt.zstd-frame": ("pair", damage_payload(ZSTD, 0, 0)),
    "corrupt.rows-parameter": ("related-max", damage_payload(ROWS, 0, 99)),
    "corrupt.rows-end": ("related-max", damage_payload(ROWS, -9, 0)),
    "corrupt.cast-planes": ("chain", damage_payload(CAST, 0, 77)),
    "corrupt.gptq-floats-zeros": ("gptq", damage_payload(GPTQ_FLOATS, 0, 3)),
    "corrupt.gptq-floats-width": ("gptq", damage_payload(GPTQ_FLOATS, 1, 12)),
    "corrupt.gptq-floats-low-count": ("gptq", damage_payload(GPTQ_FLOATS, 2, 129)),
    "corrupt.gptq-integers-zeros": ("gptq", damage_payload(GPTQ_INTEGERS, 1, 3)),
    "corrupt.gptq-integers-width": ("gptq", damage_payload(GPTQ_INTEGERS, 2, 5)),
    "corrupt.gptq-codes-zeros": ("gptq-direct", damage_payload(GPTQ_CODES, 0, 3)),
    "corrupt.gptq-codes-plane": ("gptq-direct", damage_payload(GPTQ_CODES, 1, 9)),
    "corrupt.awq-codes-flags": ("near", damage_payload(AWQ_CODES, 0, 16)),
    "corrupt.awq-codes-factors": ("near", damage_payload(AWQ_CODES, 1, 9)),
    "corrupt.grid-near-flags": ("near", damage_payload(GRID_NEAR, 0, 32)),
    "corrupt.grid-near-plane": ("near", damage_payload(GRID_NEAR, 1, 9)),
    "corrupt.grid-weights-group": ("fp8", damage_payload(GRID_WEIGHTS, 3, 2)),
    "corrupt.grid-codes-listed": ("grids", damage_payload(GRID_CODES, 0, 255)),
    "corrupt.grid-codes-slack": ("grids", damage_payload(GRID_CODES, -1, 1)),
    "corrupt.grid-scales-listed": ("grids", damage_payload(GRID_SCALES, 0, 127)),
    "corrupt.nested-scales-listed": ("grids", damage_payload(NESTED, 0, 126)),
    "corrupt.expert-values-listed": ("experts", damage_payload(EXPERTS, 0, 9)),
    "corrupt.mxfp4-cast-listed": ("cast", damage_payload(MXFP4_CAST, 0, 250)),
    "corrupt.grid-values-listed": ("native", damage_payload(GRID_VALUES, 0, 9)),
    "corrupt.ggml-plane": ("ladder-max", damage_payload(GGML, 0, 9)),
    "corrupt.ggml-slack": ("ladder", damage_payload(GGML, -1, 1)),
    "corrupt.ggml-transposed": ("transposed", swap(TRANSPOSED, TRANSPOSED[:-2] + b"\2\1")),
    "unsupported-feature.container": ("gguf", first_of_section(2, 1, 99)),
    "corrupt.other-container": ("gguf", first_of_section(2, 1, 1)),
    "corrupt.gguf-dtype": ("gguf", exchange_tensor_dtype(IQ4_NL, Q4_0)),
    "corrupt.gguf-name": ("gguf", swap(b"noise.Q4_0", b"noise.Q4_2")),
    "corrupt.imatrix-name": (
        "calls",
        swap(b"blk.7.ffn_up.weight.calls", b"blk.7.ffn_up.weight.callt"),
    ),
    "corrupt.blocks-slack": ("gguf", damage_payload(BLOCKS, -1, 1)),
    "corrupt.blocks-stream": ("gguf", damage_payload(BLOCKS, 0, 99)),
}

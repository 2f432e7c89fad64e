#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second decoder of archives: docs/format.md, read literally. Slow, and holds all in memory.

usage: decoder.py ARCHIVE              lists variants, files and how chunks are coded
       decoder.py ARCHIVE NAME FOLDER  restores a variant
"""

import math
import re
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

import xxhash
from chunks import (
    FLOATS,
    READ_SLACK,
    ChunkSpec,
    Corrupt,
    Cursor,
    decode_chunk,
    decode_zstd,
    require,
    states_content_size,
)
from gptq import Tensor as GptqTensor
from gptq import decode_gptq_floats, decode_gptq_integers, shape_of

HEADER_MAGIC = bytes([0xF1]) + b"QST\r\n\x1a\n"
FOOTER_MAGIC = bytes([0xF1]) + b"qstend\n"
HEADER_SIZE = 24
FOOTER_SIZE = 56
FORMAT_VERSION = 1
FIRST_SKIPPABLE_SECTION = 128
MAX_INDEX_BYTES = 1 << 28
MAX_VARIANTS = 1024
MAX_RANK = 255
MAX_TENSOR_NAME_BYTES = 65535
MAX_SIZE = 1 << 62
MAX_CHUNK_BYTES = 1 << 24
MAX_SCALES_BYTES = 1 << 26
MAX_DEPTH = 8
MAX_WHOLE_BYTES = 1 << 29

# By number: name and bits of an element.
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
DTYPES = list(DTYPE_BITS)
FILE_KINDS = ("kOpaque", "kSafetensors")
RELATIONS = ("kNone", "kLlmInt8", "kCast", "kGptqFloats", "kGptqIntegers")
GPTQ = RELATIONS[3:]
CODECS = {
    0: "kRaw", 1: "kZstd", 2: "kPlanes", 3: "kInt8", 4: "kFloat", 5: "kBins", 6: "kCastDelta",
    7: "kGptqFloats", 8: "kGptqIntegers", 40: "kRows",
}  # fmt: skip


class Unsupported(Corrupt):
    """A version or feature of later writers."""


@dataclass
class Variant:
    name: str
    files: list = field(default_factory=list)


@dataclass
class File:
    kind: str
    path: str = ""
    size: int = 0
    digest: bytes = b""
    parts: list = field(default_factory=list)
    tensors: list = field(default_factory=list)


@dataclass
class Tensor:
    part: int
    dtype: str = ""
    shape: list = field(default_factory=list)
    name: str = ""


@dataclass
class Chunk:
    codec: str
    stored_size: int = 0
    checksum: int = 0
    offset: int = 0


@dataclass
class Object:
    dtype: str
    byte_size: int = 0
    row_elems: int = 0
    chunk_elems: int = 0
    relation: str = ""
    parent_dtype: str = ""
    base: int = -1
    scales: int = -1
    zeros: int = -1
    groups: int = -1
    own_dtype: str = ""
    own_scales: int = -1
    own_zeros: int = -1
    own_groups: int = -1
    chunks: list = field(default_factory=list)

    @property
    def elem_bytes(self):
        return DTYPE_BITS[self.dtype] // 8

    @property
    def elem_count(self):
        return self.byte_size // self.elem_bytes


def named(names, number, what):
    if number >= len(names):
        raise Unsupported(f"unknown {what} {number}")
    return names[number]


def codec_named(number):
    if number not in CODECS:
        raise Unsupported(f"unknown codec {number}")
    return CODECS[number]


def text_of(data):
    """Names are bytes: those that are no UTF-8 become what Python makes of such file names."""
    return bytes(data).decode("utf-8", "surrogateescape")


def bytes_of(text):
    return text.encode("utf-8", "surrogateescape")


def unzigzag(code, expected):
    return expected + ((code >> 1) ^ -(code & 1))


class Archive:
    """Header, footer and index; chunks are decoded when asked for."""

    def __init__(self, data):
        self.data = data
        self.decoded = {}
        require(len(data) >= HEADER_SIZE + FOOTER_SIZE, "shorter than header and footer")
        self.read_header()
        self.read_footer()

    def read_header(self):
        header = self.data[:HEADER_SIZE]
        magic, version, reserved, flags, checksum = struct.unpack("<8sHHIQ", header)
        require(magic == HEADER_MAGIC, "magic of the header")
        require(xxhash.xxh3_64_intdigest(header[:-8]) == checksum, "checksum of the header")
        require(version > 0, "format version 0")
        if version > FORMAT_VERSION or reserved or flags:
            raise Unsupported(f"format version {version}, reserved {reserved}, flags {flags}")

    def read_footer(self):
        footer = self.data[-FOOTER_SIZE:]
        offset, stored_size, raw_size, index_checksum, file_size, magic, checksum = struct.unpack(
            "<5Q8sQ", footer
        )
        require(magic == FOOTER_MAGIC, "magic of the footer")
        require(xxhash.xxh3_64_intdigest(footer[:-8]) == checksum, "checksum of the footer")
        require(file_size == len(self.data), "file size")
        require(offset >= HEADER_SIZE, "index offset")
        require(offset + stored_size == file_size - FOOTER_SIZE, "end of the index")
        require(raw_size <= MAX_INDEX_BYTES, "index beyond the limit")
        stored = self.data[offset : offset + stored_size]
        require(xxhash.xxh3_64_intdigest(stored) == index_checksum, "checksum of the index")
        content = decode_zstd(stored, raw_size)
        require(states_content_size(stored), "index does not state its size")
        self.read_index(content)
        require(self.payload_end == offset, "chunks do not end where the index begins")

    def read_index(self, raw):
        cursor = Cursor(raw)
        sections = {}
        last = 0
        while cursor.at < len(raw):
            kind = cursor.byte()
            content = cursor.take(cursor.varint())
            require(kind > last, "sections out of order")
            last = kind
            if kind < FIRST_SKIPPABLE_SECTION:
                sections[kind] = content
        if set(sections) - {1, 2, 3, 4, 5}:
            raise Unsupported("unknown section")
        require(set(sections) == {1, 2, 3, 4, 5}, "a section is missing")
        readers = (
            self.read_variants,
            self.read_files,
            self.read_tensors,
            self.read_objects,
            self.read_chunks,
        )
        for kind, reader in enumerate(readers, 1):
            section = Cursor(sections[kind])
            reader(section)
            require(not section.rest(), f"section {kind} is longer than its content")
        self.check_files()
        for number, thing in enumerate(self.objects):
            self.check_object(number, thing)

    def read_variants(self, cursor):
        count = cursor.varint()
        self.variants = [Variant(text_of(cursor.take(cursor.varint()))) for _ in range(count)]
        self.file_counts = [cursor.varint() for _ in range(count)]
        require(0 < count <= MAX_VARIANTS, "number of variants")
        require(len({v.name for v in self.variants}) == count, "two variants of one name")
        for variant in self.variants:
            name_rule = r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,254}"
            require(re.fullmatch(name_rule, variant.name), "name of a variant")

    def read_files(self, cursor):
        count = cursor.varint()
        require(sum(self.file_counts) == count, "files of the variants")
        self.files = [File(named(FILE_KINDS, cursor.byte(), "file kind")) for _ in range(count)]
        for file in self.files:
            file.path = text_of(cursor.take(cursor.varint()))
        for file in self.files:
            file.size = cursor.varint()
        for file in self.files:
            file.digest = bytes(cursor.take(16))
        part_counts = [cursor.varint() for _ in self.files]
        self.tensor_counts = [cursor.varint() for _ in self.files]
        self.first_parts = []
        expected = part = 0
        for file, parts in zip(self.files, part_counts, strict=True):
            self.first_parts.append(part)
            for _ in range(parts):
                file.parts.append(unzigzag(cursor.varint(), expected))
                expected = file.parts[-1] + 1
            part += parts
        at = iter(self.files)
        for variant, files in zip(self.variants, self.file_counts, strict=True):
            variant.files = [next(at) for _ in range(files)]

    def read_tensors(self, cursor):
        count = cursor.varint()
        require(sum(self.tensor_counts) == count, "tensors of the files")
        for file, tensors, first in zip(
            self.files, self.tensor_counts, self.first_parts, strict=True
        ):
            expected = first
            for _ in range(tensors):
                part = unzigzag(cursor.varint(), expected)
                expected = part + 1
                require(0 < part - first < len(file.parts), "tensor outside its file")
                file.tensors.append(Tensor(part - first))
        tensors = [tensor for file in self.files for tensor in file.tensors]
        for tensor in tensors:
            tensor.dtype = named(DTYPES, cursor.byte(), "dtype")
        ranks = [cursor.varint() for _ in tensors]
        for tensor, rank in zip(tensors, ranks, strict=True):
            require(rank <= MAX_RANK, "rank beyond the limit")
            tensor.shape = [cursor.varint() for _ in range(rank)]
        sizes = [cursor.varint() for _ in tensors]
        for tensor, size in zip(tensors, sizes, strict=True):
            require(size <= MAX_TENSOR_NAME_BYTES, "name of a tensor beyond the limit")
            tensor.name = text_of(cursor.take(size))

    def read_objects(self, cursor):
        count = cursor.varint()
        self.objects = [Object(named(DTYPES, cursor.byte(), "dtype")) for _ in range(count)]
        for thing in self.objects:
            require(DTYPE_BITS[thing.dtype] % 8 == 0, "object of parts of bytes")
            thing.byte_size = cursor.varint()
        for thing in self.objects:
            thing.row_elems = cursor.varint()
        for thing in self.objects:
            thing.chunk_elems = cursor.varint()
        for thing in self.objects:
            thing.relation = named(RELATIONS, cursor.byte(), "relation")
        for number, thing in enumerate(self.objects):
            if thing.relation != "kNone":
                thing.parent_dtype = named(DTYPES, cursor.byte(), "dtype")
                thing.base = number - cursor.varint()
                require(0 <= thing.base < number, "parent behind its child")
            if thing.relation in ("kLlmInt8", *GPTQ):
                thing.scales = number - cursor.varint()
                require(0 <= thing.scales < number, "parent behind its child")
            if thing.relation in GPTQ:
                self.read_gptq_parents(cursor, number, thing)

    def read_gptq_parents(self, cursor, number, thing):
        thing.zeros = number - cursor.varint()
        require(0 <= thing.zeros < number, "parent behind its child")
        if distance := cursor.varint():
            thing.groups = number - distance
            require(thing.groups >= 0, "parent before all objects")
        if thing.relation == "kGptqFloats":
            return
        thing.own_dtype = named(DTYPES, cursor.byte(), "dtype")
        own = [unzigzag(cursor.varint(), number) for _ in range(3)]
        require(all(0 <= parent < len(self.objects) for parent in own), "own parent is no object")
        require(number not in own[:2], "object is its own parent")
        thing.own_scales, thing.own_zeros, groups = own
        thing.own_groups = -1 if groups == number else groups

    def read_chunks(self, cursor):
        count = cursor.varint()
        chunks = [Chunk(codec_named(cursor.byte())) for _ in range(count)]
        offset = HEADER_SIZE
        for chunk in chunks:
            chunk.stored_size = cursor.varint()
            chunk.offset = offset
            offset += chunk.stored_size
        for chunk in chunks:
            chunk.checksum = cursor.unsigned(8)
        self.payload_end = offset
        at = 0
        for thing in self.objects:
            require(thing.chunk_elems > 0, "empty chunks")
            require(thing.chunk_elems * thing.elem_bytes <= MAX_CHUNK_BYTES, "chunk too large")
            size = thing.chunk_elems * thing.elem_bytes
            chunk_count = -(-thing.byte_size // size)
            thing.chunks = chunks[at : at + chunk_count]
            require(len(thing.chunks) == chunk_count, "too few chunks")
            at += chunk_count
        require(at == count, "too many chunks")

    def check_files(self):
        for variant in self.variants:
            paths = [file.path for file in variant.files]
            for path in paths:
                check_path(path)
            # With "/" before all other bytes, a folder's content follows the folder's own name.
            keys = [bytes_of(path).replace(b"/", b"\0") for path in paths]
            require(keys == sorted(set(keys)), "order of paths")
            pairs = zip(keys, keys[1:], strict=False)
            require(not any(b.startswith(a + b"\0") for a, b in pairs), "file and folder")
        used = {part for file in self.files for part in file.parts}
        require(used == set(range(len(self.objects))), "object in no file, or part of no object")
        for file in self.files:
            things = [self.objects[part] for part in file.parts]
            require(sum(thing.byte_size for thing in things) == file.size, "size of a file")
            require(file.size <= MAX_SIZE, "file beyond the limit")
            if file.kind == "kOpaque":
                require(not file.tensors, "tensors of an opaque file")
            else:
                require(len(file.parts) == len(file.tensors) + 1, "objects of a safetensors file")
            names = [bytes_of(tensor.name) for tensor in file.tensors]
            require(names == sorted(set(names)), "order of tensors")
            require(len({t.part for t in file.tensors}) == len(names), "two tensors in one object")
            for tensor in file.tensors:
                bits = math.prod(tensor.shape) * DTYPE_BITS[tensor.dtype]
                require(bits == 8 * things[tensor.part].byte_size, "shape of a tensor")

    def check_object(self, number, thing):
        require(thing.byte_size % thing.elem_bytes == 0, "cut element")
        require(thing.row_elems > 0, "empty rows")
        for i, chunk in enumerate(thing.chunks):
            raw = min(thing.chunk_elems, thing.elem_count - i * thing.chunk_elems)
            raw *= thing.elem_bytes
            require(chunk.stored_size <= raw, "payload larger than its content")
            require(chunk.codec != "kRaw" or chunk.stored_size == raw, "size of a raw chunk")
        if thing.relation == "kNone":
            return
        if thing.relation in GPTQ:
            self.check_gptq(thing)
            self.check_depth(number)
            return
        require(thing.dtype in FLOATS, "relation: object is no float")
        parents = ("I8",) if thing.relation == "kLlmInt8" else FLOATS
        require(thing.parent_dtype in parents, "relation: type of the base parent")
        base = self.objects[thing.base]
        require(base.elem_bytes == DTYPE_BITS[thing.parent_dtype] // 8, "elements of a parent")
        require(base.elem_count == thing.elem_count, "elements of a parent")
        require(base.chunk_elems == thing.chunk_elems, "chunks of a parent")
        self.check_depth(number)
        if thing.relation == "kLlmInt8":
            scales = self.objects[thing.scales]
            require(scales.relation == "kNone", "scales with parents")
            require(scales.byte_size <= MAX_SCALES_BYTES, "scales beyond the limit")
            rows, rest = divmod(thing.elem_count, thing.row_elems)
            require(rest == 0 and scales.byte_size == 4 * rows, "one scale a row")

    def check_depth(self, number):
        depth = 0
        while self.objects[number].relation != "kNone":
            number = self.objects[number].base
            depth += 1
        require(depth <= MAX_DEPTH, "too many ancestors")

    def gptq_shape(self, words, scales, scale_type, zeros, groups):
        """The shape of a GPTQ tensor of these objects."""
        require(words.elem_bytes == 4, "gptq: words")
        for part in (scales, zeros, groups):
            if part != -1:
                require(self.objects[part].relation == "kNone", "gptq: parent with parents")
                require(self.objects[part].byte_size <= MAX_SCALES_BYTES, "gptq: large parent")
        shape = shape_of(
            words.row_elems,
            words.byte_size,
            self.objects[scales].byte_size,
            scale_type,
            self.objects[zeros].byte_size,
        )
        if groups == -1:
            require(shape.inputs % shape.groups == 0, "gptq: groups of unequal size")
        else:
            require(self.objects[groups].byte_size == 4 * shape.inputs, "gptq: groups")
        return shape

    def parent_shape(self, thing):
        base = self.objects[thing.base]
        return self.gptq_shape(base, thing.scales, thing.parent_dtype, thing.zeros, thing.groups)

    def own_shape(self, thing):
        return self.gptq_shape(
            thing, thing.own_scales, thing.own_dtype, thing.own_zeros, thing.own_groups
        )

    def check_gptq(self, thing):
        base = self.objects[thing.base]
        shape = self.parent_shape(thing)
        if thing.relation == "kGptqFloats":
            require(thing.dtype in ("F16", "BF16"), "gptq: object is no 16-bit float")
            require(thing.row_elems == shape.inputs, "gptq: rows")
            require(thing.elem_count == shape.inputs * shape.outputs, "gptq: elements")
            require(thing.chunk_elems % shape.inputs == 0, "gptq: chunks of whole rows")
            require(base.byte_size <= MAX_WHOLE_BYTES, "gptq: base parent beyond the limit")
            return
        own = self.own_shape(thing)
        require((own.inputs, own.outputs) == (shape.inputs, shape.outputs), "gptq: shapes")
        unit, rest = divmod(thing.chunk_elems, own.outputs * own.bits)
        require(unit > 0 and rest == 0, "gptq: chunks")
        require(base.chunk_elems == unit * own.outputs * shape.bits, "gptq: chunks of a parent")

    def gptq_chunk(self, chunk, thing, spec, payload):
        cursor = Cursor(payload)
        shape = self.parent_shape(thing)

        def content(number):
            return None if number == -1 else self.object_content(number)

        def tensor(of, dtype, scales, zeros, groups):
            return GptqTensor(of, dtype, content(scales), content(zeros), content(groups))

        parent = tensor(shape, thing.parent_dtype, thing.scales, thing.zeros, thing.groups)
        words = self.object_content(thing.base)
        if chunk.codec == "kGptqFloats":
            out = decode_gptq_floats(cursor, spec, words, parent)
        else:
            own = self.own_shape(thing)
            size = 4 * shape.bits
            begin = spec.first_elem // own.bits * size
            words = words[begin : begin + spec.elem_count // own.bits * size]
            self_ = tensor(own, thing.own_dtype, thing.own_scales, thing.own_zeros,
                           thing.own_groups)  # fmt: skip
            out = decode_gptq_integers(cursor, spec, words, parent, self_)
        require(cursor.rest() == bytes(READ_SLACK), "payload does not end in the slack")
        return out

    def object_content(self, number):
        """The bytes of an object, its parents decoded first."""
        if number not in self.decoded:
            thing = self.objects[number]
            pieces = [self.chunk_content(thing, i) for i in range(len(thing.chunks))]
            self.decoded[number] = b"".join(pieces)
        return self.decoded[number]

    def chunk_content(self, thing, i):
        chunk = thing.chunks[i]
        first = i * thing.chunk_elems
        count = min(thing.chunk_elems, thing.elem_count - first)
        payload = self.data[chunk.offset : chunk.offset + chunk.stored_size]
        require(xxhash.xxh3_64_intdigest(payload) == chunk.checksum, "checksum of a chunk")
        base = scales = None
        if thing.relation not in ("kNone", *GPTQ):
            size = DTYPE_BITS[thing.parent_dtype] // 8
            whole = self.object_content(thing.base)
            base = whole[first * size : (first + count) * size]
        if thing.relation == "kLlmInt8":
            scales = self.object_content(thing.scales)
        spec = ChunkSpec(
            thing.dtype,
            thing.elem_bytes,
            first,
            count,
            thing.row_elems,
            thing.relation,
            thing.parent_dtype,
        )
        if chunk.codec in GPTQ:
            require(chunk.codec == thing.relation, "codec without its relation")
            return self.gptq_chunk(chunk, thing, spec, payload)
        return decode_chunk(chunk.codec, spec, payload, base, scales)

    def file_content(self, file):
        content = b"".join(self.object_content(part) for part in file.parts)
        require(len(content) == file.size, "size of a file")
        require(xxhash.xxh3_128_digest(content) == file.digest, "digest of a file")
        return content

    def variant(self, name):
        """Path to content."""
        for variant in self.variants:
            if variant.name == name:
                return {file.path: self.file_content(file) for file in variant.files}
        raise KeyError(name)

    def tensor_content(self, file, tensor):
        return self.object_content(file.parts[tensor.part])


def check_path(path):
    components = path.split("/")
    require(len(bytes_of(path)) <= 4096, "path beyond the limit")
    require(not {"", ".", ".."} & set(components), f"path {path!r}")
    require("\\" not in path, f"path {path!r}")
    require(all(ord(c) >= 32 and ord(c) != 127 for c in path), f"path {path!r}")


def main(arguments):
    archive = Archive(Path(arguments[0]).read_bytes())
    if len(arguments) == 1:
        for variant in archive.variants:
            for file in variant.files:
                codecs = {c.codec for part in file.parts for c in archive.objects[part].chunks}
                print(variant.name, file.path, file.size, *sorted(codecs))
        return
    for path, content in archive.variant(arguments[1]).items():
        target = Path(arguments[2]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""The index of an archive, taken apart: docs/format.md, read literally."""

import re

import rules
from planes import Cursor, require
from records import (
    CODECS,
    CONTAINERS,
    DTYPE_BITS,
    DTYPES,
    Chunk,
    File,
    Object,
    Tensor,
    Unsupported,
    Variant,
    named,
    text_of,
)

FIRST_SKIPPABLE_SECTION = 128
SHA256_SECTION = 128
MAX_VARIANTS = 1024
MAX_RANK = 255
MAX_TENSOR_NAME_BYTES = 65535
MAX_CHUNK_BYTES = 1 << 24
MAX_PARAM_BYTES = 1024
MAX_PARENTS = 1024


def unzigzag(code, expected):
    return expected + ((code >> 1) ^ -(code & 1))


class Index:
    """Variants, files, tensors, objects and chunks; a chunk's offset counts from the first one."""

    def __init__(self, raw):
        self.all_ancestors = 0
        cursor = Cursor(raw)
        sections = {}
        last = 0
        while cursor.at < len(raw):
            kind = cursor.byte()
            content = cursor.take(cursor.varint())
            require(kind > last, "sections out of order")
            last = kind
            if kind < FIRST_SKIPPABLE_SECTION or kind == SHA256_SECTION:
                sections[kind] = content
        if set(sections) - {1, 2, 3, 4, 5, SHA256_SECTION}:
            raise Unsupported("unknown section")
        require(set(sections) >= {1, 2, 3, 4, 5}, "a section is missing")
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
        if SHA256_SECTION in sections:
            self.read_sha256(Cursor(sections[SHA256_SECTION]))
        rules.check_files(self)
        for number, thing in enumerate(self.objects):
            rules.check_object(self, number, thing)

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
        self.files = [File(named(CONTAINERS, cursor.byte(), "container")) for _ in range(count)]
        for file in self.files:
            file.flags = cursor.byte()
            if file.flags > 3:
                raise Unsupported(f"file flags {file.flags}")
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

    def read_sha256(self, cursor):
        for file in self.files:
            file.sha256 = bytes(cursor.take(32))
        require(not cursor.rest(), "SHA-256 of more files than there are")

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
            thing.scheme = cursor.varint()
            require(thing.scheme < 1 << 16, "number of a scheme")
        children = [thing for thing in self.objects if thing.scheme]
        sizes = [cursor.varint() for _ in children]
        for thing, size in zip(children, sizes, strict=True):
            require(size <= MAX_PARAM_BYTES, "parameters beyond the limit")
            thing.params = bytes(cursor.take(size))
        counts = [cursor.varint() for _ in children]
        require(all(0 < count <= MAX_PARENTS for count in counts), "number of parents")
        counts = iter(counts)
        for number, thing in enumerate(self.objects):
            if thing.scheme:
                thing.parents = [unzigzag(cursor.varint(), number) for _ in range(next(counts))]
                require(number not in thing.parents, "object is its own parent")
                require(all(0 <= p < count for p in thing.parents), "parent is no object")

    def layout(self, begin):
        """Gives chunks their offsets; returns the end of the last, and whether there are gaps."""
        at, gaps = begin, False
        chunks = iter(self.chunks)
        for gap, count in self.runs:
            gaps |= gap > 0
            at += gap
            require(at <= rules.MAX_SIZE, "a run beyond the limit")
            for _ in range(count):
                chunk = next(chunks)
                chunk.offset = at
                at += chunk.stored_size
        for thing in self.objects:
            pairs = zip(thing.chunks, thing.chunks[1:], strict=False)
            ends = all(a.offset + a.stored_size == b.offset for a, b in pairs)
            require(ends, "a gap inside an object")
        return at, gaps

    def read_chunks(self, cursor):
        count = cursor.varint()
        chunks = [Chunk(named(CODECS, cursor.byte(), "codec")) for _ in range(count)]
        for chunk in chunks:
            chunk.stored_size = cursor.varint()
        for chunk in chunks:
            chunk.checksum = cursor.unsigned(8)
        self.runs = [(cursor.varint(), cursor.varint()) for _ in range(cursor.varint())]
        self.chunks = chunks
        require(all(n > 0 for _, n in self.runs), "empty run")
        require(all(gap > 0 for gap, _ in self.runs[1:]), "run without a gap")
        require(sum(n for _, n in self.runs) == count, "chunks of the runs")
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

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second decoder of archives: docs/format.md, read literally. Slow, and holds all in memory.

usage: decoder.py ARCHIVE              lists variants, files and how chunks are coded
       decoder.py ARCHIVE NAME FOLDER  restores a variant
"""

import hashlib
import struct
import sys
from pathlib import Path

import gguf_head
import imatrix_head
import safetensors_header
import xxhash
from chunks import ChunkSpec, decode_chunk, decode_zstd, states_content_size
from index import Index
from planes import require
from records import Unsupported
from rules import check_table
from schemes import SCHEMES

HEADER_MAGIC = bytes([0xF1]) + b"QST\r\n\x1a\n"
FOOTER_MAGIC = bytes([0xF1]) + b"qstend\n"
IDENTITY_SIZE = 24
ROOT_SIZE = 24
HEADER_SIZE = IDENTITY_SIZE + 2 * ROOT_SIZE
FOOTER_SIZE = 56
FORMAT_VERSION = 1
ENTRIES_OF = {
    "safetensors": safetensors_header.entries_of,
    "gguf": gguf_head.entries_of,
    "imatrix": imatrix_head.entries_of,
}
HEADERS_BETWEEN = {"imatrix"}  # Containers that have headers between tensors too.
DIRECTORY = 2  # Of the flags of a file.
MAX_INDEX_BYTES = 1 << 28


class Archive:
    """Header, footer and index; chunks are decoded when asked for."""

    def __init__(self, data):
        self.data = data
        self.decoded = {}
        require(len(data) >= HEADER_SIZE + FOOTER_SIZE, "shorter than header and footer")
        self.read_header()
        self.read_footer()

    def read_header(self):
        header = self.data[:IDENTITY_SIZE]
        magic, version, reserved, flags, checksum = struct.unpack("<8sHHIQ", header)
        require(magic == HEADER_MAGIC, "magic of the header")
        require(xxhash.xxh3_64_intdigest(header[:-8]) == checksum, "checksum of the header")
        require(version > 0, "format version 0")
        if version > FORMAT_VERSION or reserved or flags:
            raise Unsupported(f"format version {version}, reserved {reserved}, flags {flags}")
        self.read_roots()

    def read_roots(self):
        """Cuts the archive to the length of its latest generation."""
        empty, right = 0, []
        for at in (IDENTITY_SIZE, IDENTITY_SIZE + ROOT_SIZE):
            root = self.data[at : at + ROOT_SIZE]
            generation, length, checksum = struct.unpack("<3Q", root)
            if not any(root):
                empty += 1
            elif generation and xxhash.xxh3_64_intdigest(root[:16]) == checksum:
                right.append((generation, length))
        require(right or empty == 2, "no root is right")
        self.has_root = bool(right)
        if right:
            length = max(right)[1]
            require(HEADER_SIZE + FOOTER_SIZE <= length <= len(self.data), "length of a root")
            self.data = self.data[:length]

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
        self.index = Index(content)
        end, gaps = self.index.layout(HEADER_SIZE)
        require(end <= offset, "chunks reach into the index")
        require(self.has_root or (end == offset and not gaps), "gaps between chunks")

    def object_content(self, number):
        """The bytes of an object, its parents decoded first."""
        if number not in self.decoded:
            thing = self.index.objects[number]
            pieces = [self.chunk_content(thing, i) for i in range(len(thing.chunks))]
            self.decoded[number] = b"".join(pieces)
        return self.decoded[number]

    def chunk_content(self, thing, i):
        chunk = thing.chunks[i]
        first = i * thing.chunk_elems
        count = min(thing.chunk_elems, thing.elem_count - first)
        begin = chunk.offset
        payload = self.data[begin : begin + chunk.stored_size]
        require(xxhash.xxh3_64_intdigest(payload) == chunk.checksum, "checksum of a chunk")
        spec = ChunkSpec(thing.dtype, thing.elem_bytes, first, count, thing.row_elems)
        given = self.given(thing, first, count) if chunk.codec == "kScheme" else None
        return decode_chunk(chunk.codec, spec, payload, given)

    def given(self, thing, first, count):
        """The scheme of an object, and what it takes of the parents for some elements."""
        require(thing.scheme, "codec of a scheme without one")
        if thing.scheme not in SCHEMES:
            raise Unsupported(f"unknown scheme {thing.scheme}")
        parents = [self.index.objects[parent] for parent in thing.parents]
        scheme = SCHEMES[thing.scheme](thing, parents, thing.params)
        contents = [self.object_content(parent) for parent in thing.parents]
        if scheme.by_chunks is not None:
            need = scheme.need(first, count)
            content = contents[scheme.by_chunks]
            contents[scheme.by_chunks] = content[need.start : need.stop]
        return scheme, contents

    def file_content(self, file):
        content = b"".join(self.object_content(part) for part in file.parts)
        require(len(content) == file.size, "size of a file")
        require(xxhash.xxh3_128_digest(content) == file.digest, "digest of a file")
        if file.sha256 is not None:
            require(hashlib.sha256(content).digest() == file.sha256, "SHA-256 of a file")
        if file.container:
            things = [self.index.objects[part] for part in file.parts]
            first = min((tensor.part for tensor in file.tensors), default=len(things))
            of_head = range(first)
            if file.container in HEADERS_BETWEEN:
                tensors = {tensor.part for tensor in file.tensors}
                of_head = (at for at in range(len(things)) if at not in tensors)
            head = b"".join(self.object_content(file.parts[at]) for at in of_head)
            check_table(file, things[first:], first, ENTRIES_OF[file.container](head))
        return content

    def variant(self, name):
        """Path to content, of files that are no directories."""
        for variant in self.index.variants:
            if variant.name == name:
                return {
                    file.path: self.file_content(file)
                    for file in variant.files
                    if not file.flags & DIRECTORY
                }
        raise KeyError(name)

    def tensor_content(self, file, tensor):
        return self.object_content(file.parts[tensor.part])


def main(arguments):
    archive = Archive(Path(arguments[0]).read_bytes())
    if len(arguments) == 1:
        objects = archive.index.objects
        for variant in archive.index.variants:
            for file in variant.files:
                codecs = {c.codec for part in file.parts for c in objects[part].chunks}
                print(variant.name, file.path, file.size, *sorted(codecs))
        return
    for path, content in archive.variant(arguments[1]).items():
        target = Path(arguments[2]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])

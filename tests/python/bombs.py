# SPDX-License-Identifier: Apache-2.0
"""Archives of a few bytes that stand for very much: parts, tables, contents, sizes."""

import json
import math
import struct
from typing import NamedTuple

import xxhash
import zstandard
from index_mutations import archive_of, varint

NONE, LLM_INT8, GPTQ_FLOATS = 0, 1, 3
U8, I8, F16, BF16, I32, F32 = 4, 5, 13, 14, 15, 17
RAW, ZSTD, SCHEME = 0, 1, 5
HEADER_SIZE, FOOTER_SIZE = 72, 56
NO_ROOTS = bytes(48)
MIB = 1 << 20


def checksum(data):
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(data))


class Object(NamedTuple):
    size: int
    payloads: list  # Codec and bytes, by chunk.
    chunk_elems: int
    dtype: int = U8
    row_elems: int = 1
    scheme: int = NONE
    params: bytes = b""
    parents: tuple = ()  # Distances to the numbers of earlier objects.


def frame_of_zeros(size):
    return zstandard.ZstdCompressor(level=3).compress(bytes(size))


def zeros(size, chunk=16 * MIB, **fields):
    """An object of so many zeros, in chunks that zstd makes small."""
    payloads = [(ZSTD, frame_of_zeros(min(chunk, size)))] * (size // chunk)
    if size % chunk:
        payloads.append((ZSTD, frame_of_zeros(size % chunk)))
    width = {U8: 1, I8: 1, F16: 2, BF16: 2, I32: 4, F32: 4}[fields.get("dtype", U8)]
    return Object(size, payloads, chunk // width, **fields)


def raw(content):
    return Object(len(content), [(RAW, content)], len(content))


def header(tensors):
    """Of a safetensors file of these (name, shape), of bytes each: its content, and an object."""
    entries, end = {}, 0
    for name, shape in tensors:
        begin, end = end, end + math.prod(shape)
        entries[name.decode()] = {"dtype": "U8", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(entries).encode()
    content = struct.pack("<Q", len(text)) + text
    frame = zstandard.ZstdCompressor(level=3).compress(content)
    return content, Object(len(content), [(ZSTD, frame)], len(content))


class File(NamedTuple):
    size: int
    parts: bytes  # The column, coded.
    part_count: int
    digest: bytes = bytes(16)
    tensors: tuple = ()  # Of (name, shape), each of the next part of a safetensors file.


def of_parts(objects, numbers, digest=bytes(16), tensors=(), after=-1):
    """A file of these objects, by number, behind one whose last object is `after`."""
    column, expected = bytearray(), after + 1
    for number in numbers:
        delta = number - expected
        column += varint(2 * delta if delta >= 0 else -2 * delta - 1)
        expected = number + 1
    size = sum(objects[number].size for number in numbers)
    return File(size, bytes(column), len(numbers), digest, tensors)


def section(kind, *columns):
    content = b"".join(columns)
    return bytes([kind]) + varint(len(content)) + content


def numbers(values):
    return b"".join(map(varint, values))


def archive(objects, files, times=1):
    """One variant of these files. All objects so many times, when they have no chunks."""
    chunks = [payload for thing in objects for payload in thing.payloads]
    tensors = [tensor for file in files for tensor in file.tensors]
    names = [b"%06d" % i for i in range(len(files))]
    checksums = {}
    for _, data in chunks:
        checksums.setdefault(data, checksum(data))
    index = b"".join(
        (
            section(1, varint(1), varint(1), b"v", varint(len(files))),
            section(
                2,
                varint(len(files)),
                bytes(1 if file.tensors else 0 for file in files),
                bytes(len(files)),
                b"".join(varint(len(name)) + name for name in names),
                numbers(file.size for file in files),
                b"".join(file.digest for file in files),
                numbers(file.part_count for file in files),
                numbers(len(file.tensors) for file in files),
                b"".join(file.parts for file in files),
            ),
            section(
                3,
                varint(len(tensors)),
                b"".join(b"\2" + b"\0" * (len(f.tensors) - 1) for f in files if f.tensors),
                bytes([U8]) * len(tensors),
                b"".join(varint(len(shape)) for _, shape in tensors),
                b"".join(numbers(shape) for _, shape in tensors),
                numbers(len(name) for name, _ in tensors),
                b"".join(name for name, _ in tensors),
            ),
            section(
                4,
                varint(len(objects) * times),
                bytes(thing.dtype for thing in objects) * times,
                numbers(thing.size for thing in objects) * times,
                numbers(thing.row_elems for thing in objects) * times,
                numbers(thing.chunk_elems for thing in objects) * times,
                bytes(thing.scheme for thing in objects) * times,
                numbers(len(thing.params) for thing in objects if thing.scheme),
                b"".join(thing.params for thing in objects),
                numbers(len(thing.parents) for thing in objects if thing.scheme),
                numbers(2 * distance - 1 for thing in objects for distance in thing.parents),
            ),
            section(
                5,
                varint(len(chunks)),
                bytes(codec for codec, _ in chunks),
                numbers(len(data) for _, data in chunks),
                b"".join(checksums[data] for _, data in chunks),
                numbers((1, 0, len(chunks)) if chunks else (0,)),
            ),
        )
    )
    return archive_of(index, b"".join(data for _, data in chunks))


def digest(content):
    return xxhash.xxh3_128_digest(content)


def many_parts(count, distinct):
    """A file of so many parts of a byte or two, of `distinct` objects in turn."""
    width = 1 if distinct <= 256 else 2
    objects = [raw(i.to_bytes(width, "little")) for i in range(distinct)]
    turns, rest = divmod(count, distinct)
    assert rest == 0
    once = of_parts(objects, range(distinct))
    again = of_parts(objects, [*range(distinct), *range(distinct)]).parts[len(once.parts) :]
    content = b"".join(thing.payloads[0][1] for thing in objects) * turns
    file = File(once.size * turns, once.parts + again * (turns - 1), count, digest(content))
    return archive(objects, [file])


def large_chunks(size):
    thing = zeros(size)
    return archive([thing], [of_parts([thing], [0], digest(bytes(size)))])


def many_tensors(chunks, tensors):
    """Tensors that all are one object, of chunks of a byte."""
    content = bytes(chunks)
    names = tuple((b"%07d" % i, (chunks,)) for i in range(tensors))
    first, head = header(names)
    objects = [head, Object(chunks, [(RAW, b"\0")] * chunks, 1)]
    parts = b"\0" + b"\0" + b"\1" * (tensors - 1)
    size = len(first) + chunks * tensors
    hasher = xxhash.xxh3_128(first)
    for _ in range(tensors):
        hasher.update(content)
    return archive(objects, [File(size, parts, tensors + 1, hasher.digest(), names)])


def many_objects(count):
    """So many objects without content: five bytes each, compressed to nothing."""
    thing = Object(0, [], 1)
    file = File(0, bytes(count), count, digest(b""))
    return archive([thing], [file], count)


def whole_parents(layers, size):
    """GPTQ layers of zeros, each with packed integers of `size` bytes that a chunk takes whole."""
    outputs = 4096
    inputs = size // outputs
    objects, numbers_ = [], []
    coded = bytes([0, 0, 0, 0, 0, 0x88, 0]) + bytes(8)
    for _ in range(layers):
        first = len(objects)
        words = zeros(size, MIB, dtype=I32, row_elems=outputs)
        scales = zeros(2 * outputs, dtype=F16)
        zero_points = zeros(outputs, dtype=I32)
        weights = zeros(2 * inputs * outputs, 2 * inputs * 16, dtype=F16, row_elems=inputs)
        weights.payloads[0] = (SCHEME, coded)
        # Words, scales and zero points; the type of the scales, and that there is no g_idx.
        parents = {"parents": (3, 2, 1), "params": bytes([F16, 0])}
        objects += [words, scales, zero_points]
        objects.append(weights._replace(scheme=GPTQ_FLOATS, **parents))
        numbers_.append(first + 3)
        assert first + 3 == len(objects) - 1
    order = [*numbers_, *(i for i in range(len(objects)) if i not in numbers_)]
    total = sum(objects[i].size for i in order)
    hasher = xxhash.xxh3_128()
    for _ in range(total // MIB):
        hasher.update(bytes(MIB))
    hasher.update(bytes(total % MIB))
    return archive(objects, [of_parts(objects, order, hasher.digest())])


def children_of_one(count, rows):
    """Tensors of 16 bits with one parent, each with a scale for every element."""
    layer = MIB // 2
    tensors = [(b"%03d" % child, (2 * rows,)) for child in range(count)]
    first, head = header(tensors)
    objects = [head, zeros(rows, layer, dtype=I8)]
    for child in range(count):
        objects.append(zeros(4 * rows, layer, dtype=F32))
        parents = (2 + 2 * child, 1)
        weights = zeros(2 * rows, 2 * layer, dtype=BF16, row_elems=1)
        objects.append(weights._replace(scheme=LLM_INT8, parents=parents))
    order = [0, *range(3, len(objects), 2)]
    side = [1, *range(2, len(objects), 2)]
    content = first + bytes(2 * rows * count)
    side_size = rows + 4 * rows * count
    return archive(
        objects,
        [
            of_parts(objects, order, digest(content), tuple(tensors)),
            of_parts(objects, side, digest(bytes(side_size)), after=order[-1]),
        ],
    )


def claim(path, file_size, stored, raw_size):
    """A sparse file whose footer says that its index is so large."""
    header = struct.pack("<8sHHI", b"\xf1QST\r\n\x1a\n", 1, 0, 0)
    offset = file_size - FOOTER_SIZE - stored
    footer = struct.pack("<5Q", offset, stored, raw_size, 0, file_size) + b"\xf1qstend\n"
    with open(path, "wb") as file:
        file.write(header + checksum(header) + NO_ROOTS)
        file.truncate(file_size)
        file.seek(file_size - FOOTER_SIZE)
        file.write(footer + checksum(footer))
    assert offset >= HEADER_SIZE


def claim_raw_size(size):
    """An archive whose index says, in its frame as well, that it is of `size` bytes, and is not."""
    block = struct.pack("<I", 1 | 1 << 1 | 1024 << 3)[:3] + b"x"  # Repeats a byte.
    junk = b"".join((struct.pack("<I", 0 << 1 | 8192 << 3)[:3], bytes(8192), block))
    stored = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", size) + junk
    offset = HEADER_SIZE
    header = struct.pack("<8sHHI", b"\xf1QST\r\n\x1a\n", 1, 0, 0)
    file_size = offset + len(stored) + FOOTER_SIZE
    footer = struct.pack("<3Q", offset, len(stored), size) + checksum(stored)
    footer += struct.pack("<Q", file_size) + b"\xf1qstend\n"
    return b"".join((header, checksum(header), NO_ROOTS, stored, footer, checksum(footer)))

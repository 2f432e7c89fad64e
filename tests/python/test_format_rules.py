# SPDX-License-Identifier: Apache-2.0
"""Where the format leaves a writer a choice, or a reader none: archives written here by hand, which
the command and the second decoder must take for the same or both refuse."""

import struct
import sys

import index_mutations
import pytest
import xxhash
from command import EXIT_CODES, ROOT, run
from index_mutations import padded, varint

sys.path.insert(0, str(ROOT / "tests" / "reference"))
import decoder  # noqa: E402
import planes  # noqa: E402

I8, U8, BF16, F32 = 5, 4, 14, 17
PLANES, INT8, SCHEME = 2, 3, 5
LLM_INT8 = 1
SLACK = bytes(8)


def section(kind, *columns):
    content = b"".join(columns)
    return bytes([kind]) + varint(len(content)) + content


def archive_of(objects, content):
    """One file of all objects, each of one chunk: (dtype, size, row_elems, codec, payload). One of
    a scheme, LLM.int8, has the two before it as its parents."""
    sizes = [thing[1] for thing in objects]
    width = {I8: 1, U8: 1, BF16: 2, F32: 4}
    schemes = bytes(LLM_INT8 if thing[3] == SCHEME else 0 for thing in objects)
    payloads = b"".join(thing[4] for thing in objects)
    index = section(1, varint(1), varint(1) + b"v", varint(1))
    index += section(
        2, varint(1), b"\0\0", varint(1) + b"f", varint(sum(sizes)),
        xxhash.xxh3_128_digest(content), varint(len(objects)), varint(0), bytes(len(objects)),
    )  # fmt: skip
    index += section(3, varint(0))
    index += section(
        4, varint(len(objects)), bytes(thing[0] for thing in objects),
        *(varint(size) for size in sizes), *(varint(thing[2]) for thing in objects),
        *(varint(thing[1] // width[thing[0]]) for thing in objects), schemes,
        bytes([0, 2, 3, 1]) if any(schemes) else b"",  # No parameters; two parents.
    )  # fmt: skip
    index += section(
        5, varint(len(objects)), bytes(thing[3] for thing in objects),
        *(varint(len(thing[4])) for thing in objects),
        *(struct.pack("<Q", xxhash.xxh3_64_intdigest(thing[4])) for thing in objects),
        bytes([1, 0, len(objects)]),  # One run without a gap.
    )  # fmt: skip
    return index_mutations.archive_of(index, payloads)


def by_both(space, data):
    """What both readers find in the file, or None when both refuse it as corrupt."""
    path = space / "m.qstore"
    path.write_bytes(data)
    done = run("unpack", path, "v", "-o", space / "out", "--force")
    try:
        decoded = decoder.Archive(data).variant("v")["f"]
    except planes.Corrupt:
        assert done.returncode == EXIT_CODES["corrupt"], done
        return None
    assert done.returncode == 0, done.stderr
    assert (space / "out" / "f").read_bytes() == decoded
    return decoded


def of_planes(space, plane, symbols):
    """What readers find in a chunk of bytes, whose one plane is given."""
    payload = plane + SLACK
    assert len(payload) <= len(symbols)
    return by_both(space, archive_of([(U8, len(symbols), 1, PLANES, payload)], symbols))


def huffman(first, last, lengths, sizes, stream=b""):
    nibbles = bytes(lengths[i] | lengths[i + 1] << 4 for i in range(0, len(lengths), 2))
    return bytes([2, 1, first, last]) + nibbles + b"".join(map(varint, sizes)) + stream


def rans(first, last, frequencies, words=b""):
    states = struct.pack("<I", 1 << 16) * 32
    numbers = b"".join(map(varint, frequencies))
    return bytes([4, first, last]) + numbers + states + varint(len(words) // 2) + words


SPARSE = bytes([3, 7])  # 7 is common.
ONE_EXCEPTION = bytes(7 if i != 5 else 9 for i in range(40))


def test_numbers_have_one_spelling(space):
    good = SPARSE + varint(1) + varint(5) + b"\x09"
    assert of_planes(space, good, ONE_EXCEPTION) == ONE_EXCEPTION
    for wrong in (padded(1) + varint(5), varint(1) + padded(5), varint(1) + b"\x85\x80\0"):
        assert of_planes(space, SPARSE + wrong + b"\x09", ONE_EXCEPTION) is None


def test_a_code_has_two_symbols_or_more(space):
    symbols = bytes(400)
    two = huffman(0, 1, [1, 1], [50], bytes(50))
    assert of_planes(space, two, symbols) == symbols
    assert of_planes(space, huffman(0, 1, [1, 0], [50], bytes(50)), symbols) is None
    assert of_planes(space, huffman(0, 1, [0, 0], [0]), symbols) is None
    assert of_planes(space, huffman(0, 0, [1, 0], [50], bytes(50)), symbols) is None
    assert of_planes(space, huffman(1, 0, [1, 1], [50], bytes(50)), symbols) is None
    assert of_planes(space, huffman(0, 2, [1, 2, 2, 0], [50], bytes(50)), symbols) == symbols
    assert of_planes(space, huffman(0, 2, [1, 2, 2, 1], [50], bytes(50)), symbols) is None
    for first, last, frequencies in ((0, 0, [1 << 14]), (0, 1, [1 << 14, 0]), (1, 0, [])):
        assert of_planes(space, rans(first, last, frequencies), symbols) is None


def test_what_fills_up_bits_and_pairs_is_not_looked_at(space):
    symbols = bytes(i % 2 for i in range(101))
    bits = bytearray([1, 1, *12 * [0xAA], 0x0A])
    assert of_planes(space, bytes(bits), symbols) == symbols
    bits[-1] |= 0xE0
    assert of_planes(space, bytes(bits), symbols) == symbols
    # 45 elements in 23 pairs of nibbles. In a constant plane the last one has two as all have.
    content = bytes([0x21]) * 45
    payload = b"\x04" + b"\0\x22" + b"\0\x11" + SLACK
    assert by_both(space, archive_of([(I8, 45, 1, INT8, payload)], content)) == content


def of_bins(space, wide):
    """Readers on 16-bit weights that all are in bins, where `wide` stands for no wide ones."""
    q = bytes([127]) * 256
    scales = struct.pack("<f", 1.0)
    # With absmax 1 the one multiple of 2^7 in bin 127 is the pattern of 1.
    payload = bytes([7, 0, 0, 1]) + varint(0) + varint(0) + varint(0) + wide + varint(0) + SLACK
    content = struct.pack("<H", 0x3F80) * 256
    things = [(I8, 256, 256, 0, q), (F32, 4, 1, 0, scales), (BF16, 512, 256, SCHEME, payload)]
    return by_both(space, archive_of(things, q + scales + content))


NO_PLANES = {
    "constant": b"\0\x07",
    "packed": b"\x01\x03",
    "sparse": SPARSE + varint(0),
    "huffman": huffman(0, 1, [1, 1], [0]),
    "rans": rans(0, 1, [1 << 13, 1 << 13]),
}


@pytest.mark.parametrize("mode", NO_PLANES)
def test_wide_values_are_there_when_there_are_none(space, mode):
    plane = NO_PLANES[mode]
    wide = bytes([7]) + varint(0) + plane + b"\0\0" + varint(0)
    assert of_bins(space, wide) is not None
    assert of_bins(space, b"") is None
    assert of_bins(space, bytes([7]) + varint(0) + varint(0)) is None
    assert of_bins(space, bytes([7]) + varint(0) + plane + b"\0\0" + varint(1)) is None
    if mode == "huffman":
        byte = huffman(0, 1, [1, 1], [1], b"\0")
        assert of_bins(space, bytes([7]) + varint(0) + byte + b"\0\0" + varint(0)) is None

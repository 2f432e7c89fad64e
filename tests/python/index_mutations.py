# SPDX-License-Identifier: Apache-2.0
"""Small archives whose index was changed, from a seed, under chunk checksums that are right."""

import random
import struct
import sys

import zstandard
from command import ROOT

sys.path.insert(0, str(ROOT / "tests" / "golden"))
from golden_damage import Parts  # noqa: E402

NUMBERS = [
    *(0, 1, 2, 3, 4, 5, 8, 16, 64, 127, 128, 255, 256, 4096, 65535, 65536, 1 << 22, 1 << 24),
    *((1 << 24) + 1, 1 << 31, 1 << 32, 1 << 62, (1 << 62) + 1, 1 << 63, (1 << 64) - 1),
]
# For paths, names of variants and of tensors alike.
STRINGS = [
    *(b"", b"a", b"a/b", b"/a", b"a/", b"a//b", b".", b"..", b"a/../b", b"./a", b"...", b"a\\b"),
    *(b"a\0b", b"a\x1fb", b"a\x7fb", b"a b", b"\xc3\xa9", b"\xff\xfe", b"\xed\xa0\x80", b"a\n"),
    *(b"int8", b"model.safetensors", b"model.safetensors/x", b"model.safetensors0", b"zz"),
    *(b"-a", b".a", b"+a", b"A-Za-z0-9._+-", b"a/" * 300 + b"a"),
    *(b"x" * size for size in (255, 256, 4096, 4097, 65535, 65536)),
]


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


class Tables:
    """The sections of an index as lists of [kind, value]: N(umber), B(ytes), S(tring), and L(ength)
    of the B of a name; P is a padded N."""

    def __init__(self, index):
        self.parts = Parts.__new__(Parts)
        self.parts.index = bytearray(index)
        self.sections = []
        for number, read in enumerate((self.variants, self.files, self.tensors, self.objects,
                                       self.chunks), 1):  # fmt: skip
            self.fields = []
            self.at, end = self.parts.section(number)
            read(self.take("N"))
            assert self.at == end
            self.sections.append(self.fields)

    def take(self, kind, size=1):
        if kind != "B":
            value, self.at = self.parts.varint(self.at)
            if kind == "S":
                size = value
        if kind in "BS":
            value = bytes(self.parts.index[self.at : self.at + size])
            self.at += size
        self.fields.append([kind, value])
        return value

    def column(self, count, kind, size=1):
        return [self.take(kind, size) for _ in range(count)]

    def variants(self, count):
        self.column(count, "S")
        self.column(count, "N")

    def files(self, count):
        self.column(count, "B")
        self.column(count, "B")
        self.column(count, "S")
        self.column(count, "N")
        self.column(count, "B", 16)
        parts = self.column(count, "N")
        self.column(count, "N")
        self.column(sum(parts), "N")

    def tensors(self, count):
        self.column(count, "N")
        self.column(count, "B")
        self.column(sum(self.column(count, "N")), "N")
        for size in self.column(count, "L"):
            self.take("B", size)

    def objects(self, count):
        self.column(count, "B")
        for _ in range(3):
            self.column(count, "N")
        children = sum(scheme > 0 for scheme in self.column(count, "N"))
        for size in self.column(children, "L"):
            self.take("B", size)
        self.column(sum(self.column(children, "N")), "N")

    def chunks(self, count):
        self.column(count, "B")
        self.column(count, "N")
        self.column(count, "B", 8)
        self.column(2 * self.take("N"), "N")


def padded(value):
    """The number with a byte more than it takes."""
    short = varint(value)
    return short[:-1] + bytes([short[-1] | 128, 0])


def encoded(sections, kinds=(1, 2, 3, 4, 5)):
    out = b""
    for kind, fields in zip(kinds, sections, strict=True):
        content = b""
        for what, value in fields:
            if what == "S":
                content += varint(len(value))
            content += value if what in "BS" else (padded if what == "P" else varint)(value)
        out += bytes([kind]) + varint(len(content)) + content
    return out


def change_field(rng, fields):
    i = rng.randrange(len(fields))
    kind, value = fields[i]
    if kind in "NL":
        near = [value + 1, max(0, value - 1), value + 2, max(0, value - 2), value * 2, value // 2]
        peers = [other for what, other in fields if what == "N"]
        fields[i][1] = rng.choice((rng.choice(near), rng.choice(NUMBERS), rng.choice(peers)))
    elif kind == "S" or len(value) > 1:
        fields[i][1] = rng.choice(STRINGS)
        # What has a length elsewhere stands right behind these, in their order.
        lengths = [at for at, (what, _) in enumerate(fields) if what == "L"]
        if kind == "B" and lengths and 0 < i - lengths[-1] <= len(lengths):
            fields[lengths[i - lengths[-1] - 1]][1] = len(fields[i][1])
    else:
        fields[i][1] = bytes([rng.choice((*range(50), 127, 128, 255))])


def swap_fields(rng, fields):
    """Two values of one kind and neighbourhood, as two rows of a column are."""
    i = rng.randrange(len(fields) - 1)
    j = min(len(fields) - 1, i + rng.randrange(1, 4))
    if fields[i][0] == fields[j][0]:
        fields[i], fields[j] = fields[j], fields[i]


def changed_fields(rng, index):
    sections = Tables(index).sections
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice((change_field, change_field, swap_fields))(rng, rng.choice(sections))
    return encoded(sections)


def raw_bytes(rng, index):
    out = bytearray(index)
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(out))
        if rng.randrange(4):
            out[at] ^= 1 << rng.randrange(8)
        else:
            out[at : at + rng.randrange(2)] = bytes(rng.randrange(2))
    return bytes(out)


def whole_sections(index):
    """Sections left out, doubled, in another order, unknown, with something behind them."""
    sections = Tables(index).sections
    for i in range(5):
        kinds = [kind for kind in range(1, 6) if kind != i + 1]
        yield encoded(sections[:i] + sections[i + 1 :], kinds)
        yield encoded([*sections[: i + 1], *sections[i:]], [*range(1, i + 2), *range(i + 1, 6)])
        yield encoded([*sections[:i], [*sections[i], ["B", b"\0"]], *sections[i + 1 :]])
        yield encoded([*sections[:i], sections[i][:-1], *sections[i + 1 :]])
        numbers = [at for at, (kind, _) in enumerate(sections[i]) if kind == "N"]
        for at in numbers[:: max(1, len(numbers) // 3)]:
            changed = [*sections[i][:at], ["P", sections[i][at][1]], *sections[i][at + 1 :]]
            yield encoded([*sections[:i], changed, *sections[i + 1 :]])
    yield encoded(sections[::-1], range(5, 0, -1))
    for kind in (0, 1, 5, 6, 127, 128, 255):
        for content in (b"", b"x" * 200):
            yield encoded([*sections, [["B", content]]], [1, 2, 3, 4, 5, kind])
            yield encoded([[["B", content]], *sections], [kind, 1, 2, 3, 4, 5])
    yield encoded([*sections, [], []], [1, 2, 3, 4, 5, 130, 129])
    yield encoded([*sections, [], []], [1, 2, 3, 4, 5, 129, 130])
    yield index + b"\x80"
    yield index + b"\x80\x05"
    yield index + b"\x80\x81\x00x"
    yield b""


def seeds():
    """Index and payloads of small archives: what the fuzzer of the reader begins with."""
    for path in sorted((ROOT / "tests" / "fuzz" / "corpus" / "archive_read").glob("*")):
        data = path.read_bytes()
        damages, _, size = struct.unpack_from("<IBI", data)
        if damages == 0:
            yield path.name, data[9 + size :], data[9 : 9 + size]


def sealed(index, payloads):
    """Chunk checksums made right and payloads as many as the index says, where it can be read."""
    parts = Parts.__new__(Parts)
    parts.index = bytearray(index)
    parts.payloads = bytearray(payloads)
    try:
        begin, end = parts.section(5)
        count, _ = parts.varint(begin)
        total = parts.chunk(count - 1)[2] if 0 < count <= end - begin else 0
        if count <= (end - begin) // 10 and total < 1 << 20:
            parts.payloads = parts.payloads[:total].ljust(total, b"\0")
            for number in range(count):
                parts.rechecksum(number)
    except (IndexError, KeyError):
        pass
    return bytes(parts.index), bytes(parts.payloads)


def frames(index):
    """The index as stored in ways that are not one frame of it, or are in a way seldom seen."""
    compress = zstandard.ZstdCompressor(level=3).compress
    half = len(index) // 2
    skippable = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    yield compress(index)
    yield zstandard.ZstdCompressor(write_checksum=True).compress(index)
    yield zstandard.ZstdCompressor(write_content_size=False).compress(index)
    yield compress(index) + b"\0"
    yield compress(index)[:-1]
    yield compress(index) + compress(b"")
    yield compress(index[:half]) + compress(index[half:])
    yield compress(index) + skippable
    yield skippable + compress(index)
    yield compress(index + b"\0")
    yield compress(index[:-1])
    yield index
    yield b""
    # Frame header of one segment, with a window of 2 GiB, with a dictionary; one raw block each.
    size = struct.pack("<I", len(index))
    block = struct.pack("<I", len(index) << 3 | 1)[:3] + index
    magic = b"\x28\xb5\x2f\xfd"
    yield magic + b"\xa0" + size + block
    yield magic + b"\x80\xa8" + size + block
    yield magic + b"\xa1\x07" + size + block
    yield magic + b"\xa8" + size + block
    # The last block is no longer the last.
    yield magic + b"\xa0" + size + bytes([block[0] & ~1]) + block[1:]
    yield magic + b"\xa0" + size + bytes([block[0] & ~1]) + block[1:] + b"\x01\0\0"


def mutations(seed, count):
    """What was done, index, payloads, and the index as stored or None for the usual way."""
    rng = random.Random(seed)
    everything = list(seeds())
    for name, index, payloads in everything:
        yield f"{name} as it is", index, payloads, None
        for i, changed in enumerate(whole_sections(index)):
            yield f"{name} sections {i}", *sealed(changed, payloads), None
        for i, stored in enumerate(frames(index)):
            yield f"{name} frame {i}", index, payloads, stored
    for i in range(count):
        name, index, payloads = rng.choice(everything)
        change = raw_bytes if i % 8 == 0 else changed_fields
        yield f"{name} {change.__name__} {i}", *sealed(change(rng, index), payloads), None


def archive_of(index, payloads, stored=None):
    parts = Parts.__new__(Parts)
    parts.header = bytearray(struct.pack("<8sHHI", b"\xf1QST\r\n\x1a\n", 1, 0, 0))
    parts.roots = bytes(48)
    parts.footer_magic = b"\xf1qstend\n"
    parts.declared_raw_size = None
    parts.index, parts.payloads = index, payloads
    return parts.assemble(stored)

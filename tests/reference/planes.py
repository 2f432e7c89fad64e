# SPDX-License-Identifier: Apache-2.0
"""Conventions, plane streams, byte planes and int8 of docs/format-coding.md, read literally.

Written from that page alone, as all of this folder, never from the sources, so that a difference
between the two shows. Slow on purpose: what a loop says plainly is a loop.
"""

import numpy as np

HUFFMAN_RUN = 4
MAX_CODE_LENGTH = 12
RANS_STATES = 32
CONTEXT_SCALE_BITS = 12
RANS_SCALE_BITS = 14
RANS_LOWEST = 1 << 16
INT8_BLOCK = 128


class Corrupt(Exception):
    """The bytes break a rule of the format; the message names it."""


def require(condition, rule):
    if not condition:
        raise Corrupt(rule)


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
                require(byte > 0 or shift == 0, "varint with zeros behind its number")
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
    return decode_mode(cursor.byte(), cursor, count)


def decode_mode(mode, cursor, count):
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
    if mode == 5:  # kRuns
        return decode_runs(cursor, count)
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


def decode_context_rans(cursor, contexts, count):
    """A symbol for each of `contexts`, which are numbers below `count`."""
    scale = 1 << CONTEXT_SCALE_BITS
    tables = []
    for _ in range(count):
        first, last = cursor.byte(), cursor.byte()
        require(first <= last, "context rans: range of symbols")
        table = []
        for symbol in range(first, last + 1):
            frequency = cursor.varint() if first < last else scale
            require(frequency <= scale - len(table), "context rans: frequency")
            table += [(symbol, len(table), frequency)] * frequency
        require(len(table) == scale, "context rans: frequencies do not fill the scale")
        tables.append(table)
    states = [cursor.unsigned(4) for _ in range(RANS_STATES)]
    words = np.frombuffer(cursor.take(2 * cursor.varint()), "<u2").tolist()
    symbols = np.zeros(len(contexts), np.uint8)
    at = 0
    for i, context in enumerate(contexts):
        x = states[i % RANS_STATES]
        symbols[i], start, frequency = tables[context][x % scale]
        x = frequency * (x >> CONTEXT_SCALE_BITS) + x % scale - start
        if x < RANS_LOWEST:
            require(at < len(words), "context rans: words end early")
            x = x << 16 | words[at]
            at += 1
        states[i % RANS_STATES] = x
    require(at == len(words), "context rans: words left over")
    require(all(x == RANS_LOWEST for x in states), "context rans: last states")
    return symbols


def decode_runs(cursor, count):
    run_bits, classes = cursor.byte(), cursor.byte()
    require(5 <= run_bits <= 20, "runs: length")
    require(1 <= classes <= 16, "runs: number of classes")
    runs = -(-count >> run_bits) if count else 0
    class_of = np.zeros(runs, np.uint8)
    if classes > 1:
        mode = cursor.byte()
        require(mode != 5, "runs: classes in runs")
        class_of = decode_mode(mode, cursor, runs)
        require((class_of < classes).all(), "runs: class")
    return decode_context_rans(cursor, np.repeat(class_of, 1 << run_bits)[:count].tolist(), classes)


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

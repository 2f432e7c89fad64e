# SPDX-License-Identifier: Apache-2.0
"""Blocks of ggml from their streams: "Blocks" of docs/format-ggml.md, read literally."""

import numpy as np
import planes
from floats import FLOATS, decode_floats, values_of
from planes import require
from records import BLOCKS


def nibble(w, a, c):
    """Byte and first bit of code `w`, for nibbles from `a`, by `c`."""
    g = w // (2 * c)
    j = w - 2 * c * g
    return (a + c * g + j, 0) if j < c else (a + c * g + j - c, 4)


def pair(w, a):
    p, j, low = w // 128, w // 32 % 4, w % 32
    return a + 32 * p + low, 2 * j


def bit_of_word(w, a):
    return a + w // 8, w % 8


# Where the bits of a number lie: pieces of (byte, first bit there, bits), lowest bits first.


def nibbles(a, c):
    return lambda w: [(*nibble(w, a, c), 4)]


def fives(a, word):
    return lambda w: [(*nibble(w, a, 16), 4), (*bit_of_word(w, word), 1)]


def fives_of_q5_k(w):
    return [(*nibble(w, 48, 32), 4), (16 + w % 32, w // 32, 1)]


def pairs(a):
    return lambda w: [(*pair(w, a), 2)]


def threes(w):
    return [(*pair(w, 32), 2), (w % 32, w // 32, 1)]


def sixes(w):
    p, t, u, low = w // 128, w // 64 % 2, w // 32 % 2, w % 32
    return [(64 * p + 32 * u + low, 4 * t, 4), (128 + 32 * p + low, 4 * t + 2 * u, 2)]


def scales_of_q3_k(k):
    low = (96 + k, 0, 4) if k < 8 else (88 + k, 4, 4)
    return [low, (104 + k % 4, 2 * (k // 4), 2)]


def scales_of_q4_k(k):
    return [(4 + k, 0, 6)] if k < 4 else [(8 + k, 0, 4), (k, 6, 2)]


def minima_of_q4_k(k):
    return [(8 + k, 0, 6)] if k < 4 else [(8 + k, 4, 4), (4 + k, 6, 2)]


def scales_of_iq4_xs(k):
    return [(4 + k // 2, 4 * (k % 2), 4), (2 + 2 * k // 8, 2 * k % 8, 2)]


def run(a):
    return lambda k: [(a + k, 0, 8)]


def half(a):
    return lambda k: [(a, 0, 8), (a + 1, 0, 8)]


# By type: the streams, each a kind, the numbers of a block, and where they lie.
STREAMS = {
    "Q4_0": [("F", 1, half(0)), (4, 32, nibbles(2, 16))],
    "Q4_1": [("F", 1, half(0)), ("F", 1, half(2)), (4, 32, nibbles(4, 16))],
    "Q5_0": [("F", 1, half(0)), (5, 32, fives(6, 2))],
    "Q5_1": [("F", 1, half(0)), ("F", 1, half(2)), (5, 32, fives(8, 4))],
    "Q8_0": [("F", 1, half(0)), ("S", 32, run(2))],
    "MXFP4": [("B", 1, run(0)), (4, 32, nibbles(1, 16))],
    "NVFP4": [("B", 4, run(0)), (4, 64, nibbles(4, 8))],
    "Q2_K": [
        ("F", 1, half(80)),
        ("F", 1, half(82)),
        ("B", 16, lambda k: [(k, 0, 4)]),
        ("B", 16, lambda k: [(k, 4, 4)]),
        (2, 256, pairs(16)),
    ],
    "Q3_K": [("F", 1, half(108)), (6, 16, scales_of_q3_k), (3, 256, threes)],
    "Q4_K": [
        ("F", 1, half(0)),
        ("F", 1, half(2)),
        (6, 8, scales_of_q4_k),
        (6, 8, minima_of_q4_k),
        (4, 256, nibbles(16, 32)),
    ],
    "Q5_K": [
        ("F", 1, half(0)),
        ("F", 1, half(2)),
        (6, 8, scales_of_q4_k),
        (6, 8, minima_of_q4_k),
        (5, 256, fives_of_q5_k),
    ],
    "Q6_K": [("F", 1, half(208)), ("S", 16, run(192)), (6, 256, sixes)],
    "IQ4_XS": [("F", 1, half(0)), (6, 8, scales_of_iq4_xs), (4, 256, nibbles(8, 16))],
    "TQ2_0": [("F", 1, half(64)), (2, 256, pairs(0))],
}
STREAMS["IQ4_NL"] = STREAMS["Q4_0"]

# The fields of other blocks, as they lie.
FIELDS = {
    "Q8_1": [("F", 1), ("F", 1), ("S", 32)],
    "Q8_K": [("B", 4), ("S", 256), ("B", 32)],
    "IQ2_XXS": [("F", 1), ("B", 64)],
    "IQ2_XS": [("F", 1), ("B", 64), ("B", 8)],
    "IQ2_S": [("F", 1), ("B", 32), ("B", 32), ("B", 8), ("B", 8)],
    "IQ3_XXS": [("F", 1), ("B", 64), ("B", 32)],
    "IQ3_S": [("F", 1), ("B", 64), ("B", 8), ("B", 32), ("B", 4)],
    "IQ1_S": [("F", 1), ("B", 32), ("B", 16)],
    "IQ1_M": [("B", 32), ("B", 16), ("B", 8)],
    "TQ1_0": [("B", 48), ("B", 4), ("F", 1)],
    "Q1_0": [("F", 1), ("B", 16)],
    "Q2_0": [("F", 1), ("B", 16)],
}
for _name, _fields in FIELDS.items():
    _at, STREAMS[_name] = 0, []
    for _kind, _count in _fields:
        STREAMS[_name].append((_kind, _count, half(_at) if _kind == "F" else run(_at)))
        _at += 2 if _kind == "F" else _count


def decode_stream(cursor, kind, m):
    """The numbers of a stream."""
    if kind == "F":
        return decode_floats(cursor, m, FLOATS["F16"])
    if kind == "S":
        return np.frombuffer(planes.decode_int8(cursor, m), np.uint8)
    to_a_symbol = {2: 4, 3: 2, 4: 2}.get(kind, 1)
    symbols = planes.decode_plane(cursor, m // to_a_symbol).astype(np.int64)
    if to_a_symbol == 1:
        return symbols
    return np.stack([symbols >> (kind * i) for i in range(to_a_symbol)], axis=1).reshape(-1)


WITH_MINIMA = {"Q4_1": 32, "Q5_1": 32, "Q2_K": 16, "Q4_K": 32, "Q5_K": 32}


def contexts_of_zero(dtype, streams):
    """Where between the codes of each sub-block zero lies."""
    scale, minimum = (values_of(s, "F16").astype(np.float32) for s in streams[:2])
    if len(streams) == 2:
        minimum = -minimum
    else:
        scale, minimum = (
            halves * numbers.astype(np.float32)
            for halves, numbers in zip((scale, minimum), streams[2:], strict=True)
        )
    with np.errstate(all="ignore"):
        place = np.float32(2) * (minimum / scale)
    is_above = place > 0
    held = np.where(is_above, np.minimum(place, 63), 0).astype(np.int64)
    has_scale = (scale > 0) | (scale < 0)
    return np.where(is_above | has_scale, held, 63).reshape(-1)


def decode_blocks(cursor, dtype, n, by_zero=False):
    require(dtype in BLOCKS, "blocks chunk of a type that is none of blocks")
    require(not by_zero or dtype in WITH_MINIMA, "blocks chunk of a type without minima")
    out = np.zeros((n, BLOCKS[dtype][0]), np.uint8)
    streams = []
    for kind, count, place in STREAMS[dtype]:
        if by_zero and place is STREAMS[dtype][-1][2]:
            contexts = np.repeat(contexts_of_zero(dtype, streams), WITH_MINIMA[dtype])
            numbers = planes.decode_context_rans(cursor, contexts, 64).reshape(n, count)
        else:
            numbers = decode_stream(cursor, kind, n * count).reshape(n, count)
            streams.append(numbers)
        for k in range(count):
            at = 0
            for byte, first, bits in place(k):
                piece = (numbers[:, k].astype(np.int64) >> at) & ((1 << bits) - 1)
                out[:, byte] |= (piece << first).astype(np.uint8)
                at += bits
    return out.tobytes()

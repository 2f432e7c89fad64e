# SPDX-License-Identifier: Apache-2.0
"""Deltas of docs/format-coding.md, read literally."""

import numpy as np
import planes
from planes import bits_of, fields_at, require


def decode_delta(cursor, parent, kind):
    """The patterns of a chunk, given those of the parent, as 64-bit numbers."""
    contexts = cursor.byte()
    if contexts == 0:
        return parent
    top, run_bits, classes = cursor.byte(), cursor.byte(), cursor.byte()
    require(contexts <= 32, "delta: contexts")
    require(5 <= run_bits <= 16, "delta: runs")
    require(1 <= classes <= 8, "delta: classes")
    maps = np.frombuffer(cursor.take(16 * classes), np.uint8).astype(np.int64)
    require((maps < contexts).all(), "delta: a map's context")
    count = len(parent)
    class_of = np.zeros(count, np.int64)
    if classes > 1:
        mode = cursor.byte()
        require(mode <= 4, "delta: classes in runs")
        runs = planes.decode_mode(mode, cursor, (count + (1 << run_bits) - 1) >> run_bits)
        require((runs < classes).all(), "delta: class")
        class_of = runs.astype(np.int64).repeat(1 << run_bits)[:count]
    extra_count = cursor.varint()
    extra = bits_of(cursor.take((extra_count + 7) // 8))
    magnitude = parent & ((1 << kind.sign_bit) - 1)
    e = np.clip(top - (magnitude >> kind.mantissa_bits), 0, 15)
    of = maps[16 * class_of + e].tolist()
    s = planes.decode_context_rans(cursor, of, contexts).astype(np.int64)
    require((s < (64 if kind.bytes == 2 else 128)).all(), "delta: symbol")
    w = np.where(s < 16, 0, 2 + (s - 16) // 4)
    require(w.sum() == extra_count, "delta: extra bits")
    x = fields_at(extra, np.cumsum(w) - w, w)
    z = np.where(s < 16, s, ((4 + (s - 16) % 4) << w) + x)
    t = magnitude + ((z >> 1) ^ -(z & 1)) & ((2 << kind.sign_bit) - 1)
    turns = t >> kind.sign_bit
    sign = (parent >> kind.sign_bit) ^ turns
    return sign << kind.sign_bit | np.where(turns, ~t, t) & ((1 << kind.sign_bit) - 1)

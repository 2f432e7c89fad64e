# SPDX-License-Identifier: Apache-2.0
"""Rows, row streams and the row model of docs/format-coding.md, read literally, as chunks.py."""

import numpy as np

F = np.float32
SCALE = 1 << 24
LOWEST = 1 << 32
STEPS = 64


class Symbols:
    """What each symbol lies above, and its center, in binary32."""

    def __init__(self, above, center):
        self.above = np.asarray(above, F)
        self.center = np.asarray(center, F)

    def __len__(self):
        return len(self.center)


def int8_symbols():
    numbers = np.arange(256, dtype=F) - F(128)
    return Symbols(numbers - F(0.5), numbers)


def float_symbols(values_of, shift, base, count):
    """`values_of` gives the values of non-negative patterns."""

    def values(patterns):
        found = values_of(patterns)
        return np.where(found < F(2.0**-126), F(0), found)

    lead = (base + np.arange(count, dtype=np.int64)) << shift
    center = values(lead | (1 << shift >> 1))
    above = values(lead)
    above[0] = 0
    return Symbols(
        np.concatenate([[-np.inf], -above[:0:-1], above]), np.concatenate([-center[::-1], center])
    )


class Model:
    """The normal distribution expected of each place, given all before."""

    def __init__(self, width, ridge, unit):
        self.size = width + 1
        self.unit = unit
        self.count = F(ridge)
        self.lower = np.zeros((self.size, self.size), F)  # Row j holds column j of L.
        self.diagonal = np.full(self.size, F(ridge) * (unit * unit), F)
        self.diagonal[0] = F(8) * (unit * unit)
        self.spread = np.full(self.size, unit, F)
        self.inverse = np.full(self.size, F(1) / (unit * unit), F)

    def begin(self):
        self.mean = np.zeros(self.size, F)
        self.value = np.zeros(self.size, F)
        self.squares = F(0)
        self.scale = F(1)
        self._expect(0, self.unit)

    def _expect(self, j, value):
        self.value[j] = value
        rest = value - self.mean[j]
        self.mean[j + 1 :] += rest * self.lower[j, j + 1 :]
        return rest

    def put(self, j, value):
        rest = self._expect(j, value)
        self.squares = self.squares + (rest * rest) * self.inverse[j]
        if j % 8 == 0:
            self.scale = np.sqrt((F(16) + self.squares) / (F(16) + F(j)))

    def end(self):
        weight = (F(16) + F(self.size - 1)) / (F(16) + self.squares)
        weight = weight if weight < F(64) else F(64)
        self.count += F(1)
        z = self.value
        for j in range(self.size):
            p = weight * z[j]
            after = self.diagonal[j] + p * z[j]
            gain = p / after
            weight = weight * (self.diagonal[j] / after)
            self.diagonal[j] = after
            self.inverse[j] = self.count / after
            self.spread[j] = np.sqrt(after / self.count)
            z[j + 1 :] -= z[j] * self.lower[j, j + 1 :]
            self.lower[j, j + 1 :] += gain * z[j + 1 :]


class Code:
    """The stretches of the symbols."""

    def __init__(self, symbols, weights, unit):
        self.symbols = symbols
        self.least = unit * F(2.0**-12)
        self.below = np.cumsum([0, *weights[::-1], *weights]).astype(F)
        self.scale = F(SCALE - len(symbols)) / F(1 << 16)

    def starts(self, mean, deviation):
        """Of all symbols, and the end of the last."""
        d = deviation if deviation > self.least else self.least
        t = (self.symbols.above - mean) * (F(8) / d) + F(64)
        t = np.where(t > 0, t, F(0))
        t = np.where(t < 128, t, F(128))
        i = np.minimum(t.astype(np.int64), 127)
        share = self.below[i] + (t - i.astype(F)) * (self.below[i + 1] - self.below[i])
        starts = (share * self.scale).astype(np.int64) + np.arange(len(t))
        starts[0] = 0
        return np.append(starts, SCALE)


def decode_row_stream(cursor, symbols, rows, columns, require):
    """The symbols of a matrix, in the order of its elements."""
    across = cursor.byte()
    width = cursor.varint()
    ridge = cursor.varint()
    unit = np.frombuffer(cursor.take(4), "<f4")[0]
    require(across <= 1, "rows: across")
    require(1 <= width <= 1024, "rows: width")
    require(1 <= ridge <= 1 << 20, "rows: ridge")
    require(F(2.0**-60) <= unit <= F(2.0**60), "rows: unit")
    weights = [cursor.varint() for _ in range(STEPS)]
    require(sum(weights) == 1 << 15, "rows: sum of the weights")
    state = int.from_bytes(cursor.take(8), "little")
    require(state >= LOWEST, "rows: state")
    words = np.frombuffer(cursor.take(4 * cursor.varint()), "<u4").tolist()
    words.reverse()

    code = Code(symbols, weights, unit)
    out = np.zeros((rows, columns), np.int64)
    matrix = out.T if across else out
    with np.errstate(all="ignore"):
        for begin in range(0, matrix.shape[1], width):
            block = matrix[:, begin : begin + width]
            model = Model(block.shape[1], ridge, unit)
            for row in block:
                model.begin()
                for i in range(len(row)):
                    j = i + 1
                    starts = code.starts(model.mean[j], model.spread[j] * model.scale)
                    slot = state % SCALE
                    s = int(np.searchsorted(starts, slot, side="right")) - 1
                    state = int(starts[s + 1] - starts[s]) * (state >> 24) + slot - int(starts[s])
                    if state < LOWEST:
                        require(words, "rows: words missing")
                        state = state << 32 | words.pop()
                    row[i] = s
                    model.put(j, symbols.center[s])
                model.end()
    require(not words and state == LOWEST, "rows: end of the stream")
    return out.reshape(-1)

# SPDX-License-Identifier: Apache-2.0
"""Rows of weights, group by group, and the bytes that numbers of blocks make."""

import numpy as np
from blocks import STREAMS
from ggml_search import F32, half_bits, total, zeros_of
from records import BLOCKS


class Rows:
    """Weights, and the importance of their columns."""

    def __init__(self, weights, importance):
        self.weights, self.importance = weights, importance
        self.columns = weights.shape[1]

    def groups(self, size):
        """Element by element, of all groups in their order."""
        return np.ascontiguousarray(self.weights.reshape(-1, size).T)

    def squares(self, size):
        """Σ x x of each run of `size`."""
        x = self.groups(size)
        return total(x * x, zeros_of(x))

    def importance_of(self, size):
        q = np.broadcast_to(self.importance, self.weights.shape)
        return np.ascontiguousarray(q.reshape(-1, size).T)

    def errors(self, size, sigma, run):
        """u with importance; `sigma` is one of each run of `run` weights."""
        x = self.groups(size)
        return self.importance_of(size) * np.sqrt(sigma.repeat(run // size) + x * x)


def put(name, fields):
    """Blocks of the numbers of their streams, each of (blocks, numbers)."""
    out = np.zeros((len(fields[0]), BLOCKS[name][0]), np.uint8)
    for (_, count, place), numbers in zip(STREAMS[name], fields, strict=True):
        for k in range(count):
            at = 0
            for where, first, bits in place(k):
                piece = (numbers[:, k].astype(np.int64) >> at) & ((1 << bits) - 1)
                out[:, where] |= (piece << first).astype(np.uint8)
                at += bits
    return out


def inverse(f):
    return np.where(f != 0, F32(1) / f, F32(0))


def column(f):
    return half_bits(f).reshape(-1, 1)


def blocks_of(codes, weights):
    """Codes, element by element, as (blocks, weights)."""
    return codes.T.reshape(-1, weights)

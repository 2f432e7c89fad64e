# SPDX-License-Identifier: Apache-2.0
"""Blocks of ggml given weights: "Scheme" and "Blocks given weights" of docs/format-ggml.md, read
literally."""

import numpy as np
from blocks import STREAMS, decode_blocks, decode_stream
from floats import FLOATS, convert, values_of
from ggml_grids import GRIDS, bits_of_stream, nearest, split, values_of_blocks
from ggml_made import make_blocks, maker_of
from ggml_rows import put
from grids import put_listed
from planes import Cursor, decode_context_rans, decode_plane, require
from records import BLOCKS, DTYPE_BITS, DTYPES

MAX_SIZE = 1 << 62
MAX_MATRICES = 1022
VIA = (None, "F16", "BF16")


class Params:
    def __init__(self, params):
        cursor = Cursor(params)
        flags, via, dtype = cursor.byte(), cursor.byte(), cursor.byte()
        self.columns, self.head_rows, self.matrices = (cursor.varint() for _ in range(3))
        require(cursor.at == len(params), "ggml: parameters")
        require(flags & ~31 == 0 and via < 3 and dtype < len(DTYPES), "ggml: parameters")
        self.is_made, self.has_importance, self.plus_one, self.has_calls, self.is_transposed = (
            flags >> i & 1 for i in range(5)
        )
        self.via, self.dtype = VIA[via], DTYPES[dtype]
        require(self.dtype in FLOATS or self.dtype in GRIDS, "ggml: type of weights")
        require(0 < self.columns <= MAX_SIZE, "ggml: columns")
        require(self.head_rows * self.columns <= MAX_SIZE, "ggml: rows of a head")
        require(self.head_rows % 2 == 0, "ggml: rows of a head")
        require(0 < self.matrices <= MAX_MATRICES, "ggml: matrices")
        require(self.matrices == 1 or not self.head_rows, "ggml: heads of many matrices")
        require(self.is_made or not self.has_importance, "ggml: importance")
        require(self.has_importance or not self.has_calls, "ggml: calls")
        if self.is_transposed:
            require(self.matrices == 1 and not self.head_rows, "ggml: transposed")
            require(self.dtype in FLOATS, "ggml: transposed blocks")


def decode_codes(cursor, name, fields, weights, made):
    """The last stream. `made` is what tells, or None."""
    codes, places, below = nearest(name, fields, weights)
    _, per_block = BLOCKS[name]
    if made is not None:
        same = np.ones(len(fields[0]), bool)
        for own, told in zip(fields[:-1], made[:-1], strict=True):
            same &= (own == told).all(axis=1)
        codes = np.where(same.repeat(per_block), made[-1].reshape(-1), codes)
    kind = cursor.byte()
    require(kind < 2, "ggml: kind of codes")
    mask = (1 << bits_of_stream(name, len(fields) - 1)) - 1
    if kind == 0:
        at, codes = 0, codes.copy()
        listed = cursor.varint()
        require(listed <= len(codes), "ggml: listed codes")
        for _ in range(listed):
            at += cursor.varint()
            require(at < len(codes), "ggml: listed code outside the chunk")
            codes[at] = cursor.byte() & mask
            at += 1
    else:
        symbols = decode_context_rans(cursor, places.tolist(), 16).astype(np.int64)
        steps = np.where(symbols & 1, -(symbols >> 1) - 1, symbols >> 1)
        codes = np.where(below, codes - steps, codes + steps) & mask
    return codes.reshape(-1, per_block)


def decode_given(cursor, name, count, weights, made):
    """Blocks given weights, told by the bytes of those made, or by nothing."""
    if name not in GRIDS:
        return decode_blocks(cursor, name, count)
    told = None if made is None else split(name, made)
    fields = []
    for s, (kind, numbers, _) in enumerate(STREAMS[name][:-1]):
        m, bits = count * numbers, bits_of_stream(name, s)
        if told is None:
            found = np.asarray(decode_stream(cursor, kind, m)).astype(np.int64)
        else:
            z = decode_plane(cursor, m).astype(np.int64)
            if kind == "F":
                z |= decode_plane(cursor, m).astype(np.int64) << 8
            found = told[s].reshape(-1) + ((z >> 1) ^ -(z & 1))
        fields.append((found & ((1 << bits) - 1)).reshape(count, numbers))
    fields.append(None)
    fields[-1] = decode_codes(cursor, name, fields, weights, told)
    return put(name, fields).tobytes()


class GgmlBlocks:
    def __init__(self, child, parents, params):
        self.params = Params(params)
        p = self.params
        require(len(parents) == p.matrices + 2 * p.has_importance, "ggml: parents")
        self.child, weights = child, parents[: p.matrices]
        self.block = BLOCKS.get(child.dtype, (0, 1))[1]
        self.of_parent = BLOCKS.get(p.dtype, (0, 1))[1]
        self.parent_bytes = DTYPE_BITS[p.dtype] // 8
        self.count = child.elem_count * self.block
        require(self.count > 0 and self.count % p.matrices == 0, "ggml: weights")
        self.per_matrix = self.count // p.matrices
        for matrix in weights:
            elems, rest = divmod(matrix.byte_size, self.parent_bytes)
            require(rest == 0 and elems * self.of_parent == self.per_matrix, "ggml: weights")
        require(child.dtype in FLOATS or child.dtype in BLOCKS, "ggml: type")
        require(self.count % p.columns == 0, "ggml: rows")
        require(p.columns % self.block == p.columns % self.of_parent == 0, "ggml: rows")
        self.rows = self.count // p.columns
        require(self.rows % p.matrices == 0, "ggml: whole matrices")
        require(not p.head_rows or self.rows % p.head_rows == 0, "ggml: whole heads")
        per_chunk = child.chunk_elems * self.block
        if p.is_made:
            require(maker_of(child.dtype) is not None, "ggml: type that nobody makes")
            require(per_chunk % p.columns == 0, "ggml: chunks of whole rows")
        elif self.block > 1:
            require(child.dtype in GRIDS, "ggml: type without a grid")
        if p.has_importance:
            self.check_importance(*parents[p.matrices :])
        self.find_takes(weights, per_chunk)

    def check_importance(self, sums, counts):
        self.parts, rest = divmod(counts.byte_size, 4)
        if self.params.has_calls:
            require(counts.byte_size == 4, "ggml: calls")
            self.parts = sums.byte_size // (4 * self.params.columns)
        require(self.parts > 0 and rest == 0, "ggml: counts")
        require(sums.byte_size == 4 * self.parts * self.params.columns, "ggml: sums")
        require(self.rows % self.parts == 0, "ggml: parts")

    def find_takes(self, weights, per_chunk):
        p = self.params
        self.by_chunks, self.by_range = None, ()
        if p.is_transposed:
            return
        by_chunks = (
            p.matrices == 1
            and weights[0].chunk_elems * self.of_parent == per_chunk
            and weights[0].elem_bytes == self.parent_bytes
            and (not p.head_rows or per_chunk % (p.head_rows * p.columns) == 0)
        )
        if by_chunks:
            self.by_chunks = 0
        else:
            self.by_range = range(p.matrices)

    def need(self, first, count, matrix=0):
        """The range of a matrix for some elements; empty where it has none of their weights."""
        begin = max(first * self.block - matrix * self.per_matrix, 0)
        end = min((first + count) * self.block - matrix * self.per_matrix, self.per_matrix)
        if begin >= end:
            return range(0)
        unit = self.of_parent
        if self.params.head_rows:
            unit = self.params.head_rows * self.params.columns
        begin, end = begin // unit * unit, min(-(-end // unit) * unit, self.per_matrix)
        size = self.parent_bytes
        return range(begin // self.of_parent * size, end // self.of_parent * size)

    def weights_of(self, contents, spec):
        """Of the elements, as binary32."""
        p = self.params
        whole = []
        for content in contents[: p.matrices]:
            if p.dtype in FLOATS:
                patterns = np.frombuffer(content, FLOATS[p.dtype].unsigned)
                whole.append(values_of(patterns, p.dtype))
            else:
                whole.append(values_of_blocks(p.dtype, content))
        found = np.concatenate(whole)
        begin = spec.first_elem * self.block
        if self.by_chunks is not None:
            begin = 0
        if p.is_transposed:
            found = found.reshape(p.columns, self.rows).T.reshape(-1)
        if p.head_rows:
            halves = found.reshape(-1, 2, p.head_rows // 2, p.columns)
            found = halves.transpose(0, 2, 1, 3).reshape(-1)
        found = found[begin : begin + spec.elem_count * self.block]
        if p.via:
            found = values_of(convert(found.view(np.uint32), "F32", p.via), p.via)
        return found + np.float32(1) if p.plus_one else found

    def importance(self, contents, row):
        p = self.params
        part = row // (self.rows // self.parts)
        sums = np.frombuffer(contents[-2], "<f4").reshape(self.parts, p.columns)[part]
        if p.has_calls:
            calls = np.frombuffer(contents[-1], "<i4")[0]
            return sums / np.float32(calls) if calls > 0 else sums
        count = np.frombuffer(contents[-1], "<f4")[part]
        return sums / count if count > 0 else np.ones(p.columns, np.float32)

    def make(self, contents, spec, weights):
        name, p = spec.dtype, self.params
        rows = weights.reshape(-1, p.columns)
        if not p.has_importance:
            return make_blocks(name, rows)
        first = spec.first_elem * self.block // p.columns
        of_part = self.rows // self.parts
        made = []
        for row in range(first, first + len(rows)):
            if row == first or row % of_part == 0:
                end = min((row // of_part + 1) * of_part - first, len(rows))
                importance = self.importance(contents, row)
                made.append(make_blocks(name, rows[row - first : end], importance))
        return np.concatenate(made)

    def decode(self, cursor, spec, contents):
        weights = self.weights_of(contents, spec)
        has_payload = len(cursor.data) > 0
        if self.block == 1:
            kind = FLOATS[spec.dtype]
            patterns = convert(weights.view(np.uint32), "F32", spec.dtype)
            content = patterns.astype(kind.unsigned).tobytes()
            return put_listed(cursor, content, kind.bytes, has_payload)
        if not self.params.is_made:
            return decode_given(cursor, spec.dtype, spec.elem_count, weights, None)
        made = self.make(contents, spec, weights)
        if not has_payload:
            return made.tobytes()
        unlike = np.asarray(decode_plane(cursor, spec.elem_count)) != 0
        require(unlike.any(), "ggml: no block is unlike")
        weights = weights.reshape(-1, self.block)[unlike].reshape(-1)
        told = made[unlike].tobytes()
        blocks = decode_given(cursor, spec.dtype, int(unlike.sum()), weights, told)
        made = made.copy()
        made[unlike] = np.frombuffer(blocks, np.uint8).reshape(-1, made.shape[1])
        return made.tobytes()

# SPDX-License-Identifier: Apache-2.0
"""Schemes by number: "Schemes" of docs/format-coding.md, read literally. One that is not here costs
the objects that have it."""

import numpy as np
from delta import decode_delta
from floats import FLOATS, decode_bins, decode_cast_delta, decode_floats, first_patterns
from ggml import GgmlBlocks
from gptq import Tensor, decode_gptq_codes, decode_gptq_floats, decode_gptq_integers, shape_of
from grids import GridCodes, GridScales, GridValues, GridWeights, NestedScales
from near import AwqCodes, ExpertValues, GridNear, Mxfp4Cast
from planes import require
from records import DTYPE_BITS, DTYPES

MAX_SCALES_BYTES = 1 << 26


def float_type(number):
    require(number < len(DTYPES) and DTYPES[number] in FLOATS, "scheme: type of floats")
    return DTYPES[number]


def counts(parents, wanted, params, param_bytes):
    require(len(parents) == wanted, "scheme: number of parents")
    require(len(params) == param_bytes, "scheme: bytes of parameters")


def small(*parents):
    require(all(p.byte_size <= MAX_SCALES_BYTES for p in parents), "scheme: large scales")


class Cast:
    by_chunks = 0

    def __init__(self, child, parents, params):
        counts(parents, 1, params, 1)
        self.child, self.parent_dtype = child, float_type(params[0])
        self.parent_bytes = DTYPE_BITS[self.parent_dtype] // 8
        require(child.dtype in FLOATS, "cast: object is no float")
        require(parents[0].elem_bytes == self.parent_bytes, "cast: elements of the parent")
        require(parents[0].elem_count == child.elem_count, "cast: elements of the parent")

    def need(self, first, count):
        return range(first * self.parent_bytes, (first + count) * self.parent_bytes)

    def decode(self, cursor, spec, contents):
        patterns = decode_cast_delta(cursor, spec, contents[0], self.parent_dtype)
        return patterns.astype(FLOATS[spec.dtype].unsigned).tobytes()


class Delta:
    def __init__(self, child, parents, params):
        counts(parents, 1, params, 0)
        parent = parents[0]
        require(child.dtype in FLOATS, "delta: object is no float")
        require(parent.dtype == child.dtype, "delta: type of the parent")
        self.shared = parent.elem_count
        same = self.shared == child.elem_count
        require(same or parent.row_elems == child.row_elems, "delta: rows of the parent")
        by_chunks = same and parent.chunk_elems == child.chunk_elems
        self.by_chunks, self.by_range = (0, ()) if by_chunks else (None, (0,))
        self.size = FLOATS[child.dtype].bytes

    def need(self, first, count):
        end = min(first + count, self.shared)
        return range(min(first, self.shared) * self.size, end * self.size)

    def decode(self, cursor, spec, contents):
        content = contents[0]
        if self.by_chunks is None:
            need = self.need(spec.first_elem, spec.elem_count)
            content = content[need.start : need.stop]
        kind = FLOATS[spec.dtype]
        parent = np.frombuffer(content, kind.unsigned).astype(np.int64)
        if not cursor.data:
            require(len(parent) == spec.elem_count, "delta: the parent does not tell all")
            return content
        require(len(parent) > 0, "delta: nothing of the parent")
        patterns = decode_delta(cursor, parent, kind)
        if len(parent) < spec.elem_count:
            rest = decode_floats(cursor, spec.elem_count - len(parent), kind)
            patterns = np.concatenate([patterns, rest])
        return patterns.astype(kind.unsigned).tobytes()


class LlmInt8:
    by_chunks = 0

    def __init__(self, child, parents, params):
        counts(parents, 2, params, 0)
        codes, scales = parents
        small(scales)
        require(child.dtype in FLOATS, "LLM.int8: object is no float")
        require(codes.elem_bytes == 1 and codes.elem_count == child.elem_count, "LLM.int8: codes")
        rows, rest = divmod(child.elem_count, child.row_elems)
        require(rest == 0 and scales.byte_size == 4 * rows, "LLM.int8: one scale a row")

    def need(self, first, count):
        return range(first, first + count)

    def decode(self, cursor, spec, contents):
        q = np.frombuffer(contents[0], np.int8).astype(np.int64)
        scales = np.frombuffer(contents[1], "<f4")
        rows = (spec.first_elem + np.arange(spec.elem_count)) // spec.row_elems
        patterns = decode_bins(cursor, spec, q, rows, scales, first_patterns)
        return patterns.astype(FLOATS[spec.dtype].unsigned).tobytes()


def gptq_shape(words, scale_type, sides):
    """The shape of a GPTQ tensor of these objects: words, then scales, zero points, groups."""
    small(*sides)
    require(words.elem_bytes == 4, "gptq: words")
    sizes = words.byte_size, sides[0].byte_size, scale_type, sides[1].byte_size
    shape = shape_of(words.row_elems, *sizes)
    if len(sides) == 2:
        require(shape.inputs % shape.groups == 0, "gptq: groups of unequal size")
    else:
        require(sides[2].byte_size == 4 * shape.inputs, "gptq: groups")
    return shape


def gptq_tensor(shape, scale_type, sides):
    return Tensor(shape, scale_type, sides[0], sides[1], sides[2] if len(sides) > 2 else None)


class GptqFloats:
    by_chunks = None

    def __init__(self, child, parents, params):
        require(len(params) == 2 and params[1] < 2, "gptq floats: parameters")
        counts(parents, 3 + params[1], params, 2)
        self.scale_type = float_type(params[0])
        self.shape = gptq_shape(parents[0], self.scale_type, parents[1:])
        require(child.dtype in ("F16", "BF16"), "gptq floats: object is no 16-bit float")
        require(child.row_elems == self.shape.inputs, "gptq floats: rows")
        elements = self.shape.inputs * self.shape.outputs
        require(child.elem_count == elements, "gptq floats: elements")
        require(child.chunk_elems % self.shape.inputs == 0, "gptq floats: chunks of whole rows")

    def decode(self, cursor, spec, contents):
        parent = gptq_tensor(self.shape, self.scale_type, contents[1:])
        return decode_gptq_floats(cursor, spec, contents[0], parent)


class GptqIntegers:
    by_chunks = 0

    def __init__(self, child, parents, params):
        require(len(params) == 3 and params[2] < 4, "gptq integers: parameters")
        self.sides = 3 + (params[2] & 1)
        counts(parents, self.sides + 2 + (params[2] >> 1), params, 3)
        self.scale_type, self.own_type = float_type(params[0]), float_type(params[1])
        self.shape = gptq_shape(parents[0], self.scale_type, parents[1 : self.sides])
        self.own = gptq_shape(child, self.own_type, parents[self.sides :])
        same = (self.own.inputs, self.own.outputs) == (self.shape.inputs, self.shape.outputs)
        require(same, "gptq integers: shapes")
        unit = self.own.outputs * self.own.bits
        require(child.chunk_elems % unit == 0, "gptq integers: chunks")

    def need(self, first, count):
        size, bits = 4 * self.shape.bits, self.own.bits
        return range(first * size // bits, (first + count) * size // bits)

    def decode(self, cursor, spec, contents):
        parent = gptq_tensor(self.shape, self.scale_type, contents[1 : self.sides])
        own = gptq_tensor(self.own, self.own_type, contents[self.sides :])
        return decode_gptq_integers(cursor, spec, contents[0], parent, own)


class GptqCodes:
    by_chunks = None

    def __init__(self, child, parents, params):
        require(len(params) == 2 and params[1] < 2, "gptq codes: parameters")
        counts(parents, 3 + params[1], params, 2)
        self.scale_type = float_type(params[0])
        self.shape = gptq_shape(child, self.scale_type, parents[1:])
        weights = parents[0]
        self.dtype = weights.dtype
        require(self.dtype in ("F16", "BF16"), "gptq codes: weights are no 16-bit floats")
        require(weights.row_elems == self.shape.inputs, "gptq codes: rows")
        elements = self.shape.inputs * self.shape.outputs
        require(weights.elem_count == elements, "gptq codes: elements")
        unit = self.shape.outputs * self.shape.bits
        require(child.chunk_elems % unit == 0, "gptq codes: chunks of whole inputs")

    def decode(self, cursor, spec, contents):
        own = gptq_tensor(self.shape, self.scale_type, contents[1:])
        return decode_gptq_codes(cursor, spec, contents[0], self.dtype, own)


SCHEMES = {
    1: LlmInt8,
    2: Cast,
    3: GptqFloats,
    4: GptqIntegers,
    5: GridCodes,
    6: GridScales,
    7: GridWeights,
    8: GridValues,
    9: NestedScales,
    10: GptqCodes,
    11: AwqCodes,
    12: GridNear,
    13: ExpertValues,
    14: Mxfp4Cast,
    15: GgmlBlocks,
    16: Delta,
}

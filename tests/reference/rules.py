# SPDX-License-Identifier: Apache-2.0
"""The rules that an index must keep, once it is read: docs/format.md."""

import math

from floats import FLOATS
from gptq import shape_of
from planes import require
from records import DTYPE_BITS, GPTQ, bytes_of

MAX_SIZE = 1 << 62
MAX_SCALES_BYTES = 1 << 26
MAX_DEPTH = 8
MAX_WHOLE_BYTES = 1 << 29


def check_files(index):
    for variant in index.variants:
        paths = [file.path for file in variant.files]
        for path in paths:
            check_path(path)
        # With "/" before all other bytes, a folder's content follows the folder's own name.
        keys = [bytes_of(path).replace(b"/", b"\0") for path in paths]
        require(keys == sorted(set(keys)), "order of paths")
        pairs = zip(keys, keys[1:], strict=False)
        require(not any(b.startswith(a + b"\0") for a, b in pairs), "file and folder")
    used = {part for file in index.files for part in file.parts}
    require(used == set(range(len(index.objects))), "object in no file, or part of no object")
    for file in index.files:
        things = [index.objects[part] for part in file.parts]
        require(sum(thing.byte_size for thing in things) == file.size, "size of a file")
        require(file.size <= MAX_SIZE, "file beyond the limit")
        if file.kind == "kOpaque":
            require(not file.tensors, "tensors of an opaque file")
        else:
            require(len(file.parts) == len(file.tensors) + 1, "objects of a safetensors file")
        names = [bytes_of(tensor.name) for tensor in file.tensors]
        require(names == sorted(set(names)), "order of tensors")
        require(len({t.part for t in file.tensors}) == len(names), "two tensors in one object")
        for tensor in file.tensors:
            bits = math.prod(tensor.shape) * DTYPE_BITS[tensor.dtype]
            require(bits == 8 * things[tensor.part].byte_size, "shape of a tensor")


def check_object(index, number, thing):
    require(thing.byte_size % thing.elem_bytes == 0, "cut element")
    require(thing.row_elems > 0, "empty rows")
    for i, chunk in enumerate(thing.chunks):
        raw = min(thing.chunk_elems, thing.elem_count - i * thing.chunk_elems)
        raw *= thing.elem_bytes
        require(chunk.stored_size <= raw, "payload larger than its content")
        require(chunk.codec != "kRaw" or chunk.stored_size == raw, "size of a raw chunk")
    if thing.relation == "kNone":
        return
    if thing.relation in GPTQ:
        check_gptq(index, thing)
        check_depth(index, number)
        return
    require(thing.dtype in FLOATS, "relation: object is no float")
    parents = ("I8",) if thing.relation == "kLlmInt8" else FLOATS
    require(thing.parent_dtype in parents, "relation: type of the base parent")
    base = index.objects[thing.base]
    require(base.elem_bytes == DTYPE_BITS[thing.parent_dtype] // 8, "elements of a parent")
    require(base.elem_count == thing.elem_count, "elements of a parent")
    require(base.chunk_elems == thing.chunk_elems, "chunks of a parent")
    check_depth(index, number)
    if thing.relation == "kLlmInt8":
        scales = index.objects[thing.scales]
        require(scales.relation == "kNone", "scales with parents")
        require(scales.byte_size <= MAX_SCALES_BYTES, "scales beyond the limit")
        rows, rest = divmod(thing.elem_count, thing.row_elems)
        require(rest == 0 and scales.byte_size == 4 * rows, "one scale a row")


def check_depth(index, number):
    depth = 0
    while index.objects[number].relation != "kNone":
        number = index.objects[number].base
        depth += 1
    require(depth <= MAX_DEPTH, "too many ancestors")


def gptq_shape(index, words, scales, scale_type, zeros, groups):
    """The shape of a GPTQ tensor of these objects."""
    require(words.elem_bytes == 4, "gptq: words")
    for part in (scales, zeros, groups):
        if part != -1:
            require(index.objects[part].relation == "kNone", "gptq: parent with parents")
            require(index.objects[part].byte_size <= MAX_SCALES_BYTES, "gptq: large parent")
    shape = shape_of(
        words.row_elems,
        words.byte_size,
        index.objects[scales].byte_size,
        scale_type,
        index.objects[zeros].byte_size,
    )
    if groups == -1:
        require(shape.inputs % shape.groups == 0, "gptq: groups of unequal size")
    else:
        require(index.objects[groups].byte_size == 4 * shape.inputs, "gptq: groups")
    return shape


def parent_shape(index, thing):
    base = index.objects[thing.base]
    return gptq_shape(index, base, thing.scales, thing.parent_dtype, thing.zeros, thing.groups)


def own_shape(index, thing):
    return gptq_shape(
        index, thing, thing.own_scales, thing.own_dtype, thing.own_zeros, thing.own_groups
    )


def check_gptq(index, thing):
    base = index.objects[thing.base]
    shape = parent_shape(index, thing)
    if thing.relation == "kGptqFloats":
        require(thing.dtype in ("F16", "BF16"), "gptq: object is no 16-bit float")
        require(thing.row_elems == shape.inputs, "gptq: rows")
        require(thing.elem_count == shape.inputs * shape.outputs, "gptq: elements")
        require(thing.chunk_elems % shape.inputs == 0, "gptq: chunks of whole rows")
        require(base.byte_size <= MAX_WHOLE_BYTES, "gptq: base parent beyond the limit")
        return
    own = own_shape(index, thing)
    require((own.inputs, own.outputs) == (shape.inputs, shape.outputs), "gptq: shapes")
    unit, rest = divmod(thing.chunk_elems, own.outputs * own.bits)
    require(unit > 0 and rest == 0, "gptq: chunks")
    require(base.chunk_elems == unit * own.outputs * shape.bits, "gptq: chunks of a parent")


def check_path(path):
    components = path.split("/")
    require(len(bytes_of(path)) <= 4096, "path beyond the limit")
    require(not {"", ".", ".."} & set(components), f"path {path!r}")
    require("\\" not in path, f"path {path!r}")
    require(all(ord(c) >= 32 and ord(c) != 127 for c in path), f"path {path!r}")

# SPDX-License-Identifier: Apache-2.0
"""The rules that an index must keep, once it is read: docs/format.md."""

from functools import partial

from planes import require
from records import bytes_of, tensor_bits
from schemes import SCHEMES

MAX_SIZE = 1 << 62
MAX_DEPTH = 8
MAX_ANCESTORS = 4095
MAX_ALL_ANCESTORS = 1 << 26
MAX_WHOLE_BYTES = 1 << 29
MAX_RANGE_BYTES = 1 << 26


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
    require(used <= set(range(len(index.objects))), "part of no object")
    check_used(index, used)
    for file in index.files:
        things = [index.objects[part] for part in file.parts]
        require(sum(thing.byte_size for thing in things) == file.size, "size of a file")
        require(file.size <= MAX_SIZE, "file beyond the limit")
        if file.flags & 2:
            require(not file.parts and not file.container and file.flags == 2, "directory")
        if file.container:
            require(len(file.parts) > len(file.tensors), "objects of a file with tensors")
        else:
            require(not file.tensors, "tensors of bytes without structure")
        names = [bytes_of(tensor.name) for tensor in file.tensors]
        require(names == sorted(set(names)), "order of tensors")
        require(len({t.part for t in file.tensors}) == len(names), "two tensors in one object")
        for tensor in file.tensors:
            bits = tensor_bits(tensor.dtype, tensor.shape)
            require(bits == 8 * things[tensor.part].byte_size, "shape of a tensor")


def check_used(index, used):
    """Every object is part of a file, or an ancestor of one that is."""
    used, left = set(used), list(used)
    while left:
        parents = set(index.objects[left.pop()].parents) - used
        used |= parents
        left += parents
    require(len(used) == len(index.objects), "object in no file, and no ancestor of one")


def check_object(index, number, thing):
    require(thing.byte_size % thing.elem_bytes == 0, "cut element")
    require(thing.row_elems > 0, "empty rows")
    for i, chunk in enumerate(thing.chunks):
        raw = min(thing.chunk_elems, thing.elem_count - i * thing.chunk_elems)
        raw *= thing.elem_bytes
        require(chunk.stored_size <= raw, "payload larger than its content")
        require(chunk.codec != "kRaw" or chunk.stored_size == raw, "size of a raw chunk")
    check_ancestors(index, number)
    if thing.scheme in SCHEMES:
        parents = [index.objects[parent] for parent in thing.parents]
        scheme = SCHEMES[thing.scheme](thing, parents, thing.params)
        check_takes(scheme, thing, parents)


def check_ancestors(index, number):
    """The length of the longest row of ancestors, and how many there are by every way."""
    known = {}

    def ancestors(at, row):
        require(row <= MAX_DEPTH, "too many ancestors in a row")
        if at not in known:
            found = [ancestors(parent, row + 1) for parent in index.objects[at].parents]
            depth = max((d + 1 for d, _ in found), default=0)
            known[at] = depth, sum(n + 1 for _, n in found)
        return known[at]

    depth, count = ancestors(number, 0)
    require(depth <= MAX_DEPTH and count <= MAX_ANCESTORS, "too many ancestors")
    index.all_ancestors += count
    require(index.all_ancestors <= MAX_ALL_ANCESTORS, "too many ancestors of all objects")


def check_ranges(need_of, thing, parent):
    size = parent.chunk_elems * parent.elem_bytes
    for first in range(0, thing.elem_count, thing.chunk_elems):
        need = need_of(first, min(thing.chunk_elems, thing.elem_count - first))
        if not need:
            continue
        require(need.stop <= parent.byte_size, "range behind the end of a parent")
        end = min(parent.byte_size, -(-need.stop // size) * size)
        require(end - need.start // size * size <= MAX_RANGE_BYTES, "large range of a parent")


def check_takes(scheme, thing, parents):
    by_range = getattr(scheme, "by_range", None) or ()
    for at, parent in enumerate(parents):
        if at in by_range:
            need_of = scheme.need if len(by_range) == 1 else partial(scheme.need, matrix=at)
            check_ranges(need_of, thing, parent)
            continue
        if at != scheme.by_chunks:
            require(parent.byte_size <= MAX_WHOLE_BYTES, "large parent taken whole")
            continue
        require(len(parent.chunks) == len(thing.chunks), "chunks of a parent")
        size = parent.chunk_elems * parent.elem_bytes
        for i in range(len(thing.chunks)):
            first = i * thing.chunk_elems
            need = scheme.need(first, min(thing.chunk_elems, thing.elem_count - first))
            whole = range(i * size, min(parent.byte_size, (i + 1) * size))
            require(need == whole, "chunks of a parent")


def check_path(path):
    components = path.split("/")
    require(len(bytes_of(path)) <= 4096, "path beyond the limit")
    require(not {"", ".", ".."} & set(components), f"path {path!r}")
    require("\\" not in path, f"path {path!r}")
    require(all(ord(c) >= 32 and ord(c) != 127 for c in path), f"path {path!r}")


def check_table(file, objects, first, entries):
    """`objects` are those behind the head, which has `first` objects and lists `entries`."""
    begins, at = [], 0
    for thing in objects:
        begins.append(at)
        at += thing.byte_size
    table = {}
    for tensor in file.tensors:
        begin = begins[tensor.part - first]
        end = begin + objects[tensor.part - first].byte_size
        table[bytes_of(tensor.name)] = [tensor.dtype, tensor.shape, [begin, end]]
    require(set(table) == set(entries), "names of tensors in index and header")
    for name, entry in table.items():
        require(entry == entries[name], f"tensor {name!r} in index and header")

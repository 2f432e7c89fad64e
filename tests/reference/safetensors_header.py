# SPDX-License-Identifier: Apache-2.0
"""The header of a safetensors file beside the tensor table: "Tensors" of docs/format.md."""

import json

from planes import Corrupt, require
from records import bytes_of


def entries_of(content):
    """Name to [dtype, shape, data_offsets]; of several entries with one name the last counts."""
    require(len(content) >= 8, "header of a safetensors file: length")
    size = int.from_bytes(content[:8], "little")
    require(size == len(content) - 8, "header of a safetensors file: length")
    try:
        header = json.loads(content[8:].decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Corrupt("header of a safetensors file: JSON") from error
    require(isinstance(header, dict), "header of a safetensors file: no object")
    header.pop("__metadata__", None)
    return {name.encode("utf-8", "surrogatepass"): fields_of(entry) for name, entry in
            header.items()}  # fmt: skip


def fields_of(entry):
    """An entry is an object, or an array of its fields; a dtype may be the key of an object."""
    if isinstance(entry, dict):
        entry = [entry.get(key) for key in ("dtype", "shape", "data_offsets")]
    require(isinstance(entry, list) and len(entry) == 3, "header of a safetensors file: entry")
    dtype, shape, offsets = entry
    if isinstance(dtype, dict):
        dtype = next(iter(dtype), None)
    return [dtype, shape, offsets]


def check_table(file, objects, content):
    """`content` is that of the file's first object, `objects` are those of all its parts."""
    entries = entries_of(content)
    begins, at = [], 0
    for thing in objects[1:]:
        begins.append(at)
        at += thing.byte_size
    table = {}
    for tensor in file.tensors:
        begin = begins[tensor.part - 1]
        end = begin + objects[tensor.part].byte_size
        table[bytes_of(tensor.name)] = [tensor.dtype, tensor.shape, [begin, end]]
    require(set(table) == set(entries), "names of tensors in index and header")
    for name, entry in table.items():
        require(entry == entries[name], f"tensor {name!r} in index and header")

# SPDX-License-Identifier: Apache-2.0
"""The header of a safetensors file: "Containers" of docs/format.md."""

import json

from planes import Corrupt, require


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

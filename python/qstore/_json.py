# SPDX-License-Identifier: Apache-2.0
"""JSON that somebody else wrote: what is wrong with it becomes a CorruptError."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from qstore.errors import CorruptError, LimitError

if TYPE_CHECKING:
    from pathlib import Path

MOST_HEADER_BYTES = 100_000_000  # As the reader in C++ and the safetensors library have it.


class Header(NamedTuple):
    """What the header of a safetensors file says."""

    offsets: dict[str, tuple[int, int]]  # By tensor: where its bytes begin and end.
    metadata: dict[str, str]


def parse_object(content: bytes, where: str) -> dict[str, Any]:
    """Raises CorruptError, beginning with `where`; LimitError when memory does not suffice."""
    try:
        value = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise CorruptError(f"{where}: JSON is nested too deep") from None
    except MemoryError:
        raise LimitError(f"{where}: JSON takes more memory than there is") from None
    except ValueError as error:
        raise CorruptError(f"{where}: is no JSON in UTF-8: {error}") from None
    if not isinstance(value, dict):
        raise CorruptError(f"{where}: is no JSON object")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """The object in the file. Raises FileNotFoundError, and CorruptError naming the file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorruptError(f"{path}: {error}") from None
    return parse_object(content, str(path))


def header_size(length: bytes, file_size: int, where: str) -> int:
    """The size of a header by the length field before it. Raises CorruptError, LimitError."""
    if len(length) != 8:
        raise CorruptError(f"{where}: {file_size} bytes are too few for a safetensors file")
    size = int.from_bytes(length, "little")
    if size > MOST_HEADER_BYTES:
        most = f"more than the {MOST_HEADER_BYTES} that are allowed"
        raise LimitError(f"{where}: the length field says {size} bytes of header, {most}")
    if size > file_size - 8:
        rule = f"the file ends {file_size - 8} bytes behind it"
        raise CorruptError(f"{where}: the length field says {size} bytes of header, {rule}")
    return size


def parse_header(content: bytes, where: str) -> Header:
    """Raises CorruptError for what safetensors does not allow, LimitError."""
    header = parse_object(content, f"{where}: the safetensors header")
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CorruptError(f"{where}: __metadata__ must map names to texts")
    offsets = {}
    for name, entry in header.items():
        found = _data_offsets(entry)
        if found is None:
            raise CorruptError(f"{where}: tensor {name!r} has no data_offsets [begin, end]")
        offsets[name] = found
    return Header(offsets, metadata)


def _data_offsets(entry: object) -> tuple[int, int] | None:
    found = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(found, list) or len(found) != 2 or any(type(n) is not int for n in found):
        return None
    begin, end = found
    return (begin, end) if 0 <= begin <= end else None

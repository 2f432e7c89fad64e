# SPDX-License-Identifier: Apache-2.0
"""The head of a GGUF file: metadata by key, and where tensors lie. docs/format-ggml.md, "GGUF"."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from qstore.errors import CorruptError, LimitError

# Gives bytes [begin, end) of the file.
Read = Callable[[int, int], bytes]

MAX_HEAD = 1 << 27
_MORE = 1 << 16  # Read at a time behind what is expected.
_VALUE = 128  # Bytes that one may take in Python, beside its text.
_ALIGNMENT = "general.alignment"
_STRING, _ARRAY = 8, 9
# Values of fixed size, by type: how struct calls them.
_NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))


class Head(NamedTuple):
    fields: dict[str, Any]  # In the order of the file.
    offsets: dict[str, int]  # Where the content of tensors begins in the file, by name.


def read_head(read: Read, file_size: int, expected: int, max_memory: int, where: str) -> Head:
    """Reads a head that is expected to have so many bytes. Raises CorruptError, and LimitError for
    more values than go into `max_memory`, naming `where`."""
    cursor = _Cursor(read, min(file_size, MAX_HEAD), expected, where)
    cursor.values_left = max_memory // _VALUE
    if cursor.take(4) != b"GGUF":
        raise CorruptError(f"{where}: does not begin with GGUF")
    version, tensors, values = cursor.unpack("IQQ")
    if version not in (2, 3):
        raise CorruptError(f"{where}: version {version} is not 2 or 3")
    fields: dict[str, Any] = {}
    for _ in range(values):
        key = cursor.text()
        cursor.count(1)
        fields[key] = _value(cursor, *cursor.unpack("I"))
    offsets: dict[str, int] = {}
    for _ in range(tensors):
        name = cursor.text()
        cursor.count(1)
        (rank,) = cursor.unpack("I")
        cursor.take(8 * rank + 4)  # Dimensions and type, which the archive tells.
        (offsets[name],) = cursor.unpack("Q")
    alignment = fields.get(_ALIGNMENT, 32)
    if not isinstance(alignment, int) or alignment <= 0:
        raise CorruptError(f"{where}: {_ALIGNMENT} is no alignment")
    begin = -(-cursor.at // alignment) * alignment
    return Head(fields, {name: begin + offset for name, offset in offsets.items()})


def _value(cursor: _Cursor, kind: int) -> Any:
    if kind in _NUMBERS:
        return cursor.unpack(_NUMBERS[kind])[0]
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY:
        raise CorruptError(f"{cursor.where}: a value of the unknown type {kind}")
    of, count = cursor.unpack("IQ")
    cursor.count(count)
    if of == _STRING:
        return [cursor.text() for _ in range(count)]
    if of not in _NUMBERS:
        raise CorruptError(f"{cursor.where}: an array of neither numbers nor strings")
    return list(cursor.unpack(f"{count}{_NUMBERS[of]}"))


class _Cursor:
    def __init__(self, read: Read, end: int, expected: int, where: str) -> None:
        self.where = where
        self.at = 0
        self.values_left = 0
        self._read = read
        self._end = end
        self._bytes = read(0, min(end, expected))

    def count(self, values: int) -> None:
        self.values_left -= values
        if self.values_left < 0:
            raise LimitError(
                f"{self.where}: its metadata takes more than the memory allowed (max_memory)"
            )

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > self._end:
            raise CorruptError(f"{self.where}: the head reaches beyond the file, or is too large")
        if end > len(self._bytes):
            until = min(self._end, max(end, len(self._bytes) + _MORE))
            self._bytes += self._read(len(self._bytes), until)
        taken = self._bytes[self.at : end]
        self.at = end
        return taken

    def unpack(self, fields: str) -> tuple[Any, ...]:
        layout = "<" + fields
        try:
            size = struct.calcsize(layout)
        except (struct.error, OverflowError):  # A count that no array has.
            size = self._end + 1
        return struct.unpack(layout, self.take(size))

    def text(self) -> str:
        (size,) = self.unpack("Q")
        return self.take(size).decode("utf-8", "surrogateescape")

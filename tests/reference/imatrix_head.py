# SPDX-License-Identifier: Apache-2.0
"""What of an importance matrix is neither calls nor values: "Importance files" of
docs/format-ggml.md, read literally."""

from planes import Cursor, require

MAX_HEAD = 1 << 22
MAX_ENTRIES = 65536
MAX_NAME = 4096


def entries_of(head):
    """The entries, name to [dtype, shape, places]."""
    require(len(head) <= MAX_HEAD, "head beyond the limit")
    cursor = Cursor(head)
    count = cursor.unsigned(4)
    require(0 < count <= MAX_ENTRIES, "entries of an importance matrix")
    entries, names, at = {}, set(), None
    for _ in range(count):
        size = cursor.unsigned(4)
        require(0 < size <= MAX_NAME, "length of a name")
        name = bytes(cursor.take(size))
        require(0 not in name and name not in names, "name of an entry")
        names.add(name)
        # Places count from the first calls on. The names of others and the counts lie between.
        at = 0 if at is None else at + 4 + size
        values = cursor.unsigned(4)
        require(0 < values < 1 << 31, "number of values")
        entries[name + b".calls"] = ["I32", [1], [at, at + 4]]
        entries[name + b".values"] = ["F32", [values], [at + 8, at + 8 + 4 * values]]
        at += 8 + 4 * values
    if cursor.at < len(head):
        cursor.take(4)
        if cursor.at < len(head):
            cursor.take(cursor.unsigned(4))
    require(cursor.at == len(head), "end of an importance matrix")
    return entries

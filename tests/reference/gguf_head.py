# SPDX-License-Identifier: Apache-2.0
"""The head of a GGUF file: "GGUF" of docs/format-ggml.md, read literally."""

from planes import Cursor, require
from records import BLOCKS, tensor_bits

TEXT, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
    24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0",
    35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}  # fmt: skip
ALIGNMENT = b"general.alignment"
MAX_HEAD = 1 << 27
MAX_NAME = 65535
MAX_KEYS = 1 << 20
MAX_SIZE = 1 << 62


def text(cursor):
    return bytes(cursor.take(cursor.unsigned(8)))


def skip_value(cursor, kind):
    if kind == TEXT:
        text(cursor)
    elif kind == ARRAY:
        of, count = cursor.unsigned(4), cursor.unsigned(8)
        require(of == TEXT or of in SIZES, "type of the elements of an array")
        if of in SIZES:
            cursor.take(count * SIZES[of])
            return
        for _ in range(count):
            text(cursor)
    else:
        require(kind in SIZES, "type of a value")
        cursor.take(SIZES[kind])


def alignment_of(cursor):
    """Reads the values."""
    alignment, keys = 32, set()
    for _ in range(cursor.values):
        key = text(cursor)
        require(0 < len(key) <= MAX_NAME, "length of a key")
        require(key not in keys, "key that comes twice")
        keys.add(key)
        require(sum(map(len, keys)) <= MAX_KEYS, "length of all keys")
        kind = cursor.unsigned(4)
        if key != ALIGNMENT:
            skip_value(cursor, kind)
            continue
        require(kind == 4, "type of the alignment")
        alignment = cursor.unsigned(4)
        require(0 < alignment <= 1 << 20 and alignment.bit_count() == 1, "alignment")
    return alignment


def read(data):
    """The entries of a head, name to [dtype, shape, places], and where it ends."""
    cursor = Cursor(data)
    require(cursor.take(4) == b"GGUF", "magic of a GGUF file")
    require(cursor.unsigned(4) in (2, 3), "version of a GGUF file")
    tensors, cursor.values = cursor.unsigned(8), cursor.unsigned(8)
    alignment = alignment_of(cursor)
    entries = {}
    for _ in range(tensors):
        name = text(cursor)
        require(len(name) <= MAX_NAME and name not in entries, "name of a tensor")
        rank = cursor.unsigned(4)
        require(rank <= 4, "dimensions of a tensor")
        shape = [cursor.unsigned(8) for _ in range(rank)][::-1]
        dtype = TYPES.get(cursor.unsigned(4))
        require(dtype is not None, "type of a tensor")
        offset = cursor.unsigned(8)
        require(offset % alignment == 0, "place of a tensor")
        bits = tensor_bits(dtype, shape)
        require(bits is not None and bits // 8 <= MAX_SIZE, f"shape of a tensor of {dtype}")
        assert dtype in BLOCKS or bits % 8 == 0
        entries[name] = [dtype, shape, [offset, offset + bits // 8]]
    return entries, cursor.at + (-cursor.at % alignment if tensors else 0)


def entries_of(head):
    """Of a head that ends where the first tensor begins."""
    require(len(head) <= MAX_HEAD, "head beyond the limit")
    entries, end = read(head)
    require(end == len(head) or not entries, "end of the head")
    return entries

# SPDX-License-Identifier: Apache-2.0
"""Safetensors files of every kind, good and bad, from a seed: (what it is about, bytes)."""

import json
import random
import struct

BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
DTYPES = list(BITS)
NO_DTYPES = (
    "", "f32", "F32 ", "F8", "F8_E4M3FN", "F8_E4M3B11FNUZ", "F6", "F4_E2M1", "F4_E2M1FN_X2",
    "I4", "U4", "BF8", "C128", "F128", "C32", "I128", "U1", "INT8", "float32", "BFLOAT16", "Bool",
    "F\u0131",
)  # fmt: skip

# JSON texts of numbers; RFC 8259 knows some of them, and some are sizes.
NUMBERS = (
    "0", "1", "2", "-0", "-1", "00", "01", "+1", "1.0", "2.0", "1.", ".5", "1e0", "2E0", "1e",
    "0x1", "1_0", "1e400", "-1e400", "1e-400", "0e0", "NaN", "Infinity", "-Infinity",
    "4294967296",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "1" * 40, "1" * 400,
    "0." + "1" * 400, "\u0661", "2 ", " 2", "2\n", "2,", "2;", "", "null", "true",
    '"2"', "[2]", "{}",
)  # fmt: skip

# Between quotes.
STRINGS = (
    b"", b"a", b"\\u0061", b"\\u00e9", "\u00e9".encode(), b"\\n\\t\\b\\f\\r\\/\\\\\\\"", b"\\u0000",
    b"\\ud83d\\ude00", b"\\uD83D\\uDE00", "\U0001f600".encode(), b"\\ud83d", b"\\ude00",
    b"\\ud83d\\ud83d", b"\\ud83dx", b"\\ud83d\\n", b"\\ude00\\ud83d", b"\\u12", b"\\u12g4",
    b"\\uFFFF",
    b"\\x41", b"\\'", b"\\", b"'", b"\x00", b"\x01", b"\x1f", b"\n", b"\t", b"\x7f", b"\x80",
    b"\xff",
    b"\xc0\x80", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\x9f\xbf", b"\xef\xbf\xbf",
    b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"__metadata__ ", b"a/b\\\\..", b"x" * 3000,
)  # fmt: skip

VALUES = (
    b"null", b"true", b"false", b"0", b"-1.5e3", b'"text"', b"[]", b"{}", b'[1,[2,{"a":[]}],null]',
    b'{"a":1,"a":2}', b"[1,]", b"[,1]", b"{,}", b'{"a"}', b'{"a":}', b"{1:2}", b"[1 2]", b"nul",
    b"True", b"undefined", b"'a'", b"// x\n1", b"/**/1", b"[", b"{", b"]", b'"', b"1 1",
)  # fmt: skip


def framed(header, data=0, length=None):
    size = len(header) if length is None else length
    return struct.pack("<Q", size) + header + bytes(i * 37 % 251 for i in range(data))


def entry(dtype=b'"U8"', shape=b"[2]", offsets=b"[0,2]", extra=b""):
    return (
        b'{"dtype":' + dtype + b',"shape":' + shape + b',"data_offsets":' + offsets + extra + b"}"
    )


def one(value, name=b'"a"', rest=b""):
    return b"{" + name + b":" + value + rest + b"}"


def texts():
    """A value of every kind at every place of a small header."""
    for text in NUMBERS:
        number = text.encode()
        for data in (0, 1, 2):
            yield (
                f"dimension {text[:40]}",
                framed(one(entry(shape=b"[" + number + b"]", offsets=b"[0,%d]" % data)), data),
            )
        yield f"begin {text[:40]}", framed(one(entry(offsets=b"[" + number + b",2]")), 2)
        yield f"end {text[:40]}", framed(one(entry(offsets=b"[0," + number + b"]")), 2)
        yield f"three offsets {text[:40]}", framed(one(entry(offsets=b"[0,2," + number + b"]")), 2)
        yield f"extra {text[:40]}", framed(one(entry(extra=b',"x":' + number)), 2)
        yield f"nested {text[:40]}", framed(one(entry(extra=b',"x":[{"y":' + number + b"}]")), 2)
    for string in STRINGS:
        quoted = b'"' + string + b'"'
        yield f"name {string[:20]}", framed(one(entry(), quoted), 2)
        yield f"metadata key {string[:20]}", framed(b'{"__metadata__":{%b:"v"}}' % quoted)
        yield f"metadata value {string[:20]}", framed(b'{"__metadata__":{"k":%b}}' % quoted)
        yield f"extra {string[:20]}", framed(one(entry(extra=b',"x":' + quoted)), 2)
        yield f"extra key {string[:20]}", framed(one(entry(extra=b"," + quoted + b":1")), 2)
        yield f"nested key {string[:20]}", framed(one(entry(extra=b',"x":{%b:1}' % quoted)), 2)
        yield f"dtype {string[:20]}", framed(one(entry(quoted)), 2)
    for value in VALUES:
        yield f"entry {value}", framed(one(value), 2)
        yield f"dtype {value}", framed(one(entry(dtype=value)), 2)
        yield f"shape {value}", framed(one(entry(shape=value)), 2)
        yield f"offsets {value}", framed(one(entry(offsets=value)), 2)
        yield f"extra {value}", framed(one(entry(extra=b',"x":' + value)), 2)
        yield f"metadata {value}", framed(b'{"__metadata__":%b}' % value)
        yield f"metadata member {value}", framed(b'{"__metadata__":{"k":%b}}' % value)
        yield f"header {value}", framed(value)
        yield f"behind {value}", framed(b"{}" + value)
        yield f"before {value}", framed(value + b"{}")


def forms():
    """Entries as arrays, fields missing, given twice, in other orders, with escaped names."""
    fields = {b"dtype": b'"U8"', b"shape": b"[2]", b"data_offsets": b"[0,2]"}
    names = list(fields)
    for chosen in [names, names[::-1], *([n for n in names if n != out] for out in names)]:
        text = b",".join(b'"%b":%b' % (n, fields[n]) for n in chosen)
        yield f"fields {chosen}", framed(one(b"{" + text + b"}"), 2)
        yield f"array {chosen}", framed(one(b"[" + b",".join(fields[n] for n in chosen) + b"]"), 2)
    yield "array of four", framed(one(b'["U8",[2],[0,2],0]'), 2)
    for name in names:
        yield f"{name} twice", framed(one(entry(extra=b',"%b":%b' % (name, fields[name]))), 2)
        escaped = b"\\u%04x" % name[0] + name[1:]
        yield f"{name} escaped", framed(one(entry()).replace(name, escaped), 2)
        yield f"{name} capital", framed(one(entry()).replace(name, name.upper()), 2)
    for dtype in (b'{"U8":null}', b'{"U8":{}}', b'{"U8":[]}', b'{"U8":0}', b'{"U9":null}',
                  b'["U8"]', b'{"U8":null,"I8":null}', b'"\\u00558"', b"4", b"{}"):  # fmt: skip
        yield f"dtype {dtype}", framed(one(entry(dtype)), 2)
    for key in (b"__metadata__", b"\\u005f_metadata__", b"__METADATA__"):
        for value in (b"{}", b"null", b'{"a":"b"}', b'{"a":"b","a":"c"}', b'{"a":null}', entry()):
            text = b'"%b":%b' % (key, value)
            yield f"{key} {value}", framed(b"{" + text + b"}", 2 if value == entry() else 0)
            yield f"{key} {value} twice", framed(b"{" + text + b"," + text + b"}")
            yield f"{key} {value} behind", framed(one(entry(), rest=b"," + text), 2)
    for second in (entry(), entry(b'"I8"'), entry(offsets=b"[2,4]"), entry(shape=b"[1]"), b"null"):
        yield f"name twice {second}", framed(one(entry(), rest=b',"a":' + second), 2)
        yield f"name twice {second}, escaped", framed(one(entry(), rest=b',"\\u0061":' + second), 4)
        yield f"bad, then {second}", framed(one(b"{}", rest=b',"a":' + second), 2)
        hole = one(entry(offsets=b"[7,9]"), rest=b',"a":' + second)
        yield f"hole, then {second}", framed(hole, 2)
    for dtype in (*DTYPES, *NO_DTYPES):
        bits = BITS.get(dtype, 8)
        for shape in ([], [0], [1], [2], [3], [4], [8], [1, 3], [2, 2], [4, 0], [5, 8]):
            size = bits
            for dim in shape:
                size *= dim
            for data in {size // 8, -(-size // 8)}:
                info = {"dtype": dtype, "shape": shape, "data_offsets": [0, data]}
                yield f"{dtype} {shape} in {data}", framed(json.dumps({"a": info}).encode(), data)
    large = (2**31, 2**32, 2**58, 2**60, 2**61, 2**63, 2**64 - 1)
    for dtype in ("U8", "F4", "F6_E2M3", "F16", "I64"):
        for a in large:
            for shape in ([a], [a, 0], [0, a], [a, 2**32], [a, 2**32, 0], [0, a, a], [a, 0, a]):
                info = {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
                yield f"{dtype} {shape}", framed(json.dumps({"a": info}).encode())


def frames():
    """The length field, what is around the object, what is missing or too much, depth."""
    good = framed(one(entry()), 2)
    for size in range(len(good)):
        yield f"cut to {size}", good[:size]
    for more in (b"\0", b"\1" * 8, b" "):
        yield f"{more} behind", good + more
    header = one(entry())
    near = [len(header) + difference for difference in (-1, 1, 2, 3)]
    far = [100_000_000, 100_000_001, 2**31, 2**32 + len(header), 2**63, 2**64 - 8, 2**64 - 1]
    for length in (0, 1, *near, *far):
        yield f"length {length}", framed(header, 2, length)
    json_white = (b" ", b"\t", b"\n", b"\r", b" \n\t\r" * 9)
    other_white = (b"\v", b"\f", b"\0", b"\xa0", b"\xc2\xa0", b"\xe2\x80\x83")
    for white in (*json_white, *other_white, b"\xef\xbb\xbf", b"\xff\xfe", b",", b"x"):
        yield f"{white} in front", framed(white + header, 2)
        yield f"{white} behind the object", framed(header + white, 2)
        yield f"{white} inside", framed(header.replace(b":", white + b":" + white), 2)
        yield f"{white} in the shape", framed(header.replace(b"[2]", b"[" + white + b"2]"), 2)
    yield "UTF-16", framed(header.decode().encode("utf-16"), 2)
    for depth in (1, 2, *range(120, 135), 1000, 100_000):
        for pair in (b"[]", b'{"k":', b'[{"k":'):
            opening = pair[:1] if pair == b"[]" else pair
            closing = {b"[]": b"]", b'{"k":': b"}", b'[{"k":': b"}]"}[pair]
            inner = b"" if pair == b"[]" else b"1"
            value = opening * depth + inner + closing * depth
            yield f"{depth} of {opening}", framed(one(entry(extra=b',"x":' + value)), 2)
            yield f"{depth} of {opening} as entry", framed(one(value), 2)
            yield f"{depth} of {opening} as metadata", framed(b'{"__metadata__":%b}' % value)
            yield f"{depth} of {opening} as header", framed(value)


def model(rng):
    """A valid header as name and entry, in any order, and the bytes of its data."""
    infos, at = [], 0
    for i in range(rng.randrange(6)):
        dtype = rng.choice(DTYPES)
        shape = [rng.choice((0, 1, 2, 3, 4, 8)) for _ in range(rng.randrange(4))]
        bits = BITS[dtype]
        for dim in shape:
            bits *= dim
        if bits % 8:
            shape.append(8)
            bits *= 8
        info = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + bits // 8]}
        infos.append((f"tensor.{i}", info))
        at += bits // 8
    rng.shuffle(infos)
    if rng.random() < 0.5:
        infos.insert(rng.randrange(len(infos) + 1), ("__metadata__", {"format": "pt"}))
    return dict(infos), at


def misplace(rng, header):
    """One thing wrong, or only odd, with the tensors' places, shapes and types."""
    infos = [info for name, info in header.items() if name != "__metadata__"]
    info = rng.choice(infos)
    offsets, shape = info["data_offsets"], info["shape"]
    what = rng.randrange(8)
    if what == 0:
        offsets[rng.randrange(2)] += rng.choice((-1, 1, 8, 2**32))
    elif what == 1:
        offsets.reverse()
    elif what == 2:
        shift = rng.choice((-1, 1, 5))
        info["data_offsets"] = [offset + shift for offset in offsets]
    elif what == 3:
        info["data_offsets"] = list(rng.choice(infos)["data_offsets"])
    elif what == 4:
        shape.insert(rng.randrange(len(shape) + 1), rng.choice((0, 1, 2, 2**61)))
    elif what == 5:
        rng.shuffle(shape)
    elif what == 6:
        info["dtype"] = rng.choice(DTYPES)
    else:
        info[rng.choice(("x", "strides"))] = [1, None, {"a": 2.5}]


def models(seed, count):
    rng = random.Random(seed)
    for i in range(count):
        header, size = model(rng)
        kind = i % 4
        if kind == 1 and size:
            misplace(rng, header)
        separators = rng.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:\r")))
        text = bytearray(json.dumps(header, separators=separators).encode())
        text += b" " * rng.choice((0, 3, -len(text) % 8))
        for _ in range(rng.randrange(1, 4) if kind >= 2 else 0):
            at = rng.randrange(max(1, len(text)))
            what = rng.randrange(4) if text else 2
            if what == 0:
                text[at] = rng.choice(b'{}[]":,0129.-+eE \\u\x00\xff_t')
            elif what == 1:
                del text[at]
            elif what == 2:
                text.insert(at, rng.choice(b'{}[]":,0129.-+eE \\u\x00\xff_t'))
            else:
                text[at] ^= 1 << rng.randrange(8)
        yield f"model {i}", framed(bytes(text), size)


def all_cases():
    yield from texts()
    yield from forms()
    yield from frames()
    yield from models(7, 4000)

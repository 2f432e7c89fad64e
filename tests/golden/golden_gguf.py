# SPDX-License-Identifier: Apache-2.0
"""Small GGUF files, by docs/format-ggml.md."""

import struct
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
from blocks import STREAMS  # noqa: E402
from ggml_grids import split as split_numbers  # noqa: E402, F401
from ggml_rows import put  # noqa: E402
from gguf_head import TYPES  # noqa: E402
from records import BLOCKS  # noqa: E402

NUMBERS = {name: number for number, name in TYPES.items()}
U32, STRING, ARRAY, F32 = 4, 8, 9, 6


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def value(key, kind, data):
    return text(key) + struct.pack("<I", kind) + data


def texts(key, values):
    data = struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values))
    return value(key, ARRAY, data)


def numbers(key, kind, array):
    return value(key, ARRAY, struct.pack("<IQ", kind, array.size) + array.tobytes())


def write_gguf(path, values, tensors, version=3, alignment=32, padding=b"\0", tail=b""):
    """`values` are whole, `tensors` are name to (number of the type, shape, bytes)."""

    def padded(data):
        return data + padding * (-len(data) % alignment)

    listed, data = b"", b""
    for name, (number, shape, content) in tensors.items():
        data = padded(data)
        dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        listed += text(name) + dims + struct.pack("<IQ", number, len(data))
        data += content
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    head += b"".join(values) + listed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((padded(head) if tensors else head) + data + tail)


def put_numbers(name, fields):
    """The bytes of blocks of the numbers of their streams."""
    return put(name, fields).tobytes()


def noise(random, name, rows, blocks):
    size, weights = BLOCKS[name]
    return NUMBERS[name], [rows, blocks * weights], random.bytes(rows * blocks * size)


def likely(random, name, rows, blocks):
    """Scales of a size, and numbers near a middle that each field has for itself."""
    _, weights = BLOCKS[name]
    fields = []
    for field, (kind, count, _) in enumerate(STREAMS[name]):
        shape = (rows * blocks, count)
        if kind == "F":
            found = np.abs(random.normal(0.01, 0.002, shape)).astype("<f2").view("<u2")
        elif kind == "S":
            found = np.rint(random.normal(0, 20, shape)).clip(-127, 127).astype(np.int8)
        else:
            top = 255 if kind == "B" else (1 << kind) - 1
            middle = random.normal((0.2 + 0.15 * field) * top, top / 16, shape)
            found = np.rint(middle).clip(0, top)
        fields.append(found)
    return NUMBERS[name], [rows, blocks * weights], put_numbers(name, fields)


def plain(name, array):
    return NUMBERS[name], list(array.shape), array.tobytes()


def shared_values(random):
    """A vocabulary, as files of one model have in common."""
    tokens = [f"token{number}" for number in random.permutation(400)]
    scores = random.standard_normal(400).astype("<f4")
    return [
        value("general.architecture", STRING, text("llama")),
        texts("tokenizer.ggml.tokens", tokens),
        numbers("tokenizer.ggml.scores", F32, scores),
        texts(
            "tokenizer.ggml.merges", [f"{a} {b}" for a, b in zip(tokens, tokens[1:], strict=False)]
        ),
    ]


def source_gguf(folder, random):
    """Every type, noise and likely values; a second file with the same vocabulary, and what is no
    GGUF that anyone takes apart."""
    values = shared_values(random)
    tensors = {"norm": plain("F32", random.standard_normal(48).astype("<f4"))}
    for name, (_, weights) in BLOCKS.items():
        tensors[f"likely.{name}"] = likely(random, name, 32, 512 // weights)
        tensors[f"noise.{name}"] = noise(random, name, 3, 1)
    tensors["half"] = plain("F16", random.standard_normal((2, 3, 8)).astype("<f2"))
    tensors["bytes"] = plain("I8", random.integers(-9, 9, 100).astype("i1"))
    tensors["void"] = NUMBERS["I32"], [4, 0], b""
    tensors["scalar"] = plain("F32", np.array(0.5, "<f4"))
    name = value("general.name", STRING, text("all"))
    write_gguf(folder / "all" / "model.gguf", [name, *values], tensors)
    # The same vocabulary, another alignment and version, padding that is not zero.
    name = value("general.name", STRING, text("some"))
    aligned = value("general.alignment", U32, struct.pack("<I", 64))
    some = {n: likely(random, n, 24, 2) for n in ("Q4_K", "Q6_K")}
    some["norm"] = tensors["norm"]
    options = {"version": 2, "alignment": 64, "padding": b"p", "tail": b"behind all tensors"}
    write_gguf(folder / "some" / "model.gguf", [aligned, name, *values], some, **options)
    write_gguf(folder / "some" / "vocabulary.gguf", values, {})
    write_gguf(folder / "some" / "old.gguf", values[:1], {"norm": tensors["norm"]}, version=1)
    write_gguf(folder / "some" / "late.gguf", [], {"odd": (4, [32], random.bytes(18))})

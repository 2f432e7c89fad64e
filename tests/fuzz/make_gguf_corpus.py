#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes inputs of the targets that take GGUF files, and chunks of blocks as chunk_fuzz.h has them.

usage: make_gguf_corpus.py QSTORE_COMMAND      those that exist are never touched
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
sys.path.insert(0, str(HERE.parent / "golden"))
import golden_gguf as models  # noqa: E402
from decoder import Archive  # noqa: E402

F32, Q8_0 = 0, 8
BLOCKS = list(models.BLOCKS)
PLAIN = 8  # Types of the chunk targets before those of blocks.
KBLOCKS = 7
LEVELS = {"fast": 0, "balanced": 1, "max": 2}
ROWS, ROW_BLOCKS = 12, 3


def values():
    return [
        models.value("general.architecture", models.STRING, models.text("llama")),
        models.texts("tokens", ["a", "", "bc"]),
        models.numbers("scores", models.F32, np.zeros(3, "<f4")),
        models.value("flag", 7, b"\1"),
        models.value("large", 10, bytes(8)),
    ]


def tensors():
    return {
        "norm": (F32, [3], b"n" * 12),
        "w": (Q8_0, [2, 64], b"w" * 136),
        "void": (F32, [0, 5], b""),
        "cube": (F32, [1, 2, 1, 2], b"c" * 16),
    }


def aligned(to):
    return models.value("general.alignment", models.U32, struct.pack("<I", to))


# NAME: values, tensors, options of write_gguf.
HEADS = {
    "model": (values(), tensors(), {}),
    "version2": (values(), tensors(), {"version": 2, "padding": b"p", "tail": b"tail"}),
    "version1": (values(), tensors(), {"version": 1}),
    "aligned": ([aligned(8), *values()], tensors(), {"alignment": 8}),
    "misaligned": ([aligned(64), *values()], tensors(), {"alignment": 32}),
    "alignment_0": ([aligned(0)], tensors(), {}),
    "vocabulary": (values(), {}, {"tail": b"behind"}),
    "empty": ([], {}, {}),
    "large_value": ([models.texts("tokens", ["token"] * 60)], tensors(), {}),
    "nested": ([models.value("a", 9, struct.pack("<IQIQ", 9, 1, 0, 0))], tensors(), {}),
    "long_array": ([models.value("a", 9, struct.pack("<IQ", 0, 10**9))], tensors(), {}),
    "twice": (values() * 2, tensors(), {}),
    "unknown": (values(), {"odd": (31, [32], b"o" * 18)}, {}),
    "all_types": (
        [],
        {name: (models.NUMBERS[name], [w], bytes(n)) for name, (n, w) in models.BLOCKS.items()},
        {},
    ),
}


def chunk_front(at, dtype, *rest):
    """A case without scheme: `at` is what its target takes first."""
    number = PLAIN + BLOCKS.index(dtype)
    return struct.pack(f"<{3 + len(rest)}I", at, number, 0, *rest)


def make_chunks(command):
    """The content of blocks of each type, and a payload of it."""
    for name in BLOCKS:
        random = np.random.Generator(np.random.PCG64(20))
        tensor = models.likely(random, name, ROWS, ROW_BLOCKS)
        shape = (ROW_BLOCKS - 1, ROWS, 0)  # One chunk of all rows.
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "m.gguf"
            models.write_gguf(path, [], {"w": tensor})
            archive = path.with_name("m.qstore")
            subprocess.run([command, "pack", "-o", archive, f"v={path}"], check=True)
            packed = Archive(archive.read_bytes())
        yield (
            "chunk_round_trip",
            f"blocks_{name}",
            chunk_front(LEVELS["max"], name, *shape) + tensor[2],
        )
        (chunk,) = (c for o in packed.index.objects if o.dtype == name for c in o.chunks)
        if chunk.codec == "kBlocks":
            payload = packed.data[chunk.offset : chunk.offset + chunk.stored_size]
            yield "chunk_decode", f"blocks_{name}", chunk_front(KBLOCKS, name, *shape) + payload


def main(arguments):
    folder = CORPUS / "gguf_head"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (listed, named, options) in HEADS.items():
        if not (folder / name).exists():
            models.write_gguf(folder / name, listed, named, **options)
    for target, name, content in make_chunks(arguments[0]):
        if not (CORPUS / target / name).exists():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])

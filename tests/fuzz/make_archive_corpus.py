#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes inputs of the archive_read target, as archive_input.h takes them, from small archives.

usage: make_archive_corpus.py QSTORE_COMMAND      those that exist are never touched
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus" / "archive_read"
sys.path.insert(0, str(HERE.parent / "golden"))
import golden_models as models  # noqa: E402
from golden_damage import Parts  # noqa: E402

MODEL = "model.safetensors"


def write(folder, **variants):
    for name, tensors in variants.items():
        models.write_safetensors(folder / name / MODEL, tensors)


def source_pair(folder, random):
    """Bins, floats, int8 and files around them; a tensor that both variants have."""
    values = {"a.weight": models.weights(random, 24, 80), "n": models.weights(random, 1, 30)[0]}
    high, low = models.pair_of("BF16", values)
    write(folder, int8=low, bf16=high)
    (folder / "int8" / "notes.txt").write_text("again and again " * 20)
    (folder / "bf16" / "empty").write_bytes(b"")


def source_chain(folder, random):
    """Casts of casts, whose first variant explains the last by way of all others."""
    value = models.weights(random, 10, 32)
    write(folder, bf16={"w": models.tensor("BF16", value)})
    write(folder, f16={"w": models.tensor("F16", value)}, f32={"w": models.tensor("F32", value)})


def source_rows(folder, random):
    """F32 over int8, with scales that leave no bins."""
    high, low = models.pair_of("F32", {"a.weight": models.weights(random, 12, 64)})
    scales = np.frombuffer(low["a.SCB"].data, np.float32).copy()
    scales[:2] = [0, np.nan]
    low["a.SCB"] = models.tensor("F32", scales)
    write(folder, int8=low, f32=high)


def source_dtypes(folder, random):
    """Byte planes, sparse and constant ones, parts of bytes, tensors without elements."""
    tensors = {
        "count": models.tensor("I64", np.arange(60)),
        "eye": models.tensor("F32", np.eye(12)),
        "f4": models.Tensor("F4", [4, 6], random.bytes(12)),
        "none": models.Tensor("U8", [3, 0], b""),
        "scalar": models.tensor("F16", np.float32(3)),
        "zeros": models.tensor("F16", np.zeros((20, 20))),
    }
    write(folder, all=tensors)


ARCHIVES = {
    "pair": (source_pair, "balanced", ("int8", "bf16")),
    "pair_fast": (source_pair, "fast", ("int8", "bf16")),
    "chain": (source_chain, "balanced", ("f32", "f16", "bf16")),
    "rows": (source_rows, "balanced", ("int8", "f32")),
    "dtypes": (source_dtypes, "balanced", ("all",)),
}


def make(command, name):
    source, level, variants = ARCHIVES[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source(folder, np.random.Generator(np.random.PCG64(20)))
        archive = folder / "archive.qstore"
        named = [f"{variant}={folder / variant}" for variant in variants]
        subprocess.run([command, "pack", "-o", archive, "--level", level, *named], check=True)
        parts = Parts(archive.read_bytes())
    # No damages, checksums made right.
    front = struct.pack("<IBI", 0, 0, len(parts.payloads))
    (CORPUS / name).write_bytes(front + parts.payloads + parts.index)


def main(arguments):
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        if not (CORPUS / name).exists():
            make(arguments[0], name)


if __name__ == "__main__":
    main(sys.argv[1:])

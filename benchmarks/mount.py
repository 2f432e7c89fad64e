#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times reads of files in a mounted archive beside what is wanted of them. ./dev bench --mount

A first read is beside that of a variant of random bytes in the same archive, which are stored as
they are: the mount does for them all that it does for others, but for decoding. Second and random
reads are beside the same file in the folder that the archive was packed from. The archive itself
is in the page cache.
"""

import argparse
import json
import mmap
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from driver import machine

ROOT = Path(__file__).resolve().parents[1]
READ_BYTES = 1 << 20
PAGE = 4096
RANDOM_READS = 20_000
MIB = 1 << 20
VARIANTS = ("int8", "bf16")
PLAIN = "plain"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--matrices", type=int, default=10, help="of 4096x4096")
    parser.add_argument("--qstore", type=Path, default=ROOT / "build/bin/qstore")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-mount")
    return parser.parse_args()


def make_archive(qstore, folder, matrices):
    """The archive and, by variant, the file that it was packed from."""
    archive = folder / "m.qstore"
    files = {name: folder / name / "model.safetensors" for name in VARIANTS}
    files[PLAIN] = folder / PLAIN / "noise.bin"

    def run(*arguments):
        subprocess.run([qstore, *arguments], check=True, stdout=subprocess.DEVNULL)

    if not archive.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run("synth", "--shape", "4096x4096", "--count", str(matrices), "-o", folder / "bf16")
        run("quantize", "--to", "llm-int8", folder / "bf16", "-o", folder / "int8")
        files[PLAIN].parent.mkdir()
        files[PLAIN].write_bytes(os.urandom(files["bf16"].stat().st_size))
        run("pack", "-o", archive, *(f"{name}={path.parent}" for name, path in files.items()))
    return archive, files


class Mount:
    def __init__(self, qstore, archive, folder):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.process = subprocess.Popen([qstore, "mount", "-f", archive, folder])
        while not os.path.ismount(folder):
            if self.process.poll() is not None:
                sys.exit("the archive cannot be mounted")
            time.sleep(0.01)

    def peak(self):
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.folder], check=True)
        self.process.wait()


# Touched before it is read into, and at a page.
BUFFER = mmap.mmap(-1, READ_BYTES)
BUFFER.write(b"x" * READ_BYTES)


def read_all(path):
    """Bytes a second of a read from beginning to end."""
    file = os.open(path, os.O_RDONLY)
    try:
        begin, size = time.perf_counter(), 0
        while got := os.readv(file, [BUFFER]):
            size += got
        return size / (time.perf_counter() - begin)
    finally:
        os.close(file)


def read_pages(path):
    """Reads of a page a second, at random places."""
    chance = random.Random(1)
    pages = path.stat().st_size // PAGE
    places = [chance.randrange(pages) * PAGE for _ in range(RANDOM_READS)]
    page = [memoryview(BUFFER)[:PAGE]]
    file = os.open(path, os.O_RDONLY)
    try:
        begin = time.perf_counter()
        for place in places:
            os.preadv(file, page, place)
        return RANDOM_READS / (time.perf_counter() - begin)
    finally:
        os.close(file)


def measure(arguments):
    archive, files = make_archive(arguments.qstore, arguments.output / "data", arguments.matrices)
    found = {}

    def note(what, name, figure):
        found.setdefault(what, {}).setdefault(name, []).append(figure)

    for number in range(arguments.rounds):
        read_all(archive)
        names = [*VARIANTS, PLAIN]
        for name in names[number % 3 :] + names[: number % 3]:
            with Mount(arguments.qstore, archive, arguments.output / "at") as mount:
                path = mount.folder / name / files[name].name
                note("first", name, read_all(path))
                for _ in range(2):
                    note("second", name, read_all(path))
                    read_all(files[name])
                    note("second", f"{name} on disk", read_all(files[name]))
                    note("random", name, read_pages(path))
                    note("random", f"{name} on disk", read_pages(files[name]))
                note("memory", name, mount.peak())
    return found


def rows(found):
    def median(what, name):
        return statistics.median(found[what][name])

    for name in VARIANTS:
        yield f"first read of {name}, MB/s", "first", name, median("first", PLAIN), 1e6, 0.8
        for what, unit, bar in (("second", 1e6, 0.9), ("random", 1e3, 0.5)):
            said = {"second": "second read of {}, MB/s", "random": "pages of {}, thousands/s"}[what]
            other = median(what, f"{name} on disk")
            yield said.format(name), what, name, other, unit, bar


def page(found):
    lines = ["| | mount | beside | ratio | wanted | |", "|---|--:|--:|--:|--:|---|"]
    for title, what, name, other, unit, bar in rows(found):
        figures = found[what][name]
        middle = statistics.median(figures)
        spread = f"{middle / unit:.0f} ({min(figures) / unit:.0f}–{max(figures) / unit:.0f})"
        verdict = "met" if middle / other >= bar else "NOT MET"
        shown = (title, spread, f"{other / unit:.0f}", f"{middle / other:.2f}", bar, verdict)
        lines.append("| " + " | ".join(map(str, shown)) + " |")
    peak = max(max(figures) for figures in found["memory"].values())
    verdict = "met" if peak <= 256 * MIB else "NOT MET"
    lines.append(f"| memory, MiB | {peak / MIB:.0f} | | | 256 | {verdict} |")
    return "\n".join(lines)


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    about = machine.describe(arguments.qstore)
    found = measure(arguments)
    (arguments.output / "mount.json").write_text(json.dumps({"machine": about, **found}, indent=1))
    print(page(found))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Times lmz, in a process of the environment that has it."""

import os
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmz
from timed_requests import Bucket, serve

MEMORY_FILES = Path("/dev/shm")
THREADS = len(os.sched_getaffinity(0))
WHICH = {
    "save_16": "16",
    "save_pair": "pair",
    "load_16": "16",
    "load_16_8": "pair",
    "load_f16": "f16",
}
scratch = threading.local()


def buffer_of(size):
    """One for each thread, since lmz decodes into such buffers too."""
    if len(getattr(scratch, "buffer", b"")) < size:
        scratch.buffer = bytearray(size)
    return scratch.buffer


class Reader:
    """Loads an archive into memory chunk by chunk, which lmz leaves to its caller."""

    def __init__(self, path, bandwidth):
        self.index = lmz.ArchiveIndex(path)
        self.bucket = Bucket(bandwidth)
        self.content = bytearray(self.index.original_size)
        self.view = memoryview(self.content)
        self.path = path

    def load(self):
        file = os.open(self.path, os.O_RDONLY)
        try:
            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(lambda chunk: self.decode(file, chunk), self.index.chunks()))
        finally:
            os.close(file)
        return self.content

    def decode(self, file, chunk):
        self.bucket.take(chunk.clen)
        payload = os.pread(file, chunk.clen, chunk.off)
        try:
            data = self.index.decode(chunk, payload, out=buffer_of(chunk.rlen))
        except lmz.ArchiveIndex.NeedsSource:
            # A copy of an earlier chunk, or the difference from one.
            with lmz.MappedArchive(self.path, workers=1) as archive:
                data = archive.read(chunk.dst, chunk.rlen)
        self.view[chunk.dst : chunk.dst + chunk.rlen] = data


def load(archive, bandwidth):
    """Seconds and bytes, by the fastest way: its `decompress`, to files in memory.

    That one reads by itself. So behind a bandwidth, or where such files have no room, chunk by
    chunk, which takes up to a tenth longer.
    """
    most = 4 * archive.stat().st_size  # The archive is not opened: files may be wanted cold.
    has_room = MEMORY_FILES.is_dir() and shutil.disk_usage(MEMORY_FILES).free > most
    if bandwidth or not has_room:
        start = time.perf_counter()
        content = Reader(archive, bandwidth).load()
        return time.perf_counter() - start, len(content)
    with tempfile.TemporaryDirectory(dir=MEMORY_FILES) as folder:
        start = time.perf_counter()
        done = lmz.decompress(str(archive), f"{folder}/out", workers=THREADS)
        return time.perf_counter() - start, done.input_bytes


class Lmz:
    """One archive of a file, or one of both files, so that it sees what they share."""

    def __init__(self, request):
        self.request = request
        self.work = Path(request["work"])

    def threads(self):
        return THREADS

    def place(self, name):
        return self.work / f"{self.request['dataset']}-lmz-{name}"

    def store(self, which):
        return self.place(f"{which}.lmz")

    def files(self, operation):
        return [self.store(WHICH[operation])] if operation in WHICH else []

    def sources(self, which):
        """The files, in the order in which lmz lays out a folder of them."""
        high, low = self.request["high"], self.request["low"]
        return {"16": [high], "f16": [self.request["f16"]], "pair": [high, low]}[which]

    def source(self, which):
        sources = self.sources(which)
        return sources[0] if len(sources) == 1 else self.place("pair")

    def prepare(self):
        folder = self.place("pair")
        folder.mkdir(exist_ok=True)
        for name, path in zip(("16", "8"), self.sources("pair"), strict=True):
            shutil.copyfile(path, folder / f"{name}.safetensors")
        return {which: self.prepare_one(which) for which in ("16", "f16", "pair")}

    def prepare_one(self, which):
        """What comes back is compared."""
        self.compress(which, self.store(which))
        content = Reader(self.store(which), None).load()
        if content != b"".join(Path(path).read_bytes() for path in self.sources(which)):
            raise RuntimeError("lmz gave back other bytes")
        return self.store(which).stat().st_size

    def compress(self, which, target):
        lmz.compress(str(self.source(which)), str(target), workers=THREADS)

    def save(self, operation):
        which = WHICH[operation]
        target = self.place("saved")
        start = time.perf_counter()
        self.compress(which, target)
        seconds = time.perf_counter() - start
        target.unlink()
        return seconds, sum(map(os.path.getsize, self.sources(which)))

    def load(self, operation):
        if operation not in WHICH:
            return None
        return load(self.store(WHICH[operation]), self.request["bandwidth"])


if __name__ == "__main__":
    serve({"lmz": Lmz})

# SPDX-License-Identifier: Apache-2.0
"""Times loads into tensors of torch: tasks as JSON on standard input, times as JSON on its output.

With "fresh" there is one task, which runs once; otherwise each runs twice in a row.

A task says how ("mapped", "copied", "load_file" of safetensors; "get_tensor", "get_tensors" of
QStore; "C++": the library called in this process), path and variant. Timed are, in seconds from
opening the file: all tensors returned; every byte of them summed up. Of the time until QStore
returned them, "python" is what passed outside of the calls into the library that open and read.
"""

import ctypes
import json
import os
import sys
import time

import backed_memory
import qstore._qstore
import qstore.torch
import safetensors
import safetensors.torch
import torch


def mapped(path, variant):
    with safetensors.safe_open(path, "pt") as file:
        return [file.get_tensor(name) for name in list(file.keys())]


def copied(path, variant):
    with safetensors.safe_open(path, "pt") as file:
        return [file.get_tensor(name).clone() for name in list(file.keys())]


def load_file(path, variant):
    return list(safetensors.torch.load_file(path).values())


def get_tensor(path, variant):
    with qstore.safe_open(path, variant) as file:
        return [file.get_tensor(name) for name in list(file.keys())]


def get_tensors(path, variant):
    with qstore.safe_open(path, variant) as file:
        return list(file.get_tensors().values())


class CppTensors:
    """What the C++ library has loaded."""

    def __init__(self, address):
        if not address:
            raise RuntimeError("the C++ library cannot load it")
        self.address = address

    def __del__(self):
        CPP.qstore_bench_free(self.address)


def cpp(path, variant):
    return CppTensors(CPP.qstore_bench_load(os.fsencode(path), variant.encode()))


CPP = ctypes.CDLL(os.environ["QSTORE_BENCH_LIBRARY"])
CPP.qstore_bench_load.restype = ctypes.c_void_p
CPP.qstore_bench_load.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
CPP.qstore_bench_free.restype = None
CPP.qstore_bench_free.argtypes = [ctypes.c_void_p]
HOWS = {how.__name__: how for how in (mapped, copied, load_file, get_tensor, get_tensors)}
HOWS["C++"] = cpp


class LibraryTime:
    """The time that calls into the library take which open and read an archive."""

    def __init__(self):
        self.seconds = 0.0
        archive, reads = qstore._qstore.Archive, qstore._qstore.BackgroundReads
        archive.open = staticmethod(self.timed(archive.open))
        for owner, names in ((archive, ("load", "read")), (reads, ("begin", "finish"))):
            for name in names:
                setattr(owner, name, self.timed(getattr(owner, name)))

    def timed(self, function):
        def call(*arguments):
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - start

        return call


LIBRARY_TIME = LibraryTime()


def content_sum(tensors):
    """Of all bytes, as 64-bit integers modulo 2^64 where there are whole ones: the fastest way."""
    total = 0
    for tensor in tensors:
        data = tensor.reshape(-1).view(torch.uint8)
        words = data.numel() // 8 * 8
        total += int(data[:words].view(torch.int64).sum()) + int(data[words:].sum())
    return total % 2**64


def measure(task):
    load = HOWS[task["how"]]
    LIBRARY_TIME.seconds = 0.0
    start = time.perf_counter()
    tensors = load(task["path"], task["variant"])
    returned = time.perf_counter() - start
    if isinstance(tensors, CppTensors):
        return {"returned": returned}
    times = {"returned": returned}
    if LIBRARY_TIME.seconds > 0:
        times["python"] = returned - LIBRARY_TIME.seconds
    total = content_sum(tensors)
    times["read"] = time.perf_counter() - start
    return {**times, "sum": str(total)}


def start_threads():
    content_sum([torch.zeros(1 << 20)])


def measure_in_turn(tasks):
    """Each twice; the second time counts, which takes the memory that the first has given back."""
    start_threads()
    times = []
    for task in tasks:
        backed_memory.back(task["memory"])
        measure(task)
        times.append(measure(task))
    return times


def measure_once(task):
    """In a process that has imported everything and loaded nothing."""
    start_threads()
    backed_memory.back(task["memory"])
    return measure(task)


def main():
    request = json.load(sys.stdin)
    if request["fresh"]:
        times = [measure_once(task) for task in request["tasks"]]
    else:
        times = measure_in_turn(request["tasks"])
    print(json.dumps(times))


if __name__ == "__main__":
    main()

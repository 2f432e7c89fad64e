# SPDX-License-Identifier: Apache-2.0
"""Times loads into tensors of torch: tasks as JSON on standard input, times as JSON on its output.

With "fresh" there is one task, which runs once; otherwise each runs twice in a row.

A task says how ("mapped", "copied", "load_file" of safetensors; "get_tensor", "get_tensors" of
QStore; "C++": the library called in this process), path and variant. Timed are, in seconds from
opening the file: all tensors returned; every byte of them summed up.
"""

import ctypes
import json
import os
import sys
import time

import backed_memory
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
    start = time.perf_counter()
    tensors = load(task["path"], task["variant"])
    returned = time.perf_counter() - start
    if isinstance(tensors, CppTensors):
        return {"returned": returned}
    total = content_sum(tensors)
    read = time.perf_counter() - start
    return {"returned": returned, "read": read, "sum": str(total)}


def start_threads():
    content_sum([torch.zeros(1 << 20)])


def measure_in_turn(tasks):
    """Each twice; the second time counts."""
    start_threads()
    times = []
    for task in tasks:
        measure(task)
        backed_memory.back(task["memory"])
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

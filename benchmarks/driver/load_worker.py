# SPDX-License-Identifier: Apache-2.0
"""Times loads into tensors of torch: tasks as JSON on standard input, times as JSON on its output.

With "fresh" every task runs in a process of its own, otherwise all in one, twice in a row.

A task says how ("mapped", "copied", "load_file" of safetensors; "get_tensor", "get_tensors" of
QStore), path and variant. Timed are, in seconds from opening the file: all tensors returned; every
byte of them summed up.
"""

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


HOWS = {how.__name__: how for how in (mapped, copied, load_file, get_tensor, get_tensors)}


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
        times.append(measure(task))
    return times


def measure_in_child(task):
    """In a process of its own, which starts with everything imported and nothing loaded."""
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(ends[1], "w") as out:
            start_threads()
            backed_memory.back(task["memory"])
            json.dump(measure(task), out)
            out.flush()
            os._exit(0)
    os.close(ends[1])
    with os.fdopen(ends[0]) as answer:
        time = json.load(answer)
    os.waitpid(child, 0)
    return time


def main():
    request = json.load(sys.stdin)
    if request["fresh"]:
        times = [measure_in_child(task) for task in request["tasks"]]
    else:
        times = measure_in_turn(request["tasks"])
    print(json.dumps(times))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Times Python libraries: reads a request a line on standard input, answers with a line of JSON.

Timed is what a user waits for, from opening the file to the last byte in memory of its own.
"""

import json
import os
import sys
import time
from pathlib import Path

import backed_memory
import page_cache
import torch
import zipnn
from safetensors import safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file

CHUNK = 1 << 20
BURST = 256 << 10


class Bucket:
    """As the one of `qstore bench --bandwidth`."""

    def __init__(self, bandwidth):
        self.rate = (bandwidth or 0) * CHUNK
        self.free_at = time.perf_counter()

    def take(self, size):
        if not self.rate:
            return
        now = time.perf_counter()
        self.free_at = max(self.free_at, now - BURST / self.rate) + size / self.rate
        if self.free_at > now:
            time.sleep(self.free_at - now)


def read(path, bandwidth):
    """The content of a file, in one bytearray."""
    bucket = Bucket(bandwidth)
    data = bytearray(os.path.getsize(path))
    view = memoryview(data)
    with open(path, "rb", buffering=0) as file:
        at = 0
        while at < len(data):
            bucket.take(min(CHUNK, len(data) - at))
            at += file.readinto(view[at : at + CHUNK])
    return data


class Safetensors:
    def __init__(self, request):
        self.request = request
        self.target = Path(request["work"]) / f"{request['dataset']}-safetensors"

    def prepare(self):
        high, low = (os.path.getsize(self.request[key]) for key in ("high", "low"))
        return {"16": high, "8": low, "pair": high + low}

    def files(self, operation):
        keys = {"load_8": ("low",), "load_16_8": ("high", "low"), "save_pair": ("high", "low")}
        return [self.request[key] for key in keys.get(operation, ("high",))]

    def save(self, operation):
        """From tensors that are in memory already."""
        models = [load_file(path) for path in self.files(operation)]
        start = time.perf_counter()
        for number, model in enumerate(models):
            save_file(model, f"{self.target}-{number}")
        seconds = time.perf_counter() - start
        for number in range(len(models)):
            os.remove(f"{self.target}-{number}")
        return seconds, sum(map(os.path.getsize, self.files(operation)))

    def load(self, operation):
        """Tensors are views of the mapped file until they are cloned."""
        start = time.perf_counter()
        tensors = []
        for path in self.files(operation):
            if self.request["bandwidth"]:
                data = bytes(read(path, self.request["bandwidth"]))
                tensors += load_bytes(data).values()
                continue
            with safe_open(path, "pt") as file:
                if operation == "slice":
                    first, end = self.request["rows"]
                    tensors.append(file.get_slice(self.request["tensor"])[first:end].clone())
                elif operation == "tensor":
                    tensors.append(file.get_tensor(self.request["tensor"]).clone())
                else:
                    names = file.keys()
                    tensors += [file.get_tensor(name).clone() for name in names]
        seconds = time.perf_counter() - start
        return seconds, sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class ZipNN:
    """The 16-bit file as one string of bytes, the fastest of the ways its README documents."""

    def __init__(self, request):
        self.request = request
        self.store = Path(request["work"]) / f"{request['dataset']}-zipnn"
        self.is_verified = False

    def files(self, operation):
        return [self.store] if operation == "load_16" else []

    def coder(self):
        return zipnn.ZipNN(input_format="byte", bytearray_dtype="bfloat16")

    def compress(self, target):
        data = read(self.request["high"], None)
        with open(target, "wb", buffering=0) as file:
            file.write(self.coder().compress(data))

    def prepare(self):
        if not self.store.exists():
            self.compress(self.store)
        return {"16": self.store.stat().st_size}

    def save(self, operation):
        if operation != "save_16":
            return None
        target = self.store.with_suffix(".saved")
        start = time.perf_counter()
        self.compress(target)
        seconds = time.perf_counter() - start
        target.unlink()
        return seconds, os.path.getsize(self.request["high"])

    def load(self, operation):
        if operation != "load_16":
            return None
        start = time.perf_counter()
        content = self.coder().decompress(read(self.store, self.request["bandwidth"]))
        seconds = time.perf_counter() - start
        if not self.is_verified and bytes(content) != Path(self.request["high"]).read_bytes():
            raise RuntimeError("ZipNN gave back other bytes")
        self.is_verified = True
        return seconds, len(content)


LIBRARIES = {"safetensors": Safetensors, "zipnn": ZipNN}


def answer(request):
    library = LIBRARIES[request["library"]](request)
    operation = request["operation"]
    if operation == "prepare":
        return {"sizes": library.prepare()}
    times, shares = [], []
    for _ in range(request["runs"]):
        if request["cold"]:
            shares.append(page_cache.drop(library.files(operation)))
        backed_memory.back_for([request["high"], request["low"]])
        result = (
            library.save(operation) if operation.startswith("save") else library.load(operation)
        )
        if result is None:
            return None
        times.append(result[0])
    reply = {"runs": times, "bytes": result[1], "threads": torch.get_num_threads()}
    return {**reply, "resident_share": max(shares)} if shares else reply


def main():
    # Libraries may print; only answers go to the pipe.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main()

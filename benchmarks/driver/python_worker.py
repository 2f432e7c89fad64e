# SPDX-License-Identifier: Apache-2.0
"""Times safetensors and ZipNN, in one process that has them loaded."""

import os
import sys
import time
from pathlib import Path

import torch
import zipnn
from safetensors import safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file
from timed_requests import read, serve

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "python"))
from zipnn_size import zipnn_sizes  # noqa: E402


class Safetensors:
    def __init__(self, request):
        self.request = request
        self.target = Path(request["work"]) / f"{request['dataset']}-safetensors"

    def threads(self):
        return torch.get_num_threads()

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
        if operation in ("load_16_alone", "load_f16"):
            return None
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
    """A 16-bit file as one string of bytes, the fastest of the ways its README documents."""

    DTYPES = {"16": torch.bfloat16, "f16": torch.float16}
    WHICH = {"load_16": "16", "save_16": "16", "load_f16": "f16"}

    def __init__(self, request):
        self.request = request
        self.sources = {"16": request["high"], "f16": request["f16"]}

    def threads(self):
        return torch.get_num_threads()

    def store(self, which):
        return Path(self.request["work"]) / f"{self.request['dataset']}-zipnn-{which}"

    def files(self, operation):
        return [self.store(self.WHICH[operation])] if operation in self.WHICH else []

    def coder(self, which):
        name = str(self.DTYPES[which]).removeprefix("torch.")
        return zipnn.ZipNN(input_format="byte", bytearray_dtype=name)

    def compress(self, which, target):
        data = read(self.sources[which], None)
        with open(target, "wb", buffering=0) as file:
            file.write(self.coder(which).compress(data))

    def decompress(self, which):
        return self.coder(which).decompress(read(self.store(which), self.request["bandwidth"]))

    def prepare(self):
        """Bytes as they are loaded, and in the smallest of its ways."""
        sizes = {}
        for which, dtype in self.DTYPES.items():
            self.compress(which, self.store(which))
            source = Path(self.sources[which])
            if bytes(self.decompress(which)) != source.read_bytes():
                raise RuntimeError("ZipNN gave back other bytes")
            sizes[which] = self.store(which).stat().st_size
            smallest = min(zipnn_sizes(source, dtype).values())
            sizes[f"{which} smallest"] = min(sizes[which], smallest)
        return sizes

    def save(self, operation):
        which = self.WHICH.get(operation)
        if which is None:
            return None
        target = self.store(which).with_suffix(".saved")
        start = time.perf_counter()
        self.compress(which, target)
        seconds = time.perf_counter() - start
        target.unlink()
        return seconds, os.path.getsize(self.sources[which])

    def load(self, operation):
        which = self.WHICH.get(operation)
        if which is None:
            return None
        start = time.perf_counter()
        content = self.decompress(which)
        return time.perf_counter() - start, len(content)


LIBRARIES = {"safetensors": Safetensors, "zipnn": ZipNN}


if __name__ == "__main__":
    serve(LIBRARIES)

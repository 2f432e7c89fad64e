# SPDX-License-Identifier: Apache-2.0
"""The size of a 16-bit model by ZipNN (PyPI), in the best of the ways its README documents."""

from pathlib import Path

import torch
import zipnn
from safetensors import safe_open

DTYPE_NAMES = {torch.bfloat16: "bfloat16", torch.float16: "float16", torch.float32: "float32"}


def _per_tensor(path):
    """Every tensor by itself, the header kept; a tensor that does not shrink is kept too."""
    total = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 -- safe_open is no mapping
            tensor = file.get_tensor(key)
            raw = tensor.numel() * tensor.element_size()
            if tensor.dtype in DTYPE_NAMES and tensor.numel():
                coder = zipnn.ZipNN(input_format="torch")
                total += min(raw, len(coder.compress(tensor.clone())))
            else:
                total += raw
    return total


def _whole_file(path, dtype, chunk):
    """The file as one string of bytes. ZipNN overwrites its input, hence the copy."""
    coder = zipnn.ZipNN(input_format="byte", bytearray_dtype=dtype, compression_chunk=chunk)
    return len(coder.compress(bytearray(path.read_bytes())))


def zipnn_sizes(path, dtype):
    """Bytes by way of compressing. `dtype` is the torch dtype of the file's floats."""
    path = Path(path)
    sizes = {"per tensor": _per_tensor(path)}
    for chunk in (128 << 10, 256 << 10):
        sizes[f"whole file, chunks of {chunk >> 10} KiB"] = _whole_file(
            path, DTYPE_NAMES[dtype], chunk
        )
    return sizes

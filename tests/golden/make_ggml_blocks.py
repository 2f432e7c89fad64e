#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes ggml_blocks.bin: rows of weights, and the blocks that ggml makes of them.

usage: make_ggml_blocks.py MODEL.safetensors

MODEL has BF16 matrices of rows of 512 weights or more. libgguf and xllamacpp, which have ggml in
them, must agree; where they do not, nothing is written. The file, all numbers little-endian:

  rows, columns         4 bytes each
  weights               rows * columns binary32
  importance            columns binary32
  then, for each type, with and without importance if it heeds that:
  type                  1 byte, of include/qstore/dtype.h
  with importance       1 byte
  blocks                of all rows
"""

import ctypes
import json
import struct
import sys
from pathlib import Path

import gguf
import libgguf
import numpy as np
import xllamacpp

COLUMNS = 512
# Of these types importance changes nothing.
PLAIN = {"Q8_0": 26, "TQ1_0": 43, "TQ2_0": 44, "MXFP4": 45, "NVFP4": 46}
SEARCHED = {
    "Q4_0": 22,
    "Q4_1": 23,
    "Q5_0": 24,
    "Q5_1": 25,
    "Q2_K": 28,
    "Q3_K": 29,
    "Q4_K": 30,
    "Q5_K": 31,
    "Q6_K": 32,
    "IQ4_NL": 41,
    "IQ4_XS": 42,
}


def model_rows(path):
    """A row of each of some matrices."""
    data = Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    for name, entry in sorted(json.loads(data[8:start]).items()):
        if name == "__metadata__" or entry["dtype"] != "BF16" or len(entry["shape"]) != 2:
            continue
        begin, end = entry["data_offsets"]
        patterns = np.frombuffer(data[start + begin : start + end], "<u2").astype(np.uint32) << 16
        if patterns.size >= 1024 * COLUMNS:
            middle = patterns.size // 2 // COLUMNS
            yield patterns.view(np.float32).reshape(-1)[middle * COLUMNS : (middle + 1) * COLUMNS]


def special_rows(random):
    normal = random.standard_normal(COLUMNS)
    zeros = np.zeros(COLUMNS)
    zeros[::3] = -0.0
    zeros[300] = 1
    yield zeros
    yield normal * 1e-21
    yield normal * np.repeat(10.0 ** np.arange(-40, -8), 16)
    yield normal * 1e36
    yield np.repeat([-0.75, 3.0, 0.1, -2.5], 128)
    yield -1 + normal * 1e-5
    outliers = normal * (random.random(COLUMNS) < 0.2)
    outliers[::61] *= 1000
    yield outliers


def blocks_of(library, name, weights, importance):
    number = int(gguf.GGMLQuantizationType[name])
    row_bytes = library.ggml_row_size(number, ctypes.c_int64(COLUMNS))
    first = np.zeros((len(weights), row_bytes), np.uint8)
    pointer = None if importance is None else ctypes.c_void_p(importance.ctypes.data)
    library.ggml_quantize_chunk(
        number,
        ctypes.c_void_p(weights.ctypes.data),
        ctypes.c_void_p(first.ctypes.data),
        ctypes.c_int64(0),
        ctypes.c_int64(len(weights)),
        ctypes.c_int64(COLUMNS),
        pointer,
    )
    second = np.asarray(libgguf.quantize_rows(weights, number, imatrix=importance))
    if first.tobytes() != second.tobytes():
        raise SystemExit(f"{name}: the libraries differ")
    return first.tobytes()


def main(argv):
    if len(argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    random = np.random.default_rng(3)
    rows = [*list(model_rows(argv[1]))[::5][:5], *special_rows(random)]
    weights = np.ascontiguousarray(rows, np.float32)
    importance = (random.standard_normal(COLUMNS) ** 2).astype(np.float32)
    importance[::29] = 0
    library = ctypes.CDLL(str(Path(xllamacpp.__file__).parent / "xllamacpp.abi3.so"))
    library.ggml_row_size.restype = ctypes.c_size_t
    out = [struct.pack("<II", *weights.shape), weights.tobytes(), importance.tobytes()]
    for name, number in {**SEARCHED, **PLAIN}.items():
        for given in (None, importance)[: 2 if name in SEARCHED else 1]:
            out += [bytes([number, given is not None]), blocks_of(library, name, weights, given)]
    target = Path(__file__).resolve().parent / "ggml_blocks.bin"
    target.write_bytes(b"".join(out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

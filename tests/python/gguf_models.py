# SPDX-License-Identifier: Apache-2.0
"""GGUF files as the package gguf writes them."""

import contextlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

# This package counts 40 bytes for a block of Q8_1, which ggml has 36 bytes for: no file has any.
BLOCK_TYPES = [
    kind
    for kind, (weights, _) in gguf.GGML_QUANT_SIZES.items()
    if weights > 1 and kind != Type.Q8_1
]
PLAIN_TYPES = {
    np.float32: Type.F32,
    np.float16: Type.F16,
    np.float64: Type.F64,
    np.int8: Type.I8,
    np.int16: Type.I16,
    np.int32: Type.I32,
    np.int64: Type.I64,
}


def vocabulary(count=3000, seed=1):
    random = np.random.default_rng(seed)
    return [f"token{number}" for number in random.permutation(count)]


def blocks_of_noise(kind, rows, blocks, seed):
    _, size = gguf.GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (rows, blocks * size), dtype=np.uint8)


def quantized(kind, rows, columns, seed):
    """Weights as the package rounds them."""
    random = np.random.default_rng(seed)
    weights = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
    return gguf.quantize(weights, kind)


def write(path, tensors, tokens=(), name="model", alignment=None, endianess=None):
    """`tensors` are name to an array, of blocks together with their type."""
    options = {} if endianess is None else {"endianess": endianess}
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_name(name)
    writer.add_uint32("llama.block_count", 2)
    writer.add_array("some.flags", [True, False, True])
    if alignment:
        writer.add_custom_alignment(alignment)
    if tokens:
        writer.add_token_list(tokens)
        writer.add_token_scores([float(number) for number in range(len(tokens))])
        writer.add_token_merges([f"{a} {b}" for a, b in zip(tokens, tokens[1:], strict=False)])
    for title, tensor in tensors.items():
        array, kind = tensor if isinstance(tensor, tuple) else (tensor, None)
        writer.add_tensor(title, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def every_type():
    """Tensors of every type: noise, what the package makes of weights, and plain numbers."""
    tensors = {}
    for seed, kind in enumerate(BLOCK_TYPES):
        tensors[f"noise.{kind.name}"] = blocks_of_noise(kind, 3, 2, seed), kind
        with contextlib.suppress(NotImplementedError):
            tensors[f"weights.{kind.name}"] = quantized(kind, 16, 512, seed), kind
    random = np.random.default_rng(2)
    for dtype, kind in PLAIN_TYPES.items():
        tensors[f"{kind.name}.cube"] = random.integers(-9, 9, (2, 3, 5)).astype(dtype)
        tensors[f"{kind.name}.list"] = random.integers(-9, 9, 7).astype(dtype)
    bits = random.integers(0, 256, (4, 20), dtype=np.uint8)
    tensors["BF16.matrix"] = bits, Type.BF16
    return tensors

# SPDX-License-Identifier: Apache-2.0
"""Tensors of every type that torch and safetensors both have, and when two are equal."""

import torch

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e8m0fnu",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
]


def random_tensor(dtype, shape, seed):
    """Any bytes of that type; only 0 and 1 for bool."""
    generator = torch.Generator().manual_seed(seed)
    element = torch.empty((), dtype=dtype).element_size()
    size = element * torch.Size(shape).numel()
    content = torch.randint(0, 2 if dtype == torch.bool else 256, (size,), generator=generator)
    return content.to(torch.uint8).view(dtype).reshape(shape)


def every_dtype():
    """Tensors of every type, some empty, some without dimensions."""
    tensors = {}
    for seed, name in enumerate(DTYPES):
        dtype = getattr(torch, name)
        tensors[f"{name}.cube"] = random_tensor(dtype, (6, 5, 4), seed)
        tensors[f"{name}.vector"] = random_tensor(dtype, (7,), seed)
        tensors[f"{name}.scalar"] = random_tensor(dtype, (), seed)
        tensors[f"{name}.empty"] = random_tensor(dtype, (3, 0, 2), seed)
    return tensors


def equal(a, b):
    """Whether two of one type and shape have the same bytes; a NaN equals itself."""
    if isinstance(a, torch.Tensor):
        a, b = (
            t.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).numpy()
            for t in (a, b)
        )
    return a.tobytes() == b.tobytes()


def same(loaded, expected):
    """Whether two mappings have the same names with equal tensors."""
    return loaded.keys() == expected.keys() and all(
        equal(loaded[name], expected[name]) for name in expected
    )


def header_stored(qstore, archive, variant, name):
    """What the first read of a tensor takes beside it: the header of its file."""
    (stored,) = (
        tensor.stored_bytes
        for tensor in qstore.Archive(archive).variant(variant).tensors
        if tensor.name == name
    )
    with qstore.safe_open(archive, variant, threads=1) as f:
        opened = f.bytes_read
        f.get_tensor(name)
        return f.bytes_read - opened - stored

# SPDX-License-Identifier: Apache-2.0
"""What reading needs of torch and NumPy: memory, types and indexing by their own rules."""

from __future__ import annotations

import math
from typing import Any

from qstore import _qstore
from qstore.errors import InvalidArgumentError

_TORCH_TYPES = {
    "BOOL": "bool",
    "F4": "float4_e2m1fn_x2",  # Two elements in a byte; the last dimension counts bytes.
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}
_NUMPY_TYPES = {
    name: torch_name
    for name, torch_name in _TORCH_TYPES.items()
    if not torch_name.startswith(("float8", "float4", "bfloat"))
}
_ML_DTYPES = {
    name: torch_name
    for name, torch_name in _TORCH_TYPES.items()
    if torch_name.startswith(("float8", "bfloat"))
}

# Types of ggml, each with the weights and the bytes of a block. Tensors of them are bytes, rows of
# whole blocks, as the package gguf has them.
_BLOCKS = {
    name: (weights, bits // 8) for name, (weights, bits) in _qstore.types().items() if weights > 1
}
_TORCH_TYPES |= dict.fromkeys(_BLOCKS, "uint8")
_NUMPY_TYPES |= dict.fromkeys(_BLOCKS, "uint8")

Shape = tuple[int, ...]

# Bytes from which on a tensor's memory is huge pages of its own; less would waste most of one.
_HUGE = 4 << 20


def in_memory(dtype: str, shape: Shape) -> Shape:
    """The shape that a tensor has when it is read: of blocks the last dimension counts bytes."""
    if dtype not in _BLOCKS or not shape:
        return shape
    weights, size = _BLOCKS[dtype]
    return (*shape[:-1], shape[-1] // weights * size)


class TorchFramework:
    """Tensors of torch. `device` is whatever torch.device takes; reading goes by way of the CPU."""

    is_torch = True

    def __init__(self, device: Any) -> None:
        import torch

        self.torch = torch
        # The usual name is known without torch, which takes as long for it as for a tensor.
        self.device = device if device == "cpu" else self._parse(device)
        self._is_cpu = device == "cpu" or self.device.type == "cpu"

    def dtype(self, name: str) -> Any:
        dtype = getattr(self.torch, _TORCH_TYPES.get(name, ""), None)
        if dtype is None:
            raise InvalidArgumentError(f"torch {self.torch.__version__} has no type for {name}")
        return dtype

    def empty(self, dtype: str, shape: Shape) -> tuple[Any, Any]:
        """A tensor and its memory as bytes, one dimension."""
        own = self.dtype(dtype)
        size = own.itemsize * math.prod(self._shape(dtype, shape))
        if size >= _HUGE:
            memory = _qstore.allocate(size)
            return self.wrap(memory, dtype, shape), memory
        tensor = self.torch.empty(self._shape(dtype, shape), dtype=own, device="cpu")
        return tensor, tensor.view(-1).view(self.torch.uint8)

    def wrap(self, memory: memoryview, dtype: str, shape: Shape) -> Any:
        """A tensor that shares memory made by the extension, and is no view of another tensor."""
        tensor = self.torch.frombuffer(memory, dtype=self.dtype(dtype))
        return tensor.resize_(self._shape(dtype, shape))

    def check_index(self, index: Any, dtype: str, shape: Shape) -> None:
        """Raises what torch raises for such an index, without a tensor that has content. `shape` is
        that in memory."""
        if dtype == "F4":
            raise InvalidArgumentError("tensors of F4 are read whole: bytes hold two elements")
        self.torch.empty(shape, dtype=self.dtype(dtype), device="meta")[index]

    def select(self, tensor: Any, index: Any) -> Any:
        """The elements, in memory of their own when they are not all of the tensor."""
        part = tensor[index]
        whole = part.numel() == tensor.numel() and part.is_contiguous()
        return part if whole else part.clone(memory_format=self.torch.contiguous_format)

    def finish(self, tensor: Any) -> Any:
        return tensor if self._is_cpu else tensor.to(self.device)

    def _parse(self, device: Any) -> Any:
        try:
            parsed = self.torch.device(device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise InvalidArgumentError(f"device {device!r}: {error}") from None
        if parsed.type == "meta":
            raise InvalidArgumentError("device 'meta' holds no content")
        return parsed

    @staticmethod
    def _shape(dtype: str, shape: Shape) -> Shape:
        if dtype != "F4":
            return in_memory(dtype, shape)
        if not shape or shape[-1] % 2 != 0:
            raise InvalidArgumentError(f"torch has no tensor of F4 with shape {list(shape)}")
        return (*shape[:-1], shape[-1] // 2)


class NumpyFramework:
    """Arrays of NumPy; BF16 and FP8 by the types of ml_dtypes."""

    is_torch = False

    def __init__(self, device: Any) -> None:
        import numpy

        self.numpy = numpy
        if str(device) != "cpu":
            raise InvalidArgumentError(f"device {device!r}: but for torch there is the cpu only")

    def dtype(self, name: str) -> Any:
        if name in _NUMPY_TYPES:
            return self.numpy.dtype(_NUMPY_TYPES[name])
        if name not in _ML_DTYPES:
            raise InvalidArgumentError(f"NumPy has no type for {name}; framework='pt' may have one")
        try:
            import ml_dtypes
        except ImportError:
            raise InvalidArgumentError(
                f"NumPy has no {name} of its own: install ml_dtypes, or read with framework='pt'"
            ) from None
        dtype = getattr(ml_dtypes, _ML_DTYPES[name], None)
        if dtype is None:
            raise InvalidArgumentError(f"ml_dtypes {ml_dtypes.__version__} has no {name}")
        return self.numpy.dtype(dtype)

    def empty(self, dtype: str, shape: Shape) -> tuple[Any, Any]:
        """An array and its memory as bytes, one dimension."""
        own = self.dtype(dtype)
        size = own.itemsize * math.prod(in_memory(dtype, shape))
        if size >= _HUGE:
            memory = _qstore.allocate(size)
            return self.wrap(memory, dtype, shape), memory
        array = self.numpy.empty(in_memory(dtype, shape), own)
        return array, array.reshape(-1).view(self.numpy.uint8)

    def wrap(self, memory: memoryview, dtype: str, shape: Shape) -> Any:
        """An array that shares memory made by the extension."""
        array = self.numpy.frombuffer(memory, self.numpy.uint8).view(self.dtype(dtype))
        return array.reshape(in_memory(dtype, shape))

    def check_index(self, index: Any, dtype: str, shape: Shape) -> None:
        """Indices were checked while they were brought into their usual form."""
        self.dtype(dtype)

    def select(self, array: Any, index: tuple[Any, ...]) -> Any:
        """The elements, in memory of their own when they are not all of the array."""
        part = array[(*index, Ellipsis)]
        whole = part.size == array.size and part.flags.c_contiguous
        return part if whole else part.copy()

    def finish(self, array: Any) -> Any:
        return array


Framework = TorchFramework | NumpyFramework

_NAMES: dict[str, type[TorchFramework] | type[NumpyFramework]] = {
    "pt": TorchFramework,
    "torch": TorchFramework,
    "pytorch": TorchFramework,
    "np": NumpyFramework,
    "numpy": NumpyFramework,
}
_DLPACK = "jax-dlpack"


def find_framework(name: str, device: Any) -> Framework:
    """Raises InvalidArgumentError when there is no such framework or device."""
    if name == _DLPACK:
        from qstore._dlpack import DlpackFramework

        return DlpackFramework(device)
    if name not in _NAMES:
        names = ", ".join((*_NAMES, _DLPACK))
        raise InvalidArgumentError(f"framework {name!r} is none of: {names}")
    return _NAMES[name](device)

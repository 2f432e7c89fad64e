# SPDX-License-Identifier: Apache-2.0
"""Tensors that any framework with DLPack takes without a copy, JAX among them."""

from __future__ import annotations

from typing import Any

from qstore import _qstore
from qstore._frameworks import NumpyFramework

# DLPack's numbers of kinds (DLDataTypeCode), by the names of NumPy and ml_dtypes.
_CODES = {
    "float8_e4m3fn": 10,
    "float8_e4m3fnuz": 11,
    "float8_e5m2": 12,
    "float8_e5m2fnuz": 13,
    "float8_e8m0fnu": 14,
    "bfloat16": 4,
}
_CODES_OF_KINDS = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}


class DLPackTensor:
    """A tensor in memory, for `jax.dlpack.from_dlpack`, `torch.from_dlpack` and the like.

    `shape` is a tuple, `dtype` the name that NumPy, or ml_dtypes, has for the type. Its consumers
    share the memory, which lives as long as one of them. Thread-safe.
    """

    def __init__(self, array: Any) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.dtype: str = array.dtype.name
        code = _CODES.get(self.dtype)
        if code is None:
            code = _CODES_OF_KINDS[array.dtype.kind]
        memory = array.reshape(-1).view("uint8")
        self._native = _qstore.dlpack(memory, array.shape, code, 8 * array.dtype.itemsize)

    def __dlpack__(self, **options: Any) -> Any:
        """A capsule; `options` are those of the array API standard. Raises BufferError."""
        return self._native.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The CPU: (1, 0)."""
        kind, number = self._native.__dlpack_device__()
        return kind, number

    def __repr__(self) -> str:
        return f"<qstore.DLPackTensor {self.dtype} {list(self.shape)}>"


class DlpackFramework(NumpyFramework):
    """Reads as for NumPy, and hands out what every framework takes."""

    def finish(self, array: Any) -> DLPackTensor:
        return DLPackTensor(array)

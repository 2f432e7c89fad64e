# SPDX-License-Identifier: Apache-2.0
"""QStore: one model in several precisions in a single lossless archive.

    with qstore.safe_open("m.qstore", "int8", framework="pt") as f:
        weight = f.get_tensor("lm_head.weight")

`qstore.torch` and `qstore.numpy` load all tensors of a variant, `qstore.transformers` loads models,
`qstore.diffusers` loads pipelines, and `qstore.gguf` reads GGUF models. They import their framework
when first used. `qstore.vllm` is for vLLM, which finds it by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qstore._archive import Archive, File, Inspection, Tensor, Variant, inspect
from qstore._change import AddReport, CompactReport, DropReport, add, compact, drop
from qstore._get import get
from qstore._operations import (
    PackReport,
    QuantizeReport,
    UnpackReport,
    VerifyReport,
    pack,
    quantize,
    unpack,
    verify,
)
from qstore._prefetch import PrefetchLoader
from qstore._qstore import __version__, instruction_set
from qstore._reader import safe_open
from qstore._slices import TensorSlice
from qstore.errors import (
    AlreadyExistsError,
    CancelledError,
    ClosedError,
    CorruptError,
    InternalError,
    InvalidArgumentError,
    InvalidSliceError,
    IoError,
    LimitError,
    MismatchError,
    NotFoundError,
    PathNotFoundError,
    QStoreError,
    SourceChangedError,
    UnknownNameError,
    UnsupportedFeatureError,
    UnsupportedVersionError,
)

if TYPE_CHECKING:
    from qstore import diffusers, gguf, numpy, torch, transformers

__all__ = [
    "AddReport",
    "AlreadyExistsError",
    "Archive",
    "CancelledError",
    "ClosedError",
    "CompactReport",
    "CorruptError",
    "DropReport",
    "File",
    "Inspection",
    "InternalError",
    "InvalidArgumentError",
    "InvalidSliceError",
    "IoError",
    "LimitError",
    "MismatchError",
    "NotFoundError",
    "PackReport",
    "PathNotFoundError",
    "PrefetchLoader",
    "QStoreError",
    "QuantizeReport",
    "SourceChangedError",
    "Tensor",
    "TensorSlice",
    "UnknownNameError",
    "UnpackReport",
    "UnsupportedFeatureError",
    "UnsupportedVersionError",
    "Variant",
    "VerifyReport",
    "__version__",
    "add",
    "compact",
    "diffusers",
    "drop",
    "get",
    "gguf",
    "inspect",
    "instruction_set",
    "numpy",
    "pack",
    "quantize",
    "safe_open",
    "torch",
    "transformers",
    "unpack",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in ("diffusers", "gguf", "numpy", "torch", "transformers"):
        return import_module(f"qstore.{name}")
    raise AttributeError(f"module 'qstore' has no attribute '{name}'")

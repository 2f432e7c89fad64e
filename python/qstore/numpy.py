# SPDX-License-Identifier: Apache-2.0
"""Whole variants as arrays of NumPy, and archives of arrays in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from qstore._archive import Location
from qstore._operations import PackReport
from qstore._progress import Progress
from qstore._reader import safe_open
from qstore._saving import pack_tensors

__all__ = ["load_file", "save_file", "save_variants"]

Array = numpy.ndarray[Any, Any]


def load_file(
    path: Location,
    variant: str | None = None,
    *,
    threads: int = 0,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    max_memory: int | None = None,
    max_bytes: int | None = None,
) -> dict[str, Array]:
    """All tensors of a variant, by name, with the types and shapes they were saved with.

    BF16 and FP8 have the types of ml_dtypes, which must be installed for them. The arrays share one
    piece of memory, which lives as long as one of them. `progress` is that of `qstore.pack`; other
    options are those of `qstore.safe_open`. Thread-safe; releases the GIL. Raises what
    `qstore.safe_open` and its `get_tensors` raise.
    """
    with safe_open(
        path,
        variant,
        "np",
        threads=threads,
        storage_options=storage_options,
        max_memory=max_memory,
        max_bytes=max_bytes,
    ) as file:
        return file.get_tensors(progress=progress)


def save_file(
    tensors: Mapping[str, Array],
    path: str | os.PathLike[str],
    variant: str = "model",
    metadata: dict[str, str] | None = None,
    **options: Any,
) -> PackReport:
    """Saves arrays, by name, as the only variant of a new archive.

    The same as `save_variants` of one variant.
    """
    return save_variants({variant: tensors}, path, metadata, **options)


def save_variants(
    variants: Mapping[str, Mapping[str, Array]],
    path: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
    *,
    level: str = "balanced",
    parents: Mapping[str, str] | None = None,
    direct: str | Sequence[str] = (),
    threads: int = 0,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress = None,
) -> PackReport:
    """Saves several precisions of one model, each as {name: array}, in a new archive.

    Each variant has one file, model.safetensors, as safetensors.numpy.save_file writes it; these
    files lie beside `path` until they are packed, or it failed. Options are those of
    `qstore.pack`. Raises what that does and what safetensors.numpy.save_file does; ImportError when
    safetensors is not installed.
    """
    import safetensors.numpy

    def write(tensors: Mapping[str, Array], file: Path) -> None:
        # It writes the memory as it lies, whatever the strides say.
        contiguous = {name: numpy.ascontiguousarray(array) for name, array in tensors.items()}
        shaped = {name: array.reshape(tensors[name].shape) for name, array in contiguous.items()}
        safetensors.numpy.save_file(shaped, file, metadata=metadata)

    return pack_tensors(
        variants,
        path,
        write,
        level=level,
        parents=parents,
        direct=direct,
        threads=threads,
        overwrite=overwrite,
        sync=sync,
        progress=progress,
    )

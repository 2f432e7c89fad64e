# SPDX-License-Identifier: Apache-2.0
"""All tensors of a variant as arrays of NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from qstore._archive import Location
from qstore._progress import Progress
from qstore._reader import safe_open

__all__ = ["load_file"]


def load_file(
    path: Location,
    variant: str | None = None,
    *,
    threads: int = 0,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    max_memory: int | None = None,
    max_bytes: int | None = None,
) -> dict[str, numpy.ndarray[Any, Any]]:
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

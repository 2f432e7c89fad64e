# SPDX-License-Identifier: Apache-2.0
"""Variants as files in a cache."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from qstore import _qstore
from qstore._archive import Location, encode, open_archive
from qstore._progress import Progress, reported
from qstore.errors import PathNotFoundError, UnknownNameError

# What this process was given stays in the cache until it ends.
_in_use: dict[str, object] = {}


def get(
    archive: Location,
    variant: str | None = None,
    *,
    file: str = "",
    cache: str | os.PathLike[str] | None = None,
    cache_size: int = 0,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress = None,
    max_memory: int | None = None,
) -> pathlib.Path:
    """Restores the files of a variant once in a cache, and returns where they are.

    The path is that of the file when `file` names one or the variant has no other. Else it is that
    of the directory. `cache` is $QSTORE_CACHE, else $XDG_CACHE_HOME/qstore, else ~/.cache/qstore.
    It holds at most `cache_size` bytes (0: half of the disk). To make room, what was asked for
    longest ago is removed, but nothing that another process makes, or has got by this function. The
    files are compared with their digests when they are made.
    Raises UnknownNameError, LimitError (larger than the cache may be), IoError (no space left), and
    what `unpack` and `Archive` raise.
    """
    opened = open_archive(archive, storage_options, max_memory)
    name = opened.variant_names[opened.find_variant(variant)]
    where = b"" if cache is None else encode(cache)
    try:
        with reported(progress, "get") as tell:
            path, lock = _qstore.get(
                opened._native, name, encode(file), where, cache_size, threads, tell
            )
    except PathNotFoundError as error:
        if not file:
            raise
        raise UnknownNameError(*error.args) from None
    found = pathlib.Path(os.fsdecode(path))
    _in_use[str(found)] = lock
    return found

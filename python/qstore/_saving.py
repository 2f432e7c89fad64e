# SPDX-License-Identifier: Apache-2.0
"""Packing tensors that are in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qstore._operations import PackReport, pack
from qstore.errors import InvalidArgumentError

T = TypeVar("T")


def pack_tensors(
    variants: Mapping[str, Mapping[str, T]],
    path: str | os.PathLike[str],
    write: Callable[[Mapping[str, T], Path], None],
    **options: Any,
) -> PackReport:
    """Packs a file model.safetensors for each variant, which `write` makes beside `path`.

    The files are there until they are packed, or it failed. `options` are those of `qstore.pack`.
    Raises what that and `write` raise; InvalidArgumentError for what is no mapping.
    """
    _check(variants, "variants", "{name: tensors}")
    for name, tensors in variants.items():
        _check(tensors, f"variant {name!r}", "{name: tensor}")
    beside = os.path.dirname(os.path.abspath(os.fspath(path)))
    with tempfile.TemporaryDirectory(prefix=".qstore-", suffix=".tmp", dir=beside) as folder:
        sources = {}
        for number, (name, tensors) in enumerate(variants.items()):
            sources[name] = Path(folder) / str(number)
            sources[name].mkdir()
            write(tensors, sources[name] / "model.safetensors")
        return pack(sources, path, **options)


def _check(given: object, what: str, form: str) -> None:
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"{what}: a mapping {form}, not a {type(given).__name__}")

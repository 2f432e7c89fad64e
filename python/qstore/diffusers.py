# SPDX-License-Identifier: Apache-2.0
"""Pipelines of diffusers and their components, straight from an archive.

    pipeline = qstore.diffusers.from_pretrained("m.qstore", "bf16", torch_dtype=torch.bfloat16)
    unet = qstore.diffusers.load_component("m.qstore", "fp8", "unet")

Weights are never written to disk. Files other than weights go to a temporary directory meanwhile.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from qstore._archive import Archive, Location, open_model
from qstore._json import parse_object
from qstore._virtual_files import variant_directory
from qstore.errors import InvalidArgumentError, QStoreError, UnknownNameError

__all__ = ["from_pretrained", "load_component"]

_INDEX = "model_index.json"
_LIBRARIES = ("transformers", "diffusers")


def from_pretrained(
    path: Location,
    variant: str | None = None,
    *,
    pipeline_class: Any = None,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The pipeline that `from_pretrained` gives for the unpacked directory of a variant.

    `pipeline_class` is diffusers.DiffusionPipeline when it is None. `path`, also "owner/name" on
    the Hub, `threads` and `storage_options` are as in `qstore.transformers`. `variant` is that of
    the archive: diffusers' own option of this name has no meaning here. All other options go to
    `from_pretrained`, components that are made already among them; weights of these are not read.
    Raises UnknownNameError (listing the variants), CorruptError (naming the tensor), and what
    `qstore.Archive` and diffusers raise.
    """
    archive = open_model(path, storage_options, options)
    loader = pipeline_class
    if loader is None:
        loader = _find_class(archive, "diffusers", "DiffusionPipeline")
    return _load(loader, archive, variant, threads, options)


def load_component(
    path: Location,
    variant: str | None = None,
    name: str | None = None,
    *,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """One part of a pipeline: what its class's `from_pretrained` gives for the unpacked directory.

    `name` is one of model_index.json, as "unet" or "text_encoder_2", whose class stands there. It
    may be None where the variant is a component alone, with a config.json that names its class. A
    component of one variant may go into the pipeline of another one: `from_pretrained(…, unet=…)`.
    Other arguments and errors are those of `from_pretrained`; UnknownNameError lists the
    components that there are.
    """
    archive = open_model(path, storage_options, options)
    if name is None:
        return _load(_class_alone(archive, variant), archive, variant, threads, options)
    index = parse_object(archive.read_file(variant, _INDEX), f"{archive.path}: {_INDEX}")
    parts = {key: value for key, value in index.items() if _is_part(value)}
    if name not in parts:
        raise UnknownNameError(
            f"{archive.path}: no component is named {name!r}; there are: {', '.join(parts)}"
        )
    library, kind = parts[name]
    loader = _find_class(archive, library, kind)
    return _load(loader, archive, variant, threads, options | {"subfolder": name})


def _load(
    loader: Any, archive: Archive, variant: str | None, threads: int, options: dict[str, Any]
) -> Any:
    errors: list[QStoreError] = []
    with variant_directory(archive, variant, threads, errors, _LIBRARIES) as folder:
        try:
            result = loader.from_pretrained(os.fspath(folder), **options)
        except Exception as error:
            if errors and error is not errors[0]:
                raise errors[0] from error
            raise
    if errors:
        raise errors[0]
    return result


def _is_part(value: Any) -> bool:
    """Whether model_index.json names a library and a class, and not null for both."""
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)


def _class_alone(archive: Archive, variant: str | None) -> Any:
    if any(file.path == _INDEX for file in archive.files(variant)):
        raise InvalidArgumentError(f"{archive.path}: is a pipeline: name one of its components")
    where = f"{archive.path}: config.json"
    config = parse_object(archive.read_file(variant, "config.json"), where)
    return _find_class(archive, "diffusers", str(config.get("_class_name")))


def _find_class(archive: Archive, library: str, kind: str) -> Any:
    if library not in _LIBRARIES:
        raise InvalidArgumentError(
            f"{archive.path}: {kind} is of {library}: only those of {' and '.join(_LIBRARIES)} load"
        )
    found = getattr(importlib.import_module(library), kind, None)
    if not hasattr(found, "from_pretrained"):
        raise InvalidArgumentError(f"{archive.path}: {library} has no class {kind}")
    return found

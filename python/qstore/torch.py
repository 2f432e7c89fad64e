# SPDX-License-Identifier: Apache-2.0
"""All tensors of a variant as tensors of torch, and archives of tensors in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from qstore._archive import Location
from qstore._operations import PackReport
from qstore._progress import Progress
from qstore._reader import safe_open
from qstore._saving import pack_tensors

__all__ = ["load_file", "load_model", "save_file", "save_variants"]

Device = str | int | torch.device


def load_file(
    path: Location,
    variant: str | None = None,
    device: Device = "cpu",
    *,
    threads: int = 0,
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
    max_memory: int | None = None,
    max_bytes: int | None = None,
) -> dict[str, torch.Tensor]:
    """All tensors of a variant, by name, with the types and shapes they were saved with.

    They share one piece of memory, which lives as long as one of them. `progress` is that of
    `qstore.pack`; other options are those of `qstore.safe_open`. Thread-safe; releases the GIL.
    Raises what `qstore.safe_open` and its `get_tensors` raise.
    """
    with safe_open(
        path,
        variant,
        "pt",
        device,
        threads=threads,
        storage_options=storage_options,
        max_memory=max_memory,
        max_bytes=max_bytes,
    ) as file:
        return file.get_tensors(progress=progress)


def load_model(
    model: torch.nn.Module,
    path: Location,
    variant: str | None = None,
    strict: bool = True,
    device: Device = "cpu",
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Copies the tensors of a variant into a model, as safetensors.torch.load_model does.

    Returns the names that only the model has, and those that only the variant has. A name whose
    tensor the model shares with a loaded one is not missing. With `strict`, such names raise
    RuntimeError before anything is copied. Raises what `load_file` raises.
    """
    loaded = load_file(path, variant, device, storage_options=storage_options)
    own = model.state_dict()
    filled = {_place(own[name]) for name in loaded if name in own}
    missing = sorted(name for name in own if name not in loaded and _place(own[name]) not in filled)
    unexpected = sorted(name for name in loaded if name not in own)
    if strict and (missing or unexpected):
        raise RuntimeError(
            f"{type(model).__name__} and variant {variant!r} differ:"
            f" missing {_few(missing)}; unexpected {_few(unexpected)}"
        )
    model.load_state_dict(loaded, strict=False)
    return missing, unexpected


def save_file(
    tensors: Mapping[str, torch.Tensor],
    path: str | os.PathLike[str],
    variant: str = "model",
    metadata: dict[str, str] | None = None,
    **options: Any,
) -> PackReport:
    """Saves tensors, by name, as the only variant of a new archive.

    The same as `save_variants` of one variant.
    """
    return save_variants({variant: tensors}, path, metadata, **options)


def save_variants(
    variants: Mapping[str, Mapping[str, torch.Tensor]],
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
    """Saves several precisions of one model, each as {name: tensor}, in a new archive.

    Each variant has one file, model.safetensors, as safetensors.torch.save_file writes it. These
    files lie beside `path` until they are packed, or it failed. Options are those of `qstore.pack`.

    Raises what `qstore.pack` and safetensors.torch.save_file raise. The latter raises ValueError or
    RuntimeError for tensors that share memory or are not contiguous. Raises ImportError when
    safetensors is not installed.
    """
    import safetensors.torch

    def write(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
        safetensors.torch.save_file(dict(tensors), file, metadata=metadata)

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


def _few(names: list[str]) -> str:
    """The first names and how many more there are: a model has hundreds."""
    shown = ", ".join(names[:3]) or "none"
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _place(tensor: torch.Tensor) -> object:
    """Equal for tensors that are the same memory; those without memory are like none else."""
    if tensor.numel() == 0 or tensor.device.type == "meta":
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype

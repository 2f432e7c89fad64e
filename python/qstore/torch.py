# SPDX-License-Identifier: Apache-2.0
"""Whole variants as tensors of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from qstore._archive import Location
from qstore._reader import safe_open

__all__ = ["load_file", "load_model"]

Device = str | int | torch.device


def load_file(
    path: Location,
    variant: str | None = None,
    device: Device = "cpu",
    *,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, torch.Tensor]:
    """All tensors of a variant, by name, with the types and shapes they were saved with.

    They are decoded in parallel into one piece of memory, which they share and which lives as long
    as one of them. Thread-safe; releases the GIL. Raises what `qstore.safe_open` and its
    `get_tensors` raise.
    """
    with safe_open(
        path, variant, "pt", device, threads=threads, storage_options=storage_options
    ) as file:
        return file.get_tensors()


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

    Returns the names that the model has and the variant lacks, and the other way round; a name
    whose tensor the model shares with a loaded one is not missing. Raises RuntimeError, before
    anything is copied, when `strict` and there are such names; what `load_file` raises.
    """
    loaded = load_file(path, variant, device, storage_options=storage_options)
    own = model.state_dict()
    filled = {_place(own[name]) for name in loaded if name in own}
    missing = sorted(name for name in own if name not in loaded and _place(own[name]) not in filled)
    unexpected = sorted(name for name in loaded if name not in own)
    if strict and (missing or unexpected):
        raise RuntimeError(
            f"{type(model).__name__} and variant {variant!r} differ:"
            f" missing {missing}, unexpected {unexpected}"
        )
    model.load_state_dict(loaded, strict=False)
    return missing, unexpected


def _place(tensor: torch.Tensor) -> object:
    """Equal for tensors that are the same memory; those without memory are like none else."""
    if tensor.numel() == 0 or tensor.device.type == "meta":
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype

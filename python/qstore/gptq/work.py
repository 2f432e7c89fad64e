# SPDX-License-Identifier: Apache-2.0
"""The directory beside the output in which results gather until they are complete."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from qstore.errors import AlreadyExistsError, CorruptError, InvalidArgumentError
from qstore.gptq.checkpoint import Part, read_json, write_json, write_safetensors
from qstore.gptq.packing import pack_rows, pack_zeros
from qstore.gptq.solver import Quantized

SUFFIX = ".quantizing"


class WorkDirectory:
    """OUTPUT.quantizing. One process at a time works in it; another finds what it has done.

    Raises AlreadyExistsError (the output is there and not to be replaced, or the directory is in
    use) and InvalidArgumentError (it belongs to a run with other options or another source).
    """

    def __init__(self, output: Path, plan: dict[str, Any], overwrite: bool):
        self.output = output
        self.overwrite = overwrite
        if not overwrite and output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise AlreadyExistsError(f"{output} exists; --force replaces it")
        self.folder = output.with_name(output.name + SUFFIX)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.folder / "lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyExistsError(f"{self.folder}: another process works there") from None
        self._keep_plan(plan)

    def _keep_plan(self, plan: dict[str, Any]) -> None:
        path = self.folder / "plan.json"
        # As it reads after a way through JSON.
        plan = json.loads(json.dumps(plan))
        if not path.exists():
            scratch = path.with_suffix(".new")
            write_json(scratch, plan)
            scratch.rename(path)
        elif (found := read_json(path)) != plan:
            keys = sorted(key for key in plan if plan[key] != found.get(key))
            raise InvalidArgumentError(
                f"{self.folder} holds an unfinished run with other {', '.join(keys)}; "
                "finish it with the same options, or remove it"
            )

    def close(self) -> None:
        self._lock.close()

    def level(self, bits: int) -> Path:
        folder = self.folder / f"{bits}bit"
        folder.mkdir(exist_ok=True)
        return folder

    def fresh(self, name: str) -> Path:
        """An empty folder, whatever an earlier process left there."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def publish(self, made: Path) -> None:
        """`made` becomes the output at once, and the work directory goes."""
        old = self.folder / "replaced"
        if self.overwrite and self.output.exists():
            self.output.rename(old)
        made.rename(self.output)
        sync_directory(self.output.parent)
        shutil.rmtree(self.folder)
        self.close()


class StepFile:
    """The matrices of one step, as the checkpoint will hold them: appears when complete."""

    def __init__(self, folder: Path, step: int):
        self.path = folder / f"step-{step:05}.safetensors"

    def exists(self) -> bool:
        return self.path.exists()

    def write(self, results: dict[str, Quantized], rows: list[dict[str, Any]], bits: int) -> None:
        parts = []
        for name, result in results.items():
            stored = {
                "qweight": pack_rows(result.integers, bits),
                "qzeros": pack_zeros(result.zeros, bits),
                "scales": result.scales,
                "g_idx": result.group_index,
            }
            for key, tensor in stored.items():
                shape = tuple(tensor.shape)
                parts.append(Part(f"{name}.{key}", tensor.dtype, shape, partial(_same, tensor)))
        scratch = self.path.with_suffix(".new")
        write_safetensors(scratch, parts, {"rows": json.dumps(rows)})
        scratch.rename(self.path)
        sync_directory(self.path.parent)

    def rows(self) -> list[dict[str, Any]]:
        with self._opened() as file:
            rows: list[dict[str, Any]] = json.loads(file.metadata()["rows"])
            return rows

    def parts(self) -> list[Part]:
        with self._opened() as file:
            found = []
            for name in file.keys():  # noqa: SIM118
                tensor = file.get_tensor(name)
                read = self._reader(name)
                found.append(Part(name, tensor.dtype, tuple(tensor.shape), read))
            return found

    def _opened(self) -> Any:
        try:
            return safe_open(self.path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise CorruptError(f"{self.path}: {error}; remove it") from None

    def _reader(self, name: str) -> Callable[[], torch.Tensor]:
        def read() -> torch.Tensor:
            with self._opened() as file:
                tensor: torch.Tensor = file.get_tensor(name)
                return tensor

        return read


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

# SPDX-License-Identifier: Apache-2.0
"""Model directories of safetensors files: reading tensors by name, writing them without holding
more than one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from qstore._json import read_object
from qstore.errors import (
    CorruptError,
    InvalidArgumentError,
    NotFoundError,
    PathNotFoundError,
)

INDEX = "model.safetensors.index.json"
NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float64: "F64",
}
TYPES = {name: dtype for dtype, name in NAMES.items()}
SIXTEEN_BITS = (torch.bfloat16, torch.float16)


class Part(NamedTuple):
    """One tensor of a file to be written: what it is, and the call that reads or makes it."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor]

    @property
    def size(self) -> int:
        elements = 1
        for extent in self.shape:
            elements *= extent
        return elements * self.dtype.itemsize


class Source:
    """A model directory, read only. May be used by one thread at a time."""

    def __init__(self, directory: Path):
        if not directory.is_dir():
            raise PathNotFoundError(f"{directory}: no directory")
        self.directory = directory
        self.files = sorted(path.name for path in directory.glob("*.safetensors"))
        if not self.files:
            raise NotFoundError(f"{directory}: no .safetensors file")
        self.place: dict[str, str] = {}  # Tensor to file.
        self.metadata: dict[str, dict[str, str]] = {}
        self._open: dict[str, Any] = {}
        for file in self.files:
            self._add(file)
        self.config = read_json(directory / "config.json")

    def _add(self, file: str) -> None:
        try:
            opened = safe_open(self.directory / file, framework="pt")
        except (SafetensorError, OSError) as error:
            raise CorruptError(f"{self.directory / file}: {error}") from None
        self._open[file] = opened
        self.metadata[file] = opened.metadata() or {}
        for name in opened.keys():  # noqa: SIM118
            if name in self.place:
                other = self.place[name]
                raise InvalidArgumentError(f"{self.directory}: {name} is in {other} and in {file}")
            self.place[name] = file

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._open[self.place[name]].get_slice(name).get_shape())

    def part(self, name: str) -> Part:
        """What writes this tensor as it is."""
        dtype = self._open[self.place[name]].get_slice(name).get_dtype()
        if dtype not in TYPES:
            where = f"{self.directory / self.place[name]}: {name}"
            raise InvalidArgumentError(f"{where} is of type {dtype}, which GPTQ does not copy")
        return Part(name, TYPES[dtype], self.shape(name), lambda: self.tensor(name))

    def size(self, name: str) -> int:
        return self.part(name).size

    def tensor(self, name: str) -> Tensor:
        """A copy of its own, in the type of the file."""
        if name not in self.place:
            raise NotFoundError(f"{self.directory}: no tensor {name}")
        tensor: Tensor = self._open[self.place[name]].get_tensor(name)
        return tensor

    def finite_weight(self, name: str) -> Tensor:
        """The matrix that is to be quantized, [out, in].

        Raises InvalidArgumentError unless it has 16 bits, two dimensions and finite elements.
        """
        where = f"{self.directory / self.place[name]}: {name}"
        weight = self.tensor(name)
        if weight.dtype not in SIXTEEN_BITS:
            raise InvalidArgumentError(
                f"{where} is of type {NAMES.get(weight.dtype, weight.dtype)}; "
                "GPTQ starts from BF16 or F16 (qstore quantize --to bf16 makes it)"
            )
        finite = torch.isfinite(weight)
        if not finite.all():
            at = int((~finite).flatten().nonzero()[0])
            raise InvalidArgumentError(f"{where} has a NaN or infinity at element {at}")
        return weight

    def fingerprint(self) -> dict[str, list[int]]:
        """Size and time of each file, from which a change is seen."""
        found = (self.directory / file for file in [*self.files, "config.json"])
        return {
            path.name: [path.stat().st_size, path.stat().st_mtime_ns]
            for path in found
            if path.exists()
        }


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file, or an empty one where there is no file."""
    try:
        return read_object(path)
    except FileNotFoundError:
        return {}


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_safetensors(path: Path, parts: Iterable[Part], metadata: dict[str, str]) -> int:
    """Writes one file, larger types first, and waits for the disk. Returns the tensors' bytes."""
    ordered = sorted(parts, key=lambda part: (-part.dtype.itemsize, part.name))
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for part in ordered:
        header[part.name] = {
            "dtype": NAMES[part.dtype],
            "shape": list(part.shape),
            "data_offsets": [offset, offset + part.size],
        }
        offset += part.size
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for part in ordered:
            content = part.read().contiguous()
            file.write(content.flatten().view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())
    return offset


def copy_companions(source: Path, target: Path) -> None:
    """Copies every file that is no safetensors file, sub-folders included, unless it is there."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_file() and path.suffix != ".safetensors" and not copy.exists():
            _copy(path, copy)


def copy_directory(source: Path, target: Path) -> None:
    """A copy of all files, whose bytes are those of the source."""
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            _copy(path, target / path.relative_to(source))


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    with open(copy, "rb") as file:
        os.fsync(file.fileno())

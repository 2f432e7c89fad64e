# SPDX-License-Identifier: Apache-2.0
"""GGUF models of an archive: metadata, blocks and weights by NumPy. Reads only what is asked for.

    model = qstore.gguf.open("m.qstore", "Q4_K_M")
    model.fields["general.architecture"]
    model.dequantize("blk.0.attn_q.weight")  # float32

The package `gguf` is not needed.
"""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from qstore import _qstore
from qstore._archive import MAX_MEMORY, Archive, File, Location, open_archive
from qstore._gguf_head import Head, read_head
from qstore.errors import (
    AlreadyExistsError,
    CorruptError,
    InvalidArgumentError,
    UnknownNameError,
)

__all__ = ["GgufModel", "GgufTensor", "can_dequantize", "dequantize", "open"]

Bytes = numpy.ndarray[Any, numpy.dtype[numpy.uint8]]
Floats = numpy.ndarray[Any, numpy.dtype[numpy.float32]]

# How llama.cpp names the files of a model that is split.
_SPLIT = re.compile(r"(.+)-\d{5}-of-(\d{5})\.gguf", re.DOTALL)
_TYPES = _qstore.types()
_PIECE = 64 << 20  # Bytes of a file written at a time.


class GgufTensor(NamedTuple):
    """A tensor of a GGUF model. Shapes count weights, not blocks."""

    name: str
    type: str  # As ggml names it: "Q4_K", "F32", "IQ4_XS".
    shape: tuple[int, ...]  # As NumPy and torch have it, the outermost dimension first.
    ggml_shape: tuple[int, ...]  # As ggml and its tools have it: the reverse.
    byte_size: int
    file: str  # The path of its file in the variant.

    @property
    def rows(self) -> int:
        """Rows of blocks: the product of all dimensions but the innermost."""
        return math.prod(self.shape[:-1])

    @property
    def row_bytes(self) -> int:
        weights, bits = _TYPES[self.type]
        return (self.shape[-1] if self.shape else 1) // weights * bits // 8


def open(
    archive: Location,
    variant: str | None = None,
    *,
    file: str | None = None,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    max_memory: int | None = None,
) -> GgufModel:
    """Opens the GGUF model of a variant, by the index of the archive alone.

    `archive` is a path, a URL, or an archive that is open; `storage_options` and `max_memory` as
    `qstore.Archive` has them. `variant` may be left out when there is only one. `file` is a path in
    the variant, for one that has several models; of a model that is split any of its files will do.
    `threads` of 0 means all processors.
    Raises UnknownNameError (a variant or file), InvalidArgumentError (no GGUF file, or several
    models and no `file`), and what `qstore.Archive` raises.
    """
    opened = open_archive(archive, storage_options, max_memory)
    number = opened.find_variant(variant)
    return GgufModel(opened, number, _files_of(opened, number, file), threads)


class GgufModel:
    """A GGUF model in an archive. Thread-safe; calls that read release the GIL.

    Reading raises CorruptError, IoError, LimitError, and UnknownNameError for a tensor that the
    model does not have.
    """

    def __init__(self, archive: Archive, variant: int, files: list[int], threads: int) -> None:
        self._archive = archive
        self._variant = variant
        self._files = files
        self._threads = threads
        self._heads: dict[int, Head] = {}
        listed = archive.files(archive.variant_names[variant])
        self._listed = {file: listed[file] for file in files}
        #: The tensors by name, in the order of their files and there by name.
        self.tensors: dict[str, GgufTensor] = {}
        self._places: dict[str, tuple[int, int]] = {}  # Number of the file, and of the tensor.
        for tensor, (name, kind, shape, size, file) in enumerate(archive._native.tensors(variant)):
            if file in self._listed and name not in self.tensors:
                path = listed[file].path
                self.tensors[name] = GgufTensor(name, kind, shape, shape[::-1], size, path)
                self._places[name] = file, tensor

    def __repr__(self) -> str:
        name = self._archive.variant_names[self._variant]
        return f"<qstore.gguf {self._archive.path!r} {name!r}: {', '.join(self.files)}>"

    @property
    def files(self) -> tuple[str, ...]:
        """The paths in the variant of the files that the model has: one, or all of a split one."""
        return tuple(file.path for file in self._listed.values())

    @property
    def bytes_read(self) -> int:
        """Bytes read from the archive so far, header and index included."""
        return self._archive.bytes_read

    @property
    def fields(self) -> dict[str, Any]:
        """The metadata by key: int, float, bool, str, and lists of these.

        Reads the head when first used. Of a split model the value of the first file counts. Text
        that is not UTF-8 has surrogates, as in os.fsdecode.
        """
        found: dict[str, Any] = {}
        for file in reversed(self._files):
            found |= self._head(file).fields
        # In the order of the first file.
        return {key: found[key] for key in self._head(self._files[0]).fields | found}

    def raw(self, name: str) -> Bytes:
        """The content of a tensor, as uint8 of the shape [rows, row_bytes]."""
        return self.rows(name)

    def rows(self, name: str, begin: int = 0, end: int | None = None) -> Bytes:
        """Rows [begin, end) of `raw`, of which only the chunks that have them are read.

        Raises InvalidArgumentError for rows that the tensor does not have.
        """
        tensor = self._find(name)
        last = tensor.rows if end is None else end
        if not 0 <= begin <= last <= tensor.rows:
            raise InvalidArgumentError(
                f"tensor {name!r} has {tensor.rows} rows, and not those from {begin} to {end}"
            )
        shape = (last - begin, tensor.row_bytes)
        file, number = self._places[name]
        native = self._archive._native
        is_part = last - begin < tensor.rows
        if is_part and len(tensor.shape) > 2:
            # The archive's rows are those of the outermost dimension, which has many of these here.
            at = self._head(file).offsets[name] + begin * tensor.row_bytes
            content = native.read_file(self._variant, file, at, at + math.prod(shape))
            return numpy.frombuffer(bytearray(content), numpy.uint8).reshape(shape)
        out = numpy.empty(shape, numpy.uint8)
        if out.size > 0:
            flat, stop = out.reshape(-1), last if is_part else None
            native.read(self._variant, number, flat, begin, stop, threads=self._threads)
        return out

    def dequantize(self, name: str, begin: int = 0, end: int | None = None) -> Floats:
        """The weights of a tensor as float32, in its `shape`; of rows [begin, end) as
        [end - begin, columns].

        They are those of ggml and of `gguf.quants.dequantize`, bit for bit. Raises
        InvalidArgumentError for rows that the tensor does not have, and for a type that
        `can_dequantize` does not know.
        """
        tensor = self._find(name)
        _check_type(tensor.type)
        weights = dequantize(self.rows(name, begin, end), tensor.type, threads=self._threads)
        return weights.reshape(tensor.shape) if begin == 0 and end is None else weights

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes the file of the model at `path`, byte for byte as it was packed.

        A split model has several files. They go into the directory `path`, which is made if need
        be. A file appears when it is complete. Raises AlreadyExistsError, OSError.
        """
        if len(self._files) == 1:
            self._save_file(self._files[0], Path(path), overwrite)
            return
        Path(path).mkdir(exist_ok=True)
        targets = {file: Path(path, Path(self._listed[file].path).name) for file in self._files}
        for target in targets.values():
            _check_free(target, overwrite)
        for file, target in targets.items():
            self._save_file(file, target, overwrite)

    def _save_file(self, file: int, target: Path, overwrite: bool) -> None:
        _check_free(target, overwrite)
        size = self._listed[file].size
        scratch = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}.tmp")
        try:
            with scratch.open("xb") as out:
                for begin in range(0, size, _PIECE):
                    end = min(size, begin + _PIECE)
                    out.write(self._archive._native.read_file(self._variant, file, begin, end))
            _check_free(target, overwrite)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)

    def _find(self, name: str) -> GgufTensor:
        if name not in self.tensors:
            raise UnknownNameError(f"{self!r} has no tensor {name!r}")
        return self.tensors[name]

    def _head(self, file: int) -> Head:
        if file in self._heads:
            return self._heads[file]
        native, listed = self._archive._native, self._listed[file]
        where = f"{self._archive.path}: file {listed.path!r}"
        tensors = [tensor for tensor in self.tensors.values() if tensor.file == listed.path]
        # All that tools write behind the head: tensors, each padded to 32 bytes.
        behind = sum(-(-tensor.byte_size // 32) * 32 for tensor in tensors)
        head = read_head(
            lambda begin, end: native.read_file(self._variant, file, begin, end),
            listed.size,
            max(24, listed.size - behind),
            self._archive._how[2] or MAX_MEMORY,
            where,
        )
        for tensor in tensors:
            if not 0 <= head.offsets.get(tensor.name, -1) <= listed.size - tensor.byte_size:
                raise CorruptError(f"{where}: tensor {tensor.name!r} is not where its head says")
        self._heads[file] = head
        return head


def can_dequantize(type: str) -> bool:
    """Whether `dequantize` knows the weights of that type of ggml ("Q4_K"). IQ1, IQ2 and IQ3 types,
    TQ1_0, Q8_K and integers it does not."""
    return _qstore.can_dequantize(type)


def dequantize(blocks: Bytes, type: str, *, threads: int = 0) -> Floats:
    """The weights of blocks: uint8 [..., row bytes] of that type of ggml as float32 [..., columns].

    Thread-safe; releases the GIL. `threads` of 0 means all processors. Raises InvalidArgumentError
    for a type that `can_dequantize` does not know, and for rows that are no whole blocks.
    """
    _check_type(type)
    blocks = numpy.asarray(blocks)
    if blocks.dtype != numpy.uint8 or not blocks.shape:
        raise InvalidArgumentError("blocks are an array of uint8, with a dimension or more")
    weights, bits = _TYPES[type]
    if blocks.shape[-1] % (bits // 8) != 0:
        raise InvalidArgumentError(f"{blocks.shape[-1]} bytes are no whole blocks of {type}")
    columns = blocks.shape[-1] // (bits // 8) * weights
    out = numpy.empty((*blocks.shape[:-1], columns), numpy.float32)
    flat = numpy.ascontiguousarray(blocks).reshape(-1)
    _qstore.dequantize(type, flat, out.reshape(-1), threads)
    return out


def _check_type(type: str) -> None:
    if not can_dequantize(type):
        raise InvalidArgumentError(f"weights of type {type} are not known here")


def _check_free(target: Path, overwrite: bool) -> None:
    if not overwrite and target.exists():
        raise AlreadyExistsError(f"{target}: exists already")


def _files_of(archive: Archive, variant: int, path: str | None) -> list[int]:
    """The numbers of the files of one model of a variant, by path."""
    name = archive.variant_names[variant]
    files = archive.files(name)
    models: dict[tuple[str, str], list[int]] = {}
    for number, file in enumerate(files):
        if file.container == "gguf":
            models.setdefault(_model_of(file), []).append(number)
    where = f"{archive.path}: variant {name!r}"
    if path is not None:
        for numbers in models.values():
            if path in [files[number].path for number in numbers]:
                return numbers
        raise UnknownNameError(f"{where} has no GGUF file {path!r}")
    if len(models) != 1:
        paths = ", ".join(files[numbers[0]].path for numbers in models.values())
        what = f"several models; name the file of one: {paths}" if models else "no GGUF file"
        raise InvalidArgumentError(f"{where} has {what}")
    return next(iter(models.values()))


def _model_of(file: File) -> tuple[str, str]:
    split = _SPLIT.fullmatch(file.path)
    return (split[1], split[2]) if split else (file.path, "")

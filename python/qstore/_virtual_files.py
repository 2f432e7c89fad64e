# SPDX-License-Identifier: Apache-2.0
"""A variant as a directory for transformers and diffusers: small files on disk, weights out of the
archive.

Where they look for weights they find files without content. What they open these with, as their
modules name it, is exchanged while such directories are there, for functions that read these from
the archive and leave all others alone. Whatever else opens one of them fails at once, since nothing
is a valid safetensors file.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qstore._archive import Archive
from qstore._frameworks import find_framework
from qstore._reader import Reader, safe_open
from qstore._slices import TensorSlice
from qstore.errors import InternalError, QStoreError

# Weights in other formats; transformers prefers safetensors, and they may be as large.
OTHER_WEIGHTS = {
    *(".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".npz"),
    *(".onnx", ".ot", ".pt", ".pth", ".pkl", ".tflite"),
}

_lock = threading.Lock()
_readers: dict[str, WeightFile] = {}
# By module and name: what was there. Kept, since somebody may have taken what stands there for it.
_originals: dict[tuple[str, str], Any] = {}


class WeightFile:
    """A safetensors file of a variant; what goes wrong in reading it is kept in `errors`."""

    def __init__(
        self, archive: Archive, variant: int, file: int, threads: int, errors: list[QStoreError]
    ) -> None:
        self.archive = archive
        self.variant = variant
        self.file = file
        self.threads = threads
        self.errors = errors

    def open(self, device: Any) -> FileHandle:
        return FileHandle(self, find_framework("pt", device))

    def load(self, device: Any) -> dict[str, Any]:
        """All tensors of the file, in the order of the archive."""
        handle = self.open(device)
        with handle._noted(), handle.prefetch() as tensors:
            return dict(tensors)


class FileHandle(safe_open[Any]):
    """The tensors of one file, with the methods of safetensors.safe_open."""

    def __init__(self, file: WeightFile, framework: Any) -> None:
        self._file = file
        name = file.archive.variant_names[file.variant]
        self._arguments = (file.archive, name, "pt", framework.device, file.threads, None)
        self._reader = Reader(file.archive, file.variant, framework, file.threads, file.file)

    def get_tensor(self, name: str) -> Any:
        with self._noted():
            return super().get_tensor(name)

    def _ahead_of(self, reader: Reader) -> None:
        """transformers loads by threads of its own."""

    def get_slice(self, name: str) -> TensorSlice[Any]:
        reader = self._open()
        return NotedSlice(self, reader, reader.find(name))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Libraries report some errors as names of tensors or of files only."""
        try:
            yield
        except QStoreError as error:
            self._file.errors.append(error)
            raise


class NotedSlice(TensorSlice[Any]):
    def __init__(self, handle: FileHandle, reader: Reader, entry: Any) -> None:
        super().__init__(reader, entry)
        self._handle = handle

    def __getitem__(self, index: Any) -> Any:
        with self._handle._noted():
            return super().__getitem__(index)


@contextmanager
def variant_directory(
    archive: Archive,
    variant: str | None,
    threads: int,
    errors: list[QStoreError],
    libraries: tuple[str, ...] = ("transformers",),
) -> Iterator[Path]:
    """A directory that is there, for these libraries of this process, while the context lasts."""
    number = archive.find_variant(variant)
    # transformers keeps custom code of a model under the last part of its path.
    name = f"{Path(archive.path).stem}-{archive.variant_names[number]}"
    scratch = Path(tempfile.mkdtemp(prefix="qstore-"))
    folder = scratch / name
    folder.mkdir()
    weights: dict[str, WeightFile] = {}
    try:
        files = archive._native.files(number)
        for i, (path, size, _, container, is_directory, *_) in enumerate(files):
            target = folder / path
            if target.suffix in OTHER_WEIGHTS:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_directory:
                target.mkdir()
            elif container == "safetensors":
                target.touch()
                weights[os.fspath(target)] = WeightFile(archive, number, i, threads, errors)
            else:
                target.write_bytes(archive._native.read_file(number, i, 0, size))
        with _installed(weights, libraries):
            yield folder
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _installed(weights: dict[str, WeightFile], libraries: tuple[str, ...]) -> Iterator[None]:
    with _lock:
        for library in libraries:
            for (home, name), replacement in _SEAMS[library].items():
                _exchange(importlib.import_module(home), name, replacement)
        _readers.update(weights)
    try:
        yield
    finally:
        with _lock:
            for path in weights:
                del _readers[path]
            if not _readers:
                _put_back()


def _exchange(module: Any, name: str, replacement: Any) -> None:
    # What is exchanged is no part of a library's interface.
    there = getattr(module, name, None)
    if there is replacement:
        return
    if not callable(there):
        library = module.__name__.partition(".")[0]
        raise InternalError(f"this version of {library} opens its weights in unknown ways")
    _originals[module.__name__, name] = there
    setattr(module, name, replacement)


def _put_back() -> None:
    for seams in _SEAMS.values():
        for (home, name), replacement in seams.items():
            module = sys.modules.get(home)
            if module is not None and getattr(module, name, None) is replacement:
                setattr(module, name, _originals[home, name])


def _safe_open(filename: Any, framework: str = "pt", device: Any = "cpu", **options: Any) -> Any:
    reader = _readers.get(os.fspath(filename))
    if reader is not None:
        return reader.open(device)
    original = _originals[_TRANSFORMERS]
    return original(filename, framework=framework, device=device, **options)


def _load_state_dict(checkpoint_file: Any, *arguments: Any, **options: Any) -> Any:
    is_path = isinstance(checkpoint_file, str | os.PathLike)
    reader = _readers.get(os.fspath(checkpoint_file)) if is_path else None
    if reader is not None:
        return reader.load(options.get("map_location") or "cpu")
    return _originals[_DIFFUSERS[0]](checkpoint_file, *arguments, **options)


_TRANSFORMERS = ("transformers.modeling_utils", "safe_open")
# One function, by the names that two modules have for it.
_DIFFUSERS = (
    ("diffusers.models.model_loading_utils", "load_state_dict"),
    ("diffusers.models.modeling_utils", "load_state_dict"),
)
_SEAMS: dict[str, dict[tuple[str, str], Any]] = {
    "transformers": {_TRANSFORMERS: _safe_open},
    "diffusers": dict.fromkeys(_DIFFUSERS, _load_state_dict),
}

# SPDX-License-Identifier: Apache-2.0
"""A variant as a directory for transformers: small files on disk, weights out of the archive.

Where transformers looks for weights it finds files without content. Its `safe_open` is exchanged,
while such directories are there, for one that reads these from the archive and leaves all others
alone. Whatever else opens one of them fails at once, since nothing is a valid safetensors file.
"""

from __future__ import annotations

import importlib
import os
import shutil
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
_OTHER_WEIGHTS = {
    *(".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".npz"),
    *(".onnx", ".ot", ".pt", ".pth", ".pkl", ".tflite"),
}

_lock = threading.Lock()
_readers: dict[str, WeightFile] = {}
_original: Any = None


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


class FileHandle(safe_open):
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

    def get_slice(self, name: str) -> TensorSlice:
        reader = self._open()
        return NotedSlice(self, reader, reader.find(name))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """transformers reports some errors of conversions as names of tensors only."""
        try:
            yield
        except QStoreError as error:
            self._file.errors.append(error)
            raise


class NotedSlice(TensorSlice):
    def __init__(self, handle: FileHandle, reader: Reader, entry: Any) -> None:
        super().__init__(reader, entry)
        self._handle = handle

    def __getitem__(self, index: Any) -> Any:
        with self._handle._noted():
            return super().__getitem__(index)


@contextmanager
def variant_directory(
    archive: Archive, variant: str | None, threads: int, errors: list[QStoreError]
) -> Iterator[Path]:
    """A directory that is there, for transformers of this process, while the context lasts."""
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
            if target.suffix in _OTHER_WEIGHTS:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_directory:
                target.mkdir()
            elif container == "safetensors":
                target.touch()
                weights[os.fspath(target)] = WeightFile(archive, number, i, threads, errors)
            else:
                target.write_bytes(archive._native.read_file(number, i, 0, size))
        with _installed(weights):
            yield folder
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _installed(weights: dict[str, WeightFile]) -> Iterator[None]:
    # What is exchanged there is no part of its interface.
    modeling: Any = importlib.import_module("transformers.modeling_utils")

    global _original
    with _lock:
        if _original is None:
            if not callable(getattr(modeling, "safe_open", None)):
                raise InternalError(
                    "this version of transformers opens its weights in unknown ways"
                )
            _original, modeling.safe_open = modeling.safe_open, _safe_open
        _readers.update(weights)
    try:
        yield
    finally:
        with _lock:
            for path in weights:
                del _readers[path]
            if not _readers and modeling.safe_open is _safe_open:
                modeling.safe_open, _original = _original, None


def _safe_open(filename: Any, framework: str = "pt", device: Any = "cpu", **options: Any) -> Any:
    reader = _readers.get(os.fspath(filename))
    if reader is not None:
        return reader.open(device)
    return _original(filename, framework=framework, device=device, **options)

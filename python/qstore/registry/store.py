# SPDX-License-Identifier: Apache-2.0
"""Where the archives of a registry are: files named by the SHA-256 of their content."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path

from qstore._archive import Archive
from qstore.errors import IoError, PathNotFoundError
from qstore.registry.adding import sha256_of
from qstore.registry.names import check_digest

SUFFIX = ".qstore"


class Store(ABC):
    """Archives, which never change. Thread-safe. All raise IoError."""

    @abstractmethod
    def place(self, staged: Path, digest: str) -> None:
        """Brings the file here under its name; `staged` may be gone then. Does nothing when it is
        here. When it returns, the file outlives a loss of power."""

    @abstractmethod
    def open(self, digest: str, max_memory: int | None = None) -> Archive:
        """Raises PathNotFoundError, and what `qstore.Archive` does."""

    @abstractmethod
    def remove(self, digest: str) -> None:
        """Does nothing when there is none."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """The archives that are there, and the bytes of each."""

    @abstractmethod
    def digest(self, digest: str) -> str:
        """The SHA-256 of the content of that archive, which its name should be. Raises
        PathNotFoundError."""


class DirectoryStore(Store):
    """A directory of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, staged: Path, digest: str) -> None:
        target = self._path(digest)
        try:
            os.chmod(staged, 0o444)
            os.replace(staged, target)
            sync_directory(self._folder)
        except OSError as error:
            raise IoError(f"{target}: {error}") from error

    def open(self, digest: str, max_memory: int | None = None) -> Archive:
        return Archive(self._path(digest), max_memory=max_memory)

    def remove(self, digest: str) -> None:
        path = self._path(digest)
        try:
            path.unlink(missing_ok=True)
            sync_directory(self._folder)
        except OSError as error:
            raise IoError(f"{path}: {error}") from error

    def sizes(self) -> dict[str, int]:
        try:
            with os.scandir(self._folder) as entries:
                found = [entry for entry in entries if entry.name.endswith(SUFFIX)]
                return {entry.name[: -len(SUFFIX)]: entry.stat().st_size for entry in found}
        except OSError as error:
            raise IoError(f"{self._folder}: {error}") from error

    def digest(self, digest: str) -> str:
        path = self._path(digest)
        try:
            return sha256_of(path)
        except FileNotFoundError:
            raise PathNotFoundError(f"{path}: there is no such archive") from None
        except OSError as error:
            raise IoError(f"{path}: {error}") from error

    def _path(self, digest: str) -> Path:
        return self._folder / f"{check_digest(digest)}{SUFFIX}"


def sync_directory(folder: Path) -> None:
    """Has names in the directory outlive a loss of power. Raises OSError."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)

# SPDX-License-Identifier: Apache-2.0
"""What a catalog keeps: archives, repositories, their commits, and the files of a commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from qstore._json import parse_object
from qstore.errors import CorruptError


class FileEntry(NamedTuple):
    """A file of a commit, and where its bytes are."""

    path: str  # In the repository, '/'-separated.
    size: int
    sha256: str
    archive: str  # The SHA-256 of the archive.
    variant: str
    source: str  # The path in the variant.


class Listing(NamedTuple):
    """The files of a commit by path, never changed once written."""

    commit: str
    files: tuple[FileEntry, ...]

    def find(self, path: str) -> FileEntry | None:
        for file in self.files:
            if file.path == path:
                return file
        return None

    @property
    def archives(self) -> tuple[str, ...]:
        return tuple(sorted({file.archive for file in self.files}))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        files = [list(file) for file in self.files]
        return _encode({"commit": self.commit, "files": files})


class Head(NamedTuple):
    """A commit without its files."""

    created: float  # Seconds since 1970.
    listing: str  # The SHA-256 of the listing's encoding.
    archives: tuple[str, ...]
    files: int
    size: int  # Bytes of all files.


class Repo(NamedTuple):
    """A repository. `refs` maps names of revisions to ids of commits."""

    refs: Mapping[str, str] = {}
    commits: Mapping[str, Head] = {}


class Part(NamedTuple):
    """Tensors of one kind in an archive: bytes as files have them, and as they are stored."""

    source: int
    stored: int


class ArchiveRecord(NamedTuple):
    """An archive that is there or is about to be."""

    size: int
    bases: tuple[str, ...]  # Archives without which this one cannot be read.
    added: float
    source: int  # Bytes of all files of its variants.
    saved: Mapping[str, Part]  # By what saved them; `qstore.registry.savings` has the names.
    # Until then nothing takes it away, though no commit needs it yet: its files are being brought.
    reserved: float | None = None
    unneeded: float | None = None  # Since when no commit has needed it.
    is_going: bool = False  # Its file is being removed, and its name cannot be had meanwhile.


def make_listing(files: Iterable[FileEntry]) -> Listing:
    """The listing of these files. Its commit follows from paths, sizes and contents alone."""
    ordered = tuple(sorted(files))
    rows = [[file.path, file.size, file.sha256] for file in ordered]
    digest = hashlib.sha256(b"qstore commit 1\n" + _encode({"files": rows}))
    return Listing(digest.hexdigest()[:40], ordered)


def make_head(listing: Listing, now: float) -> Head:
    digest = hashlib.sha256(listing.encode()).hexdigest()
    return Head(now, digest, listing.archives, len(listing.files), listing.size)


def decode_listing(content: bytes, where: str) -> Listing:
    """Raises CorruptError."""
    found = parse_object(content, where)
    with _checked(where):
        return Listing(str(found["commit"]), tuple(FileEntry(*row) for row in found["files"]))


def encode_archive(record: ArchiveRecord) -> bytes:
    return _encode(record._asdict())


def decode_archive(content: bytes, where: str) -> ArchiveRecord:
    """Raises CorruptError."""
    return archive_of(parse_object(content, where), where)


def archive_of(found: Mapping[str, Any], where: str) -> ArchiveRecord:
    with _checked(where):
        saved = {name: Part(*part) for name, part in found["saved"].items()}
        bases = tuple(found["bases"])
        return ArchiveRecord(**{**found, "saved": saved, "bases": bases})


def encode_head(head: Head) -> bytes:
    return _encode(head._asdict())


def decode_head(content: bytes, where: str) -> Head:
    """Raises CorruptError."""
    return head_of(parse_object(content, where), where)


def head_of(found: Mapping[str, Any], where: str) -> Head:
    with _checked(where):
        return Head(**{**found, "archives": tuple(found["archives"])})


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


class _checked:
    """Has what a wrong record raises be a CorruptError that begins with `where`."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise CorruptError(f"{self._where}: is no such record: {error!r}") from None

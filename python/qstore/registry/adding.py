# SPDX-License-Identifier: Apache-2.0
"""From directories and files to variants of an archive, and from these to files of commits."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qstore._archive import Archive
from qstore.errors import MismatchError, PathNotFoundError
from qstore.registry.names import Target, check_path, variant_name
from qstore.registry.records import FileEntry

_BLOCK = 1 << 20
_NOT_OF_VARIANTS = re.compile(r"[^A-Za-z0-9._+-]", re.ASCII)
# A GGUF model that is split: its first file stands for all.
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


class Source(NamedTuple):
    """A directory or file, and where its files are served."""

    target: Target
    path: Path
    also: tuple[str, ...] = ()  # Names of revisions beside that of the target.


class Served(NamedTuple):
    """Where the files of a variant are served: in a folder of a repository, "" being all of it."""

    target: Target
    folder: str


class Placed(NamedTuple):
    """A variant to pack, and where it is served."""

    path: Path
    served: tuple[Served, ...]


Part = tuple[str, Path, Served]


def lay_out(sources: Iterable[Source], scratch: Path) -> dict[str, Placed]:
    """What to pack, by the name of the variant.

    Of a folder with several GGUF models each is a variant, so that one may follow from another;
    links to its other files are made in `scratch`. Raises PathNotFoundError."""
    found: dict[str, Placed] = {}
    names: dict[str, str] = {}  # By path: what comes twice is packed once.
    for source in sources:
        if not source.path.exists():
            raise PathNotFoundError(f"{source.path}: no such file or directory")
        models = list(_gguf_models(source.path))
        parts = _apart(source, models, scratch) if len(models) > 1 else [_whole(source)]
        for wanted, path, served in parts:
            name = names.setdefault(os.path.realpath(path), _free(wanted, found))
            there = found.get(name, Placed(path, ()))
            found[name] = there._replace(served=(*there.served, served))
    return found


def entries(archive: Archive, digest: str, name: str, folder: str) -> list[FileEntry]:
    """The files of a variant as they are served. Raises InvalidArgumentError (a path that cannot
    be served)."""
    found = []
    for file in archive.files(name):
        if file.is_directory:
            continue
        assert file.sha256 is not None
        path = check_path(f"{folder}/{file.path}" if folder else file.path)
        found.append(FileEntry(path, file.size, file.sha256, digest, name, file.path))
    return found


def merge(groups: Iterable[Sequence[FileEntry]], where: str) -> list[FileEntry]:
    """The files of one commit. Raises MismatchError when two of one path differ."""
    merged: dict[str, FileEntry] = {}
    for file in (file for group in groups for file in group):
        there = merged.setdefault(file.path, file)
        if there.sha256 != file.sha256:
            raise MismatchError(f"{where}: two sources have different files {file.path!r}")
    return list(merged.values())


def sha256_of(path: Path) -> str:
    """Of a file. Raises OSError."""
    digest = hashlib.sha256()
    block = bytearray(_BLOCK)
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(memoryview(block)[:size])
    return digest.hexdigest()


def _whole(source: Source) -> Part:
    target = source.target
    return variant_name(target), source.path, Served(target, target.folder)


def _apart(source: Source, models: list[Path], scratch: Path) -> Iterator[Part]:
    target = source.target
    for model in models:
        folder = _join(target.folder, model.relative_to(source.path).parent)
        name = _NOT_OF_VARIANTS.sub("_", model.stem).lstrip(".-") or "model"
        yield name, model, Served(target, folder)
    rest = scratch / f"rest-{len(os.listdir(scratch))}"
    for path in _files(source.path):
        if path.suffix != ".gguf":
            link = rest / path.relative_to(source.path)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    if rest.exists():
        yield variant_name(target), rest, Served(target, target.folder)


def _gguf_models(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for file in _files(path):
            if file.suffix == ".gguf" and not _LATER_PART.search(file.name):
                yield file


def _files(folder: Path) -> list[Path]:
    found = []
    for place, _, names in os.walk(folder, followlinks=True):
        found += [Path(place) / name for name in names]
    return sorted(found)


def _join(folder: str, inner: Path) -> str:
    parts = [part for part in (folder, inner.as_posix()) if part not in ("", ".")]
    return "/".join(parts)


def _free(name: str, taken: Mapping[str, Placed]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found

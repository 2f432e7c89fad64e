# SPDX-License-Identifier: Apache-2.0
"""What a cache of huggingface_hub holds: models--ORGANIZATION--MODEL/snapshots/COMMIT."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from qstore.errors import InvalidArgumentError, PathNotFoundError
from qstore.registry.adding import Source
from qstore.registry.names import MAIN, Target, check_repo, is_commit

_PREFIX = "models--"


def find_snapshots(cache: Path, only: str = "*") -> dict[str, list[Source]]:
    """The snapshots of each model whose name matches the pattern, by name.

    The commit of the Hub names each of them here too, so that clients that ask for it find it,
    beside the branches and tags that the cache knows. A model of which no file is there is left
    out. Raises PathNotFoundError (no such directory), InvalidArgumentError (no cache)."""
    if not cache.is_dir():
        raise PathNotFoundError(f"{cache}: no such directory")
    folders = sorted(cache.glob(f"{_PREFIX}*--*"))
    if not folders:
        raise InvalidArgumentError(f"{cache}: is no cache of the Hub, it has no {_PREFIX}…")
    found = {}
    for folder in folders:
        name = folder.name[len(_PREFIX) :].replace("--", "/")
        if fnmatchcase(name, only) and (sources := list(_sources(folder, check_repo(name)))):
            found[name] = sources
    return found


def _sources(folder: Path, name: str) -> Iterator[Source]:
    refs = dict(_refs(folder))
    for snapshot in sorted((folder / "snapshots").glob("*")):
        if not is_commit(snapshot.name) or not any(path.is_file() for path in snapshot.rglob("*")):
            continue
        named = sorted(ref for ref, commit in refs.items() if commit == snapshot.name)
        named.sort(key=lambda ref: ref != MAIN)
        first, *also = [*named, snapshot.name]
        yield Source(Target(name, "", first), snapshot, tuple(also))


def _refs(folder: Path) -> Iterator[tuple[str, str]]:
    for path in (folder / "refs").rglob("*"):
        # Those of pull requests have '/' in their names, which revisions here do not.
        if path.is_file() and path.parent == folder / "refs":
            yield path.name, path.read_text().strip()

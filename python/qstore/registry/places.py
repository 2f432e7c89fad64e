# SPDX-License-Identifier: Apache-2.0
"""Where registries are: which store and which catalog belong to a name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from qstore._json import read_object
from qstore._sources import is_url, local_path
from qstore.errors import (
    AlreadyExistsError,
    CorruptError,
    InvalidArgumentError,
    IoError,
    PathNotFoundError,
)
from qstore.registry.catalog import Catalog
from qstore.registry.sqlite_catalog import SqliteCatalog
from qstore.registry.store import DirectoryStore, Store, sync_directory

_MARK = "registry.json"
_VERSION = {"qstore-registry": 1}


class Place(NamedTuple):
    """`staging` is a directory of this machine."""

    store: Store
    catalog: Catalog
    staging: Path


def open_place(where: str, create: bool) -> Place:
    """Raises what `Registry.open` does."""
    if is_url(where):
        local = local_path(where)
        if local is None:
            raise InvalidArgumentError(f"{where}: a registry is a directory")
        where = local
    folder = Path(os.path.abspath(where))
    if create:
        _create(folder)
    try:
        found = read_object(folder / _MARK)
    except (FileNotFoundError, NotADirectoryError):
        rule = "is no registry; `qstore registry init` makes one"
        raise PathNotFoundError(f"{folder}: {rule}") from None
    if found != _VERSION:
        raise CorruptError(f"{folder / _MARK}: says {found}, this program knows {_VERSION}")
    catalog = SqliteCatalog(str(folder / "catalog.sqlite"))
    return Place(DirectoryStore(folder / "archives"), catalog, folder / "staging")


def _create(folder: Path) -> None:
    """The mark comes last: without it there is no registry."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AlreadyExistsError(f"{folder}: is not empty")
        for name in ("archives", "staging"):
            (folder / name).mkdir()
        SqliteCatalog(str(folder / "catalog.sqlite"), create=True).close()
        scratch = folder / f"{_MARK}.tmp"
        scratch.write_text(json.dumps(_VERSION) + "\n")
        os.replace(scratch, folder / _MARK)
        sync_directory(folder)
    except AlreadyExistsError:
        raise
    except OSError as error:
        raise IoError(f"{folder}: {error}") from error

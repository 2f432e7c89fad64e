# SPDX-License-Identifier: Apache-2.0
"""All files of a variant but its weights, as a directory of the cache.

For programs that read config and tokenizer from a directory. They may use its path as a key of
caches of their own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from qstore._archive import Archive
from qstore._virtual_files import OTHER_WEIGHTS
from qstore.errors import IoError


def head_of(archive: Archive, variant: str | None) -> Path:
    """The directory, which is made when it is not there: its name tells its content.

    It is beneath the cache of `qstore.get`. Raises UnknownNameError, CorruptError, IoError.
    """
    number = archive.find_variant(variant)
    name = re.sub(r"[^\w.-]", "_", f"{Path(archive.path).stem}-{archive.variant_names[number]}")
    files = {}
    told = hashlib.sha256()
    for i, (path, _, digest, container, is_directory, *_) in enumerate(
        archive._native.files(number)
    ):
        if container or is_directory or Path(path).suffix in OTHER_WEIGHTS:
            continue
        files[path] = i
        told.update(f"{path}\0".encode() + digest)
    folder = _cache() / f"{name}-{told.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        try:
            for path, i in files.items():
                target = scratch / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive._native.read_file(number, i))
            scratch.chmod(0o755)
            _place(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise IoError(f"{folder}: cannot be made: {error.strerror or error}") from error
    return folder


def _place(scratch: Path, folder: Path) -> None:
    try:
        scratch.rename(folder)
    except OSError:
        if not folder.is_dir():  # Else another process was quicker, with the same content.
            raise


def _cache() -> Path:
    """As DefaultCache of <qstore/get.h>."""
    if own := os.environ.get("QSTORE_CACHE"):
        return Path(own) / "heads"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "qstore" / "heads"

# SPDX-License-Identifier: Apache-2.0
"""Changing an archive in place.

At any moment the file is the old archive or the new one, also when the process is killed. Who has
it open goes on reading. One writer changes an archive at a time. Another one waits for two seconds
and then gets IoError. On an error, or KeyboardInterrupt, the archive is what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qstore import _qstore
from qstore._archive import Archive, encode
from qstore._operations import LEVELS, MEMORY, Path, encode_folders, encode_sources
from qstore._progress import Progress, reported
from qstore.errors import InvalidArgumentError


class AddReport(NamedTuple):
    source_bytes: int  # Of all files of the variants that were added.
    added_bytes: int  # Payloads stored for them.
    read_bytes: int  # Of the archive: its index, heads of files, and parents.
    stored_bytes: int  # Of the archive.


class DropReport(NamedTuple):
    stored_bytes: int  # Of the archive.
    dead_bytes: int  # Of these, what `compact` would take away.


class CompactReport(NamedTuple):
    before_bytes: int  # Of the archive as it was.
    stored_bytes: int  # As it is now.


def add(
    archive: Path,
    variants: Mapping[str, Path],
    *,
    each: Path | Sequence[Path] = (),
    level: str = "balanced",
    parents: Mapping[str, str] | None = None,
    direct: str | Sequence[str] = (),
    threads: int = 0,
    memory: int = MEMORY,
    sync: bool = True,
    progress: Progress = None,
) -> AddReport:
    """Adds {name: directory or file} to an archive, whose content stays as it is.

    What the archive has already is not stored again. Of the archive only the parents of new tensors
    are read. Arguments are those of `pack`; a parent may be any variant. Raises AlreadyExistsError
    (the archive has a variant of the name), and what `pack` and `Archive` raise.
    """
    if level not in LEVELS:
        raise InvalidArgumentError(f"level {level!r} is none of {', '.join(LEVELS)}")
    names = [direct] if isinstance(direct, str) else list(direct)
    choices = list((parents or {}).items())
    sources = encode_sources(variants), encode_folders(each)
    with reported(progress, "add") as tell:
        done = _qstore.add(
            encode(archive), *sources, LEVELS[level], choices, names, threads, memory, sync, tell
        )
    return AddReport(*done)


def drop(archive: Path, variants: str | Sequence[str], *, sync: bool = True) -> DropReport:
    """Drops variants from an archive. What others need of them stays; `compact` frees the rest.

    Raises UnknownNameError, InvalidArgumentError (no variant would be left), and what `Archive`
    raises.
    """
    names = [variants] if isinstance(variants, str) else list(variants)
    opened = Archive(archive)
    for name in names:
        opened.find_variant(name)
    return DropReport(*_qstore.drop(encode(archive), names, sync))


def compact(
    archive: Path,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress = None,
) -> CompactReport:
    """Writes an archive anew without what is dead, to `out` or in its own place.

    It appears when it is complete. Payloads are copied as they are, checked, in the order of
    variants. Raises AlreadyExistsError (`out` is there and `overwrite` is not set),
    InvalidArgumentError (`out` is the archive), and what `Archive` raises.
    """
    where = encode(archive), b"" if out is None else encode(out)
    with reported(progress, "compact") as tell:
        done = _qstore.compact(*where, overwrite, sync, tell)
    return CompactReport(*done)

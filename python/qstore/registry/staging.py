# SPDX-License-Identifier: Apache-2.0
"""Where archives are made before the registry has them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = "lock"
_OLD = 3600.0  # Seconds.


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new directory in `folder`, removed at the end. The system lets go of its lock when the
    process is gone, however it ended."""
    folder.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="add-", dir=folder))
    lock = os.open(place / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def collect_staging(folder: Path) -> int:
    """Removes what killed processes left. Returns how many directories."""
    count = 0
    for place in sorted(folder.glob("add-*")) if folder.is_dir() else ():
        count += _collect(place)
    return count


def _collect(place: Path) -> bool:
    try:
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Made a moment ago, or killed in that moment: an empty directory costs nothing.
        with suppress(OSError):
            if _is_old(place):
                place.rmdir()
                return True
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(place, ignore_errors=True)
        return True
    finally:
        os.close(lock)


def _is_old(place: Path) -> bool:
    return time.time() - place.stat().st_mtime > _OLD

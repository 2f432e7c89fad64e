# SPDX-License-Identifier: Apache-2.0
"""Bytes of files in archives, decoded as they are asked for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from qstore import _qstore
from qstore.errors import CorruptError
from qstore.registry.ranges import Stretch
from qstore.registry.records import FileEntry
from qstore.registry.store import Store

PIECE = 1 << 20  # Bytes that are decoded and sent at once.
_LEAST_MEMORY = 64 << 20  # Of an archive that is open.

Read = Callable[[int, int], bytes]


class Content(Protocol):
    """Where bytes of files come from. Thread-safe."""

    def open(self, file: FileEntry) -> Read:
        """A function that reads a stretch: read(offset, size). Whoever reads on and on finds the
        next bytes decoded ahead. Raises what `qstore.Archive` does."""


class OpenArchive:
    """An archive and what is decoded of it. Lives as long as somebody reads."""

    def __init__(self, store: Store, digest: str, memory: int, threads: int) -> None:
        self._archive = store.open(digest)
        self._cache = _qstore.FileCache(self._archive._native, memory, threads)
        self._numbers = {
            (name, file.path): (variant, number)
            for variant, name in enumerate(self._archive.variant_names)
            for number, file in enumerate(self._archive.files(name))
        }

    def open(self, file: FileEntry) -> Read:
        numbers = self._numbers.get((file.variant, file.source))
        if numbers is None:
            raise CorruptError(f"{self._archive.path}: has no {file.source!r} of {file.variant!r}")
        reading = self._cache.begin(*numbers)
        return lambda offset, size: self._cache.read(reading, offset, size)


class Archives:
    """The archives of a store, those asked for last kept open."""

    def __init__(self, store: Store, most: int, memory: int, threads: int) -> None:
        """`memory` in bytes is for the content of all; each has 64 MiB at least."""
        self._store = store
        self._most = max(1, most)
        self._memory = max(_LEAST_MEMORY, memory // self._most)
        self._threads = threads
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Future[OpenArchive]] = OrderedDict()

    def open(self, file: FileEntry) -> Read:
        with self._lock:
            future = self._open.get(file.archive)
            is_mine = future is None
            if future is None:
                future = self._open[file.archive] = Future()
            self._open.move_to_end(file.archive)
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        if is_mine:
            self._fill(future, file.archive)
        return future.result().open(file)

    def forget(self) -> None:
        """Closes what nobody reads."""
        with self._lock:
            self._open.clear()

    def _fill(self, future: Future[OpenArchive], digest: str) -> None:
        """Others who want the archive wait; after an error the next one tries again."""
        try:
            future.set_result(OpenArchive(self._store, digest, self._memory, self._threads))
        except BaseException as error:
            with self._lock:
                if self._open.get(digest) is future:
                    del self._open[digest]
            future.set_exception(error)


def make_executor(name: str, threads: int = 0) -> ThreadPoolExecutor:
    """Threads that read; by default enough for all processors, and for some that wait."""
    return ThreadPoolExecutor(threads or 2 * (os.cpu_count() or 1) + 2, f"qstore-{name}")


async def pieces(
    read: Read, stretch: Stretch, executor: ThreadPoolExecutor
) -> AsyncIterator[bytes]:
    """The bytes of a stretch. While one piece is sent the next one is read; when nobody wants more,
    nothing more is read."""

    def begin(at: int) -> Future[bytes] | None:
        size = min(PIECE, stretch.end - at)
        return executor.submit(read, at, size) if size else None

    at = stretch.begin
    ahead = begin(at)
    try:
        while ahead is not None:
            piece = await asyncio.wrap_future(ahead)
            at += len(piece)
            ahead = begin(at)
            yield piece
    finally:
        if ahead is not None:
            ahead.cancel()

# SPDX-License-Identifier: Apache-2.0
"""Tensors asked for one after the other, each decoded while the caller has the one before."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from qstore import _qstore
from qstore.errors import QStoreError

if TYPE_CHECKING:
    from qstore._reader import Reader, TensorEntry

# Bytes of a tensor: below, another thread costs more than it gains; above, there is little to gain,
# and the tensor that may be dropped again is all the memory that this takes.
_LEAST = 1 << 20
_MOST = 64 << 20
# How many smaller tensors may lie between.
_REACH = 8


class ReadAhead:
    """Reads whole tensors as the reader does, and the next one before it is asked for.

    The next is the one after two that were asked for in the order of `safe_open.keys`. It is
    dropped when another one is asked for, and so is its error, if any: a tensor is what the reader
    gives, or the reader raises. Thread-safe: of several threads one is read ahead for. Nothing runs
    while the process forks.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._use = threading.Lock()  # Never waited for.
        self._last: TensorEntry | None = None
        self._order: list[TensorEntry] = []  # As keys() has them, once that is needed.
        self._positions: dict[int, int] = {}  # By number in the variant.
        self._pending: dict[int, tuple[Any, int]] = {}  # By position.
        self._reads: _qstore.BackgroundReads | None = None
        self._process = os.getpid()
        stop_before_fork(self)

    def read(self, entry: TensorEntry) -> Any:
        tensor = None
        if self._use.acquire(blocking=False):
            try:
                tensor = self._take(entry)
            finally:
                self._use.release()
        return self._reader.read(entry) if tensor is None else tensor

    def stop(self) -> None:
        """Returns when no thread reads ahead. What was begun is read anew when it is asked for."""
        reads = self._reads
        if reads is not None and self._process == os.getpid():
            reads.cancel()

    def _take(self, entry: TensorEntry) -> Any:
        """The tensor, or None when it has to be read; begins to read the next one in both cases."""
        last, self._last = self._last, entry
        if last is None:
            return None
        if not self._order:
            entries = self._reader.entries
            self._order = [entries[name] for name in sorted(entries)]
            self._positions = {entry.number: at for at, entry in enumerate(self._order)}
        position = self._positions[entry.number]
        if position != self._positions[last.number] + 1:
            self._pending.clear()
            self.stop()
            return None
        self._begin(position)
        after = range(position + 1, min(position + 1 + _REACH, len(self._order)))
        next(filter(self._begin, after), None)
        return self._finish(position)

    def _begin(self, position: int) -> bool:
        """Whether the tensor is being read, or has been."""
        if self._process != os.getpid():
            # Threads do not follow their process through a fork.
            self._process, self._reads = os.getpid(), None
            self._pending.clear()
        if position in self._pending:
            return True
        entry, reader = self._order[position], self._reader
        if not _LEAST <= entry.byte_size <= _MOST:
            return False
        try:
            reader.check(entry.byte_size)
            tensor, memory = reader.framework.empty(entry.dtype, entry.shape)
            if self._reads is None:
                self._reads = _qstore.BackgroundReads(reader.archive._native, reader.threads)
            number = self._reads.begin(reader.variant, entry.number, memory)
        except (QStoreError, MemoryError):
            return False  # The same is raised when this tensor is asked for.
        self._pending[position] = tensor, number
        return True

    def _finish(self, position: int) -> Any:
        if position not in self._pending or self._reads is None:
            return None
        tensor, number = self._pending.pop(position)
        return tensor if self._reads.finish(number) else None


class Stoppable(Protocol):
    def stop(self) -> None: ...


_live: weakref.WeakSet[Stoppable] = weakref.WeakSet()
_live_lock = threading.Lock()


def stop_before_fork(reads: Stoppable) -> None:
    """Has its `stop` called before the process forks or ends, as long as it lives."""
    with _live_lock:
        _live.add(reads)


def _stop_all() -> None:
    with _live_lock:
        live = list(_live)
    for ahead in live:
        ahead.stop()


# A child would keep locks that a thread held, which it has not got.
os.register_at_fork(before=_stop_all)
atexit.register(_stop_all)

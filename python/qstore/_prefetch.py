# SPDX-License-Identifier: Apache-2.0
"""Tensors, and parts of them, that are declared before they are asked for, as safetensors has it
(0.9.0rc1, `safe_open.prefetch`): read several in one call of the library."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from qstore._frameworks import in_memory
from qstore._read_ahead import stop_before_fork
from qstore._slices import Rows, check_numpy_index, is_everything, leading_rows
from qstore.errors import QStoreError, UnknownNameError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from qstore._reader import Reader, TensorEntry

# Bytes of tensors that are read by one call, and how many such calls may be ahead of the caller.
_BATCH = 32 << 20
_AHEAD = 4


class Wanted(NamedTuple):
    """What is declared of a tensor: rows of it, and what is then taken of these."""

    entry: TensorEntry
    rows: Rows | None  # None: the whole tensor.
    index: Any  # Of the tensor that rows make, or of the whole one; None: all of it.
    size: int  # In bytes, of what is read.


class Batch:
    """Tensors that one call reads. Those that were not asked for yet are in `tensors`."""

    def __init__(self, wanted: dict[str, Wanted]) -> None:
        self.wanted = wanted
        self.tensors: dict[str, Any] = {}
        self.done: Future[bool] | None = None


class PrefetchLoader:
    """What `safe_open.prefetch` gives, as safetensors has it: tensors of a plan, which are read in
    the order of the archive while the caller has those before.

    Each is handed out once, by `take` or by iterating. One whose read fails is read again when it
    is taken, and raises then. Thread-safe. Nothing runs while the process forks, and in a child all
    is read when it is taken.
    """

    def __init__(
        self, reader: Reader, plan: Mapping[str, Any] | Iterable[str] | None, threads: int
    ) -> None:
        self._reader = reader
        self._threads = threads
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        names: Iterable[str] = reader.entries if plan is None else plan
        indices = plan if isinstance(plan, Mapping) else dict.fromkeys(names)
        wanted = {name: _wanted(reader, name, index) for name, index in indices.items()}
        self._names = reader.in_order(wanted)
        self._batches = _batches({name: wanted[name] for name in self._names})
        self._of = {name: batch for batch in self._batches for name in batch.wanted}
        self._begun = 0  # Of the batches.
        stop_before_fork(self)
        with self._lock:
            self._begin()

    def names(self) -> list[str]:
        """The tensors of the plan, in the order of the archive."""
        return list(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        """Whether it is still to be taken."""
        return name in self._of

    def take(self, name: str) -> Any:
        """The tensor, or what the plan wants of it, once it is read.

        Raises UnknownNameError for one that is not in the plan or was taken before, CorruptError
        (naming tensor and chunk), and IoError.
        """
        batch = self._claim(name)
        if self._process != os.getpid():
            return self._read(batch.wanted[name])
        try:
            is_read = _is_read(batch)
        except BaseException:
            self._of[name] = batch  # Of a signal: it may be taken again.
            raise
        with self._lock:
            tensor = batch.tensors.pop(name, None)
            wanted = batch.wanted.pop(name)
            self._begin()
        if not is_read or tensor is None:
            return self._read(wanted)
        return _selected(self._reader, tensor, wanted)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Pairs of name and tensor, in the order of the archive, of those not taken yet."""
        for name in self._names:
            if name in self:
                yield name, self.take(name)

    def close(self) -> None:
        """Lets go of what was not taken. Tensors that were stay valid."""
        self.stop()
        self._of.clear()
        self._batches.clear()

    def __enter__(self) -> PrefetchLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _claim(self, name: str) -> Batch:
        batch = self._of.pop(name, None)
        if batch is None:
            where = f"{self._reader.archive.path}: tensor {name!r}"
            raise UnknownNameError(f"{where} is not in the plan, or was taken before")
        return batch

    def stop(self) -> None:
        """Returns when nothing is read any more; what was not is read when it is taken."""
        if self._process != os.getpid():
            return
        with self._lock:
            executor, self._executor = self._executor, None
            self._begun = len(self._batches)
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        """Has further batches read, as far as those that wait for their caller leave room."""
        waiting = sum(1 for batch in self._batches[: self._begun] if batch.wanted)
        while self._begun < len(self._batches) and waiting < _AHEAD:
            batch = self._batches[self._begun]
            self._begun += 1
            if not batch.wanted:
                continue
            waiting += 1
            if self._executor is None:
                from concurrent.futures import ThreadPoolExecutor

                self._executor = ThreadPoolExecutor(1, thread_name_prefix="qstore-prefetch")
            batch.done = self._executor.submit(self._fill, batch)

    def _fill(self, batch: Batch) -> bool:
        """Whether all of it was read."""
        reader = self._reader
        with self._lock:
            wanted = {name: one for name, one in batch.wanted.items() if name in self._of}
        try:
            parts = []
            tensors = {}
            for name, one in wanted.items():
                tensor, memory = reader.framework.empty(one.entry.dtype, _shape(one))
                begin, end = (0, None) if one.rows is None else (one.rows.begin, one.rows.end)
                if len(memory):
                    parts.append((one.entry.number, memory, begin, end))
                tensors[name] = tensor
            reader.archive._native.read_parts(reader.variant, parts, self._threads)
        except (QStoreError, MemoryError):
            return False
        with self._lock:
            batch.tensors.update(tensors)
        return True

    def _read(self, wanted: Wanted) -> Any:
        reader, entry = self._reader, wanted.entry
        if wanted.rows is None:
            return _selected(reader, reader.read(entry), wanted)
        return _selected(reader, reader.read_rows(entry, wanted.rows), wanted)


def _is_read(batch: Batch) -> bool:
    """Whether a batch was read, once that is known."""
    from concurrent.futures import CancelledError

    try:
        return batch.done is not None and batch.done.result()
    except CancelledError:
        return False


def _wanted(reader: Reader, name: str, index: Any) -> Wanted:
    entry = reader.find(name)
    if index is None or index is Ellipsis:
        reader.check(entry.byte_size)
        return Wanted(entry, None, None, entry.byte_size)
    shape = in_memory(entry.dtype, entry.shape)
    if not reader.framework.is_torch:
        index = check_numpy_index(index, shape)
    reader.framework.check_index(index, entry.dtype, shape)
    is_list = shape != entry.shape and len(shape) == 1
    rows = None if is_list else leading_rows(index, shape)
    if rows is None or rows.step != 1:
        reader.check(entry.byte_size)
        return Wanted(entry, None, index, entry.byte_size)
    size = entry.byte_size // (entry.shape[0] or 1) * (rows.end - rows.begin)
    reader.check(size)
    return Wanted(entry, rows, None if is_everything(rows.rest) else rows.rest, size)


def _shape(wanted: Wanted) -> tuple[int, ...]:
    shape = wanted.entry.shape
    return shape if wanted.rows is None else wanted.rows.shape(shape)


def _selected(reader: Reader, tensor: Any, wanted: Wanted) -> Any:
    if wanted.index is not None:
        tensor = reader.framework.select(tensor, wanted.index)
    return reader.framework.finish(tensor)


def _batches(wanted: dict[str, Wanted]) -> list[Batch]:
    """In their order, each of at most _BATCH bytes or of one tensor."""
    batches: list[Batch] = []
    size = _BATCH
    for name, one in wanted.items():
        if size + one.size > _BATCH or not batches:
            batches.append(Batch({}))
            size = 0
        batches[-1].wanted[name] = one
        size += one.size
    return batches

# SPDX-License-Identifier: Apache-2.0
"""A file on an HTTP server, read by requests of ranges."""

from __future__ import annotations

import http.client
import math
import random
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

from qstore._connections import ConnectionPool, Reply
from qstore._sources import without_secrets
from qstore.errors import (
    CancelledError,
    InvalidArgumentError,
    IoError,
    PathNotFoundError,
    QStoreError,
    SourceChangedError,
)

_PROBE = 72  # The header of an archive, with which every reader begins.
_SLICE = 1 << 20  # Received at once.
_RANGE = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19})")
# What may be otherwise at another time.
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_BACKOFF = 0.1  # Seconds before the first retry; doubled before each further one.
_LONGEST_WAIT = 10.0
_PATIENCE = 10  # How many timeouts one read may take by default, beside what its bytes take.


class Identity(NamedTuple):
    """By which a file is known. What a server does not tell is None."""

    size: int
    etag: str | None
    modified: str | None

    def differs(self, other: Identity) -> bool:
        pairs = zip(self, other, strict=True)
        return any(a is not None and b is not None and a != b for a, b in pairs)


class _PassingError(Exception):
    """Worth another attempt, after `wait` seconds at least."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class HttpSource:
    """A Source of `qstore._sources`. Thread-safe; may be used after a fork.

    `headers` go with every request to the server of the URL, and to no other that it redirects to.
    `timeout` is how many seconds a server may be silent; `retries` is how often one read is tried
    again after errors that may pass, after pauses that grow. An answer of n bytes may take
    `timeout` + n / `least_rate` seconds in all (0: any time). `deadline` is how many seconds a read
    may take with all its retries; by default 10 * `timeout` + n / `least_rate`.
    `unsafe_redirects` is as ConnectionPool has it.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        least_rate: float = 4096.0,
        deadline: float | None = None,
        unsafe_redirects: bool = False,
    ) -> None:
        """Raises InvalidArgumentError, PathNotFoundError, IoError."""
        self.name = without_secrets(url)
        if not isinstance(timeout, int | float) or not 0 < timeout < 1e6:
            raise InvalidArgumentError(f"{self.name}: timeout must be seconds, not {timeout!r}")
        if not isinstance(retries, int) or retries < 0:
            raise InvalidArgumentError(f"{self.name}: retries must be a number, not {retries!r}")
        if not isinstance(least_rate, int | float) or not 0 <= least_rate < math.inf:
            what = f"bytes a second, not {least_rate!r}"
            raise InvalidArgumentError(f"{self.name}: least_rate must be {what}")
        is_right = deadline is None or isinstance(deadline, int | float) and deadline > 0
        if not is_right:
            raise InvalidArgumentError(f"{self.name}: deadline must be seconds, not {deadline!r}")
        self._pool = ConnectionPool(url, headers or {}, timeout, bool(unsafe_redirects))
        self._timeout, self._retries = timeout, retries
        self._least_rate, self._deadline = least_rate, deadline
        self._identity: Identity | None = None
        head = bytearray(_PROBE)
        received = self._read(0, memoryview(head))
        self._head = bytes(head[:received])

    @property
    def size(self) -> int:
        assert self._identity is not None
        return self._identity.size

    def read_into(self, offset: int, out: memoryview) -> None:
        """Raises IoError, SourceChangedError, CancelledError."""
        end = offset + len(out)
        if end > self.size:
            raise InvalidArgumentError(f"{self.name}: read up to {end} of {self.size} bytes")
        if end <= len(self._head):
            out[:] = self._head[offset:end]
        else:
            self._read(offset, out)

    def check_unchanged(self) -> None:
        """Raises SourceChangedError. An error that keeps from knowing is none."""
        try:
            self._read(0, memoryview(bytearray(max(1, len(self._head)))))
        except SourceChangedError:
            raise
        except QStoreError:
            pass

    def interrupt(self) -> None:
        self._pool.interrupt()

    def _read(self, offset: int, out: memoryview) -> int:
        """Fills `out`; with the first bytes only as far as the file goes. Returns how far."""
        epoch, done, failures = self._pool.epoch, 0, 0
        deadline = time.monotonic() + (
            _PATIENCE * self._timeout + self._seconds(len(out))
            if self._deadline is None
            else self._deadline
        )
        while done < len(out) and not (self._identity and offset + done >= self._identity.size):
            try:
                until = time.monotonic() + self._timeout + self._seconds(len(out) - done)
                last = offset + len(out) - 1
                with self._pool.get(offset + done, last, min(until, deadline)) as reply:
                    end = self._check(reply, offset + done, offset + len(out)) - offset
                    while done < end:
                        received = reply.read_into(out[done : min(end, done + _SLICE)])
                        self._check_epoch(epoch)
                        if received == 0:
                            raise _PassingError("the answer ended early")
                        done += received
            except QStoreError as error:
                raise self._named(error) from None
            except (OSError, ValueError, http.client.HTTPException, _PassingError) as error:
                self._check_epoch(epoch)
                failures += 1
                pause = _BACKOFF * 2 ** min(failures - 1, 10) * random.uniform(0.5, 1.0)
                wait = error.wait if isinstance(error, _PassingError) else 0.0
                pause = min(max(pause, wait), _LONGEST_WAIT)
                is_late = time.monotonic() + pause > deadline
                # As of a certificate, or of a name of a host that is none.
                is_lasting = isinstance(error, ValueError)
                if failures > self._retries or is_late or is_lasting:
                    what = str(error) or type(error).__name__
                    where = f"cannot read at offset {offset + done}, {failures} times"
                    late = ", and its time is over" if is_late else ""
                    raise IoError(f"{self.name}: {where}: {what}{late}") from None
                self._pool.wait(pause, epoch)
                self._check_epoch(epoch)
        return done

    def _seconds(self, size: int) -> float:
        """How long so many bytes may take."""
        return size / self._least_rate if self._least_rate else math.inf

    def _check(self, reply: Reply, begin: int, end: int) -> int:
        """Where the bytes that the reply brings end, which begin where they shall."""
        if reply.status in (404, 410):
            if self._identity is None:
                raise PathNotFoundError("the server knows no such file")
            raise SourceChangedError("was removed while it was read")
        if reply.status in _PASSING:
            wait = reply.headers.get("Retry-After", "")
            raise _PassingError(_answer(reply), float(wait) if wait.isdecimal() else 0.0)
        if reply.status == 200:
            raise IoError("the server ignores Range: it sends whole files only")
        if reply.status not in (206, 416):
            raise IoError(_answer(reply))
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise IoError("the server compresses what it sends of a range")
        match = _RANGE.fullmatch(reply.headers.get("Content-Range", ""))
        if match is None:
            raise IoError(f"{_answer(reply)} without a Content-Range that tells all")
        first, last, size = (None if group is None else int(group) for group in match.groups())
        assert size is not None
        self._identify(size, reply)
        if reply.status == 416 or first is None or last is None:
            if begin < size:
                raise IoError(f"the server refuses bytes from {begin} of {size}")
            return begin
        if first != begin or not first <= last < min(end, size):
            raise IoError(f"asked for bytes {begin}-{end - 1}, the server sent {first}-{last}")
        return last + 1

    def _identify(self, size: int, reply: Reply) -> None:
        headers = reply.headers
        identity = Identity(size, headers.get("ETag"), headers.get("Last-Modified"))
        if self._identity is None:
            self._identity = identity
        elif self._identity.differs(identity):
            raise SourceChangedError("changed while it was read")

    def _named(self, error: QStoreError) -> QStoreError:
        text = str(error)
        return error if text.startswith(self.name) else type(error)(f"{self.name}: {text}")

    def _check_epoch(self, epoch: int) -> None:
        if epoch != self._pool.epoch:
            raise CancelledError(f"{self.name}: reading was stopped")


def _answer(reply: Reply) -> str:
    return f"the server answered {reply.status} {reply.reason}"

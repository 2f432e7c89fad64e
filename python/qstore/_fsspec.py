# SPDX-License-Identifier: Apache-2.0
"""A file of any file system that fsspec knows."""

from __future__ import annotations

import time
from typing import Any

from qstore._sources import without_secrets
from qstore.errors import (
    CancelledError,
    InvalidArgumentError,
    IoError,
    PathNotFoundError,
    SourceChangedError,
)

_ATTEMPTS = 4
_BACKOFF = 0.1  # Seconds before the second attempt; doubled before each further one.


class FsspecSource:
    """A Source of `qstore._sources`. As thread-safe, and as usable after a fork, as the file system
    is. Errors of the file system that cannot pass are not tried again."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        """`options` are the file system's. Raises InvalidArgumentError, PathNotFoundError, IoError,
        and ImportError when fsspec or what it needs for the URL is not installed."""
        try:
            import fsspec
        except ImportError:
            raise ImportError(
                f"{without_secrets(url)}: install fsspec, or qstore[remote]", name="fsspec"
            ) from None
        self.name = without_secrets(url)
        try:
            self._system, self._path = fsspec.core.url_to_fs(url, **options)
        except ImportError:
            raise
        except Exception as error:
            raise InvalidArgumentError(f"{self.name}: {error}") from error
        info = self._attempt("cannot open", lambda: self._system.info(self._path))
        if info.get("type") == "directory":
            raise InvalidArgumentError(f"{self.name}: is a directory")
        if not isinstance(info.get("size"), int):
            raise IoError(f"{self.name}: its size is not known")
        self.size: int = info["size"]
        self._key = self._fingerprint()
        self.identity = f"{self.size} {self._key or ''}"
        self._epoch = 0

    def read_into(self, offset: int, out: memoryview) -> None:
        """Raises IoError, SourceChangedError, CancelledError."""
        end = offset + len(out)
        if end > self.size:
            raise InvalidArgumentError(f"{self.name}: read up to {end} of {self.size} bytes")
        epoch = self._epoch

        def read() -> Any:
            if epoch != self._epoch:
                raise CancelledError(f"{self.name}: reading was stopped")
            return self._system.cat_file(self._path, start=offset, end=end)

        try:
            content = self._attempt(f"cannot read at offset {offset}", read)
        except PathNotFoundError:
            raise SourceChangedError(f"{self.name}: was removed while it was read") from None
        if len(content) != len(out):
            self.check_unchanged()
            got = f"{len(content)} bytes at offset {offset} in place of {len(out)}"
            raise IoError(f"{self.name}: the file system gave {got}")
        out[:] = content

    def check_unchanged(self) -> None:
        """Raises SourceChangedError."""
        if self._fingerprint() != self._key:
            raise SourceChangedError(f"{self.name}: changed while it was read")

    def interrupt(self) -> None:
        """What is being read at the moment is still read: file systems cannot stop."""
        self._epoch += 1

    def _fingerprint(self) -> str | None:
        """Differs for another content; None when the file is gone or cannot be asked for."""
        try:
            self._system.invalidate_cache()
            return str(self._system.ukey(self._path))
        except Exception:
            return None

    def _attempt(self, what: str, call: Any) -> Any:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_BACKOFF * 2 ** (attempt - 1))
            try:
                return call()
            except FileNotFoundError:
                raise PathNotFoundError(f"{self.name}: there is no such file") from None
            except (CancelledError, ImportError):
                raise
            except Exception as error:
                failure = error
                if isinstance(error, PermissionError | ValueError | NotImplementedError):
                    break
        text = str(failure) or type(failure).__name__
        raise IoError(f"{self.name}: {what}: {text}") from failure

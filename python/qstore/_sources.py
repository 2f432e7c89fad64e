# SPDX-License-Identifier: Apache-2.0
"""Archives that are not files of this machine: what is behind a URL, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from qstore.errors import InvalidArgumentError

# "s3://bucket/m.qstore", and chains of fsspec as "simplecache::s3://bucket/m.qstore".
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")

# Several large reads at once hide how long each takes to begin. They hold 40 MiB at most.
READ_AHEAD = 8
READ_SIZE = 4 << 20

_HTTP_OPTIONS = dict.fromkeys(
    ("headers", "timeout", "retries", "least_rate", "deadline", "unsafe_redirects")
)


class Source(Protocol):
    """Bytes at any offset. Called from many threads at once, none of them Python's main thread."""

    name: str  # In messages and representations; holds no secret.

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fills `out`, or raises a QStoreError. `out` must not be kept."""

    def check_unchanged(self) -> None:
        """Raises SourceChangedError when the content is not what it was when it was opened."""

    def interrupt(self) -> None:
        """Has the reads that are running end soon by CancelledError."""


def is_url(path: object) -> bool:
    """Whether `path` is to be read by a Source. Objects with __fspath__ and bytes are paths."""
    return isinstance(path, str) and _URL.match(path) is not None


def local_path(url: str) -> str | None:
    """The path of a file:// URL; None of others. Raises InvalidArgumentError."""
    parts = _split(url)
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise InvalidArgumentError(f"{url}: a file URL has a path only")
    return unquote(parts.path)


def open_source(url: str, options: Mapping[str, Any]) -> Source:
    """Opens what a URL names. Raises what `qstore.Archive` says of URLs."""
    if url.lower().startswith(("http://", "https://")):
        from qstore._http import HttpSource

        if unknown := options.keys() - _HTTP_OPTIONS:
            known = ", ".join(_HTTP_OPTIONS)
            raise InvalidArgumentError(f"storage_options {sorted(unknown)} are none of: {known}")
        return HttpSource(url, **options)
    from qstore._fsspec import FsspecSource

    return FsspecSource(url, dict(options))


def without_secrets(url: str) -> str:
    """The URL without user, password, query and fragment, which may hold what signs requests."""
    parts = _split(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        # Not what it is, which may hold a secret.
        raise InvalidArgumentError(f"the URL cannot be read: {error}") from None

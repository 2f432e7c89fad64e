# SPDX-License-Identifier: Apache-2.0
"""Archives that are not files of this machine: what is behind a URL, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from qstore import _qstore
from qstore.errors import InvalidArgumentError

# "s3://bucket/m.qstore", and chains of fsspec as "simplecache::s3://bucket/m.qstore".
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")

# A name on the Hugging Face Hub, "owner/name".
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

_HTTP_OPTIONS = dict.fromkeys(
    ("headers", "timeout", "retries", "least_rate", "deadline", "unsafe_redirects")
)
_NUMBERS = {"timeout": 30.0, "least_rate": 4096.0}  # By default, as HttpOptions of the library.
_MOST_RETRIES = 1 << 30


class Source(Protocol):
    """Bytes at any offset. Called from many threads at once, none of them Python's main thread."""

    name: str  # In messages and representations; holds no secret.

    identity: str  # Another one when the content is another, as far as can be told.

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fills `out`, or raises a QStoreError. `out` must not be kept."""

    def check_unchanged(self) -> None:
        """Raises SourceChangedError when the content is not what it was when it was opened."""

    def interrupt(self) -> None:
        """Has the reads that are running end soon by CancelledError."""


class Found(NamedTuple):
    """Where an archive is: in a file of this machine, or behind a URL, which is empty then."""

    file: str | PathLike[str] | None
    url: str
    options: Mapping[str, Any]  # For the URL.
    name: str | None  # In messages, where it is not that of the file or URL.
    path: str | PathLike[str]  # What opens the same content again, with `again` for options.
    again: Mapping[str, Any]


def find(path: str | PathLike[str], options: Mapping[str, Any]) -> Found:
    """Where the archive is that a caller names. Raises what `qstore.Archive` says of URLs."""
    if not isinstance(path, str) or not is_url(path):
        return Found(path, "", options, None, path, options)
    if is_hub(path):
        return _on_hub(path, options)
    file = local_path(path)
    return Found(file, "" if file else path, options, None, file or path, options)


def _on_hub(url: str, options: Mapping[str, Any]) -> Found:
    from qstore import _hub

    own = {key: options[key] for key in options if key in _hub.OPTIONS}
    rest = {key: options[key] for key in options if key not in own}
    place, file, address, headers = _hub.find(url, own)
    name = str(place)
    # The name holds the revision now, and pins it.
    again = {key: value for key, value in options.items() if key != "revision"}
    headers |= rest.get("headers") or {}
    rest = {} if file else rest | {"headers": headers}
    return Found(file, address, rest, name, name, again)


def is_url(path: object) -> bool:
    """Whether `path` is to be read by a Source. Objects with __fspath__ and bytes are paths."""
    return isinstance(path, str) and _URL.match(path) is not None


def is_hub(path: object) -> bool:
    """Whether it is a URL of the Hugging Face Hub, "hf://owner/name/m.qstore"."""
    return isinstance(path, str) and path.lower().startswith("hf://")


def is_repository(path: object) -> bool:
    """Whether it may be a name on the Hugging Face Hub. A relative path may look like one."""
    if not isinstance(path, str) or path.endswith(".qstore"):
        return False
    return _REPOSITORY.fullmatch(path) is not None


def local_path(url: str) -> str | None:
    """The path of a file:// URL; None of others. Raises InvalidArgumentError."""
    parts = _split(url)
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise InvalidArgumentError(f"{url}: a file URL has a path only")
    return unquote(parts.path)


def is_http(url: str) -> bool:
    """Whether the library reads it itself."""
    return url.lower().startswith(("http://", "https://"))


def open_remote(url: str, options: Mapping[str, Any], max_memory: int) -> _qstore.Archive:
    """Opens the archive that a URL names. Raises what `qstore.Archive` says of URLs."""
    if is_http(url):
        return _open_http(url, options, max_memory)
    from qstore._fsspec import FsspecSource

    source = FsspecSource(url, dict(options))
    return _qstore.Archive.open_source(source, source.name, max_memory)


def _open_http(url: str, options: Mapping[str, Any], max_memory: int) -> _qstore.Archive:
    if unknown := options.keys() - _HTTP_OPTIONS:
        known = ", ".join(_HTTP_OPTIONS)
        raise InvalidArgumentError(f"storage_options {sorted(unknown)} are none of: {known}")
    name, deadline = without_secrets(url), options.get("deadline")
    numbers = {key: options.get(key, value) for key, value in _NUMBERS.items()}
    for key, value in numbers.items():
        if not isinstance(value, int | float):
            raise InvalidArgumentError(f"{name}: {key} must be a number, not {value!r}")
    if deadline is not None and not (isinstance(deadline, int | float) and deadline > 0):
        raise InvalidArgumentError(f"{name}: deadline must be seconds, not {deadline!r}")
    retries = options.get("retries", 5)
    if not isinstance(retries, int) or retries < 0:
        raise InvalidArgumentError(f"{name}: retries must be a number, not {retries!r}")
    return _qstore.Archive.open_http(
        url,
        _encoded(options.get("headers") or {}),
        numbers["timeout"],
        min(retries, _MOST_RETRIES),
        numbers["least_rate"],
        deadline or 0.0,
        bool(options.get("unsafe_redirects", False)),
        _certificates() if url.lower().startswith("https") else "",
        max_memory,
    )


def _encoded(headers: object) -> list[tuple[bytes, bytes]]:
    try:
        assert isinstance(headers, Mapping)
        return [(key.encode("latin-1"), text.encode("latin-1")) for key, text in headers.items()]
    except (AssertionError, AttributeError, UnicodeError):
        # Not what they are, which may be secret.
        text = "headers must map names to values, one line each"
        raise InvalidArgumentError(text) from None


def _certificates() -> str:
    """For systems that have none where the library looks for them."""
    try:
        import certifi
    except ImportError:
        return ""
    return certifi.where()


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

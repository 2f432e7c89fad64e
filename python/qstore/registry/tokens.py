# SPDX-License-Identifier: Apache-2.0
"""Who may read what: tokens, of which a file has the hashes.

A line of the file is the SHA-256 of a token and the scopes that it may read: "*" for all, "ORG/"
for an organization, "ORG/MODEL" for one repository. What follows "#" is a remark.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from qstore.errors import CorruptError, InvalidArgumentError, PathNotFoundError
from qstore.registry.names import check_digest, check_repo

ALL = "*"


class Scopes(tuple[str, ...]):
    """What a token may read."""

    def allow(self, repo: str) -> bool:
        organization = repo.partition("/")[0] + "/"
        return any(scope in (ALL, organization, repo) for scope in self)


EVERYBODY = Scopes((ALL,))


class Tokens:
    """The file of tokens, read again when it has changed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises PathNotFoundError, CorruptError."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._scopes: dict[str, Scopes] = {}
        self._refresh()

    def find(self, token: str) -> Scopes | None:
        """None for one that nobody knows. Tokens have 256 random bits, so that comparing hashes
        tells nobody anything. Raises as the constructor."""
        with self._lock:
            self._refresh()
            return self._scopes.get(hash_of(token))

    def _refresh(self) -> None:
        try:
            info = self._path.stat()
            stamp = (info.st_mtime_ns, info.st_size, info.st_ino)
            if stamp == self._stamp:
                return
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise PathNotFoundError(f"{self._path}: there is no such file of tokens") from None
        self._scopes = dict(
            _parse(line, f"{self._path}:{number}")
            for number, line in enumerate(lines, 1)
            if line.partition("#")[0].strip()
        )
        self._stamp = stamp


def make_token(scopes: Iterable[str]) -> tuple[str, str]:
    """A new token, and the line for the file. Raises InvalidArgumentError."""
    token = "qst_" + secrets.token_urlsafe(32)
    return token, " ".join([hash_of(token), *(check_scope(scope) for scope in scopes)])


def check_scope(scope: str) -> str:
    """Raises InvalidArgumentError."""
    if scope != ALL:
        check_repo(scope + "model" if scope.endswith("/") else scope)
    return scope


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _parse(line: str, where: str) -> tuple[str, Scopes]:
    digest, *scopes = line.partition("#")[0].split()
    try:
        if not scopes:
            raise InvalidArgumentError("want a hash, and scopes behind it")
        return check_digest(digest.lower()), Scopes(check_scope(scope) for scope in scopes)
    except InvalidArgumentError as error:
        raise CorruptError(f"{where}: {error}") from None

# SPDX-License-Identifier: Apache-2.0
"""Who a request is from, and the answers to those who may not have what they ask for."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qstore.errors import QStoreError, UnknownNameError
from qstore.registry.state import UnknownRevisionError
from qstore.registry.tokens import EVERYBODY, Scopes, Tokens

_log = logging.getLogger(__name__)

# What clients of the Hub tell their errors by.
REPO, REVISION, ENTRY = "RepoNotFound", "RevisionNotFound", "EntryNotFound"
# The text by which they know that it is the token that is wrong.
_WRONG_TOKEN = "Invalid credentials in Authorization header"


class Denied(Exception):
    """A request without a token, or with an unknown one."""

    def __init__(self, told: str, code: str | None = None) -> None:
        super().__init__(told)
        self.code = code


class Gate:
    """Thread-safe."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def scopes(self, request: Request) -> Scopes:
        """What the request may read. Raises Denied."""
        if self._tokens is None:
            return EVERYBODY
        token = _token(request.headers.get("authorization", ""))
        if token is None:
            raise Denied("Want a token to read from this registry.", REPO)
        found = self._tokens.find(token)
        if found is None:
            raise Denied(_WRONG_TOKEN)
        return found

    def check(self, request: Request, repo: str) -> str:
        """The repository, when the request may read it; otherwise it is told as not there. Raises
        Denied, UnknownNameError."""
        if not self.scopes(request).allow(repo):
            raise UnknownNameError(f"{repo}: there is no such repository")
        return repo


def refuse(status: int, told: str, code: str | None, headers: Any = None) -> Response:
    """An error as the Hub tells it."""
    # Messages may hold what headers may not.
    line = told.encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\r", " ")
    named = {"X-Error-Message": line, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return JSONResponse({"error": told}, status, named)


def denied(_: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)
    # Browsers ask for a password, which is the token.
    headers = {"WWW-Authenticate": 'Basic realm="qstore", Bearer'}
    return refuse(401, str(error), error.code, headers)


def failed(_: Request, error: Exception) -> Response:
    """The answer to an error of the package."""
    assert isinstance(error, QStoreError)
    if isinstance(error, UnknownRevisionError):
        return refuse(404, str(error), REVISION)
    if isinstance(error, UnknownNameError):
        return refuse(404, str(error), REPO)
    # What is wrong with archives and their places is the operator's to know.
    _log.error("%s", error)
    return refuse(500, f"the registry cannot read this ({error.code})", None)


def _token(authorization: str) -> str | None:
    kind, _, rest = authorization.strip().partition(" ")
    if kind.lower() == "bearer" and rest:
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return None

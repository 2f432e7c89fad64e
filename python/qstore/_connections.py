# SPDX-License-Identifier: Apache-2.0
"""Connections to an HTTP server, kept between requests, that follow where it redirects to."""

from __future__ import annotations

import base64
import http.client
import io
import math
import os
import re
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from qstore._addresses import is_public_address, is_public_host
from qstore._qstore import __version__
from qstore.errors import InvalidArgumentError, IoError

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
# What an address that a server redirected to answers once its signature has expired.
_EXPIRED = {400, 401, 403, 404, 410}
_CONNECT_TIMEOUT = 10.0
_SAFE = "/%:@!$&'()*+,;=~"

_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


class _Clock:
    """When an answer must have come."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.deadline = math.inf

    def wind(self, connected: socket.socket) -> None:
        """Before each receive, which waits for as long as it may."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out: the server sends too slowly")
        connected.settimeout(min(self._timeout, left))


class _Received(io.RawIOBase):
    """What comes by a socket."""

    def __init__(self, clock: _Clock, connected: socket.socket, raw: io.RawIOBase) -> None:
        self._clock, self._socket, self._raw = clock, connected, raw

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any) -> int | None:
        self._clock.wind(self._socket)
        return self._raw.readinto(out)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Connection:
    """One connection; `url` says to whom."""

    def __init__(self, url: SplitResult, timeout: float) -> None:
        proxy = urlsplit(_proxy_of(url))
        host, port = (proxy.hostname, proxy.port) if proxy.netloc else (url.hostname, url.port)
        assert host is not None
        port = port or (80 if proxy.netloc else None)
        patience = min(timeout, _CONNECT_TIMEOUT)
        self._http: http.client.HTTPConnection
        if url.scheme == "https":
            context = ssl.create_default_context()
            self._http = http.client.HTTPSConnection(host, port, timeout=patience, context=context)
        else:
            self._http = http.client.HTTPConnection(host, port, timeout=patience)
        self._http.response_class = self._response  # type: ignore[assignment]
        self._headers: dict[str, str] = {}
        self._prefix = ""
        if proxy.netloc:
            user = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
            secret = base64.b64encode(user.encode()).decode()
            headers = {"Proxy-Authorization": f"Basic {secret}"} if proxy.username else {}
            if url.scheme == "https":
                assert url.hostname is not None
                self._http.set_tunnel(url.hostname, url.port, headers)
            else:
                self._headers, self._prefix = headers, f"http://{url.netloc}"
        self.origin = _origin(url)
        self.is_used = False
        self.is_public = False  # As far as is known, and known once it is open.
        self._named = (url.hostname or "") if proxy.netloc else None
        self._clock = _Clock(timeout)
        self._socket: socket.socket | None = None

    def open(self, deadline: float) -> None:
        """Connects, unless that was done. The answer must have come by `deadline`."""
        self._clock.deadline = deadline
        if self._socket is None:
            self._http.connect()
            self._socket = self._http.sock
            # Behind a proxy there is only the name.
            peer = self._socket.getpeername()[0]
            named = self._named
            self.is_public = is_public_address(peer) if named is None else is_public_host(named)
        self._clock.wind(self._socket)

    def request(self, url: SplitResult, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """REQUIRES: open."""
        target = quote(url.path or "/", _SAFE)
        if url.query:
            target += "?" + quote(url.query, _SAFE + "?")
        self._http.request("GET", self._prefix + target, headers={**self._headers, **headers})
        return self._http.getresponse()

    def close(self) -> None:
        self._http.close()

    def interrupt(self) -> None:
        """Ends what another thread waits for. Not as TLS does, whose state is that thread's."""
        try:
            if self._socket is not None:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass

    def _response(self, connected: socket.socket, *rest: Any, **named: Any) -> Any:
        """What receives by the clock."""
        response = http.client.HTTPResponse(connected, *rest, **named)
        raw = response.fp.detach()
        response.fp = io.BufferedReader(_Received(self._clock, connected, raw))
        return response


class Reply:
    """An answer, to be used in a `with`, whose connection is kept when all has been read."""

    def __init__(
        self, pool: ConnectionPool, connection: Connection, response: http.client.HTTPResponse
    ) -> None:
        self._pool, self._connection, self._response = pool, connection, response
        self.status, self.reason = response.status, response.reason
        self.headers = response.headers
        self.is_public = connection.is_public  # Who sent it.

    def read_into(self, out: memoryview) -> int:
        """How many bytes came; 0 at the end of the answer."""
        return self._response.readinto(out)

    def __enter__(self) -> Reply:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_complete = kind is None and self._response.isclosed() and not self._response.will_close
        self._response.close()
        self._pool.give_back(self._connection, is_complete)


class ConnectionPool:
    """Asks for ranges of what a URL names. Thread-safe; may be used after a fork.

    With `unsafe_redirects` a redirect may lead from https to http, and from a public address to one
    that is not.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], timeout: float, unsafe_redirects: bool = False
    ) -> None:
        """Raises InvalidArgumentError."""
        self._url = _split(url)
        _check_headers(headers)
        own = {"range", "accept-encoding", "host"}
        self._headers = {key: value for key, value in headers.items() if key.lower() not in own}
        self._timeout = timeout
        self._unsafe_redirects = unsafe_redirects
        # Where redirects led to, and whether it must be public.
        self._target = self._url, False
        self.epoch = 0  # How often reading was interrupted.
        self._reset()
        _pools.add(self)

    def get(self, first: int, last: int, deadline: float = math.inf) -> Reply:
        """The answer to a request of the bytes [first, last], which must have come by `deadline`.

        Raises OSError, ValueError and http.client.HTTPException of the connection, IoError for
        redirects that are not followed.
        """
        url, must_be_public = self._target
        may_have_expired = url is not self._url  # Whatever other threads have found meanwhile.
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._ask(url, must_be_public, first, last, deadline)
            if reply.status in _EXPIRED and may_have_expired:
                url, must_be_public = self._url, False
            elif reply.status in _REDIRECTS:
                url = self._follow(url, reply.headers.get("Location"))
                must_be_public |= reply.is_public and not self._unsafe_redirects
            else:
                self._target = url, must_be_public
                return reply
            may_have_expired = False
            reply.__exit__(None, None, None)
        raise IoError(f"more than {_MOST_REDIRECTS} redirects")

    def give_back(self, connection: Connection, keep: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if keep:
                self._idle.append(connection)
                return
        connection.close()

    def interrupt(self) -> None:
        """Has the requests that are running fail; `epoch` tells them why."""
        with self._interrupted:
            self.epoch += 1
            self._interrupted.notify_all()
            for connection in self._busy:
                connection.interrupt()

    def wait(self, seconds: float, epoch: int) -> None:
        """Waits, no longer than until the epoch is another."""
        with self._interrupted:
            self._interrupted.wait_for(lambda: self.epoch != epoch, seconds)

    def _reset(self) -> None:
        """Forgets connections and locks: after a fork they are the parent's."""
        self._lock = threading.RLock()
        self._interrupted = threading.Condition(self._lock)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    def _ask(
        self, url: SplitResult, must_be_public: bool, first: int, last: int, deadline: float
    ) -> Reply:
        headers = {"User-Agent": f"qstore/{__version__}"}
        if _origin(url) == _origin(self._url):
            headers |= self._headers
        headers |= {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
        while True:
            connection = self._take(url)
            was_used, connection.is_used = connection.is_used, True
            try:
                connection.open(deadline)
                if must_be_public and not connection.is_public:
                    raise IoError("redirected from a public address to one that is not")
                return Reply(self, connection, connection.request(url, headers))
            except BaseException as error:
                self.give_back(connection, False)
                # A server may close a connection that it kept; that says nothing of the next one.
                stale = isinstance(error, ConnectionError | http.client.BadStatusLine)
                if not (was_used and stale):
                    raise

    def _take(self, url: SplitResult) -> Connection:
        with self._lock:
            for i, connection in enumerate(self._idle):
                if connection.origin == _origin(url):
                    del self._idle[i]
                    break
            else:
                connection = Connection(url, self._timeout)
            self._busy.add(connection)
            return connection

    def _follow(self, url: SplitResult, location: str | None) -> SplitResult:
        try:
            target = _split(urljoin(url.geturl(), location or ""))
        except ValueError as error:
            raise IoError(f"redirected to what cannot be read: {error}") from None
        is_worse = url.scheme == "https" and target.scheme != "https"
        if is_worse and not self._unsafe_redirects:
            raise IoError("redirected from https to http")
        return target

    def __del__(self) -> None:
        for connection in getattr(self, "_idle", ()):
            connection.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise InvalidArgumentError(f"{url.partition('?')[0]!r} is no URL of an HTTP server")
    if "@" in parts.netloc:
        raise InvalidArgumentError(f"{parts.hostname}: give user and password as a header")
    return parts


def _check_headers(headers: object) -> None:
    is_right = isinstance(headers, Mapping) and all(
        isinstance(key, str)
        and isinstance(value, str)
        and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key)
        and re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value)
        for key, value in headers.items()
    )
    if not is_right:
        # Not what they are, which may be secret.
        raise InvalidArgumentError("headers must map names to values, one line each")


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port


def _proxy_of(url: SplitResult) -> str:
    """The proxy that the environment names for a URL; empty for none."""
    if proxy_bypass(url.netloc):
        return ""
    proxy = getproxies().get(url.scheme, "")
    return proxy if "//" in proxy or not proxy else f"http://{proxy}"


def _after_fork() -> None:
    for pool in _pools:
        pool._reset()


os.register_at_fork(after_in_child=_after_fork)

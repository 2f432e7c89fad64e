# SPDX-License-Identifier: Apache-2.0
"""Connections to an HTTP server, kept between requests, that follow where it redirects to."""

from __future__ import annotations

import base64
import http.client
import os
import re
import socket
import ssl
import threading
import weakref
from collections.abc import Mapping
from types import TracebackType
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from qstore._qstore import __version__
from qstore.errors import InvalidArgumentError, IoError

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
# What an address that a server redirected to answers once its signature has expired.
_EXPIRED = {400, 401, 403, 404, 410}
_CONNECT_TIMEOUT = 10.0
_SAFE = "/%:@!$&'()*+,;=~"

_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


class Connection:
    """One connection; `url` says to whom."""

    def __init__(self, url: SplitResult, timeout: float) -> None:
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        proxy = urlsplit(_proxy_of(url))
        host, port = (proxy.hostname, proxy.port) if proxy.netloc else (url.hostname, url.port)
        assert host is not None
        options = {"context": ssl.create_default_context()} if url.scheme == "https" else {}
        options["timeout"] = min(timeout, _CONNECT_TIMEOUT)
        self._http = kind(host, port or (80 if proxy.netloc else None), **options)
        self._headers = {}
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
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def request(self, url: SplitResult, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if self._socket is None:
            self._http.connect()
            self._socket = self._http.sock
            self._socket.settimeout(self._timeout)
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


class Reply:
    """An answer, to be used in a `with`, whose connection is kept when all has been read."""

    def __init__(
        self, pool: ConnectionPool, connection: Connection, response: http.client.HTTPResponse
    ) -> None:
        self._pool, self._connection, self._response = pool, connection, response
        self.status, self.reason = response.status, response.reason
        self.headers = response.headers

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
    """Asks for ranges of what a URL names. Thread-safe; may be used after a fork."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        """Raises InvalidArgumentError."""
        self._url = _split(url)
        _check_headers(headers)
        own = {"range", "accept-encoding", "host"}
        self._headers = {key: value for key, value in headers.items() if key.lower() not in own}
        self._timeout = timeout
        self._target = self._url  # Where redirects led to.
        self.epoch = 0  # How often reading was interrupted.
        self._reset()
        _pools.add(self)

    def get(self, first: int, last: int) -> Reply:
        """The answer to a request of the bytes [first, last].

        Raises OSError and http.client.HTTPException of the connection, IoError for redirects that
        are not followed.
        """
        url = self._target
        may_have_expired = url is not self._url  # Whatever other threads have found meanwhile.
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._ask(url, first, last)
            if reply.status in _EXPIRED and may_have_expired:
                url = self._url
            elif reply.status in _REDIRECTS:
                url = self._follow(url, reply.headers.get("Location"))
            else:
                self._target = url
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

    def _ask(self, url: SplitResult, first: int, last: int) -> Reply:
        headers = {"User-Agent": f"qstore/{__version__}"}
        if _origin(url) == _origin(self._url):
            headers |= self._headers
        headers |= {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
        while True:
            connection = self._take(url)
            was_used, connection.is_used = connection.is_used, True
            try:
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
        except InvalidArgumentError as error:
            raise IoError(f"redirected to what cannot be read: {error}") from None
        if url.scheme == "https" and target.scheme != "https":
            raise IoError("redirected from https to http")
        return target

    def __del__(self) -> None:
        for connection in getattr(self, "_idle", ()):
            connection.close()


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
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

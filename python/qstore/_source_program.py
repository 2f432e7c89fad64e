# SPDX-License-Identifier: Apache-2.0
"""What the command reads URLs of fsspec by: the program `qstore-source`.

It is given a URL, and how many sockets it has from descriptor 3 on. A request is two numbers of 64
bits, an offset and a size; the answer is its length and as many bytes. A size of 0 asks for the
identity of the file, which begins with its size, or at the last offset whether it is unchanged. Of
an error the length is negative, and the bytes are its code, a line end and a text.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable

from qstore._fsspec import FsspecSource
from qstore._sources import Source, is_hub
from qstore.errors import QStoreError

_FIRST_SOCKET = 3
_CHECK = (1 << 64) - 1
_MOST_TEXT = 1 << 16


def main() -> int:
    # An interruption of the terminal is the command's to handle, which then ends this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    url, count = sys.argv[1], int(sys.argv[2])
    opened = _Once(lambda: _open(url))
    threads = [
        threading.Thread(target=_serve, args=(socket.socket(fileno=_FIRST_SOCKET + i), opened))
        for i in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def _open(url: str) -> Source:
    """Of the Hub at the commit that it has now, read no further than asked."""
    if not is_hub(url):
        return FsspecSource(url, {})
    from qstore import _hub

    found = _hub.find(url, {})
    if found.file is not None:
        return FsspecSource(found.file.absolute().as_uri(), {})
    return FsspecSource(str(found.place), {"block_size": 1})


class _Once:
    """The source, opened by the first request: only there its error can be told."""

    def __init__(self, open_it: Callable[[], Source]) -> None:
        self._open, self._lock = open_it, threading.Lock()
        self._source: Source | None = None

    def get(self) -> Source:
        with self._lock:
            if self._source is None:
                self._source = self._open()
            return self._source


def _serve(connection: socket.socket, opened: _Once) -> None:
    """Answers until the command has closed its end."""
    try:
        with connection, connection.makefile("rb") as requests:
            while len(request := requests.read(16)) == 16:
                offset, size = struct.unpack("<QQ", request)
                try:
                    answer = _answer(opened.get(), offset, size)
                    length = len(answer)
                except Exception as error:  # File systems raise what they like.
                    answer = _told(error)[:_MOST_TEXT]
                    length = -len(answer)
                connection.sendall(struct.pack("<q", length))
                connection.sendall(answer)
    except OSError:
        pass  # The command has ended.


def _answer(source: Source, offset: int, size: int) -> bytes | bytearray:
    if size:
        content = bytearray(size)
        source.read_into(offset, memoryview(content))
        return content
    if offset == _CHECK:
        source.check_unchanged()
        return b""
    return source.identity.encode(errors="backslashreplace")


def _told(error: Exception) -> bytes:
    code = error.code if isinstance(error, QStoreError) else "io"
    return f"{code}\n{error}".encode(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())

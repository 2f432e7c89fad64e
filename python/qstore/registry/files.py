# SPDX-License-Identifier: Apache-2.0
"""Answers that are files, or stretches of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from qstore.registry.access import refuse
from qstore.registry.content import Content, make_executor, pieces
from qstore.registry.metrics import Metrics
from qstore.registry.ranges import BeyondEnd, Stretch, is_known, wanted
from qstore.registry.records import FileEntry


class Files:
    """Sends files of archives, decoded on the way."""

    def __init__(self, content: Content, metrics: Metrics) -> None:
        self._content = content
        self._metrics = metrics
        self._executor = make_executor("decode")

    async def answer(self, request: Request, file: FileEntry, commit: str) -> Response:
        """To GET and HEAD. Raises what `qstore.Archive` does."""
        etag = f'"{file.sha256}"'
        headers = {
            "ETag": etag,
            "X-Linked-ETag": etag,
            "X-Linked-Size": str(file.size),
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Disposition": _disposition(file.path.rpartition("/")[2]),
            # What was packed by others is nothing for a browser to run.
            "X-Content-Type-Options": "nosniff",
        }
        if is_known(request.headers, etag):
            return Response(status_code=304, headers=headers)
        try:
            stretch = wanted(request.headers, file.size, etag)
        except BeyondEnd:
            beyond = {**headers, "Content-Range": f"bytes */{file.size}"}
            return refuse(416, f"{file.path} has {file.size} bytes", None, beyond)
        status = 200 if stretch is None else 206
        begin, end = stretch or Stretch(0, file.size)
        headers["Content-Length"] = str(end - begin)
        headers["Content-Type"] = "application/octet-stream"
        if stretch is not None:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{file.size}"
        if request.method == "HEAD" or begin == end:
            return Response(status_code=status, headers=headers)
        loop = asyncio.get_running_loop()
        read = await loop.run_in_executor(self._executor, self._content.open, file)
        content = pieces(read, Stretch(begin, end), self._executor)
        # A file that cannot be read is an answer of its own only before the first byte is sent.
        first = await anext(content)
        body = self._counted(first, content, end - begin)
        return StreamingResponse(body, status, headers)

    async def _counted(
        self, first: bytes, rest: AsyncIterator[bytes], size: int
    ) -> AsyncIterator[bytes]:
        sent = 0
        with self._metrics.running.track_inprogress():
            try:
                self._metrics.sent.inc(len(first))
                sent += len(first)
                yield first
                async for piece in rest:
                    self._metrics.sent.inc(len(piece))
                    sent += len(piece)
                    yield piece
            finally:
                if sent < size:
                    self._metrics.broken.inc()
                close = getattr(rest, "aclose", None)
                if close is not None:
                    await close()


def _disposition(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    clean = "".join(c if c.isprintable() else "_" for c in plain)
    return f"inline; filename*=UTF-8''{quote(name)}; filename=\"{clean}\";"

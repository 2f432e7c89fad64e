# SPDX-License-Identifier: Apache-2.0
"""An HTTP server on this machine that serves ranges of one file, slowly and badly when told to."""

import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RangeServer:
    """Serves `content` at /m.qstore. `behave(request)` may answer in place of it: it returns True
    when it did. `latency` is in seconds, `bandwidth` in bytes a second of all answers together,
    `tls` a certificate and its key; `at` is the address, and the port or 0."""

    def __init__(self, content, latency=0.0, bandwidth=None, tls=None, at=("127.0.0.1", 0)):
        self.content, self.latency, self.bandwidth = content, latency, bandwidth
        self.etag, self.modified = '"1"', None
        self.behave = lambda request: False
        self.requests = []  # (first, last) of what was sent.
        self.headers = []
        self.connections = 0
        self.most_running = self.running = 0
        self.free_at = 0.0
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"state": self})
        self.server = ThreadingHTTPServer(at, handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # Clients may leave at any time.
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://{at[0]}:{self.server.server_port}/m.qstore"

    @property
    def bytes_sent(self):
        return sum(last - first + 1 for first, last in self.requests)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        with self.state.lock:
            self.state.connections += 1

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.state.content)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", self.state.etag)
        self.end_headers()

    def do_GET(self):
        state = self.state
        with state.lock:
            state.headers.append(dict(self.headers))
            state.running += 1
            state.most_running = max(state.most_running, state.running)
        try:
            time.sleep(state.latency)
            if not state.behave(self):
                self.answer()
        finally:
            with state.lock:
                state.running -= 1

    def wanted(self):
        """The range asked for, as far as there is a file."""
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        return int(first), min(int(last), len(self.state.content) - 1)

    def answer(self, content=None, length=None):
        """The range asked for; with `length` the connection ends after so many bytes."""
        state = self.state
        content = state.content if content is None else content
        first, last = self.wanted()
        if first >= len(content):
            self.send(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        with state.lock:
            state.requests.append((first, last))
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        if state.etag:
            headers["ETag"] = state.etag
        if state.modified:
            headers["Last-Modified"] = state.modified
        self.send(206, headers, content[first : last + 1], length)

    def send(self, status, headers, body=b"", length=None):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.pour(body if length is None else body[:length])
        if length is not None:
            self.close_connection = True

    def pour(self, body):
        state, step = self.state, 1 << 16
        for begin in range(0, len(body), step):
            piece = body[begin : begin + step]
            if state.bandwidth:
                with state.lock:
                    state.free_at = (
                        max(state.free_at, time.monotonic()) + len(piece) / state.bandwidth
                    )
                    pause = state.free_at - time.monotonic()
                time.sleep(max(0.0, pause))
            self.wfile.write(piece)

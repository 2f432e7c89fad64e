# SPDX-License-Identifier: Apache-2.0
"""HTTP servers that mean harm: they hold a reader up, or claim sizes."""

import random
import time
import tracemalloc

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from range_server import RangeServer
from samples import same

pytestmark = pytest.mark.alone

IMPATIENT = {"timeout": 0.3, "retries": 1, "least_rate": 1e8}


def trickle(request, data):
    """A byte every twentieth of a second, until the client leaves."""
    try:
        for byte in data:
            request.wfile.write(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass
    request.close_connection = True
    return True


def slow_body(request):
    first, last = request.wanted()
    size = len(request.state.content)
    request.send_response(206)
    request.send_header("Content-Range", f"bytes {first}-{last}/{size}")
    request.send_header("Content-Length", str(last - first + 1))
    request.end_headers()
    return trickle(request, b"Q" * (last - first + 1))


def slow_status(request):
    return trickle(request, b"HTTP/1.1 206 " + b"x" * 10000)


def slow_headers(request):
    return trickle(request, b"HTTP/1.1 206 OK\r\n" + b"A: b\r\n" * 1000)


def endless_continue(request):
    return trickle(request, b"HTTP/1.1 100 C\r\n\r\n" * 1000)


def slow_chunks(request):
    first, last = request.wanted()
    place = f"Content-Range: bytes {first}-{last}/{len(request.state.content)}\r\n"
    head = f"HTTP/1.1 206 OK\r\n{place}Transfer-Encoding: chunked\r\n\r\n"
    request.wfile.write(head.encode())
    return trickle(request, b"1\r\nQ\r\n" * 1000)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "behave", [slow_body, slow_status, slow_headers, endless_continue, slow_chunks]
)
def test_a_server_that_trickles(qstore, server, behave, at_once):
    handle = None if at_once else qstore.safe_open(server.url, "int8", storage_options=IMPATIENT)
    server.behave = behave
    begin = time.perf_counter()
    with pytest.raises(qstore.IoError, match="cannot read at offset .* 2 times: .*timed out"):
        if handle is None:
            qstore.Archive(server.url, IMPATIENT)
        else:
            handle.get_tensors()
    assert time.perf_counter() - begin < 3.0


def test_a_slow_server_is_waited_for(qstore, content, expected):
    """One that keeps the least rate, at which it takes longer than the timeout."""
    with RangeServer(content, bandwidth=1.2e6) as server:
        options = {"timeout": 1.0, "retries": 0, "least_rate": 1e5}
        begin = time.perf_counter()
        with qstore.safe_open(server.url, "int8", storage_options=options) as f:
            assert same(f.get_tensors(), expected["int8"])
        assert time.perf_counter() - begin > 2 * options["timeout"]


@pytest.mark.parametrize("rate", [0, 4096])
def test_the_deadline_counts_all_retries(qstore, server, rate):
    options = {"retries": 1000, "deadline": 0.6, "least_rate": rate}
    with qstore.safe_open(server.url, "int8", storage_options=options) as f:
        server.behave = lambda request: request.send(503, {"Retry-After": "0"}) or True
        begin = time.perf_counter()
        with pytest.raises(qstore.IoError, match="(503|timed out).*time is over"):
            f.get_tensor("0.SCB")
        assert time.perf_counter() - begin < 2.0


def test_hostile_answers(qstore, server, content):
    """Of any headers: what was packed, or an error of the package."""
    chance = random.Random(1)
    numbers = ["", "-1", "0", "1", "23", "24", "1e9", "9" * 19, "9" * 5000, "\xb2", "0x10", "nan"]
    values = [*numbers, "bytes 0-23/99", "bytes */9", "bytes 0-23/" + "9" * 19, "chunked", "gzip"]
    names = ["Content-Length", "Content-Range", "ETag", "Transfer-Encoding", "Content-Encoding"]
    names += ["Retry-After", "Location", "Connection", "Last-Modified"]
    statuses = ["206", "200", "302", "416", "503", "999", "20", "-1", "2000", "abc", ""]

    def behave(request):
        first, last = request.wanted()
        status = chance.choice(["206", "206", "206", *statuses])
        lines = [f"HTTP/1.1 {status} x", f"Content-Range: bytes {first}-{last}/{len(content)}"]
        lines += [f"{chance.choice(names)}: {chance.choice(values)}" for _ in range(2)]
        chance.shuffle(lines[1:])
        body = b"zz\r\n" if chance.randrange(4) == 0 else content[first : last + 1]
        request.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        request.close_connection = True
        return True

    server.behave = behave
    for _ in range(150):
        try:
            qstore.Archive(server.url, {"retries": 0, "timeout": 1})
        except qstore.QStoreError as error:
            assert server.url in str(error) and type(error) is not qstore.InternalError


@pytest.fixture
def peak():
    """The most that Python allocates, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


class Boastful(MemoryFileSystem):
    protocol = "boastful"
    store, pseudo_dirs = {}, [""]
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("boastful://", "memory://"))

    def info(self, path, **options):
        return super().info(path, **options) | {"size": 1 << 50}


def test_claimed_sizes_of_file_systems(qstore, content, peak):
    fsspec.register_implementation("boastful", Boastful, clobber=True)
    Boastful().pipe("/m.qstore", content)
    with pytest.raises(qstore.IoError, match="boastful://m.qstore: the file system gave"):
        qstore.Archive("boastful://m.qstore")
    assert peak() < 2 * len(content) + (8 << 20)

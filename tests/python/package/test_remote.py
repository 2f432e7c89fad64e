# SPDX-License-Identifier: Apache-2.0
"""Archives behind URLs: what travels, and what becomes of servers that are slow, wrong or gone."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time

import fsspec
import numpy
import pytest
import samples
from range_server import RangeServer

RANGE = 4 << 20
EXTRA = 64 << 10  # What is read before the index, in case that it is larger.


@pytest.fixture(scope="module")
def content(pair):
    return pair.archive.read_bytes()


@pytest.fixture
def server(content):
    with RangeServer(content) as server:
        yield server


@pytest.fixture(scope="module")
def expected(qstore, pair):
    return {name: qstore.torch.load_file(pair.archive, name) for name in ("bf16", "int8")}


def same(loaded, expected):
    return loaded.keys() == expected.keys() and all(
        samples.equal(loaded[name], expected[name]) for name in expected
    )


def test_only_a_variants_bytes_travel(qstore, server, expected, pair, figure):
    sizes = {v.name: v.load_bytes for v in qstore.inspect(pair.archive).variants}
    for name in ("int8", "bf16"):
        server.requests.clear()
        with qstore.safe_open(server.url, name) as f:
            opening = server.bytes_sent
            assert same(f.get_tensors(), expected[name])
            assert f.bytes_read == server.bytes_sent
        gaps = RANGE // 64 * len(server.requests)
        assert opening <= EXTRA + 24
        assert sizes[name] <= server.bytes_sent <= sizes[name] + EXTRA + gaps
        share = server.bytes_sent / len(server.content)
        figure(f"{name} by HTTP: {server.bytes_sent:,} bytes, {share:.0%} of the archive")
    assert sizes["int8"] + 2 * EXTRA < len(server.content) // 2 + len(server.content) // 4


def test_a_slice_takes_its_chunks_only(qstore, server, expected):
    with qstore.safe_open(server.url, "bf16") as f:
        opening = server.bytes_sent
        assert samples.equal(f.get_slice("0.weight")[5:9], expected["bf16"]["0.weight"][5:9])
        assert server.bytes_sent - opening < len(server.content) // 10


def test_requests_are_large_and_several_at_once(qstore, content, expected):
    with RangeServer(content, latency=0.05) as server:
        with qstore.safe_open(server.url, "bf16") as f:
            assert len(server.requests) == 2  # The header; the footer with the index.
            server.requests.clear()
            begin = time.perf_counter()
            assert same(f.get_tensors(), expected["bf16"])
            seconds = time.perf_counter() - begin
        sizes = [last - first + 1 for first, last in server.requests]
        assert max(sizes) <= RANGE
        assert len(sizes) <= 2 * sum(sizes) // RANGE + 4
        assert 3 <= server.most_running <= 12
        assert seconds < 0.05 * len(sizes) or len(sizes) < 6
        assert server.connections <= server.most_running + 1


def test_everything_that_takes_a_path_takes_a_url(qstore, server, pair, space, expected):
    assert qstore.inspect(server.url).variants == qstore.inspect(pair.archive).variants
    archive = qstore.Archive.open(server.url)
    assert archive.path == server.url
    config = (pair.high / "config.json").read_bytes()
    assert archive.read_file("bf16", "config.json") == config
    report = qstore.unpack(server.url, "bf16", space / "out", sync=False)
    assert report.files == 3
    for file in ("a.safetensors", "b.safetensors", "config.json"):
        assert (space / "out" / file).read_bytes() == (pair.high / file).read_bytes()
    qstore.verify(archive, {"int8": pair.low})
    assert same(qstore.torch.load_file(archive, "int8"), expected["int8"])
    assert numpy.array_equal(
        qstore.numpy.load_file(server.url, "int8")["0.SCB"], expected["int8"]["0.SCB"].numpy()
    )


def test_errors_that_pass(qstore, server, expected):
    """Dropped connections, answers cut short and busy servers: late, but never wrong."""
    chance, lock = random.Random(1), threading.Lock()
    failures = []

    def behave(request):
        with lock:
            kind = chance.randrange(8)
            failures.append(kind)
        if kind == 0:
            request.send(503, {"Retry-After": "0"})
        elif kind == 1:
            request.close_connection = True
        elif kind == 2:
            first, last = request.wanted()
            request.answer(length=(last - first + 1) // 2)
        return kind < 3

    server.behave = behave
    for name in ("int8", "bf16"):
        options = {"retries": 20}
        with qstore.safe_open(server.url, name, storage_options=options) as f:
            assert same(f.get_tensors(), expected[name])
    assert {0, 1, 2} <= set(failures)


def test_connections_closed_between_requests(qstore, server, expected):
    def behave(request):
        request.answer()
        request.close_connection = True  # Without having told so.
        return True

    with qstore.safe_open(server.url, "int8", storage_options={"retries": 0}) as f:
        server.behave = behave
        for name in ("1.weight", "2.weight", "3.weight"):
            before = server.connections
            assert samples.equal(f.get_tensor(name), expected["int8"][name])
            time.sleep(0.05)
        assert server.connections > before


@pytest.mark.parametrize("status", [503, 429, 500])
def test_gives_up(qstore, server, status):
    with qstore.safe_open(server.url, "int8", storage_options={"retries": 2}) as f:
        asked = len(server.headers)
        server.behave = lambda request: request.send(status, {}) or True
        with pytest.raises(qstore.IoError, match=f"m.qstore: .* 3 times: .* {status}") as caught:
            f.get_tensor("0.SCB")
        assert server.url in str(caught.value)
        assert len(server.headers) == asked + 3


def test_a_silent_server(qstore, server):
    options = {"retries": 1, "timeout": 0.2}
    with qstore.safe_open(server.url, "int8", storage_options=options) as f:
        server.behave = lambda request: time.sleep(1.0)
        begin = time.perf_counter()
        with pytest.raises(qstore.IoError, match="timed out"):
            f.get_tensor("0.SCB")
        assert time.perf_counter() - begin < 2.0


def whole_file(request):
    request.send(200, {}, request.state.content)
    return True


def wrong_place(request):
    first, last = request.wanted()
    size = len(request.state.content)
    body = request.state.content[first : last + 1]
    request.send(206, {"Content-Range": f"bytes {first + 1}-{last + 1}/{size}"}, body)
    return True


def no_place(request):
    first, last = request.wanted()
    request.send(206, {}, request.state.content[first : last + 1])
    return True


def compressed(request):
    first, last = request.wanted()
    size = len(request.state.content)
    headers = {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Encoding": "gzip"}
    request.send(206, headers, request.state.content[first : last + 1])
    return True


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (whole_file, "ignores Range"),
        (wrong_place, "asked for bytes"),
        (no_place, "without a Content-Range"),
        (compressed, "compresses"),
        (lambda request: request.send(403, {}) or True, "403 Forbidden"),
        (lambda request: request.send(302, {"Location": "/m.qstore"}) or True, "redirects"),
        (lambda request: request.send(302, {"Location": "ftp://a/b"}) or True, "redirected to"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_servers_that_cannot_be_read(qstore, server, behave, message, at_once):
    if at_once:
        server.behave = behave
        with pytest.raises(qstore.IoError, match=message):
            qstore.Archive(server.url)
        return
    with qstore.safe_open(server.url, "int8") as f:
        server.behave = behave
        with pytest.raises(qstore.IoError, match=message):
            f.get_tensors()


def test_answers_always_cut_short(qstore, server):
    with qstore.safe_open(server.url, "int8", storage_options={"retries": 1}) as f:
        server.behave = lambda request: request.answer(length=0) or True
        with pytest.raises(qstore.IoError, match="ended early|incomplete"):
            f.get_tensors()


def test_absent_empty_and_other_files(qstore, content):
    with RangeServer(b"") as server, pytest.raises(qstore.CorruptError, match="0 bytes"):
        qstore.Archive(server.url)
    with RangeServer(b"short") as server, pytest.raises(qstore.CorruptError, match="5 bytes"):
        qstore.Archive(server.url)
    with RangeServer(bytes(100000)) as server, pytest.raises(qstore.CorruptError, match="m.qstore"):
        qstore.Archive(server.url)
    with RangeServer(content[:-1]) as server, pytest.raises(qstore.CorruptError):
        qstore.Archive(server.url)
    with RangeServer(content) as server:
        server.behave = lambda request: request.send(404, {}) or True
        with pytest.raises(qstore.PathNotFoundError, match="m.qstore"):
            qstore.Archive(server.url)
        server.behave = lambda request: False
        closed = server.url
    with pytest.raises(qstore.IoError, match="refused"):
        qstore.Archive(closed, {"retries": 0})


def change_etag(server):
    server.etag = '"2"'


def change_time(server):
    server.modified = "Tue, 02 Jan 2024 00:00:00 GMT"


def change_size(server):
    server.content = server.content + b"more"


def remove(server):
    server.behave = lambda request: request.send(404, {}) or True


def cut(server):
    server.content = server.content[:30]


@pytest.mark.parametrize("change", [change_etag, change_time, change_size, remove, cut])
def test_a_file_that_changes(qstore, server, change):
    server.modified = "Mon, 01 Jan 2024 00:00:00 GMT"
    with qstore.safe_open(server.url, "int8") as f:
        f.get_tensor("0.SCB")
        change(server)
        with pytest.raises(qstore.SourceChangedError, match="m.qstore: "):
            f.get_tensors()


def test_a_file_that_changes_unseen(qstore, server, content):
    """No ETag, no time, the same size: the checksums of the archive are left."""
    server.etag = None
    with qstore.safe_open(server.url, "int8") as f:
        server.content = bytes(byte ^ 1 for byte in content)
        with pytest.raises(qstore.CorruptError, match="tensor '0.weight' of variant 'int8'"):
            f.get_tensor("0.weight")


def test_damage_found_late_is_told_from_change(qstore, server, content):
    """Bytes of an old answer under a new name: a check of the file tells what happened."""
    with qstore.safe_open(server.url, "int8") as f:
        asked = []

        def behave(request):
            asked.append(request)
            if len(asked) == 1:
                request.answer(bytes(byte ^ 1 for byte in content))
                server.etag = '"2"'
            return len(asked) == 1

        server.behave = behave
        with pytest.raises(qstore.SourceChangedError):
            f.get_tensor("0.SCB")


def test_redirects(qstore, server, content, expected):
    headers = {"Authorization": "secret", "X-Mine": "1"}
    with RangeServer(content) as front:
        expired = []

        def behave(request):
            request.send(302, {"Location": f"{server.url}?signature={len(front.headers)}"})
            return True

        def refuse_old(request):
            if request.path.endswith("=1") and expired:
                request.send(403, {})
                return True
            return False

        front.behave, server.behave = behave, refuse_old
        with qstore.safe_open(front.url, "int8", storage_options={"headers": headers}) as f:
            assert len(front.headers) == 1
            expired.append(True)
            assert same(f.get_tensors(), expected["int8"])
        assert len(front.headers) > 1
        assert all(sent["Authorization"] == "secret" for sent in front.headers)
        assert all(sent["X-Mine"] == "1" for sent in front.headers)
        assert not any({"Authorization", "X-Mine"} & sent.keys() for sent in server.headers)


def test_secrets_are_not_told(qstore, server):
    url = server.url + "?token=hidden#part"
    archive = qstore.Archive(url)
    assert archive.path == server.url and "hidden" not in repr(archive)
    assert server.headers and pickle.loads(pickle.dumps(archive)).path == server.url
    server.behave = lambda request: request.send(403, {}) or True
    for wrong in (url, url.replace("http://", "http://me:hidden@")):
        with pytest.raises((qstore.IoError, qstore.InvalidArgumentError)) as caught:
            qstore.Archive(wrong)
        assert "hidden" not in str(caught.value)


def test_wrong_urls_and_options(qstore, server, pair):
    for url in ("http://", "http://host:port/x", "file://elsewhere/m.qstore", "nosuch://x/y"):
        with pytest.raises(qstore.InvalidArgumentError):
            qstore.Archive(url)
    for options in ({"colour": 1}, {"headers": 5}, {"timeout": "x"}, {"headers": {"a": "b\r\nc"}}):
        with pytest.raises(qstore.InvalidArgumentError):
            qstore.Archive(server.url, options)
    with pytest.raises(qstore.InvalidArgumentError, match="are for URLs"):
        qstore.Archive(pair.archive, {"timeout": 1})
    with pytest.raises(qstore.InvalidArgumentError, match="too late"):
        qstore.safe_open(qstore.Archive(server.url), "int8", storage_options={"timeout": 1})


def test_pickled_and_forked(qstore, server, expected):
    with qstore.safe_open(server.url, "int8") as f:
        f.get_tensor("0.SCB")
        with pickle.loads(pickle.dumps(f)) as again:
            assert samples.equal(again.get_tensor("0.SCB"), expected["int8"]["0.SCB"])
        child = os.fork()
        if child == 0:
            right = samples.equal(f.get_tensor("1.SCB"), expected["int8"]["1.SCB"])
            os._exit(0 if right else 1)
        assert samples.equal(f.get_tensor("2.SCB"), expected["int8"]["2.SCB"])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_many_threads(qstore, server, expected):
    with qstore.safe_open(server.url, "bf16", threads=2) as f:
        results = {}
        threads = [
            threading.Thread(target=lambda n=name: results.update({n: f.get_tensor(n)}))
            for name in expected["bf16"]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert same(results, expected["bf16"])


@pytest.mark.parametrize("stage", ["opening", "reading"])
def test_keyboard_interrupt(qstore, server, installed, stage):
    """Of a server that has stopped to answer."""
    code = """
import sys, qstore
sys.path.insert(0, sys.argv[2])
print("go", flush=True)
with qstore.safe_open(sys.argv[1], "int8", framework="np") as f:
    print("open", flush=True)
    f.get_tensors()
"""
    stalled = threading.Event()
    asked = []

    def behave(request):
        asked.append(request)
        if len(asked) > (2 if stage == "reading" else 1):
            stalled.set()
            time.sleep(20)
        return False

    server.behave = behave
    environment = os.environ | {"PYTHONPATH": str(installed / "site")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, server.url, ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert stalled.wait(30)
    time.sleep(0.2)
    begin = time.perf_counter()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert time.perf_counter() - begin < 2.0
    assert "KeyboardInterrupt" in errors and process.returncode != 0


def test_file_urls(qstore, pair, expected, space):
    name = space / "with space.qstore"
    name.write_bytes(pair.archive.read_bytes())
    archive = qstore.Archive(name.as_uri())
    assert archive.path == str(name)
    assert same(qstore.torch.load_file(archive, "int8"), expected["int8"])
    odd = space / "memory:" / "m.qstore"
    odd.parent.mkdir()
    odd.write_bytes(b"")
    with pytest.raises(qstore.CorruptError):
        qstore.Archive(odd)


def test_fsspec(qstore, content, expected):
    memory = fsspec.filesystem("memory")
    memory.pipe("/models/m.qstore", content)
    url = "memory://models/m.qstore"
    for name in ("bf16", "int8"):
        assert same(qstore.torch.load_file(url, name), expected[name])
    with qstore.safe_open(url, "int8") as f:
        assert f.bytes_read < len(content) // 10
        memory.pipe("/models/m.qstore", bytes(byte ^ 1 for byte in content))
        with pytest.raises(qstore.SourceChangedError, match="memory://models/m.qstore"):
            f.get_tensors()
        memory.pipe("/models/m.qstore", content[:100])
        with pytest.raises(qstore.SourceChangedError):
            f.get_tensors()
        memory.rm("/models/m.qstore")
        with pytest.raises(qstore.SourceChangedError):
            f.get_tensors()
    with pytest.raises(qstore.PathNotFoundError, match="memory://models/m.qstore"):
        qstore.Archive(url)


def test_fsspec_errors_that_pass(qstore, content, expected, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/m.qstore", content)
    read, calls = type(memory).cat_file, []

    def sometimes(self, path, start=None, end=None, **options):
        calls.append(start)
        if len(calls) % 3 == 0:
            raise OSError("the line is bad")
        return read(self, path, start=start, end=end, **options)

    monkeypatch.setattr(type(memory), "cat_file", sometimes)
    with qstore.safe_open("memory://m.qstore", "bf16") as f:
        assert same(f.get_tensors(), expected["bf16"])
        short = lambda self, path, start=None, end=None: content[start : end - 1]  # noqa: E731
        monkeypatch.setattr(type(memory), "cat_file", short)
        with pytest.raises(qstore.IoError, match="in place of"):
            f.get_tensors()
    memory.rm("/m.qstore")


def test_without_fsspec(qstore, run_python):
    code = """
import sys
sys.modules["fsspec"] = None
import qstore
try:
    qstore.Archive("s3://bucket/m.qstore?secret=1")
except ImportError as error:
    print(error)
"""
    assert "qstore[remote]" in run_python(code) and "secret" not in run_python(code)

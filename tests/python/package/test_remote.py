# SPDX-License-Identifier: Apache-2.0
"""Archives behind URLs: what travels, and who may use them how."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy
import pytest
import samples
from range_server import RangeServer
from samples import same

pytestmark = pytest.mark.alone

RANGE = 4 << 20
EXTRA = 64 << 10  # What is read before the index, in case that it is larger.


def test_only_a_variants_bytes_travel(qstore, server, expected, pair, figure):
    sizes = {v.name: v.load_bytes for v in qstore.inspect(pair.archive).variants}
    for name in ("int8", "bf16"):
        server.requests.clear()
        with qstore.safe_open(server.url, name) as f:
            opening = server.bytes_sent
            assert same(f.get_tensors(), expected[name])
            assert f.bytes_read == server.bytes_sent
        gaps = RANGE // 64 * len(server.requests)
        assert opening <= EXTRA + 72
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
            assert same(f.get_tensors(), expected["bf16"])
        sizes = [last - first + 1 for first, last in server.requests]
        assert max(sizes) <= RANGE
        assert len(sizes) <= 2 * sum(sizes) // RANGE + 4
        assert 3 <= server.most_running <= 12
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
    for url in ("http://[::1/m.qstore", "file://[", "http://a]b/m", "http://\u2100.example/m"):
        with pytest.raises(qstore.InvalidArgumentError):
            qstore.Archive(url)
    for options in (
        *({"colour": 1}, {"headers": 5}, {"timeout": "x"}, {"headers": {"a": "b\r\nc"}}),
        *({"least_rate": -1}, {"least_rate": "x"}, {"deadline": 0}, {"deadline": "x"}),
    ):
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
    assert time.perf_counter() - begin < 10
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

# SPDX-License-Identifier: Apache-2.0
"""HTTP servers that are slow, wrong, gone or elsewhere: late, but never with wrong bytes."""

import random
import subprocess
import threading
import time

import pytest
import samples
from range_server import RangeServer
from samples import same

pytestmark = pytest.mark.alone


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
        f.get_tensor("0.SCB")  # And the header of its file.
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
        with pytest.raises(qstore.CorruptError, match="header of file 'model.safetensors' of"):
            f.get_tensor("0.weight")


def test_damage_found_late_is_told_from_change(qstore, server, content):
    """Bytes of an old answer under a new name: a check of the file tells what happened."""
    with qstore.safe_open(server.url, "int8") as f:
        asked = []

        def behave(request):
            asked.append(request)
            if len(asked) > 1:
                server.etag = '"2"'
                return False
            request.answer(bytes(byte ^ 1 for byte in content))
            return True

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
                # All but one learn of it when others read from the new place already.
                expired.append(True)
                time.sleep(0.3 if len(expired) > 2 else 0)
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


@pytest.fixture(params=["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def secure(request, content, tmp_path, monkeypatch):
    """A server by TLS, whose certificate is trusted by a variable of the environment, .named."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command = ["openssl", "req", *kind, *names, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, str(certificate))
    with RangeServer(content, tls=(certificate, key)) as server:
        server.named = request.param
        yield server


def test_tls(qstore, secure, server, expected, monkeypatch):
    with qstore.safe_open(secure.url, "int8") as f:
        assert same(f.get_tensors(), expected["int8"])
    secure.behave = lambda request: request.send(302, {"Location": server.url}) or True
    with pytest.raises(qstore.IoError, match="from https to http"):
        qstore.Archive(secure.url)
    with qstore.safe_open(secure.url, "int8", storage_options={"unsafe_redirects": True}) as f:
        assert same(f.get_tensors(), expected["int8"])
    monkeypatch.delenv(secure.named)
    with pytest.raises(qstore.IoError, match="1 times: .*certificate"):
        qstore.Archive(secure.url)


def test_proxy(qstore, server, expected, monkeypatch):
    far = "http://far.invalid/m.qstore"
    monkeypatch.setenv("http_proxy", server.url.replace("/m.qstore", "").replace("//", "//me:pw@"))
    with qstore.safe_open(far, "int8") as f:
        assert same(f.get_tensors(), expected["int8"])
    assert {sent["Host"] for sent in server.headers} == {"far.invalid"}
    assert all(sent["Proxy-Authorization"] == "Basic bWU6cHc=" for sent in server.headers)
    monkeypatch.setenv("no_proxy", "far.invalid")
    with pytest.raises(qstore.IoError, match="far.invalid/m.qstore: cannot read"):
        qstore.Archive(far, {"retries": 0})

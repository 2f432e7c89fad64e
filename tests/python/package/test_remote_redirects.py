# SPDX-License-Identifier: Apache-2.0
"""Where HTTP servers redirect to, and where a reader does not follow."""

import importlib
import socket

import pytest
from range_server import RangeServer
from samples import same

PRIVATE = [
    *(
        "127.0.0.1",
        "127.255.1.2",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.9.9",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
    ),
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "198.18.0.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fdff::1", "fec0::1", "ff02::1"),
    *(
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "none",
    ),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


def test_which_addresses_are_public(qstore):
    addresses = importlib.import_module("qstore._addresses")
    assert not [text for text in PRIVATE if addresses.is_public_address(text)]
    assert [text for text in PUBLIC if addresses.is_public_address(text)] == PUBLIC
    hosts = [text for text in PRIVATE if text != "none"]
    hosts += ["localhost", "LocalHost.", "a.localhost", "127.1", "2130706433", "0x7f.1", "0177.1"]
    assert not [text for text in hosts if addresses.is_public_host(text)]
    names = [*PUBLIC, "models.example", "localhost.example"]
    assert [text for text in names if addresses.is_public_host(text)] == names


@pytest.fixture
def public(qstore, content, monkeypatch):
    """A server at an address that counts as public, as no other here does."""
    connections = importlib.import_module("qstore._connections")
    monkeypatch.setattr(connections, "is_public_address", lambda address: address == "127.0.0.2")
    with RangeServer(content, at=("127.0.0.2", 0)) as server:
        yield server


def lead(front, url):
    front.behave = lambda request: request.send(302, {"Location": url}) or True


REFUSED = "redirected from a public address"


def test_redirects_from_public_to_private_addresses(qstore, public, server, expected):
    lead(public, server.url)
    with pytest.raises(qstore.IoError, match=REFUSED):
        qstore.Archive(public.url)
    assert not server.headers and server.connections <= 1
    options = {"unsafe_redirects": True}
    with qstore.safe_open(public.url, "int8", storage_options=options) as f:
        assert same(f.get_tensors(), expected["int8"])


def test_redirects_by_way_of_a_public_address(qstore, public, server, content, expected):
    """What a private server leads to a public one does not lead back, whatever is connected."""
    with RangeServer(content) as front:
        lead(front, public.url)
        with qstore.safe_open(front.url, "int8") as f:
            assert same(f.get_tensors(), expected["int8"])
            lead(public, front.url + "?again")
            with pytest.raises(qstore.IoError, match=REFUSED):
                f.get_tensors()
        lead(public, server.url)
        with pytest.raises(qstore.IoError, match=REFUSED):
            qstore.Archive(front.url)
    assert not server.headers


def test_a_name_that_becomes_private(qstore, public, content, monkeypatch):
    """After a redirect to it was followed."""
    resolve, address = socket.getaddrinfo, ["127.0.0.2"]

    def resolved(host, *rest, **named):
        return resolve(address[0] if host == "far.invalid" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    port = public.server.server_port
    with (
        RangeServer(content, at=("127.0.0.1", port)) as inner,
        RangeServer(content, at=("127.0.0.2", 0)) as front,
    ):
        lead(front, f"http://far.invalid:{port}/m.qstore")

        def last_answer(request):
            request.answer()
            request.close_connection = True
            return True

        public.behave = last_answer
        with qstore.safe_open(front.url, "int8") as f:
            f.get_tensor("0.SCB")
            address[0] = "127.0.0.1"
            with pytest.raises(qstore.IoError, match=REFUSED):
                f.get_tensor("1.SCB")
        assert not inner.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433"]
)
def test_redirects_behind_a_proxy(qstore, server, monkeypatch, host):
    monkeypatch.setenv("http_proxy", server.url.replace("/m.qstore", ""))
    monkeypatch.setenv("no_proxy", "")
    lead(server, f"http://{host}/m.qstore")
    with pytest.raises(qstore.IoError, match=REFUSED):
        qstore.Archive("http://far.invalid/m.qstore")
    assert {sent["Host"] for sent in server.headers} == {"far.invalid"}


@pytest.mark.parametrize(
    "location",
    ["http://[::1/m", "http://a..b/m", "http://" + "a" * 300 + "/m", "http://h:99999/", "//", ""]
    + ["http://a b/m", "http://\xff/m", "http://u:p@h/m", "file:///etc/passwd", "http://h:x/"],
)
def test_hostile_locations(qstore, server, location):
    lead(server, location)
    with pytest.raises(qstore.IoError, match="m.qstore: "):
        qstore.Archive(server.url, {"retries": 0})

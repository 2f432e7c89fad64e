# SPDX-License-Identifier: Apache-2.0
"""Where HTTP servers redirect to, and where a reader does not follow."""

import pytest


def lead(front, url):
    front.behave = lambda request: request.send(302, {"Location": url}) or True


REFUSED = "redirected from a public address"


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

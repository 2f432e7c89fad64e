# SPDX-License-Identifier: Apache-2.0
"""A mount of a URL gives the files of the archive there, and reads only what is asked for."""

import errno
import os

import pytest
from command import contents
from mounting import mounted

pytestmark = pytest.mark.fuse


@pytest.fixture
def mount(server, space):
    with mounted(server.url, space / "at") as mount:
        yield mount


def test_the_files_are_the_originals(mount, pair):
    assert contents(mount / "bf16") == contents(pair.high)
    assert contents(mount / "int8") == contents(pair.low)
    assert mount.unmount() == (0, "")


def test_only_what_is_read_travels(mount, server, pair):
    before = server.bytes_sent
    sizes = {path.name: path.stat().st_size for path in (mount / "bf16").iterdir()}
    assert sizes == {path.name: path.stat().st_size for path in pair.high.iterdir()}
    assert server.bytes_sent == before
    assert (mount / "bf16/config.json").read_bytes() == (pair.high / "config.json").read_bytes()
    assert server.bytes_sent - before < 64 << 10


def test_an_archive_that_changes_on_the_server(mount, server):
    """Bytes of another archive never reach a reader."""
    server.etag = '"2"'
    with pytest.raises(OSError) as error:
        (mount / "bf16/a.safetensors").read_bytes()
    assert error.value.errno == errno.EIO


def test_an_archive_that_the_server_removes(mount, server):
    server.behave = lambda request: request.send(404, {}) or True
    with pytest.raises(OSError) as error:
        (mount / "int8/model.safetensors").read_bytes()
    assert error.value.errno == errno.EIO
    assert os.listdir(mount.folder)
    code, log = mount.unmount()
    assert code == 0
    assert server.url in log
    assert "was removed while it was read" in log

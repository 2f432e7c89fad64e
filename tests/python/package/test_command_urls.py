# SPDX-License-Identifier: Apache-2.0
"""The command on URLs: by its own client, and by the program that reads with fsspec."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from command import BINARY, contents, ok, run

pytestmark = pytest.mark.alone

# A module that Python imports when it starts, for a file system that only tests have.
BUCKET = """
import fsspec, os
from fsspec.implementations.local import LocalFileSystem
class Bucket(LocalFileSystem):
    protocol = "bucket"
    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("bucket://", "/"))
    def cat_file(self, path, start=None, end=None, **options):
        if os.environ.get("BUCKET_IS_BROKEN"):
            raise PermissionError("no such key")
        return super().cat_file(path, start=start, end=end, **options)
fsspec.register_implementation("bucket", Bucket)
"""


@pytest.fixture
def bucket(programs, space):
    """The environment in which bucket:// stands for paths."""
    (space / "python").mkdir()
    (space / "python" / "sitecustomize.py").write_text(BUCKET)
    return programs | {"PYTHONPATH": f"{space / 'python'}:{programs['PYTHONPATH']}"}


@pytest.fixture(params=["http", "fsspec"])
def remote(request, server, pair, programs, bucket):
    """A URL of the pair's archive, and the environment that it needs."""
    if request.param == "http":
        return server.url, programs
    return f"bucket://{str(pair.archive)[1:]}", bucket


def test_verbs_take_urls(remote, pair, space):
    url, environment = remote
    told = json.loads(ok("inspect", url, "--json", "--tensors", env=environment).stdout)
    expected = json.loads(ok("inspect", pair.archive, "--json", "--tensors").stdout)
    assert told | {"archive": expected["archive"]} == expected
    assert told["archive"] == url
    ok("verify", url, f"bf16={pair.high}", env=environment)
    ok("unpack", url, "int8", "-o", space / "out", env=environment)
    assert contents(space / "out") == contents(pair.low)
    done = run("unpack", url, "none", "-o", space / "none", env=environment)
    assert done.returncode == 1 and "no variant is named 'none'" in done.stderr
    cache = ("--cache", space / "cache", "--path")
    path = ok("get", url, "int8", *cache, env=environment).stdout.strip()
    assert contents(path) == contents(pair.low)
    assert ok("get", url, "int8", *cache, env=environment).stdout.strip() == path


def test_only_what_is_needed_travels(server, pair, space):
    ok("inspect", server.url)
    assert server.bytes_sent <= (64 << 10) + 72
    opening = server.bytes_sent
    ok("unpack", server.url, "bf16", "--file", "config.json", "-o", space / "out")
    assert server.bytes_sent - 2 * opening < len(server.content) // 10
    assert contents(space / "out") == {
        "config.json": contents(pair.high)["config.json"],
    }


def test_errors_of_servers(server, space):
    server.behave = lambda request: request.send(200, {}, request.state.content) or True
    done = run("inspect", server.url + "?sig=hidden")
    assert done.returncode == 1 and "it sends whole files only (io)" in done.stderr
    assert server.url in done.stderr and "hidden" not in done.stderr
    server.behave = lambda request: request.send(404, {}) or True
    done = run("unpack", server.url, "int8", "-o", space / "out")
    assert done.returncode == 1 and "(not-found)" in done.stderr
    assert not list(space.iterdir())


def test_a_file_that_changes_while_it_is_unpacked(server, space):
    def behave(request):
        if len(server.requests) > 3:
            server.etag = '"2"'
        return False

    server.behave = behave
    done = run("unpack", server.url, "bf16", "-o", space / "out")
    assert done.returncode == 1 and "(source-changed)" in done.stderr, done.stderr
    assert not list(space.iterdir())


def test_errors_of_file_systems(bucket, pair):
    done = run("inspect", f"bucket://{pair.archive}.none", env=bucket)
    assert done.returncode == 1 and "there is no such file (not-found)" in done.stderr
    broken = bucket | {"BUCKET_IS_BROKEN": "1"}
    done = run("inspect", f"bucket://{pair.archive}", env=broken)
    assert done.returncode == 1 and "no such key (io)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_the_program():
    done = run("inspect", "s3://bucket/m.qstore?sig=hidden", env=os.environ | {"PATH": "/nowhere"})
    assert done.returncode == 1 and "pip install 'qstore[remote]'" in done.stderr
    assert done.stderr.count("\n") == 1 and "hidden" not in done.stderr


@pytest.mark.parametrize("verb", ["inspect", "unpack"])
def test_signals_end_what_waits(server, space, verb):
    def behave(request):
        if len(server.headers) > (0 if verb == "inspect" else 2):
            time.sleep(20)
        return False

    server.behave = behave
    arguments = ["inspect", server.url]
    if verb == "unpack":
        arguments = ["unpack", server.url, "bf16", "-o", space / "out"]
    process = subprocess.Popen([BINARY, *arguments], stderr=subprocess.DEVNULL)
    time.sleep(1)
    begin = time.perf_counter()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=15) == -signal.SIGINT
    assert time.perf_counter() - begin < 5
    assert not list(space.iterdir())


def test_programs_are_verbs(programs, space):
    """As git has it."""
    program = space / "qstore-greet"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\nsys.exit(7)\n")
    program.chmod(0o755)
    environment = programs | {"PATH": f"{space}:{programs['PATH']}"}
    done = run("greet", "--who", "me", env=environment)
    assert (done.returncode, done.stdout) == (7, "['--who', 'me']\n")
    assert run("greets", env=environment).returncode == 2
    hidden = space / "qstore-inspect"
    program.rename(hidden)
    assert run("inspect", "--help", env=environment).returncode == 0

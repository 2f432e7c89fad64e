# SPDX-License-Identifier: Apache-2.0
"""Archives in file systems of fsspec."""

import zipfile

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from samples import same


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


@pytest.mark.parametrize("chain", ["simplecache::file://{file}", "zip://m.qstore::file://{zip}"])
def test_chains_of_file_systems(qstore, pair, expected, space, chain):
    """What is read for real, by file systems upon others, from several threads at once."""
    with zipfile.ZipFile(space / "m.zip", "w") as archive:
        archive.write(pair.archive, "m.qstore")
    url = chain.format(file=pair.archive, zip=space / "m.zip")
    for name in ("bf16", "int8"):
        assert same(qstore.torch.load_file(url, name), expected[name])
    with qstore.safe_open(url, "bf16") as f:
        part = f.get_slice("1.weight")[100:300]
        assert same({"part": part}, {"part": expected["bf16"]["1.weight"][100:300]})


def test_http_by_fsspec(qstore, server, expected, content, monkeypatch):
    """A file system for real, with its own client (aiohttp), in the place of the package's: ranges
    only, several at once, and errors that pass."""

    monkeypatch.setattr(qstore._sources, "is_http", lambda url: False)
    server.latency = 0.01
    with qstore.safe_open(server.url, "int8", storage_options={"headers": {"X-Who": "test"}}) as f:
        assert same({"part": f.get_tensor("0.weight")}, {"part": expected["int8"]["0.weight"]})
        assert server.bytes_sent == f.bytes_read < len(content)
        assert server.headers[-1]["X-Who"] == "test"
        assert "aiohttp" in server.headers[-1]["User-Agent"]
    seen = set()

    def refuse_once(request):
        wanted = request.wanted()
        return wanted not in seen and (seen.add(wanted) or refuse(request))

    server.behave = refuse_once
    for name in ("bf16", "int8"):
        assert same(qstore.torch.load_file(server.url, name), expected[name])
    server.behave = refuse
    with pytest.raises(qstore.IoError, match="503"):
        qstore.torch.load_file(server.url, "int8")


def refuse(request):
    request.send_error(503)
    return True


class Bucket(MemoryFileSystem):
    """An object store in memory, which wants a key."""

    protocol = "s3"
    store, pseudo_dirs = {}, [""]
    cachable = False

    def __init__(self, key=None, **options):
        super().__init__(**options)
        if key != "secret":
            raise PermissionError("no such key")

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("s3://", "memory://"))


def test_object_store(qstore, content, expected):
    fsspec.register_implementation("s3", Bucket, clobber=True)
    Bucket("secret").pipe("/bucket/m.qstore", content)
    url, options = "s3://bucket/m.qstore", {"key": "secret"}
    for name in ("bf16", "int8"):
        assert same(qstore.torch.load_file(url, name, storage_options=options), expected[name])
    for wrong in (None, {"key": "other"}):
        with pytest.raises(qstore.InvalidArgumentError, match="s3://bucket/m.qstore: no such key"):
            qstore.Archive(url, storage_options=wrong)
    with pytest.raises(qstore.PathNotFoundError):
        qstore.Archive("s3://bucket/other.qstore", storage_options=options)

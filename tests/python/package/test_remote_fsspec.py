# SPDX-License-Identifier: Apache-2.0
"""Archives in file systems of fsspec."""

import zipfile

import fsspec
import pytest
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

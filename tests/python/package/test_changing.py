# SPDX-License-Identifier: Apache-2.0
"""qstore.add, drop and compact."""

import shutil

import numpy as np
import pytest
from range_server import RangeServer
from safetensors.numpy import load_file, save_file


@pytest.fixture
def models(tmp_path):
    """Folders a, b, which is a with another scale, and c, of which nothing is alike."""
    chance = np.random.default_rng(3)
    tensors = {"w": chance.normal(size=(200, 300)).astype(np.float16), "n": np.ones(8, np.float32)}
    others = {"w": chance.normal(size=(200, 300)).astype(np.float16)}
    for name, content in {"a": tensors, "b": {**tensors, "m": tensors["w"]}, "c": others}.items():
        (tmp_path / name).mkdir()
        save_file(content, tmp_path / name / "model.safetensors")
    return tmp_path


def test_add_drop_compact(qstore, models):
    archive = models / "m.qstore"
    qstore.pack({"a": models / "a"}, archive)
    before = archive.stat().st_size
    calls = []
    report = qstore.add(
        archive, {"b": models / "b"}, progress=lambda done, total: calls.append((done, total))
    )
    assert report.stored_bytes == archive.stat().st_size
    assert report.source_bytes == calls[-1][1]
    # Only the header of the file is new.
    assert report.added_bytes < 500
    assert 0 < report.read_bytes < 2 * before
    loaded = qstore.numpy.load_file(archive, "b")
    expected = load_file(models / "b" / "model.safetensors")
    assert all(np.array_equal(loaded[name], expected[name]) for name in expected)

    dropped = qstore.drop(archive, "a")
    assert dropped.stored_bytes == archive.stat().st_size
    told = qstore.inspect(archive)
    assert [variant.name for variant in told.variants] == ["b"]
    assert told.dead_bytes == dropped.dead_bytes == qstore.Archive(archive).dead_bytes > 0

    small = qstore.compact(archive, models / "small.qstore")
    assert small == (dropped.stored_bytes, (models / "small.qstore").stat().st_size)
    assert qstore.inspect(models / "small.qstore").dead_bytes == 0
    assert qstore.compact(archive).stored_bytes == small.stored_bytes
    assert archive.read_bytes() == (models / "small.qstore").read_bytes()
    qstore.verify(archive, {"b": models / "b"})


def test_who_has_it_open_goes_on(qstore, models):
    archive = models / "m.qstore"
    qstore.pack({"a": models / "a"}, archive)
    expected = load_file(models / "a" / "model.safetensors")
    with qstore.safe_open(archive, "a", framework="np") as f:
        qstore.add(archive, {"c": models / "c"})
        qstore.drop(archive, ["a"])
        assert np.array_equal(f.get_tensor("w"), expected["w"])
        qstore.compact(archive)
        assert np.array_equal(f.get_tensor("n"), expected["n"])
    assert qstore.Archive(archive).variant_names == ["c"]


def test_an_archive_behind_a_url_that_grows(qstore, models):
    """Who has it open is told that it changed; opened anew it is the new one."""
    archive = models / "m.qstore"
    qstore.pack({"a": models / "a"}, archive)
    expected = load_file(models / "a" / "model.safetensors")
    with RangeServer(archive.read_bytes()) as server:
        opened = qstore.safe_open(server.url, "a", framework="np")
        qstore.add(archive, {"c": models / "c"})
        server.content, server.etag = archive.read_bytes(), '"2"'
        with pytest.raises(qstore.SourceChangedError, match="m.qstore"):
            opened.get_tensor("w")
        assert qstore.Archive(server.url).variant_names == ["a", "c"]
        again = qstore.numpy.load_file(server.url, "a")
        assert np.array_equal(again["w"], expected["w"])


def test_errors(qstore, models):
    archive = models / "m.qstore"
    qstore.pack({"a": models / "a", "b": models / "b"}, archive)
    before = archive.read_bytes()
    with pytest.raises(qstore.AlreadyExistsError, match="'a'"):
        qstore.add(archive, {"a": models / "c"})
    with pytest.raises(qstore.PathNotFoundError, match="nowhere"):
        qstore.add(archive, {"n": models / "nowhere"})
    with pytest.raises(qstore.InvalidArgumentError, match="ultra"):
        qstore.add(archive, {"c": models / "c"}, level="ultra")
    with pytest.raises(qstore.UnknownNameError, match="there are: "):
        qstore.drop(archive, "f32")
    with pytest.raises(qstore.InvalidArgumentError, match="left"):
        qstore.drop(archive, ["a", "b"])
    with pytest.raises(qstore.PathNotFoundError):
        qstore.drop(models / "none.qstore", "a")
    with pytest.raises(qstore.InvalidArgumentError, match="is the archive"):
        qstore.compact(archive, archive)
    with pytest.raises(qstore.AlreadyExistsError):
        qstore.compact(archive, shutil.copy(archive, models / "there.qstore"))
    assert archive.read_bytes() == before


def test_an_add_that_is_stopped(qstore, models):
    archive = models / "m.qstore"
    qstore.pack({"a": models / "a"}, archive)
    before = archive.read_bytes()

    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        qstore.add(archive, {"c": models / "c"}, progress=stop)
    assert archive.read_bytes() == before

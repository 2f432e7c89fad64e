# SPDX-License-Identifier: Apache-2.0
"""How much memory reading may take, and how much it may give out."""

import pickle

import bombs
import pytest
from command import contents


def test_memory(qstore, space, pair):
    for archive in (qstore.Archive(pair.archive, max_memory=64 << 20), pair.archive):
        options = {} if archive is not pair.archive else {"max_memory": 64 << 20}
        assert qstore.numpy.load_file(archive, "int8", **options)
        assert qstore.inspect(archive, **options).variants
        assert qstore.verify(archive, **options).files
        qstore.unpack(archive, "int8", space / "out", overwrite=True, **options)
        assert contents(space / "out") == contents(pair.low)
    with pytest.raises(qstore.LimitError, match="max_memory"):
        qstore.Archive(pair.archive, max_memory=100)
    for use in (
        lambda archive: qstore.verify(archive),
        lambda archive: qstore.unpack(archive, "int8", space / "none"),
        lambda archive: qstore.torch.load_file(archive, "int8"),
        lambda archive: qstore.safe_open(archive, "int8").get_tensor("0.weight"),
    ):
        with pytest.raises(qstore.LimitError, match="tensor '.*max_memory"):
            use(qstore.Archive(pair.archive, max_memory=1 << 20))
    assert not (space / "none").exists()


def test_memory_of_an_open_archive(qstore, pair):
    archive = qstore.Archive(pair.archive, max_memory=1 << 20)
    with pytest.raises(qstore.InvalidArgumentError, match="max_memory"):
        qstore.safe_open(archive, "int8", max_memory=1 << 30)
    again = pickle.loads(pickle.dumps(archive))
    with pytest.raises(qstore.LimitError, match="max_memory"):
        qstore.verify(again)


def test_bytes(qstore, space, pair):
    size = qstore.Archive(pair.archive).variant("int8").tensor_bytes
    for load in (qstore.torch.load_file, qstore.numpy.load_file):
        assert load(pair.archive, "int8", max_bytes=size)
        with pytest.raises(qstore.LimitError, match="max_bytes"):
            load(pair.archive, "int8", max_bytes=size - 1)
    files = sum(file.stat().st_size for file in pair.low.iterdir())
    qstore.unpack(pair.archive, "int8", space / "out", max_bytes=files)
    with pytest.raises(qstore.LimitError, match="max_bytes"):
        qstore.unpack(pair.archive, "int8", space / "none", max_bytes=files - 1)
    assert not (space / "none").exists()
    total = qstore.inspect(pair.archive).source_bytes
    qstore.verify(pair.archive, max_bytes=total)
    with pytest.raises(qstore.LimitError, match="max_bytes"):
        qstore.verify(pair.archive, max_bytes=total - 1)


def test_bytes_of_one_tensor(qstore, pair):
    with qstore.safe_open(pair.archive, "int8", "np") as file:
        names = file.keys()
        sizes = {name: file.get_tensor(name).nbytes for name in names}
    name = max(sizes, key=sizes.get)
    for most in (sizes[name], sizes[name] - 1):
        with qstore.safe_open(pair.archive, "int8", "np", max_bytes=most) as file:
            file = pickle.loads(pickle.dumps(file))
            for other in names:  # Those behind are read ahead.
                if sizes[other] <= most:
                    assert file.get_tensor(other).nbytes == sizes[other]
                else:
                    with pytest.raises(qstore.LimitError, match="max_bytes"):
                        file.get_tensor(other)


def test_claims(qstore, space):
    path = space / "claim.qstore"
    bombs.claim(path, 64 << 30, (64 << 30) - 200, 1000)
    with pytest.raises(qstore.LimitError, match="index"):
        qstore.Archive(path)
    path.write_bytes(bombs.many_objects(12_000_000))
    with pytest.raises(qstore.LimitError, match="max_memory"):
        qstore.Archive(path)
    path.write_bytes(bombs.many_tensors(16, 20_000))
    archive = qstore.Archive(path, max_memory=8 << 20)
    with pytest.raises(qstore.LimitError, match="20000 tensors.*max_memory"):
        qstore.safe_open(archive, framework="np")
    with pytest.raises(qstore.LimitError, match="max_memory"):
        qstore.inspect(archive)

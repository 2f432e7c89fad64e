# SPDX-License-Identifier: Apache-2.0
"""safe_open and load_file give what safetensors gives."""

import sys
import threading
import time

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from samples import DTYPES, equal

NUMPY_OWN = [name for name in DTYPES if not name.startswith(("bfloat", "float8"))]


def assert_same(mine, theirs):
    assert type(mine) is type(theirs)
    assert mine.dtype == theirs.dtype
    assert mine.shape == theirs.shape
    assert equal(mine, theirs)


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_in_torch(qstore, dtypes, name):
    loaded = qstore.torch.load_file(dtypes.archive)
    with safetensors.safe_open(dtypes.file, "pt") as theirs, qstore.safe_open(dtypes.archive) as f:
        for kind in ("cube", "vector", "scalar", "empty"):
            key = f"{name}.{kind}"
            expected = theirs.get_tensor(key)
            assert_same(f.get_tensor(key), expected)
            assert_same(loaded[key], expected)
            assert f.get_slice(key).get_dtype() == theirs.get_slice(key).get_dtype()
            assert f.get_slice(key).get_shape() == theirs.get_slice(key).get_shape()


@pytest.mark.parametrize("name", NUMPY_OWN)
def test_every_type_in_numpy(qstore, dtypes, name):
    loaded = qstore.numpy.load_file(dtypes.archive)
    with (
        safetensors.safe_open(dtypes.file, "np") as theirs,
        qstore.safe_open(dtypes.archive, framework="np") as f,
    ):
        for kind in ("cube", "vector", "scalar", "empty"):
            expected = theirs.get_tensor(f"{name}.{kind}")
            assert_same(f.get_tensor(f"{name}.{kind}"), expected)
            assert_same(loaded[f"{name}.{kind}"], expected)


@pytest.mark.parametrize("name", sorted(set(DTYPES) - set(NUMPY_OWN)))
def test_types_of_ml_dtypes(qstore, dtypes, name, monkeypatch):
    import ml_dtypes

    key = f"{name}.cube"
    bits = safetensors.torch.load_file(dtypes.file)[key].view(torch.uint8).numpy()
    with qstore.safe_open(dtypes.archive, framework="np") as f:
        array = f.get_tensor(key)
        assert array.dtype == np.dtype(getattr(ml_dtypes, name))
        assert array.shape == (6, 5, 4)
        assert array.tobytes() == bits.tobytes()
        part = f.get_slice(key)[2:5, 1]
        assert part.dtype == array.dtype
        assert part.tobytes() == array[2:5, 1].tobytes()
        monkeypatch.setitem(sys.modules, "ml_dtypes", None)
        with pytest.raises(qstore.InvalidArgumentError, match="install ml_dtypes"):
            f.get_tensor(key)
        with pytest.raises(qstore.InvalidArgumentError, match="install ml_dtypes"):
            qstore.numpy.load_file(dtypes.archive)


def test_four_bits(qstore, space):
    content = torch.arange(24, dtype=torch.uint8).reshape(4, 6)
    safetensors.torch.save_file(
        {"a": content.view(torch.float4_e2m1fn_x2)}, space / "f4.safetensors"
    )
    qstore.pack({"f4": space / "f4.safetensors"}, space / "m.qstore", sync=False)
    with (
        safetensors.safe_open(space / "f4.safetensors", "pt") as theirs,
        qstore.safe_open(space / "m.qstore") as f,
    ):
        for tensor in (f.get_tensor("a"), f.get_tensors()["a"]):
            assert tensor.dtype == torch.float4_e2m1fn_x2
            assert torch.equal(tensor.view(torch.uint8), content)
        assert f.get_slice("a").get_shape() == theirs.get_slice("a").get_shape() == [4, 12]
        with pytest.raises(qstore.InvalidArgumentError, match="F4"):
            f.get_slice("a")[1:2]
    with pytest.raises(qstore.InvalidArgumentError, match="F4"):
        qstore.numpy.load_file(space / "m.qstore")


def test_names_and_metadata(qstore, dtypes):
    with safetensors.safe_open(dtypes.file, "pt") as theirs, qstore.safe_open(dtypes.archive) as f:
        assert f.keys() == theirs.keys()
        assert f.offset_keys() == theirs.offset_keys()
        assert f.metadata() == theirs.metadata()
        assert list(f.get_tensors()) == f.keys()


def test_without_metadata(qstore, space):
    safetensors.torch.save_file({"a": torch.zeros(2)}, space / "a.safetensors")
    qstore.pack({"v": space / "a.safetensors"}, space / "m.qstore", sync=False)
    assert qstore.safe_open(space / "m.qstore").metadata() is None


def test_a_variant_of_two_files(qstore, pair):
    with qstore.safe_open(pair.archive, "bf16") as f:
        assert f.keys() == sorted(pair.tensors)
        assert f.offset_keys() == ["1.weight", "3.weight", "norm", "0.weight", "2.weight"]
        assert f.metadata() == {"format": "pt", "part": "a"}
    for variant, folder in (("bf16", pair.high), ("int8", pair.low)):
        expected = {}
        for file in folder.glob("*.safetensors"):
            expected |= safetensors.torch.load_file(file)
        loaded = qstore.torch.load_file(pair.archive, variant)
        assert loaded.keys() == expected.keys()
        with qstore.safe_open(pair.archive, variant) as f:
            for name, tensor in expected.items():
                assert_same(loaded[name], tensor)
                assert_same(f.get_tensor(name), tensor)


def test_a_load_reads_what_inspect_says(qstore, pair):
    told = {variant.name: variant for variant in qstore.inspect(pair.archive).variants}
    for variant in ("int8", "bf16"):
        with qstore.safe_open(pair.archive, variant) as f:
            f.get_tensors()
            assert f.bytes_read == told[variant].load_bytes
    assert told["int8"].load_bytes < 0.75 * pair.archive.stat().st_size
    assert told["int8"].load_bytes < 1.02 * told["int8"].own_bytes + 4096


def test_a_slice_reads_its_chunks(qstore, space):
    rows = torch.randint(0, 256, (4096, 4096), dtype=torch.uint8)
    safetensors.torch.save_file({"a": rows}, space / "a.safetensors")
    qstore.pack({"v": space / "a.safetensors"}, space / "m.qstore", level="fast", sync=False)
    with qstore.safe_open(space / "m.qstore") as f:
        part = f.get_slice("a")
        for index, most in (
            (slice(0, 128), 4 << 20),
            (4095, 4 << 20),
            ((slice(1024, 1100), slice(3)), 4 << 20),
            ((5, ...), 4 << 20),
            (slice(0, None, 4000), 8 << 20),
            ((Ellipsis, slice(5)), 20 << 20),
            (slice(7, 7), 0),
        ):
            before = f.bytes_read
            assert torch.equal(part[index], rows[index]), index
            assert f.bytes_read - before <= most, index


def test_memory(qstore, pair):
    """Whole variants lie in one piece of memory; single tensors and parts in their own."""
    loaded = qstore.torch.load_file(pair.archive, "bf16")
    begins = [tensor.data_ptr() for tensor in loaded.values()]
    size = sum(tensor.nbytes for tensor in loaded.values())
    assert max(begins) - min(begins) < size + 64 * len(loaded)
    assert all(begin % 64 == 0 for begin in begins)
    kept = loaded["2.weight"]
    del loaded
    assert torch.equal(kept, pair.tensors["2.weight"])
    kept += 1
    with qstore.safe_open(pair.archive, "bf16") as f:
        part = f.get_slice("0.weight")
        assert part[3:5].untyped_storage().nbytes() == 2 * 2048
        assert part[:, 3:5].untyped_storage().nbytes() == 2 * 2 * 2048
        assert f.get_tensor("0.weight").untyped_storage().nbytes() == 2 * 2048 * 1024
        assert f.get_tensor("0.weight")._base is None
        assert f.get_tensor("0.weight").data_ptr() % (2 << 20) == 0
    arrays = qstore.numpy.load_file(pair.archive, "int8")
    assert all(array.flags.writeable for array in arrays.values())


def test_threads(qstore, pair):
    failures = []
    with qstore.safe_open(pair.archive, "bf16") as f:

        def work(seed):
            try:
                for i in range(20):
                    name = f"{(seed + i) % 4}.weight"
                    row = (seed * 97 + i * 31) % 2000
                    assert torch.equal(f.get_tensor(name), pair.tensors[name])
                    rows = f.get_slice(name)[row : row + 40]
                    assert torch.equal(rows, pair.tensors[name][row : row + 40])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


@pytest.mark.parametrize("method, times", [("get_tensors", 20), ("get_tensor", 60)])
def test_the_gil_is_free_while_reading(qstore, pair, method, times):
    """Another thread's steps during reads, each of which needs the GIL."""
    steps, done = 0, threading.Event()
    arguments = ["0.weight"] if method == "get_tensor" else []
    # Of NumPy, since torch releases the GIL in calls of its own.
    with qstore.safe_open(pair.archive, "bf16", "np", threads=1) as f:

        def work():
            for _ in range(times):
                getattr(f, method)(*arguments)
            done.set()

        thread = threading.Thread(target=work)
        switch = sys.getswitchinterval()
        sys.setswitchinterval(60)  # A thread that does not release the GIL keeps it.
        try:
            thread.start()
            while not done.is_set():
                time.sleep(0.0005)
                steps += 1
            thread.join()
        finally:
            sys.setswitchinterval(switch)
    assert steps > 40


def test_load_model(qstore, space):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(8, 4)
            self.head = torch.nn.Linear(4, 8, bias=False)
            self.head.weight = self.embed.weight

    saved, other = Tied(), Tied()
    safetensors.torch.save_model(saved, str(space / "m.safetensors"))
    qstore.pack({"v": space / "m.safetensors"}, space / "m.qstore", sync=False)
    assert qstore.torch.load_model(other, space / "m.qstore") == ([], [])
    assert torch.equal(other.head.weight, saved.head.weight)
    with pytest.raises(RuntimeError, match="missing"):
        qstore.torch.load_model(torch.nn.Linear(4, 8), space / "m.qstore")
    missing, unexpected = qstore.torch.load_model(
        torch.nn.Linear(4, 8), space / "m.qstore", strict=False
    )
    assert missing == ["bias", "weight"] and len(unexpected) == 1

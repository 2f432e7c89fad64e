# SPDX-License-Identifier: Apache-2.0
"""Handles that are closed, copied to other processes, asked for the wrong thing, or damaged."""

import multiprocessing
import os
import pickle
import threading
import traceback

import pytest
import samples
import torch


def test_closed(qstore, dtypes):
    with qstore.safe_open(dtypes.archive) as f:
        part = f.get_slice("int8.cube")
        tensor = f.get_tensor("int8.cube")
    for use in (
        f.keys,
        f.offset_keys,
        f.metadata,
        f.get_tensors,
        lambda: f.get_tensor("int8.cube"),
        lambda: f.get_slice("int8.cube"),
        lambda: f.bytes_read,
        lambda: f.__enter__(),
        lambda: pickle.dumps(f),
    ):
        with pytest.raises(qstore.ClosedError):
            use()
    f.close()
    assert torch.equal(part[1:], tensor[1:])


def test_wrong_arguments(qstore, dtypes, pair):
    with pytest.raises(qstore.InvalidArgumentError, match="'tf' is none of: pt"):
        qstore.safe_open(dtypes.archive, framework="tf")
    for device in ("nowhere", "meta", object()):
        with pytest.raises(qstore.InvalidArgumentError, match="device"):
            qstore.safe_open(dtypes.archive, device=device)
    with pytest.raises(qstore.InvalidArgumentError, match="cpu only"):
        qstore.safe_open(dtypes.archive, framework="np", device="cuda")
    qstore.safe_open(dtypes.archive, device=torch.device("cpu"))
    with pytest.raises(qstore.UnknownNameError, match="'fp8'; there are: int8, bf16"):
        qstore.safe_open(pair.archive, "fp8")
    with pytest.raises(qstore.UnknownNameError, match="name a variant; there are: int8, bf16"):
        qstore.safe_open(pair.archive)
    with qstore.safe_open(pair.archive, "int8") as f:
        for use in (f.get_tensor, f.get_slice):
            with pytest.raises(KeyError, match="variant 'int8' has no tensor named 'nope'"):
                use("nope")


def test_files_that_are_no_archives(qstore, space):
    with pytest.raises(FileNotFoundError) as caught:
        qstore.safe_open(space / "none.qstore")
    assert isinstance(caught.value, qstore.PathNotFoundError)
    assert caught.value.code == "not-found"
    with pytest.raises(qstore.InvalidArgumentError):
        qstore.safe_open(space)
    (space / "text.qstore").write_text("something else" * 100)
    with pytest.raises(qstore.CorruptError, match="text.qstore"):
        qstore.safe_open(space / "text.qstore")


@pytest.fixture
def damaged(qstore, space, pair):
    """The pair's archive with noise for all payloads of int8 but that of the header."""
    data = bytearray(pair.archive.read_bytes())
    int8 = qstore.Archive.open(pair.archive).variant("int8")
    begin = 72 + samples.header_stored(qstore, pair.archive, "int8", "0.SCB")
    data[begin : 72 + int8.own_bytes] = os.urandom(72 + int8.own_bytes - begin)
    (space / "m.qstore").write_bytes(data)
    return space / "m.qstore"


def test_damaged_payloads_are_named(qstore, damaged):
    with qstore.safe_open(damaged, "int8") as f:
        with pytest.raises(qstore.CorruptError, match="0.weight"):
            f.get_tensor("0.weight")
        with pytest.raises(qstore.CorruptError, match="1.weight"):
            f.get_slice("1.weight")[3:9]
        with pytest.raises(qstore.CorruptError, match="'int8', chunk"):
            f.get_tensors()
    with pytest.raises(qstore.CorruptError):
        qstore.verify(damaged)


def test_the_error_of_a_load_holds_no_memory(qstore, damaged):
    with pytest.raises(qstore.CorruptError) as caught:
        qstore.torch.load_file(damaged, "int8")
    held = []
    for frame, _ in traceback.walk_tb(caught.tb):
        for value in frame.f_locals.values():
            held += value if isinstance(value, list) else [value]
            held += value.values() if isinstance(value, dict) else []
    memory = (torch.Tensor, memoryview, qstore._qstore.LoadedTensors)
    assert held and not [value for value in held if isinstance(value, memory)]


def test_memory_of_another_archive(qstore, pair, space):
    qstore.torch.save_file({"a": torch.zeros(4)}, space / "small.qstore")
    memory = qstore.Archive.open(pair.archive)._native.allocate(0)
    with pytest.raises(qstore.InvalidArgumentError):
        qstore.Archive.open(space / "small.qstore")._native.load(memory)


def test_errors_are_pickled(qstore):
    for kind in (qstore.PathNotFoundError, qstore.CorruptError, qstore.UnknownNameError):
        error = pickle.loads(pickle.dumps(kind("some text")))
        assert type(error) is kind and str(error) == "some text"


def test_pickled(qstore, pair, monkeypatch):
    monkeypatch.chdir(pair.archive.parent)
    with qstore.safe_open("m.qstore", "int8", framework="np", threads=1) as f:
        monkeypatch.chdir("/")
        copy = pickle.loads(pickle.dumps(f))
        assert copy.keys() == f.keys() and copy.variant == "int8"
        assert (copy.get_tensor("0.weight") == f.get_tensor("0.weight")).all()
    archive = pickle.loads(pickle.dumps(qstore.Archive.open(pair.archive)))
    assert archive.variant_names == ["int8", "bf16"]
    os.rename(pair.archive, pair.archive.with_suffix(".moved"))
    try:
        data = pickle.dumps(copy)
        with pytest.raises(qstore.PathNotFoundError):
            pickle.loads(data)
    finally:
        os.rename(pair.archive.with_suffix(".moved"), pair.archive)


def read_in_child(handle, tensors, queue):
    queue.put(all(handle.get_tensor(n).tobytes() == t.tobytes() for n, t in tensors.items()))


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_handle_open_before_a_fork(qstore, pair):
    """Both processes read through it at once, at positions of their own."""
    context = multiprocessing.get_context("fork")
    with qstore.safe_open(pair.archive, "int8", framework="np") as f:
        names = f.keys()
        expected = {name: f.get_tensor(name) for name in names}
        queue = context.Queue()
        children = [
            context.Process(target=read_in_child, args=(f, expected, queue)) for _ in range(3)
        ]
        for child in children:
            child.start()
        for _ in range(10):
            assert (f.get_tensor("1.weight") == expected["1.weight"]).all()
        assert [queue.get(timeout=60) for _ in children] == [True] * 3
        for child in children:
            child.join(60)
            assert child.exitcode == 0


def test_forks_while_other_threads_load(run_python, pair):
    """The children have none of the threads that were at work, and load by threads of their own."""
    code = """
import os, sys, threading
import qstore.numpy

def load():
    tensors = qstore.numpy.load_file(sys.argv[1], "int8", threads=4)
    return {name: tensor.tobytes() for name, tensor in tensors.items()}

def load_on():
    while not end.is_set():
        wrong.extend([1] * (load() != expected))

expected, wrong, end = load(), [], threading.Event()
threads = [threading.Thread(target=load_on) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if load() == expected and load() == expected else 1)
    wrong.extend([1] * (os.waitpid(child, 0)[1] != 0))
end.set()
for thread in threads:
    thread.join()
print(len(wrong))
"""
    assert run_python(code, pair.archive) == "0\n"


def test_closing_while_another_thread_reads(qstore, pair):
    f = qstore.safe_open(pair.archive, "bf16")
    results = []

    def work(part):
        results.extend(part[:] for _ in range(10))

    thread = threading.Thread(target=work, args=(f.get_slice("0.weight"),))
    thread.start()
    f.close()
    del f
    thread.join()
    assert all(torch.equal(result, pair.tensors["0.weight"]) for result in results)
    assert len(results) == 10

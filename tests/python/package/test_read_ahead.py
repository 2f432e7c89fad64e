# SPDX-License-Identifier: Apache-2.0
"""Tensors read before they are asked for: the same content, whatever is asked for instead."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from samples import header_stored, same

pytestmark = pytest.mark.alone

WAIT = os.WEXITED | os.WNOHANG | os.WNOWAIT
BIG = ["0.weight", "1.weight", "2.weight", "3.weight"]  # 4 MiB each in bf16; "norm" is small.


def stored(qstore, pair, name):
    (tensor,) = (t for t in qstore.Archive(pair.archive).variant("int8").tensors if t.name == name)
    return tensor.stored_bytes


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("framework", ("pt", "np"))
@pytest.mark.parametrize("variant", ("bf16", "int8"))
def test_in_order(qstore, pair, variant, framework):
    loaded = getattr(qstore, {"pt": "torch", "np": "numpy"}[framework]).load_file
    with qstore.safe_open(pair.archive, variant, framework) as f:
        for _ in range(3):
            names = f.keys()
            mine = {name: f.get_tensor(name) for name in names}
            whole = loaded(pair.archive, variant)
            assert mine.keys() == whole.keys()
            for name, tensor in mine.items():
                assert tensor.dtype == whole[name].dtype and tensor.shape == whole[name].shape
                assert (tensor == whole[name]).all()


def test_the_next_one_is_read_and_no_other(qstore, pair):
    """The next large one: small ones between are read when they are asked for."""
    with qstore.safe_open(pair.archive, "int8") as f:
        opened, asked = f.bytes_read + header_stored(qstore, pair.archive, "int8", "0.SCB"), 0

        def get(*names):
            nonlocal asked
            for name in names:
                assert f.get_tensor(name) is not None
            asked += sum(stored(qstore, pair, name) for name in names)

        assert f.keys()[:5] == ["0.SCB", "0.weight", "0.weight_format", "1.SCB", "1.weight"]
        get("0.SCB", "0.weight")
        for i in (1, 2):
            ahead = stored(qstore, pair, f"{i}.weight")
            wait_for(lambda ahead=ahead: f.bytes_read - opened == asked + ahead)
            get(f"{i - 1}.weight_format", f"{i}.SCB")
            time.sleep(0.05)
            assert f.bytes_read - opened == asked + ahead
            get(f"{i}.weight")  # Not read again.


def test_nothing_is_read_without_a_reason(qstore, pair):
    sizes = {name: stored(qstore, pair, name) for name in ("0.SCB", "0.weight", "2.weight")}
    for threads, names in ((0, ("0.weight", "2.weight", "0.SCB")), (1, ("0.SCB", "0.weight"))):
        with qstore.safe_open(pair.archive, "int8", threads=threads) as f:
            opened = f.bytes_read + header_stored(qstore, pair.archive, "int8", "0.SCB")
            for name in names:
                f.get_tensor(name)
            time.sleep(0.05)
            assert f.bytes_read - opened == sum(sizes[name] for name in names)


def test_any_order(qstore, pair, expected):
    rng = random.Random(1)
    for variant in ("bf16", "int8"):
        with qstore.safe_open(pair.archive, variant) as f:
            names = f.keys()
            for _ in range(40):
                at, count = rng.randrange(len(names)), rng.randrange(1, 5)
                for name in names[at : at + count]:
                    assert same({0: f.get_tensor(name)}, {0: expected[variant][name]})


def test_several_threads(qstore, pair, expected):
    with qstore.safe_open(pair.archive, "bf16") as f, ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            tensors = dict(zip(f.keys(), pool.map(f.get_tensor, f.keys()), strict=True))
            assert same(tensors, expected["bf16"])


def test_damage_of_what_is_read_ahead(qstore, pair, expected, space):
    """The error comes when that tensor is asked for, and names it; no other has one."""
    data = bytearray(pair.archive.read_bytes())
    at = 72 + 5 * stored(qstore, pair, "0.weight") // 2
    data[at : at + 64] = os.urandom(64)
    (space / "m.qstore").write_bytes(data)
    with qstore.safe_open(space / "m.qstore", "int8") as f:
        damaged, names = [], f.keys()
        for _ in range(2):
            for name in names:
                try:
                    assert same({0: f.get_tensor(name)}, {0: expected["int8"][name]})
                except qstore.CorruptError as error:
                    assert f"'{name}'" in str(error)
                    damaged.append(name)
        assert len(damaged) == 2 and len(set(damaged)) == 1


def test_closed_while_reading(qstore, pair, expected):
    for _ in range(20):
        with qstore.safe_open(pair.archive, "bf16") as f:
            tensors = {name: f.get_tensor(name) for name in BIG[:3]}
        assert same(tensors, {name: expected["bf16"][name] for name in BIG[:3]})


def test_fork_while_reading(qstore, pair):
    """Both processes go on. The child calls nothing of torch, whose own threads it has not got."""
    expected = {n: t.tobytes() for n, t in qstore.numpy.load_file(pair.archive, "bf16").items()}
    for _ in range(10):
        with qstore.safe_open(pair.archive, "bf16", "np") as f:
            names = f.keys()
            f.get_tensor("0.weight")
            f.get_tensor("1.weight")
            child = os.fork()
            if child == 0:
                same_all = all(f.get_tensor(name).tobytes() == expected[name] for name in names)
                os._exit(0 if same_all else 1)
            assert f.get_tensor("2.weight").tobytes() == expected["2.weight"]
            wait_for(lambda child=child: os.waitid(os.P_PID, child, WAIT) is not None)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_signal_while_waiting(qstore, pair, expected):
    """What a handler raises comes through, and the handle goes on."""

    def stop(*_):
        raise TimeoutError("now")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with qstore.safe_open(pair.archive, "bf16") as f:
            for _ in range(200):
                with pytest.raises(TimeoutError):
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 0.004))
                    for name in BIG:
                        f.get_tensor(name)
                    time.sleep(1)
            names = f.keys()
            assert same({n: f.get_tensor(n) for n in names}, expected["bf16"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_is_begun_after_a_stop_is_not_stopped(qstore, pair, expected):
    """A read that was dropped is read anew by who asks for it, and takes no other with it."""
    native = qstore.Archive(pair.archive)._native
    framework = qstore._frameworks.find_framework("np", "cpu")
    (number,) = (i for i, v in enumerate(native.variants()) if v[0] == "bf16")
    entries = {name: at for at, (name, *_) in enumerate(native.tensors(number))}
    reads = qstore._qstore.BackgroundReads(native, 2)

    def begin(name):
        tensor, memory = framework.empty("BF16", tuple(expected["bf16"][name].shape))
        return reads.begin(number, entries[name], memory), tensor

    dropped, _ = begin(BIG[0])
    reads.cancel()
    kept, tensor = begin(BIG[1])
    assert not reads.finish(dropped)
    assert reads.finish(kept)
    loaded = qstore.numpy.load_file(pair.archive, "bf16")
    assert (tensor == loaded[BIG[1]]).all()


def test_interpreter_ends_while_reading(run_python, pair):
    code = """
import sys, qstore
f = qstore.safe_open(sys.argv[1], "bf16")
print([f.get_tensor(name).shape for name in f.keys()[:2]])
"""
    for _ in range(3):
        assert "2048" in run_python(code, pair.archive)


def test_files_that_transformers_opens_are_not_read_ahead(qstore, pair):
    """It loads by threads of its own."""
    from qstore._virtual_files import WeightFile

    archive = qstore.Archive.open(pair.archive)
    errors = []
    number = archive.find_variant("bf16")
    (file,) = (i for i, file in enumerate(archive.files("bf16")) if file.path == "a.safetensors")
    with WeightFile(archive, number, file, 0, errors).open("cpu") as handle:
        names = handle.keys()
        for name in names:
            assert handle.get_tensor(name).shape == pair.tensors[name].shape
            assert handle._ahead is None

# SPDX-License-Identifier: Apache-2.0
"""Tensors and parts of them that are declared before they are asked for."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from samples import equal, same

PLAN = {
    "0.weight": slice(100, 300),
    "1.weight": (slice(None), slice(0, 17)),
    "2.weight": 5,
    "3.weight": slice(None, None, 3),
    "norm": None,
}


def of_plan(tensors, plan=PLAN):
    return {name: tensors[name] if at is None else tensors[name][at] for name, at in plan.items()}


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("variant", ["bf16", "int8"])
def test_slices_of_a_plan(qstore, pair, expected, variant):
    plan = {name: at for name, at in PLAN.items() if name in expected[variant]}
    wanted = of_plan(expected[variant], plan)
    with qstore.safe_open(pair.archive, variant) as f:
        for order in (list(plan), list(reversed(plan))):
            with f.prefetch(plan) as loader:
                assert sorted(loader.names()) == sorted(plan) and len(loader) == len(plan)
                assert same({name: loader.take(name) for name in order}, wanted)
                with pytest.raises(qstore.UnknownNameError, match="'norm'.* was taken before"):
                    loader.take("norm")
        with f.prefetch(plan) as loader:
            first = loader.take("0.weight")
            rest = dict(loader)
            assert "0.weight" not in rest and same(rest | {"0.weight": first}, wanted)
            assert not list(loader)
        # The handle is as ever.
        assert equal(f.get_tensor("0.weight"), expected[variant]["0.weight"])


def test_everything(qstore, pair, dtypes, expected):
    with qstore.safe_open(pair.archive, "int8") as f:
        for plan in (None, list(expected["int8"]), dict.fromkeys(expected["int8"])):
            assert same(dict(f.prefetch(plan, threads=1)), expected["int8"])
    with qstore.safe_open(dtypes.archive) as f:
        loader = f.prefetch(device="cpu")
        assert loader.names() == f.offset_keys()
        assert same(dict(loader), qstore.torch.load_file(dtypes.archive))


def test_numpy(qstore, pair):
    whole = qstore.numpy.load_file(pair.archive, "int8")
    with qstore.safe_open(pair.archive, "int8", "np") as f:
        loader = f.prefetch({"0.weight": slice(3, 9), "1.weight": (slice(0, 4), 7)})
        assert (loader.take("1.weight") == whole["1.weight"][:4, 7]).all()
        assert (loader.take("0.weight") == whole["0.weight"][3:9]).all()
        with pytest.raises(qstore.InvalidSliceError):
            f.prefetch({"0.weight": slice(3, 9999)})


def test_what_a_plan_may_not_be(qstore, pair):
    with qstore.safe_open(pair.archive, "bf16", max_bytes=1 << 20) as f:
        with pytest.raises(qstore.UnknownNameError, match="'none'"):
            f.prefetch({"none": None})
        with pytest.raises(IndexError):
            f.prefetch({"0.weight": 99999})
        with pytest.raises(qstore.LimitError, match="max_bytes"):
            f.prefetch(["0.weight"])
        loader = f.prefetch({"0.weight": slice(0, 8)})
        with pytest.raises(qstore.UnknownNameError, match="not in the plan"):
            loader.take("1.weight")
        assert loader.take("0.weight").shape == (8, 1024)
    with pytest.raises(qstore.ClosedError):
        f.prefetch()


def test_it_is_read_ahead_and_only_the_rows(qstore, server, expected):
    """Of a slow server: what was declared has come while the caller was busy."""
    server.latency = 0.02
    with qstore.safe_open(server.url, "bf16") as f:
        plan = {"0.weight": slice(0, 256), "3.weight": slice(0, 256)}
        loader = f.prefetch(plan)
        wait_for(lambda: loader._batches[0].tensors)
        asked, read = len(server.requests), f.bytes_read
        tensors = {name: loader.take(name) for name in ("3.weight", "0.weight")}
        assert len(server.requests) == asked
    assert same(tensors, of_plan(expected["bf16"], plan))
    assert read < 0.4 * sum(t.nbytes for t in expected["bf16"].values())


def test_little_is_ahead(qstore, pair, monkeypatch):
    """However much a plan names."""
    monkeypatch.setattr(qstore._prefetch, "_BATCH", 1 << 20)
    with qstore.safe_open(pair.archive, "bf16") as f, f.prefetch() as loader:
        batches = list(loader._batches)
        wait_for(lambda: all(batch.tensors for batch in batches[:4]))
        time.sleep(0.2)
        assert len(batches) == 5 and not batches[4].tensors
        next(iter(loader))
        wait_for(lambda: batches[4].tensors)


def test_damage_is_told_of_its_tensor(qstore, pair, expected, space):
    data = bytearray(pair.archive.read_bytes())
    own = {variant.name: variant.own_bytes for variant in qstore.Archive(pair.archive).variants()}
    end = 72 + own["int8"] + own["bf16"]
    data[end - 3000 : end] = os.urandom(3000)
    (space / "m.qstore").write_bytes(data)
    damaged = []
    with qstore.safe_open(space / "m.qstore", "bf16") as f, f.prefetch() as loader:
        for name in loader.names():
            try:
                assert equal(loader.take(name), expected["bf16"][name])
            except qstore.CorruptError as error:
                assert name in str(error)
                damaged.append(name)
    assert 1 <= len(damaged) < 4


def test_threads_and_several_loaders(qstore, pair, expected):
    rng = random.Random(3)
    with qstore.safe_open(pair.archive, "bf16") as f, ThreadPoolExecutor(4) as pool:
        names = list(expected["bf16"])
        loaders = [f.prefetch() for _ in range(4)]
        for loader in loaders:
            rng.shuffle(names)
            tensors = dict(zip(names, pool.map(loader.take, names), strict=True))
            assert same(tensors, expected["bf16"])


def test_closed_while_reading(qstore, pair, expected):
    for _ in range(10):
        with qstore.safe_open(pair.archive, "bf16") as f, f.prefetch() as loader:
            tensor = loader.take(loader.names()[0])
        assert equal(tensor, expected["bf16"][loader.names()[0]])
        with pytest.raises(qstore.UnknownNameError):
            loader.take(loader.names()[1])


def test_forks(qstore, pair, expected):
    with qstore.safe_open(pair.archive, "bf16") as f:
        loader = f.prefetch(PLAN)
        loader.take("0.weight")
        child = os.fork()
        if child == 0:
            wanted = expected["bf16"]["2.weight"][5]  # Little, as torch's threads are gone too.
            os._exit(0 if torch.equal(loader.take("2.weight"), wanted) else 1)
        assert os.waitpid(child, 0)[1] == 0
        rest = dict(loader)
        assert same(rest, {name: of_plan(expected["bf16"])[name] for name in rest})
        assert len(rest) == len(PLAN) - 1


def test_interrupted(qstore, server, expected):
    """The tensor may be taken again, and is what the plan wants."""
    with qstore.safe_open(server.url, "bf16") as f:
        f.offset_keys()
        server.latency = 1.0
        loader = f.prefetch({"0.weight": slice(0, 5)})
        main = threading.main_thread().ident
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            loader.take("0.weight")
        server.latency = 0
        assert torch.equal(loader.take("0.weight"), expected["bf16"]["0.weight"][:5])

# SPDX-License-Identifier: Apache-2.0
"""Tensors that are decoded when they are used: what torch does with them is what it does with the
content, and no row is decoded that nobody takes."""

import pytest
import torch
from samples import equal


@pytest.fixture
def lazy(qstore, pair):
    """Makes one of the pair's BF16, and tells how many bytes were read of the archive since."""
    from qstore._frameworks import find_framework
    from qstore._lazy_tensors import LazyTensor
    from qstore._reader import Reader

    reader = Reader(qstore.Archive(pair.archive), 1, find_framework("pt", "cpu"), 0)
    assert reader.archive.variant_names[1] == "bf16"
    reader.read(reader.find("norm"))  # With it the header of the file.
    begin = reader.archive.bytes_read
    make = lambda name, *more: LazyTensor(reader, name, *more)  # noqa: E731
    make.read = lambda: reader.archive.bytes_read - begin
    make.reader = reader
    return make


def test_it_looks_like_the_tensor(lazy, expected):
    whole = expected["bf16"]["0.weight"]
    weight = lazy("0.weight")
    assert isinstance(weight, torch.Tensor) and not isinstance(weight, torch.nn.Parameter)
    assert weight.shape == whole.shape and weight.dtype == whole.dtype
    assert weight.numel() == whole.numel() and weight.stride() == whole.stride()
    assert weight.device == whole.device and weight.data.shape == whole.shape
    assert "0.weight" in repr(weight) and lazy.read() == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t.clone(),
        lambda t: t.to(torch.float32),
        lambda t: t.t().contiguous(),
        lambda t: t[3:77] + 1,
        lambda t: t[5].clone(),
        lambda t: t[-1].clone(),
        lambda t: t[10:20][3:5].clone(),
        lambda t: t[10:20][2].clone(),
        lambda t: t[10:20][2][5:9].clone(),
        lambda t: t[:, 4:8].clone(),
        lambda t: t[::3].clone(),
        lambda t: t[:, 1].clone(),
        lambda t: t.narrow(0, 100, 7).clone(),
        lambda t: t.narrow(1, 100, 7).clone(),
        lambda t: torch.cat([t[:2], t[-2:]]),
        lambda t: torch.chunk(t, 2, dim=0)[1].clone(),
        lambda t: t.split([2000, 48])[1].clone(),
        lambda t: t.view(64, -1)[3].clone(),
        lambda t: t.data.detach()[8:9].clone(),
        lambda t: t.reshape(-1)[5:6].clone(),
        lambda t: (t == t).all(),
        lambda t: t[7:7].clone(),
        lambda t: t[7, 9].item(),
        lambda t: t.view(torch.uint8)[:3].clone(),
        lambda t: t.float().sum(),
    ],
)
def test_it_computes_as_the_tensor(lazy, expected, use):
    mine, theirs = use(lazy("1.weight")), use(expected["bf16"]["1.weight"])
    if not isinstance(mine, torch.Tensor):
        assert mine == theirs
        return
    assert type(mine) is torch.Tensor
    assert mine.shape == theirs.shape and equal(mine, theirs)


def test_only_the_rows_are_decoded_and_straight_into_place(qstore, lazy, expected, monkeypatch):
    whole = expected["bf16"]["2.weight"]
    place = torch.zeros(1024, 1024, dtype=torch.bfloat16)
    made = []
    monkeypatch.setattr(lazy.reader.framework, "empty", lambda *_: made.append(1))
    place.narrow(0, 256, 256).copy_(lazy("2.weight").narrow(0, 512, 256))
    assert not made and torch.equal(place[256:512], whole[512:768])
    assert not place[:256].any() and not place[512:].any()
    (stored,) = (
        t.stored_bytes
        for t in qstore.inspect(lazy.reader.archive).variants[1].tensors
        if t.name == "2.weight"
    )
    assert 0 < lazy.read() < 0.6 * stored
    parameter = torch.nn.Parameter(torch.zeros_like(whole), requires_grad=False)
    parameter.data.copy_(lazy("2.weight"))
    assert not made and torch.equal(parameter.data, whole)


def test_places_that_are_not_alike(lazy, expected):
    whole = expected["bf16"]["2.weight"]
    for place in (
        torch.zeros(2048, 1024),
        torch.zeros(1024, 2048, dtype=torch.bfloat16).t(),
        torch.zeros(3, 2048, 1024, dtype=torch.bfloat16),
    ):
        wanted = place.clone().copy_(whole)
        assert torch.equal(place.copy_(lazy("2.weight")), wanted)
    read = lazy.read()
    lazily = lazy("3.weight")
    assert torch.empty(2048, 1024, device="meta").copy_(lazily).is_meta and lazy.read() == read


def test_the_content_is_decoded_once(lazy):
    weight = lazy("3.weight")
    first = weight.clone()
    read = lazy.read()
    assert torch.equal(weight + 0, first) and torch.equal(weight[:5], first[:5])
    assert lazy.read() == read


def test_what_was_read_ahead_is_taken(qstore, lazy, expected):
    from qstore._prefetch import PrefetchLoader

    prefetch = PrefetchLoader(lazy.reader, ["0.weight", "1.weight"], 0)
    for name in ("0.weight", "1.weight"):
        place = torch.zeros(1024, 1024, dtype=torch.bfloat16)
        place.copy_(lazy(name, prefetch)[1024:])
        assert torch.equal(place, expected["bf16"][name][1024:])


def test_damage_is_told(qstore, pair, space):
    from qstore._frameworks import find_framework
    from qstore._lazy_tensors import LazyTensor
    from qstore._reader import Reader

    data = bytearray(pair.archive.read_bytes())
    data[100:2000] = bytes(1900)
    (space / "m.qstore").write_bytes(data)
    reader = Reader(qstore.Archive(space / "m.qstore"), 0, find_framework("pt", "cpu"), 0)
    with pytest.raises(qstore.CorruptError):
        for name, entry in reader.entries.items():
            if entry.shape:
                LazyTensor(reader, name).clone()

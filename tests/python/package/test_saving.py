# SPDX-License-Identifier: Apache-2.0
"""Archives of tensors in memory, and how progress is shown."""

import sys

import pytest
import safetensors.torch
import torch
import tqdm
from command import contents
from samples import equal, every_dtype


def test_one_variant(qstore, space):
    tensors = every_dtype()
    metadata = {"format": "pt"}  # One entry: safetensors writes several in an order of chance.
    report = qstore.torch.save_file(tensors, space / "m.qstore", metadata=metadata, sync=False)
    assert report.stored_bytes == (space / "m.qstore").stat().st_size
    assert [path.name for path in space.iterdir()] == ["m.qstore"]
    loaded = qstore.torch.load_file(space / "m.qstore")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape
        assert equal(loaded[name], tensor)
    qstore.unpack(space / "m.qstore", "model", space / "mine", sync=False)
    (space / "theirs").mkdir()
    safetensors.torch.save_file(tensors, space / "theirs" / "model.safetensors", metadata)
    assert contents(space / "mine") == contents(space / "theirs")


def test_several_variants(qstore, space, pair):
    low = safetensors.torch.load_file(pair.low / "model.safetensors")
    saved = {"bf16": pair.tensors, "int8": low}
    qstore.torch.save_variants(saved, space / "m.qstore", level="max", sync=False)
    for variant, tensors in saved.items():
        loaded = qstore.torch.load_file(space / "m.qstore", variant)
        assert loaded.keys() == tensors.keys()
        assert all(equal(loaded[name], tensor) for name, tensor in tensors.items())
    told = qstore.inspect(space / "m.qstore")
    assert told.variants[1].tensors[0].parents[0] == ("int8", "0.weight")


def test_what_cannot_be_saved(qstore, space):
    shared = torch.zeros(4, 4)
    with pytest.raises(RuntimeError, match="share memory"):
        qstore.torch.save_file({"a": shared, "b": shared[1:]}, space / "m.qstore")
    with pytest.raises(qstore.InvalidArgumentError):
        qstore.torch.save_file({"a": shared}, space / "m.qstore", "-")
    (space / "m.qstore").write_text("mine")
    with pytest.raises(qstore.AlreadyExistsError):
        qstore.torch.save_file({"a": shared}, space / "m.qstore")
    assert (space / "m.qstore").read_text() == "mine"
    assert [path.name for path in space.iterdir()] == ["m.qstore"]


def test_a_bar(qstore, space, pair, capsys):
    qstore.pack({"int8": pair.low}, space / "m.qstore", progress=True, sync=False)
    qstore.verify(space / "m.qstore", progress=True)
    shown = capsys.readouterr().err
    assert "pack: 100%" in shown and "verify: 100%" in shown

    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            bars.append(self)

    report = qstore.unpack(space / "m.qstore", "int8", space / "out", progress=Bar, sync=False)
    (bar,) = bars
    assert bar.n == bar.total == report.bytes
    capsys.readouterr()
    qstore.verify(space / "m.qstore", progress=False)
    assert capsys.readouterr().err == ""


def test_without_tqdm(qstore, space, pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(qstore.InvalidArgumentError, match="tqdm"):
        qstore.pack({"int8": pair.low}, space / "m.qstore", progress=True)
    assert not list(space.iterdir())

# SPDX-License-Identifier: Apache-2.0
"""What the package says to what people try first, and types that a checker can use."""

import subprocess
import sys

import numpy
import pytest
import torch
from command import ROOT

PROGRAM = """
import numpy
import torch
import qstore

with qstore.safe_open("m.qstore", "int8") as file:
    tensor: torch.Tensor = file.get_tensor("a")
    part: torch.Tensor = file.get_slice("a")[1:]
    every: dict[str, torch.Tensor] = file.get_tensors()
with qstore.safe_open("m.qstore", framework="np") as arrays:
    array: numpy.ndarray = arrays.get_tensor("a")
reveal_type(qstore.safe_open("m.qstore", "int8", "np").get_slice("a")[0])
"""


def test_a_list_for_a_mapping(qstore, space, pair):
    for call in (
        lambda: qstore.pack([pair.low], space / "m.qstore"),
        lambda: qstore.torch.save_file([torch.zeros(2)], space / "m.qstore"),
        lambda: qstore.numpy.save_variants([{}], space / "m.qstore"),
    ):
        with pytest.raises(qstore.InvalidArgumentError, match="mapping .*not a list"):
            call()
    assert list(space.iterdir()) == []


def test_a_repository_for_a_path(qstore):
    with pytest.raises(qstore.PathNotFoundError, match="'hf://owner/model/FILE.qstore'"):
        qstore.Archive("owner/model")
    with pytest.raises(qstore.PathNotFoundError) as told:
        qstore.Archive("nowhere.qstore")
    assert "hf://" not in str(told.value)


def test_names_are_suggested(qstore, pair):
    name = next(iter(pair.tensors))
    file = qstore.safe_open(pair.archive, "bf16")
    with pytest.raises(qstore.UnknownNameError, match=f"did you mean '{name}'"):
        file.get_tensor(name + "s")
    with pytest.raises(qstore.UnknownNameError, match="did you mean 'bf16'"):
        qstore.safe_open(pair.archive, "bf61")


def test_few_names_of_many(qstore, space):
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(40)))
    qstore.torch.save_file({"x": torch.zeros(2)}, space / "m.qstore", sync=False)
    with pytest.raises(RuntimeError, match="and 77 more; unexpected x") as told:
        qstore.torch.load_model(model, space / "m.qstore")
    assert len(str(told.value)) < 200


def test_arrays_are_saved(qstore, space):
    arrays = {"a": numpy.arange(12.0).reshape(3, 4).T, "b": numpy.zeros((), "int8")}
    qstore.numpy.save_file(arrays, space / "m.qstore", sync=False)
    loaded = qstore.numpy.load_file(space / "m.qstore")
    for name, array in arrays.items():
        assert loaded[name].shape == array.shape and (loaded[name] == array).all()
    qstore.numpy.save_variants(
        {"a": arrays, "b": arrays}, space / "n.qstore", parents={"b": "a"}, sync=False
    )
    assert qstore.Archive(space / "n.qstore").variant_names == ["a", "b"]


def test_some_files(qstore, space, pair):
    names = [file.path for file in qstore.Archive(pair.archive).files("bf16")]
    report = qstore.unpack(pair.archive, "bf16", space / "out", files=names[:2], sync=False)
    found = [path for path in (space / "out").rglob("*") if path.is_file()]
    assert report.files == len(found) == len(names[:2])
    with pytest.raises(qstore.UnknownNameError, match="no file 'none'"):
        qstore.unpack(pair.archive, "bf16", space / "no", files=[names[0], "none"])
    with pytest.raises(qstore.InvalidArgumentError, match="list of paths"):
        qstore.unpack(pair.archive, "bf16", space / "no", files=names[0])
    assert not (space / "no").exists()


@pytest.mark.rest  # mypy reads the stubs of torch and NumPy for half a minute.
def test_types(space):
    (space / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py"]
    options = ["--cache-dir", space / "cache", "--disable-error-code=type-arg"]
    done = subprocess.run(
        [*command, *options],
        cwd=space,
        env={"MYPYPATH": str(ROOT / "python"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numpy.ndarray" in done.stdout

# SPDX-License-Identifier: Apache-2.0
"""Tensors for JAX: what any framework with DLPack takes over, without a copy."""

import gc

import numpy as np
import pytest
import safetensors.torch
import torch
from samples import DTYPES, equal

# What DLPack describes and torch takes from it.
NAMES = [name for name in DTYPES if name not in ("uint16", "uint32", "uint64")]


@pytest.mark.parametrize("name", NAMES)
def test_every_type(qstore, dtypes, name):
    expected = safetensors.torch.load_file(dtypes.file)
    with qstore.safe_open(dtypes.archive, framework="jax-dlpack") as f:
        whole = f.get_tensors()
        for kind in ("cube", "vector", "scalar"):
            key = f"{name}.{kind}"
            for mine in (f.get_tensor(key), whole[key]):
                assert mine.dtype == name and mine.shape == expected[key].shape
                assert mine.__dlpack_device__() == (1, 0)
                taken = torch.from_dlpack(mine)
                assert taken.dtype == expected[key].dtype
                assert taken.shape == expected[key].shape
                assert equal(taken, expected[key])
        part = torch.from_dlpack(f.get_slice(f"{name}.cube")[2:5, 1])
        assert equal(part, expected[f"{name}.cube"][2:5, 1])
        assert f.get_tensor(f"{name}.empty").shape == (3, 0, 2)


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64", "float32", "int8", "bool"])
def test_numpy_takes_them(qstore, dtypes, name):
    with (
        qstore.safe_open(dtypes.archive, framework="jax-dlpack") as f,
        qstore.safe_open(dtypes.archive, framework="np") as expected,
    ):
        taken = np.from_dlpack(f.get_tensor(f"{name}.cube"))
        assert taken.dtype == np.dtype(name)
        assert taken.tobytes() == expected.get_tensor(f"{name}.cube").tobytes()


def test_memory_is_shared_and_outlives_what_gave_it(qstore, pair):
    with qstore.safe_open(pair.archive, "bf16", "jax-dlpack") as f:
        mine = f.get_tensor("0.weight")
    a, b = torch.from_dlpack(mine), torch.from_dlpack(mine)
    assert a.data_ptr() == b.data_ptr()
    del mine, f
    gc.collect()
    assert torch.equal(a, pair.tensors["0.weight"])
    a += 1
    assert torch.equal(a, b)


def test_wrong_use(qstore, dtypes):
    with pytest.raises(qstore.InvalidArgumentError, match="cpu"):
        qstore.safe_open(dtypes.archive, framework="jax-dlpack", device="cuda")
    with pytest.raises(qstore.InvalidArgumentError, match="jax-dlpack"):
        qstore.safe_open(dtypes.archive, framework="jax")
    part = qstore.safe_open(dtypes.archive, framework="jax-dlpack").get_slice("int8.cube")
    with pytest.raises(qstore.InvalidSliceError):
        part[::-1]

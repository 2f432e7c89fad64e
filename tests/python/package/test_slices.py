# SPDX-License-Identifier: Apache-2.0
"""get_slice gives what that of safetensors gives, and has an error where it has one."""

import random

import numpy as np
import pytest
import safetensors
import torch
from samples import equal


class Index:
    def __index__(self):
        return 1


S = slice
CASES = [
    *(0, -1, 2, 3, -3, -4, 6, -7, 7, True, 1.0, None, "a", Ellipsis, (), [], Index()),
    *(np.int64(1), np.int32(-1), np.True_, 10**30, 2**62, -(2**62)),
    *(S(None), S(1, None), S(None, None, 2), S(None, None, -1), S(None, None, 0), S(5, None)),
    *(
        S(-100, 100),
        S(2, 1),
        S(-2, None),
        S(0, 6),
        S(0, 7),
        S(0, 100),
        S(3, 3),
        S(6, 6),
        S(6, None),
    ),
    *(S(10**30, None), S(None, None, 7), S(2, 0, -1), S(2, 3, 5), S(0, 3, 2**40), S(None, -1)),
    *(S(1.0, 2), S("a", None), S(True, None), S(None, True), S(np.int64(1), None), S(Index(), 4)),
    *((0,), (0, 0), (0, 0, 0), (0, 0, 0, 0), (..., 0), (0, ...), (..., ...), (0, ..., 0)),
    *((..., 0, 0, 0), (0, 0, 0, ...), (0, 0, 0, 0, ...), (S(None),) * 3, (S(None),) * 4),
    *((S(None), 1), (S(None), -1), (S(None), -5), (S(None), 5), (S(None), S(1, 3), 2)),
    *((S(None), S(5, 2), 0), (1, S(2, 2)), (0, S(5, None)), (..., S(1, 2)), (S(None), S(0, 9))),
    *((S(1, 2), ..., S(0, 1)), (S(None), S(None), S(None), ...), (..., S(None), S(None), S(None))),
    *((S(None), S(None, None, 2)), (S(None, None, 2), S(None, None, 3), S(1, 4, 2))),
    *((S(None), S(1, -1)), (None, 0), (0, None), (None, S(1, 3), None, 2), (None, ..., 0)),
    *(([0, 1],), [0, 1], (S(None), [0, 2]), ([0, 9],), (S(1, 3), [0, 2]), (0, [1, 1])),
    *(torch.tensor([0, 1]), torch.tensor(1), (S(2), torch.tensor([1, 0])), np.array([0, 1])),
]


def outcome(part, index):
    """The result, or None for an error of any kind: panics of Rust are BaseExceptions."""
    try:
        return part[index]
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None


def assert_same_outcome(mine, theirs, index):
    result, expected = outcome(mine, index), outcome(theirs, index)
    assert (result is None) == (expected is None), f"{index}: {result} and not {expected}"
    if expected is not None:
        assert type(result) is type(expected), index
        assert result.dtype == expected.dtype, index
        assert result.shape == expected.shape, index
        assert equal(result, expected), index
        if isinstance(result, torch.Tensor):
            assert result.is_contiguous(), index


@pytest.fixture(params=["pt", "np"])
def handles(request, qstore, dtypes):
    mine = qstore.safe_open(dtypes.archive, framework=request.param)
    return mine, safetensors.safe_open(dtypes.file, request.param)


# Indexing torch by a list other than a tuple is deprecated there; it must stay what it is there.
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("kind", ["cube", "vector", "scalar", "empty"])
def test_case_by_case(handles, kind):
    mine, theirs = (handle.get_slice(f"float32.{kind}") for handle in handles)
    assert any(outcome(theirs, index) is not None for index in CASES)
    for index in CASES:
        assert_same_outcome(mine, theirs, index)


def random_bound(source, size):
    return source.choice((None, None, source.randint(0, size), source.randint(-size - 1, size + 2)))


def random_item(source, size):
    if source.random() < 0.3:
        return source.randint(-size - 1 if source.random() < 0.1 else -size, size - 1)
    step = source.choice((None, None, 1, 2, 3, source.randint(1, 9)))
    return slice(random_bound(source, size), random_bound(source, size), step)


def random_index(source, shape):
    items = [random_item(source, size) for size in shape[: source.randint(0, len(shape))]]
    if source.random() < 0.25:
        items.insert(source.randint(0, len(items)), Ellipsis)
    return items[0] if len(items) == 1 and source.random() < 0.5 else tuple(items)


def test_random_slices(handles):
    source = random.Random(7)
    names = [name for name in handles[0].offset_keys() if name.endswith((".cube", ".vector"))]
    if isinstance(handles[0].get_tensor("int8.cube"), np.ndarray):
        names = [name for name in names if not name.startswith(("bfloat", "float8"))]
    results = 0
    for _ in range(600):
        name = source.choice(names)
        mine, theirs = (handle.get_slice(name) for handle in handles)
        index = random_index(source, theirs.get_shape())
        assert_same_outcome(mine, theirs, index)
        results += outcome(theirs, index) is not None
    assert results > 200


def test_random_rows_across_chunks(qstore, pair):
    """Of a tensor of several chunks that are decoded with their parents."""
    source = random.Random(11)
    with qstore.safe_open(pair.archive, "bf16") as f:
        part, whole = f.get_slice("1.weight"), pair.tensors["1.weight"]
        for _ in range(100):
            index = random_index(source, [2048, 1024])
            expected = outcome(whole, index)
            if expected is not None:
                assert torch.equal(part[index], expected), index


def test_errors_of_numpy_have_a_type(qstore, dtypes):
    part = qstore.safe_open(dtypes.archive, framework="np").get_slice("int8.cube")
    for index in (6, -7, slice(0, 7), slice(None, None, -1), (..., ...), "a", [1], (0,) * 4):
        with pytest.raises(qstore.InvalidSliceError) as caught:
            part[index]
        assert isinstance(caught.value, IndexError)
        assert isinstance(caught.value, qstore.QStoreError)

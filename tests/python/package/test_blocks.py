# SPDX-License-Identifier: Apache-2.0
"""Tensors of block types are bytes, as the package gguf presents them."""

import gguf
import gguf_models
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type

Q4_K = "noise.Q4_K"


@pytest.fixture(scope="module")
def blocks(qstore, tmp_path_factory):
    """An archive of a GGUF file with every type, and what the package gguf reads from it."""
    folder = tmp_path_factory.mktemp("blocks")
    tensors = gguf_models.every_type()
    tensors["large"] = gguf_models.blocks_of_noise(Type.Q4_K, 576, 64, 7), Type.Q4_K
    tensors["list"] = gguf_models.blocks_of_noise(Type.Q8_0, 1, 6, 8)[0], Type.Q8_0
    cube = gguf_models.blocks_of_noise(Type.Q6_K, 15, 2, 9).reshape(3, 5, -1)
    tensors["cube"] = cube, Type.Q6_K
    path = gguf_models.write(folder / "m.gguf", tensors, gguf_models.vocabulary(100))
    qstore.pack({"v": path}, folder / "m.qstore", sync=False)
    # BF16 is bytes for the package gguf, and a type of its own here.
    arrays = {t.name: t.data for t in gguf.GGUFReader(path).tensors if t.tensor_type != Type.BF16}
    return folder / "m.qstore", arrays


@pytest.fixture(params=["np", "pt"])
def opened(qstore, blocks, request):
    with qstore.safe_open(blocks[0], framework=request.param) as f:
        yield f


def as_array(tensor):
    return tensor.numpy() if isinstance(tensor, torch.Tensor) else tensor


def assert_equal(tensor, expected):
    array = as_array(tensor)
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    assert array.tobytes() == expected.tobytes()


def test_each_tensor(opened, blocks):
    for name, expected in blocks[1].items():
        assert_equal(opened.get_tensor(name), expected)


def test_all_tensors(opened, blocks):
    loaded = opened.get_tensors()
    assert loaded.keys() == {*blocks[1], "BF16.matrix"}
    for name, expected in blocks[1].items():
        assert_equal(loaded[name], expected)


def test_shapes_count_weights(qstore, blocks):
    variant = qstore.Archive(blocks[0]).variant("v")
    assert [file.container for file in variant.files] == ["gguf"]
    shapes = {t.name: (t.dtype, t.shape) for t in variant.tensors}
    assert shapes["large"] == ("Q4_K", (576, 64 * 256))
    assert shapes["cube"] == ("Q6_K", (3, 5, 512))
    assert shapes["list"] == ("Q8_0", (192,))
    assert blocks[1]["large"].shape == (576, 64 * 144)


def test_slices(opened, blocks):
    for name, dtype in {"large": "Q4_K", "cube": "Q6_K", Q4_K: "Q4_K"}.items():
        part, whole = opened.get_slice(name), blocks[1][name]
        assert part.get_dtype() == dtype
        for index in (
            *(0, -1, slice(1, 3), slice(0, 3, 2), slice(None), Ellipsis),
            *((1, slice(2, 5)), (slice(0, 2), 3), (..., 7), (slice(1, 2), ..., slice(0, 10))),
        ):
            assert_equal(part[index], np.asarray(whole[index]))
    assert opened.get_slice("large").get_shape() == [576, 64 * 256]


def test_slices_of_a_list_are_bytes(opened, blocks):
    part, whole = opened.get_slice("list"), blocks[1]["list"]
    assert whole.shape == (204,)
    for index in (slice(34, 68), slice(None), 203, slice(1, 200, 7)):
        assert_equal(part[index], np.asarray(whole[index]))
    with pytest.raises(Exception, match="204|index"):
        part[204]


def test_rows_are_read_alone(qstore, blocks):
    with qstore.safe_open(blocks[0], framework="np", threads=1) as f:
        f.get_tensor("list")  # Reads the header too.
        before = f.bytes_read
        f.get_slice("large")[300:301]
        read = f.bytes_read - before
    assert read < 0.1 * blocks[1]["large"].nbytes


def test_dlpack(qstore, blocks):
    with qstore.safe_open(blocks[0], framework="jax-dlpack") as f:
        tensor = f.get_tensor(Q4_K)
        assert (tensor.dtype, tensor.shape) == ("uint8", blocks[1][Q4_K].shape)
        assert_equal(torch.from_dlpack(tensor), blocks[1][Q4_K])


def test_values_are_those_of_gguf(qstore, blocks):
    loaded = qstore.numpy.load_file(blocks[0])
    for kind in (Type.Q4_0, Type.Q8_0, Type.Q5_1):
        name = f"weights.{kind.name}"
        values = gguf.dequantize(loaded[name], kind)
        assert values.shape == (16, 512)
        assert np.array_equal(values, gguf.dequantize(blocks[1][name], kind))
    assert str(loaded["BF16.matrix"].dtype) == "bfloat16"
    assert loaded["BF16.matrix"].shape == (4, 10)


def test_types_are_those_of_gguf(qstore):
    theirs = {
        kind.name: size
        for kind, size in gguf.GGML_QUANT_SIZES.items()
        if kind in gguf_models.BLOCK_TYPES
    }
    mine = {
        name: (weights, bits // 8)
        for name, (weights, bits) in qstore._qstore.types().items()
        if weights > 1
    }
    assert theirs.items() <= mine.items()
    assert mine.keys() - theirs.keys() == {"Q8_1", "Q2_0"}

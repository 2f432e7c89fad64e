# SPDX-License-Identifier: Apache-2.0
"""Copies of a real model in formats that servers load, made by the real tools, beside its BF16."""

import json

import pytest
import torch
from command import assert_comes_back, ok, ok_json, pack, raw_size
from safetensors.torch import load_file, save_file

# Names of make_twins.py. The first tier has one of each family.
FIRST = (
    "llm-int8", "fp8-channel", "fp8-block", "fp8-fine-grained", "w4a16-asym", "nvfp4", "mxfp4",
    "nf4", "nf4-double", "torchao-int8", "mlx-4",
)  # fmt: skip
REST = (
    "fp8-tensor", "w8a8", "w8a8-asym", "w4a16", "w8a16", "w8a16-asym", "mxfp8", "fp4",
    "torchao-fp8", "quanto-int8", "quanto-fp8", "mlx-2", "mlx-3", "mlx-5", "mlx-6", "mlx-8",
)  # fmt: skip
EACH = (*FIRST, *(pytest.param(name, marks=pytest.mark.rest) for name in REST))  # Makers take long.
# Of the raw size of its quantized tensors, what a copy may take beside BF16 that loads from its own
# bytes.
MOST_BESIDE = 0.003
# Matrices of the model that are quantized.
MATRICES = 37
# Bytes of what the rules do not give.
EXCEPTIONS = {"nf4-double": 2000}
# Of the archive of BF16 alone, what a pair may take in the default arrangement.
MOST_OF_PAIR = 1.006
# Six copies of those that servers load, BF16 among them: the same with BF16 direct, and default.
SIX = ("llm-int8", "fp8-block", "fp8-channel", "nf4", "nvfp4")
MOST_OF_SIX = {"--direct": 1.01, "default": 1.015}


@pytest.fixture(scope="module")
def bf16(pairs):
    return pairs / "minilm" / "bf16"


@pytest.fixture(scope="module")
def alone(bf16, tmp_path_factory):
    """Bytes of the archive of BF16 alone."""
    return pack(tmp_path_factory.mktemp("alone") / "m.qstore", bf16=bf16)


def quantized_size(copy, bf16):
    """Bytes of the tensors that BF16 does not have."""
    others = header_of(bf16)
    size = 0
    for name, tensor in header_of(copy).items():
        begin, end = tensor["data_offsets"]
        known = others.get(name, {})
        if (known.get("dtype"), known.get("shape")) != (tensor["dtype"], tensor["shape"]):
            size += end - begin
    return size


def header_of(model):
    data = (model / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def variant_of(archive, name):
    (found,) = (v for v in ok_json("inspect", archive)["variants"] if v["name"] == name)
    return found


def exceptions_of(archive):
    """Bytes of the copy's tensors that follow from BF16, none of which is stored alone."""
    (copy,) = (
        v for v in ok_json("inspect", "--tensors", archive)["variants"] if v["name"] == "copy"
    )
    derived = [t for t in copy["tensor_list"] if t["scheme"] != "none"]
    assert len(derived) >= MATRICES
    return sum(t["stored_bytes"] for t in derived)


@pytest.fixture
def twin(name, request):
    """The folder of the copy of that name."""
    return request.getfixturevalue("twins" if name in FIRST else "more_twins") / name


@pytest.mark.parametrize("name", EACH)
def test_copy_beside_direct_bf16(bf16, twin, alone, space, figure, name):
    variants = {"bf16": bf16, "copy": twin}
    size = pack(space / "m.qstore", "--direct", "bf16", **variants)
    raw = quantized_size(twin, bf16)
    share = (size - alone) / raw
    figure(f"{name:16} beside BF16: {raw:>10,} quantized, {size - alone:>7,} added, {share:.3%}")
    assert share <= MOST_BESIDE
    assert exceptions_of(space / "m.qstore") <= EXCEPTIONS.get(name, 0)
    assert_comes_back(space / "m.qstore", space, **variants)
    ok("verify", space / "m.qstore", *(f"{key}={path}" for key, path in variants.items()))
    assert variant_of(space / "m.qstore", "bf16")["load_bytes"] < 1.01 * alone


@pytest.mark.parametrize("name", ("llm-int8", "fp8-block", "fp8-channel", "nvfp4"))
def test_pair_takes_what_one_takes(bf16, twin, alone, space, figure, name):
    variants = {"bf16": bf16, "copy": twin}
    size = pack(space / "m.qstore", **variants)
    reads = variant_of(space / "m.qstore", "copy")["load_bytes"]
    figure(f"{name:16} and BF16: {size / alone:.4f} of BF16; the copy reads {reads / alone:.2f}")
    assert size <= MOST_OF_PAIR * alone
    assert_comes_back(space / "m.qstore", space, **variants)


@pytest.mark.parametrize("kind", MOST_OF_SIX)
def test_six_variants_take_what_one_takes(bf16, twins, alone, space, figure, kind):
    variants = {"bf16": bf16} | {name: twins / name for name in SIX}
    options = ("--direct", "bf16") if kind == "--direct" else ()
    size = pack(space / "m.qstore", *options, **variants)
    raw = sum(map(raw_size, variants.values()))
    figure(f"six copies, {kind}: {raw:,} bytes in {size:,}, {size / alone:.4f} of BF16")
    assert size <= MOST_OF_SIX[kind] * alone
    assert_comes_back(space / "m.qstore", space, **variants)


@pytest.mark.parametrize("name", ("fp8-fine-grained", "nvfp4", "mxfp4"))
def test_bf16_of_a_native_release_takes_nothing(twins, native, space, figure, name):
    """The BF16 copy is the exact dequantization, as the library makes it."""
    variants = {"native": twins / name, "bf16": native / name}
    own = pack(space / "own.qstore", native=twins / name)
    size = pack(space / "m.qstore", **variants)
    share = (size - own) / raw_size(native / name)
    figure(f"BF16 that is {name}, dequantized: {size - own:,} bytes added, {share:.3%}")
    assert share <= 0.003
    assert_comes_back(space / "m.qstore", space, **variants)


def test_bf16_of_experts_takes_nothing(native, space, figure):
    """Of gpt-oss, whose BF16 has inputs and outputs exchanged."""
    variants = {"native": native / "experts", "bf16": native / "experts-bf16"}
    own = pack(space / "own.qstore", native=variants["native"])
    size = pack(space / "m.qstore", **variants)
    share = (size - own) / raw_size(variants["bf16"])
    figure(f"BF16 of experts in MXFP4: {size - own:,} bytes added, {share:.3%}")
    assert share <= 0.003
    assert_comes_back(space / "m.qstore", space, **variants)


def test_nvfp4_that_is_cast_from_mxfp4_takes_nothing(twins, space, figure):
    """By the steps of ModelOpt; see test_cast_by_modelopt for its own output."""
    (space / "cast").mkdir()
    cast_to_nvfp4(twins / "mxfp4", space / "cast")
    variants = {"mxfp4": twins / "mxfp4", "nvfp4": space / "cast"}
    own = pack(space / "own.qstore", mxfp4=twins / "mxfp4")
    size = pack(space / "m.qstore", **variants)
    share = (size - own) / raw_size(space / "cast")
    figure(f"NVFP4 that is MXFP4, cast: {size - own:,} bytes added, {share:.3%}")
    assert share <= 0.003
    assert_comes_back(space / "m.qstore", space, **variants)
    check_derived(space / "m.qstore", "nvfp4", 2 * MATRICES)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "derived"), [("nvfp4", 2 * MATRICES), ("fp8", MATRICES)])
def test_copy_by_modelopt(bf16, modelopt, alone, space, figure, name, derived):
    variants = {"bf16": bf16, "copy": modelopt / name}
    size = pack(space / "m.qstore", "--direct", "bf16", **variants)
    share = (size - alone) / quantized_size(modelopt / name, bf16)
    figure(f"{name} by ModelOpt beside BF16: {size - alone:,} bytes added, {share:.3%}")
    assert share <= MOST_BESIDE
    check_derived(space / "m.qstore", "copy", derived)
    assert_comes_back(space / "m.qstore", space, **variants)


@pytest.mark.slow
def test_cast_by_modelopt(twins, modelopt, space, figure):
    variants = {"mxfp4": twins / "mxfp4", "cast": modelopt / "cast"}
    own = pack(space / "own.qstore", mxfp4=twins / "mxfp4")
    size = pack(space / "m.qstore", **variants)
    figure(f"NVFP4 that ModelOpt cast from MXFP4: {size - own:,} bytes added")
    check_derived(space / "m.qstore", "cast", 2 * MATRICES)
    assert_comes_back(space / "m.qstore", space, **variants)


def check_derived(archive, name, count):
    """So many tensors of the variant follow from others, without an exception."""
    (variant,) = (
        v for v in ok_json("inspect", "--tensors", archive)["variants"] if v["name"] == name
    )
    derived = [t for t in variant["tensor_list"] if t["scheme"] != "none"]
    assert len(derived) == count
    assert sum(t["stored_bytes"] for t in derived) == 0


def cast_to_nvfp4(source, target):
    """Scales become 2^(k - m) for m = max(k) - 8, at least 2^-9; of codes only -0 changes."""
    tensors, cast = load_file(source / "model.safetensors"), {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "weight_packed":
            low, high = tensor & 15, tensor & 240
            cast[f"{module}.weight"] = low.where(low != 8, 0) | high.where(high != 128, 0)
        elif part == "weight_scale":
            powers = tensor.int() - 127
            unit = powers[tensor > 0].max() - 8
            scales = torch.exp2((powers - unit).clamp(min=-9).float()).repeat_interleave(2, 1)
            cast[name] = scales.to(torch.float8_e4m3fn)
            cast[f"{module}.weight_scale_2"] = torch.exp2(unit.float())
    save_file(cast, target / "model.safetensors")


def test_a_copy_of_another_model_costs_bytes_only(bf16, twins, space):
    """Shapes and names fit, values do not."""
    data = bytearray((twins / "nvfp4" / "model.safetensors").read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = data[2 * third - 1 : third - 1 : -1]
    (space / "other").mkdir()
    (space / "other" / "model.safetensors").write_bytes(data)
    variants = {"bf16": bf16, "copy": space / "other"}
    pack(space / "m.qstore", **variants)
    assert_comes_back(space / "m.qstore", space, **variants)

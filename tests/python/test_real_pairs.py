# SPDX-License-Identifier: Apache-2.0
"""Real weights, quantized by bitsandbytes, opened again by safetensors and transformers."""

import shutil
from pathlib import Path

import pytest
import torch
from command import assert_comes_back, contents, ok, pack, raw_size, unpack
from safetensors.torch import load_file
from transformers import AutoModel
from zipnn_size import zipnn_sizes

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MODELS = ("minilm", "fcpe", "silero")
# Size of the pair over that of the 16-bit model alone under ZipNN.
MOST_OF_ZIPNN = {"minilm": 1.0, "fcpe": 1.003, "silero": 1.0}
MOST_AT_LEVEL_MAX = {"bf16": 0.99, "fp16": 0.985}
every_pair = pytest.mark.parametrize("model", MODELS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def weights_only(variant, target):
    """What save_pretrained writes: the weights and config.json, without the companions."""
    target.mkdir()
    for name in ("model.safetensors", "config.json"):
        if (variant / name).exists():
            shutil.copyfile(variant / name, target / name)
    return target


def bits(tensor):
    """The bytes, so that NaN equals itself and -0 differs from 0."""
    return tensor.reshape(-1).view(torch.uint8)


def weight_count(variant):
    return sum(t.numel() for t in load_file(variant / "model.safetensors").values())


@every_pair
@every_dtype
def test_pair_comes_back(pairs, space, model, dtype):
    variants = {dtype: pairs / model / dtype, "int8": pairs / model / f"{dtype}-int8"}
    pack(space / "m.qstore", **variants)
    ok("verify", space / "m.qstore")
    assert_comes_back(space / "m.qstore", space, **variants)


def test_five_precisions_come_back(pairs, space, figure):
    variants = {
        name: pairs / "minilm" / name for name in ("f32", "bf16", "fp16", "bf16-int8", "fp16-int8")
    }
    size = pack(space / "m.qstore", **variants)
    assert_comes_back(space / "m.qstore", space, **variants)
    alone = pack(space / "f32.qstore", f32=variants["f32"])
    raw = sum(map(raw_size, variants.values()))
    figure(f"minilm in five variants: {size:,} bytes of {raw:,}; F32 alone {alone:,}")
    # BF16 and FP16 are casts of F32 and follow from it, but for the values that int8 explains.
    assert size < alone + 0.35 * raw_size(variants["bf16"])


@every_pair
@every_dtype
def test_pair_against_the_16_bit_model_under_zipnn(pairs, space, figure, model, dtype):
    high = weights_only(pairs / model / dtype, space / "high")
    low = weights_only(pairs / model / f"{dtype}-int8", space / "low")
    variants = {dtype: high, "int8": low}
    sizes = {
        level: pack(space / f"{level}.qstore", "--level", level, **variants)
        for level in ("balanced", "max")
    }
    assert_comes_back(space / "max.qstore", space, **variants)
    zipnn = zipnn_sizes(high / "model.safetensors", DTYPES[dtype])
    best = min(zipnn, key=zipnn.get)
    weights = weight_count(high)
    for level, size in sizes.items():
        figure(
            f"{model} {dtype}, level {level}: pair {size:,} bytes = {8 * size / weights:.3f} b/w, "
            f"ZipNN of the 16-bit file alone ({best}) {zipnn[best]:,} = "
            f"{8 * zipnn[best] / weights:.3f} b/w, ratio {size / zipnn[best]:.4f}"
        )
    assert sizes["balanced"] <= MOST_OF_ZIPNN[model] * zipnn[best]
    assert sizes["max"] <= MOST_AT_LEVEL_MAX[dtype] * zipnn[best]


@every_dtype
def test_restored_transformer_computes_the_same(pairs, space, dtype):
    """The real libraries open what was restored and get equal numbers from it."""
    variants = {dtype: pairs / "minilm" / dtype, "int8": pairs / "minilm" / f"{dtype}-int8"}
    pack(space / "m.qstore", **variants)
    tokens = torch.arange(1000, 1032).reshape(2, 16)
    for name, source in variants.items():
        back = unpack(space / "m.qstore", name, space / name)
        before = load_file(source / "model.safetensors")
        after = load_file(back / "model.safetensors")
        assert before.keys() == after.keys()
        for key, tensor in before.items():
            assert tensor.dtype == after[key].dtype
            assert tensor.shape == after[key].shape
            assert torch.equal(bits(tensor), bits(after[key]))
        assert torch.equal(embedding(source, tokens), embedding(back, tokens)), name


def embedding(folder, tokens):
    model = AutoModel.from_pretrained(folder, device_map="cpu").eval()
    with torch.no_grad():
        return model(input_ids=tokens).last_hidden_state


def tie_distance(weights, absmax, at):
    """How far w·127/absmax lies from a half, in units of a quantization step."""
    exact = weights.double() * 127 / absmax.double()[:, None]
    exact = exact[at]
    return (exact - exact.floor() - 0.5).abs()


@every_dtype
def test_our_quantizer_against_bitsandbytes(pairs, space, figure, dtype):
    source = pairs / "minilm" / dtype
    ok("quantize", "--to", "llm-int8", source, "-o", space / "ours")
    ours = load_file(space / "ours" / "model.safetensors")
    theirs = load_file(pairs / "minilm" / f"{dtype}-int8" / "model.safetensors")
    high = load_file(source / "model.safetensors")
    assert ours.keys() == theirs.keys()
    weights = different = 0
    furthest = 0.0
    for key, tensor in theirs.items():
        assert ours[key].dtype == tensor.dtype
        assert ours[key].shape == tensor.shape
        if tensor.dtype != torch.int8:
            assert torch.equal(ours[key], tensor), key
            continue
        weights += tensor.numel()
        at = ours[key] != tensor
        if at.any():
            different += int(at.sum())
            absmax = theirs[key.removesuffix(".weight") + ".SCB"]
            half = high[key].to(torch.float16).float()
            furthest = max(furthest, float(tie_distance(half, absmax, at).max()))
    figure(
        f"quantize --to llm-int8 against bitsandbytes (CPU), minilm {dtype}: {different} of "
        f"{weights:,} q differ, those at most {furthest:.1e} steps from a tie"
    )
    # bitsandbytes multiplies by a reciprocal, whose rounding decides ties and nothing else.
    assert furthest < 1e-4
    assert different <= weights * 0.0003


@every_dtype
def test_our_cast_is_torchs(pairs, space, dtype):
    ok("quantize", "--to", dtype, pairs / "minilm" / "f32", "-o", space / "ours")
    ours = load_file(space / "ours" / "model.safetensors")
    for key, tensor in load_file(pairs / "minilm" / "f32" / "model.safetensors").items():
        expected = tensor.to(DTYPES[dtype]) if tensor.is_floating_point() else tensor
        assert ours[key].dtype == expected.dtype
        assert torch.equal(bits(ours[key]), bits(expected)), key


def test_one_safetensors_file_is_a_variant(pairs, space):
    source = pairs / "silero" / "bf16" / "model.safetensors"
    pack(space / "m.qstore", bf16=source)
    back = unpack(space / "m.qstore", "bf16", space / "back")
    assert contents(back) == contents(source)


def test_hub_cache_layout(pairs, space):
    """A snapshot folder of symbolic links to blobs, as hub caches hold it."""
    source = pairs / "minilm" / "bf16"
    blobs = space / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        link = space / "snapshots" / "main" / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blobs / str(number))
        up = Path(*[".."] * len(link.parent.relative_to(space).parts))
        link.symlink_to(up / "blobs" / str(number))
    pack(space / "m.qstore", bf16=space / "snapshots" / "main")
    back = unpack(space / "m.qstore", "bf16", space / "back")
    assert contents(back) == contents(source)
    assert not any(path.is_symlink() for path in back.rglob("*"))

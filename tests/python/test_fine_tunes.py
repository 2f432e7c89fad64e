# SPDX-License-Identifier: Apache-2.0
"""Models that were really tuned, beside their base: their bytes, and those of BitX (Wang et al.,
ZipLLM, NSDI'26), which is the XOR of both models, by planes of bytes under zstd."""

import shutil

import pytest
import torch
import zstandard
from command import assert_comes_back, ok_json, pack
from made import HERE, made_once, real_pairs, trained_llama
from safetensors.torch import load_file

pytestmark = pytest.mark.rest  # Training takes minutes.

TUNES = {
    "llama": ("full-1e-5", "full-1e-4", "lora", "frozen", "grown", "continued"),
    "minilm": ("full-1e-5", "full-1e-4", "lora", "frozen", "grown"),
}
ALL = [(model, tune) for model, names in TUNES.items() for tune in names]
# Bytes of a tune over those that BitX takes: where a third or more of the weights are equal, and
# elsewhere.
MOST_OF_BITX = {True: 0.65, False: 0.75}
# A model of kilobytes has more headers than weights: its index, tables and configs are left out.
SMALL = 4096


@pytest.fixture(scope="session")
def tunes():
    maker = HERE / "make_tunes.py"
    recipe = [maker, HERE / "trained_llm.py", HERE / "make_pairs.py", HERE / "requirements.txt"]
    return made_once("tunes", recipe, maker, trained_llama(), real_pairs() / "minilm" / "f32")


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def bitx_size(tensor, base):
    """Rows that the base lacks are XORed with nothing."""
    plain = tensor.contiguous().view(torch.int16).reshape(-1)
    given = base.contiguous().view(torch.int16).reshape(-1)[: len(plain)]
    plain = plain.clone()
    plain[: len(given)] ^= given
    planes = plain.view(torch.uint8).reshape(-1, 2).T.contiguous()
    compressor = zstandard.ZstdCompressor(level=3)
    return sum(len(compressor.compress(plane.numpy().tobytes())) for plane in planes)


def sizes(archive):
    """Bytes that each tensor of a variant takes, by the variant and the tensor's name."""
    report = ok_json("inspect", archive, "--tensors")
    return {
        variant["name"]: {
            tensor["name"]: tensor["stored_bytes"]
            for file in variant["files"]
            for tensor in file.get("tensors", [])
        }
        for variant in report["variants"]
    }


@pytest.mark.parametrize(("model", "tune"), ALL)
def test_a_tune_takes_less_than_bitx(tunes, space, figure, model, tune):
    base, tuned = (weights_of(tunes / model / name) for name in ("base", tune))
    for name in ("base", tune):
        (space / name).mkdir()
        shutil.copyfile(tunes / model / name / "model.safetensors", space / name / "m.safetensors")
    alone = pack(space / "base.qstore", base=space / "base")
    variants = {"base": space / "base", "tuned": space / tune}
    both = pack(space / "m.qstore", **variants)
    assert_comes_back(space / "m.qstore", space, **variants)
    bitx = equal = count = 0
    for name, tensor in tuned.items():
        count += tensor.numel()
        given = base[name].reshape(-1)[: tensor.numel()]
        same = tensor.reshape(-1)[: len(given)].view(torch.int16) == given.view(torch.int16)
        equal += int(same.sum())
        # Equal files and tensors are stored once by both.
        if tensor.shape != given.shape or not bool(same.all()):
            bitx += bitx_size(tensor, base[name])
    size = both - alone
    share = equal / count
    figure(
        f"{model} {tune}: {100 * share:.1f} % of {count:,} weights equal; {8 * size / count:.3f} "
        f"bits a weight, BitX {8 * bitx / count:.3f}, ratio {size / bitx:.3f}"
    )
    assert size - SMALL <= MOST_OF_BITX[share >= 1 / 3] * bitx


@pytest.mark.parametrize("model", TUNES)
def test_tensors_that_stayed_take_nothing(tunes, space, model):
    base, tuned = (weights_of(tunes / model / name) for name in ("base", "frozen"))
    pack(space / "m.qstore", base=tunes / model / "base", tuned=tunes / model / "frozen")
    before = pack(space / "base.qstore", base=tunes / model / "base")
    equal = [name for name in base if torch.equal(base[name], tuned[name])]
    assert len(equal) > len(base) / 4
    taken = (space / "m.qstore").stat().st_size - before
    moved = sum(2 * t.numel() for name, t in tuned.items() if name not in equal)
    assert taken < 0.5 * moved

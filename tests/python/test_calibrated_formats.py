# SPDX-License-Identifier: Apache-2.0
"""Copies of a trained model by tools that calibrate, beside its BF16."""

import numpy as np
import pytest
from command import assert_comes_back, ok_json, pack
from safetensors import safe_open

# Bits a weight that a copy may add to the archive of BF16. The tools of the last ones have an
# environment of their own, which takes long to install, and calibrate for minutes.
MOST_BESIDE = {"awq": 0.35, "gptq": 0.6, "smoothquant": 0.7, "autoround": 0.6}
# Of the entropy of codes given those that rounding gives, what codes may take.
MOST_OF_ENTROPY = 1.1
SCHEMES = ("awq-codes", "gptq-codes", "grid-near")
MATRICES = 7 * 4
PER_ELEMENT = {"I32": 8, "I8": 1}


@pytest.fixture
def copy(name, request):
    fixture = "awq" if name == "awq" else "calibrated"
    return request.getfixturevalue(fixture) / name


def codes_in(archive):
    """The tensors of codes, and the number of their weights."""
    variants = ok_json("inspect", "--tensors", archive)["variants"]
    (copy,) = (v for v in variants if v["name"] == "copy")
    codes = [t for t in copy["tensor_list"] if t["scheme"] in SCHEMES]
    weights = sum(PER_ELEMENT[t["dtype"]] * t["shape"][0] * t["shape"][1] for t in codes)
    return codes, weights


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("awq", marks=pytest.mark.rest),
        *(pytest.param(name, marks=pytest.mark.slow) for name in list(MOST_BESIDE)[1:]),
    ],
)
def test_copy_beside_direct_bf16(trained, copy, space, figure, name):
    variants = {"bf16": trained / "bf16", "copy": copy}
    alone = pack(space / "alone.qstore", bf16=trained / "bf16")
    size = pack(space / "m.qstore", "--direct", "bf16", **variants)
    codes, weights = codes_in(space / "m.qstore")
    assert len(codes) == MATRICES
    bits = 8 * (size - alone) / weights
    own = 8 * sum(t["stored_bytes"] for t in codes) / weights
    figure(f"{name} beside BF16: {bits:.3f} bits a weight, of which codes {own:.3f}")
    assert bits <= MOST_BESIDE[name]
    assert_comes_back(space / "m.qstore", space, **variants)


def tensors_of(folder):
    (file,) = folder.glob("*.safetensors")
    with safe_open(file, "pt") as model:
        return {name: model.get_tensor(name) for name in model.keys()}  # noqa: SIM118


def fields(words):
    """Codes of four bits: eight more in the last dimension."""
    return words.numpy().view(np.uint32)[..., None] >> (4 * np.arange(8)) & 15


def entropy(symbols, contexts):
    """Bits of all symbols, each given its context."""
    bits = 0.0
    for context in np.unique(contexts):
        _, counts = np.unique(symbols[contexts == context], return_counts=True)
        bits -= (counts * np.log2(counts / counts.sum())).sum()
    return bits


@pytest.mark.slow
def test_autoround_takes_its_entropy(trained, calibrated, space, figure):
    """Given how far a weight lies from the code that rounding gives."""
    high, copy = tensors_of(trained / "bf16"), tensors_of(calibrated / "autoround")
    bits = 0.0
    for name in (name for name in copy if name.endswith(".qweight")):
        module = name.removesuffix(".qweight")
        packed, scales = fields(copy[name]), copy[f"{module}.scales"].float().numpy()
        codes = packed.transpose(0, 2, 1).reshape(-1, packed.shape[1]).astype(int)
        zeros = fields(copy[f"{module}.qzeros"]).reshape(scales.shape).astype(int)
        group = np.arange(len(codes)) // (len(codes) // len(scales))
        steps = high[f"{module}.weight"].float().numpy().T / scales[group]
        # The file has zero points less one, or not.
        nearest, zero = min(
            (
                (np.clip(np.rint(steps).astype(int) + z[group], 0, 15), z[group])
                for z in (zeros, (zeros + 1) & 15)
            ),
            key=lambda pair: np.abs(pair[0] - codes).sum(),
        )
        offset = steps - (nearest - zero)
        moves = (codes - nearest) * np.where(offset < 0, -1, 1)
        bits += entropy(moves.ravel(), np.minimum(np.abs(offset) * 32, 15).astype(int).ravel())
    pack(
        space / "m.qstore", "--direct", "bf16", bf16=trained / "bf16", copy=calibrated / "autoround"
    )
    stored = 8 * sum(t["stored_bytes"] for t in codes_in(space / "m.qstore")[0])
    figure(f"AutoRound: codes take {stored / bits:.3f} of their entropy")
    assert stored <= MOST_OF_ENTROPY * bits

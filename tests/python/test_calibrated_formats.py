# SPDX-License-Identifier: Apache-2.0
"""Copies of a trained model by tools that calibrate, beside its BF16."""

import pytest
from command import assert_comes_back, ok_json, pack

pytestmark = pytest.mark.rest

# Bits a weight that a copy may add to the archive of BF16.
MOST_BESIDE = {"awq": 0.35}


@pytest.mark.parametrize("name", MOST_BESIDE)
def test_copy_beside_direct_bf16(trained, calibrated, space, figure, name):
    variants = {"bf16": trained / "bf16", "copy": calibrated / name}
    alone = pack(space / "alone.qstore", bf16=trained / "bf16")
    size = pack(space / "m.qstore", "--direct", "bf16", **variants)
    (copy,) = (
        v
        for v in ok_json("inspect", "--tensors", space / "m.qstore")["variants"]
        if v["name"] == "copy"
    )
    codes = [t for t in copy["tensor_list"] if t["scheme"] in ("awq-codes", "grid-near")]
    weights = sum(t["shape"][0] * t["shape"][1] * 8 for t in codes)
    assert len(codes) == 7 * 4  # Matrices of the four layers.
    bits = 8 * (size - alone) / weights
    own = 8 * sum(t["stored_bytes"] for t in codes) / weights
    figure(f"{name} beside BF16: {bits:.3f} bits a weight, of which codes {own:.3f}")
    assert bits <= MOST_BESIDE[name]
    assert_comes_back(space / "m.qstore", space, **variants)

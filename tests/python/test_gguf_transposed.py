# SPDX-License-Identifier: Apache-2.0
"""GPT-2 has matrices transposed in checkpoints, and not in GGUF files: these take little all the
same."""

import pytest
from command import ROOT
from made import made_once
from safetensors import safe_open
from test_gguf_ladders import BALANCED, HEADER, MAX, ROUNDED, check_shares, packed


@pytest.fixture(scope="session")
def transposed(pairs):
    """The folder of tests/python/make_transposed.py."""
    python = ROOT / "tests" / "python"
    recipe = [python / name for name in ("make_transposed.py", "make_ladders.py")]
    recipe.append(python / "requirements.txt")
    return made_once("transposed", recipe, recipe[0], pairs / "minilm" / "bf16")


def test_the_model_is_one_that_has_them(transposed):
    with safe_open(transposed / "hf" / "model.safetensors", "np") as file:
        shape = file.get_slice("transformer.h.0.mlp.c_fc.weight").get_shape()
    assert shape == [768, 1536], "inputs, then outputs"


@pytest.mark.parametrize("level", ["balanced", MAX])
def test_files_of_a_gpt2_take_little_beside_it(space, transposed, figure, level):
    names = ("BF16", "F16", "Q8_0", "Q4_K")
    paths = {"hf": transposed / "hf", **{name: transposed / f"{name}.gguf" for name in names}}
    most = BALANCED if level == "balanced" else dict.fromkeys(BALANCED, ROUNDED)
    if level == "max":
        names = (*names, "Q4_K-weighted")
        paths |= {name: transposed / f"{name}.gguf" for name in ("imatrix", "Q4_K-weighted")}
        most["Q4_K-weighted"] = ROUNDED
    own = packed(space, level, paths)
    most = {name: share for name, share in most.items() if name in names}
    check_shares(own, paths, most, figure, f"of a GPT-2 at {level}")
    assert own["BF16"] <= HEADER
    assert own["F16"] <= HEADER

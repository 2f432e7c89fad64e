# SPDX-License-Identifier: Apache-2.0
"""Ladders: a BF16 model and GGUF files of it in many types, by ggml's own code. Made once."""

from dataclasses import dataclass
from pathlib import Path

from . import data
from .from_tests import TESTS, environment, made_once, trained_llama
from .settings import REAL, matrices

GGML = TESTS / "requirements-ggml.txt"
PLAIN = ("hf", "bf16", "f16", "imatrix")  # What is no quantized copy.
LAYERS = matrices("ladder-layers", "", "4096x4096", 2)
LAYER_TYPES = ("bf16", "q8_0", "q6_k", "q5_k", "q4_k", "q4_0", "q3_k", "q2_k")


@dataclass(frozen=True)
class Ladder:
    name: str
    text: str
    variants: dict  # Name to the path of a folder or file; the 16-bit ones first.

    @property
    def quants(self):
        return {name: path for name, path in self.variants.items() if name not in PLAIN}

    @property
    def model(self):
        return self.variants["hf"]


def ggufs(name, model, made_of, *options):
    """The files of `model`, which changes with the files `made_of`."""
    maker = TESTS / "make_ggufs.py"
    python = environment("ggml", GGML)
    recipe = [maker, GGML, *made_of]
    return made_once(f"ggufs-{name}", recipe, maker, *options, model, python=python)


def ladder_of(name, text, model, folder):
    """Files by falling size, which is the order of a ladder."""
    found = sorted(folder.glob("*.gguf"), key=lambda path: (-path.stat().st_size, path.name))
    files = {path.stem: path for path in found}
    plain = {name: files.pop(name) for name in PLAIN if name in files}
    return Ladder(name, text, {"hf": model, **plain, **files})


def minilm(qstore, folder):
    model = data.make(REAL, qstore, folder).high.parent
    files = ggufs("minilm", model, [TESTS / "requirements-weights.txt"])
    text = "all-MiniLM-L6-v2, real weights, 22.7 M; rows of 384, so that K-quants fall back"
    return ladder_of("minilm", text, model, files)


def llama(_qstore, _folder):
    model = trained_llama() / "bf16"
    files = ggufs("llama", model, [TESTS / "trained_llm.py"])
    return ladder_of("llama", "the Llama that the tests train, 3.7 M weights", model, files)


def llama_imatrix(_qstore, _folder):
    model = trained_llama() / "bf16"
    files = ggufs("llama-imatrix", model, [TESTS / "trained_llm.py"], "--importance")
    text = "the same Llama, rounded by an imatrix, which is a variant too"
    return ladder_of("llama-imatrix", text, model, files)


def layers(qstore, folder):
    model = data.make(LAYERS, qstore, folder).high.parent
    made_of = [Path(data.__file__), Path(__file__)]
    files = ggufs("layers", model, made_of, "--types", ",".join(LAYER_TYPES))
    text = "2 synthetic matrices of 4096×4096, 33.6 M weights: for times"
    return ladder_of("layers", text, model, files)


MAKERS = {"llama": llama, "llama-imatrix": llama_imatrix, "minilm": minilm, "layers": layers}

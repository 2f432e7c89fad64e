# SPDX-License-Identifier: Apache-2.0
"""How much is measured, by size of the run, and the models it is measured with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A model: who of sources.py makes it, for "synth" by which arguments."""

    name: str
    text: str
    synth: tuple = ()
    source: str = "synth"
    timed: bool = True  # Or of interest for its size only.


@dataclass(frozen=True)
class Settings:
    recipes: tuple
    rounds: int
    more_rounds: int  # Of what a bar judges, and of the first recipe's main operations.
    runs: int  # Of each operation in each round.
    bandwidths: tuple  # MiB/s, measured with the first recipe.
    drives: tuple  # MiB/s of a throttled drive, likewise.
    isas: tuple
    patience: float  # What takes more seconds is measured in the first round only.


def matrices(name, text, shape, count):
    return Recipe(name, text, ("--shape", shape, "--count", str(count)))


REAL = Recipe("minilm", "all-MiniLM-L6-v2, real weights", source="minilm")
SIZE_ONLY = (
    Recipe("fcpe", "FCPE, real weights", source="convolutions", timed=False),
    Recipe("silero", "Silero VAD, real weights", source="convolutions", timed=False),
    Recipe("llama", "the Llama that the tests train", source="trained", timed=False),
)

TINY = Settings(
    recipes=(
        matrices("layers", "2 matrices of 512×512", "512x512", 2),
        matrices("small", "16 matrices of 64×64", "64x64", 16),
        Recipe("only-size", "a matrix of 64×64", ("--shape", "64x64"), timed=False),
    ),
    rounds=2,
    more_rounds=1,
    runs=1,
    bandwidths=(200, 800),
    drives=(4,),
    isas=("scalar",),
    patience=1,
)
QUICK = Settings(
    recipes=(
        matrices("layers", "2 matrices of 4096×4096", "4096x4096", 2),
        matrices("small", "512 matrices of 256×256", "256x256", 512),
        REAL,
    ),
    rounds=3,
    more_rounds=2,
    runs=1,
    bandwidths=(100, 400, 1500),
    drives=(200,),
    isas=("avx2", "scalar"),
    patience=1,
)
FULL = Settings(
    recipes=(
        matrices("layers", "6 matrices of 4096×4096", "4096x4096", 6),
        matrices("huge", "1 matrix of 16384×8192", "16384x8192", 1),
        matrices("small", "2000 matrices of 256×256", "256x256", 2000),
        matrices("experts", "64 experts of 1408×1024", "1408x1024", 64),
        Recipe(
            "embedding",
            "1 layer below an embedding of 128000×768",
            ("--layers", "1", "--hidden", "768", "--vocab", "128000"),
        ),
        REAL,
        *SIZE_ONLY,
    ),
    rounds=1,
    more_rounds=6,
    runs=1,
    bandwidths=(100, 200, 400, 800, 1500),
    drives=(100, 400),
    isas=("avx2", "scalar"),
    patience=5,
)
SIZES = {"tiny": TINY, "quick": QUICK, "full": FULL}

# Operations, in the order of the tables.
OPERATIONS = {
    "save_pair": "save both",
    "save_16": "save 16-bit",
    "load_16": "load 16-bit",
    "load_16_alone": "load 16-bit stored alone",
    "load_f16": "load F16 stored alone",
    "load_16_8": "load both",
    "load_8": "load 8-bit",
    "tensor": "one tensor",
    "slice": "one slice",
}
# The same of other systems, which store a model alone anyway.
COUNTERPARTS = {"load_16_alone": "load_16"}

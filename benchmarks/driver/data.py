# SPDX-License-Identifier: Apache-2.0
"""Makes the models, and knows what is in them."""

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .sources import MAKERS

SLICE_ROWS = 128


@dataclass(frozen=True)
class Span:
    """A tensor, or rows of it, in a .safetensors file."""

    tensor: str
    rows: tuple | None  # First and end.
    begin: int  # Bytes of the file.
    end: int


@dataclass(frozen=True)
class Dataset:
    name: str
    text: str
    timed: bool  # Or of interest for its size only.
    high: Path  # The model.safetensors in BF16.
    f16: Path  # That in F16.
    low: Path  # That of its 8-bit twin.
    weights: int
    tensors: int
    tensor: Span
    slice: Span

    def describe(self):
        return {
            "name": self.name,
            "text": self.text,
            "timed": self.timed,
            "weights": self.weights,
            "tensors": self.tensors,
            "bytes_16": self.high.stat().st_size,
            "bytes_f16": self.f16.stat().st_size,
            "bytes_8": self.low.stat().st_size,
        }


def read_header(path):
    """Where the data begins, and the entries of the tensors by name."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return 8 + size, header


def spans(path):
    """The middle one of the largest matrices, and some of its rows."""
    data, header = read_header(path)
    matrices = [(name, entry) for name, entry in header.items() if len(entry["shape"]) == 2]
    largest = max(math.prod(entry["shape"]) for _, entry in matrices)
    chosen = [item for item in matrices if math.prod(item[1]["shape"]) == largest]
    name, entry = chosen[len(chosen) // 2]
    begin, end = (data + offset for offset in entry["data_offsets"])
    rows = entry["shape"][0]
    count = min(SLICE_ROWS, max(1, rows // 8))
    first = (rows - count) // 2
    row_bytes = (end - begin) // rows
    part = Span(
        name,
        (first, first + count),
        begin + first * row_bytes,
        begin + (first + count) * row_bytes,
    )
    return Span(name, None, begin, end), part


def write_anew(path):
    """As a download or a copy would, from the first byte to the last.

    The page cache then holds a file in large blocks, which are read faster. Programs that write
    parts here and there, as those that make these models do, leave pages of 4 KiB.
    """
    copy = path.with_suffix(".copy")
    with open(path, "rb") as source, open(copy, "wb", buffering=0) as target:
        shutil.copyfileobj(source, target, 4 << 20)
    copy.replace(path)


def make(recipe, qstore, folder):
    """The recipe's models below `folder`, made once."""
    place = folder / recipe.name
    made = place / "made-from"
    key = json.dumps([recipe.source, recipe.synth])
    if not made.is_file() or made.read_text() != key:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)

        def run(*arguments):
            command = [str(qstore), *map(str, arguments)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        MAKERS[recipe.source](run, recipe, place)
        for path in place.glob("*/*.safetensors"):
            write_anew(path)
        made.write_text(key)
    return describe(recipe, *(place / name / "model.safetensors" for name in ("16", "f16", "8")))


def describe(recipe, high, f16, low):
    _, header = read_header(high)
    weights = sum(math.prod(entry["shape"]) for entry in header.values())
    known = (recipe.name, recipe.text, recipe.timed, high, f16, low, weights, len(header))
    return Dataset(*known, *spans(high))

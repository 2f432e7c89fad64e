# SPDX-License-Identifier: Apache-2.0
"""Makes precisions of a model directory: by casting, rounding, by bitsandbytes and by GPTQ."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from typing import Any

from qstore._json import read_object
from qstore._operations import TARGETS, quantize
from qstore.errors import InvalidArgumentError

FLOATS = {"bf16": "BF16", "fp16": "F16", "f32": "F32"}
GPTQ = {f"gptq-{bits}bit": bits for bits in (2, 3, 4, 8)}
ROUNDED = tuple(name for name in TARGETS if name not in (*FLOATS, "llm-int8"))
NAMES = (*FLOATS, "llm-int8", *ROUNDED, *GPTQ)
ORIGIN = "qstore-source.json"  # Beside the files of every variant: where they come from.


class Maker:
    """Makes variants of one model below a scratch folder. Not thread-safe."""

    def __init__(
        self, model: Path, scratch: Path, origin: dict[str, Any], calibration: tuple[str, int]
    ) -> None:
        """Raises InvalidArgumentError when the model has no safetensors or is quantized already."""
        self.model = model
        self.scratch = scratch
        self.origin = origin
        self.calibration = calibration
        self.dtypes = float_types(model)
        self.made: dict[str, Path] = {}

    def has(self, name: str) -> bool:
        """Whether the model is in that precision already."""
        return self.dtypes <= {FLOATS.get(name)}

    def make(self, name: str) -> Path:
        """The directory of a variant, made when it is not there yet.

        Raises what the library that makes it does; InvalidArgumentError for an unknown name and for
        floats wider than those of the model.
        """
        if name not in self.made:
            folder = self.scratch / name
            if name in FLOATS:
                libraries = self._cast(name, folder)
            elif name == "llm-int8":
                libraries = self._llm_int8(folder)
            elif name in ROUNDED:
                libraries = self._rounded(name, folder)
            elif name in GPTQ:
                libraries = self._gptq(GPTQ[name], folder)
            else:
                raise InvalidArgumentError(f"variant {name!r} is none of {', '.join(NAMES)}")
            versions = {library: importlib.metadata.version(library) for library in libraries}
            told = self.origin | {"variant": name, "made_with": versions}
            (folder / ORIGIN).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
            self.made[name] = folder
        return self.made[name]

    def _cast(self, name: str, folder: Path) -> list[str]:
        if self.has(name):
            link_files(self.model, folder)
            return []
        if name == "f32":
            found = ", ".join(sorted(self.dtypes))
            raise InvalidArgumentError(f"f32 cannot be made of a model in {found}")
        quantize(self.model, folder, name, sync=False)
        return ["qstore"]

    def _half(self) -> Path:
        """A 16-bit variant to quantize: one made already, else what the model is or becomes."""
        names = [name for name in ("bf16", "fp16") if self.has(name)]
        names += [name for name in ("bf16", "fp16") if name in self.made]
        return self.make((names or ["bf16"])[0])

    def _llm_int8(self, folder: Path) -> list[str]:
        import transformers

        from qstore.transformers import find_class

        half = self._half()
        model = find_class(read_object(half / "config.json")).from_pretrained(
            half,
            device_map="cpu",
            quantization_config=transformers.BitsAndBytesConfig(load_in_8bit=True),
        )
        model.save_pretrained(folder)
        copy_companions(half, folder)
        return ["transformers", "bitsandbytes", "torch"]

    def _rounded(self, name: str, folder: Path) -> list[str]:
        quantize(self._half(), folder, name, sync=False)
        return ["qstore"]

    def _gptq(self, bits: int, folder: Path) -> list[str]:
        from qstore import gptq

        calibration = gptq.Calibration(*self.calibration)
        gptq.quantize(self._half(), folder, [gptq.Scheme(bits)], calibration)
        return ["qstore", "transformers", "torch"]


def float_types(model: Path) -> set[str]:
    """The safetensors names of the types of floats in a model's files.

    Raises InvalidArgumentError when there are no such files, or the config says it is quantized;
    CorruptError when the config is no JSON object.
    """
    import safetensors

    files = sorted(model.rglob("*.safetensors"))
    if not files:
        raise InvalidArgumentError(f"{model}: there are no weights in safetensors files")
    config = model / "config.json"
    if config.exists() and "quantization_config" in read_object(config):
        raise InvalidArgumentError(f"{model}: is quantized already; give the model it was made of")
    found = set()
    for file in files:
        with safetensors.safe_open(file, "np") as tensors:
            found |= {tensors.get_slice(name).get_dtype() for name in tensors.offset_keys()}
    return {dtype for dtype in found if dtype.startswith(("F", "BF"))}


def link_files(source: Path, folder: Path) -> None:
    """A directory with the same files, by links, which packing follows."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            link = folder / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.abspath(path))


def copy_companions(source: Path, folder: Path) -> None:
    """Copies what is not there yet and holds no weights: tokenizer, licence, code."""
    for path in sorted(source.rglob("*")):
        target = folder / path.relative_to(source)
        is_weights = ".safetensors" in path.name
        if path.is_file() and path.name != ORIGIN and not is_weights and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

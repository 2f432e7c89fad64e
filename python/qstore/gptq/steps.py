# SPDX-License-Identifier: Apache-2.0
"""The steps of a quantization, each of which ends in a state that a later process can go on from.

`DecoderSteps` takes the layers of a model one by one. What enters a layer is what the quantized
layers before it give. Within the layer, a matrix sees those before it quantized. What enters stands
in a file. A step reads it and writes that of the next. `SyntheticSteps` takes matrices one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from qstore.errors import InvalidArgumentError
from qstore.gptq.calibration import correlated_inputs, windows
from qstore.gptq.checkpoint import Source
from qstore.gptq.decoder import Decoder, Layer, unsupported
from qstore.gptq.options import Calibration, Scheme
from qstore.gptq.packing import values_per_run
from qstore.gptq.solver import Factor, Hessian, Quantized, factorize, quantize_matrix

Done = Callable[[str, Quantized], None]  # Called with each matrix.
HEADS = re.compile(r"(^|[._])(embed\w*|wte|wpe|lm_head|shared)(\.|$)")


class Steps(Protocol):
    """Step i makes the matrices `names[i]`. `begin` is called once, before the step `first`."""

    names: list[list[str]]

    def begin(self, folder: Path, first: int) -> None: ...

    def run(self, step: int, scheme: Scheme, done: Done) -> None: ...

    def finish(self, step: int) -> None:
        """Called once the result of the step is safe."""


class DecoderSteps:
    def __init__(self, source: Source, calibration: Calibration):
        from transformers import AutoTokenizer

        self.source = source
        self.decoder = Decoder(source)
        self.names = self.decoder.linears
        try:
            tokenizer = AutoTokenizer.from_pretrained(source.directory)
        except (OSError, ValueError) as error:
            reason = str(error).split("\n")[0]
            raise InvalidArgumentError(f"{source.directory}: no tokenizer ({reason})") from None
        self.windows = windows(calibration, tokenizer, self.decoder.longest)
        vocabulary = self.decoder.config.vocab_size
        if int(self.windows.max()) >= vocabulary:
            raise InvalidArgumentError(
                f"{source.directory}: the tokenizer gives tokens beyond the model's {vocabulary}"
            )

    def begin(self, folder: Path, first: int) -> None:
        self.folder = folder
        self.decoder = Decoder(self.source)
        entering, self.calls = self.decoder.first_inputs(self.windows)
        if first == 0:
            self._write(0, entering)

    def run(self, step: int, scheme: Scheme, done: Done) -> None:
        call = self.calls[step]
        hidden = self._map(step)
        layer = self.decoder.materialize(step)
        groups = layer.groups(hidden[:1], call)
        if missing := set(self.names[step]) - {name for group in groups for name in group}:
            raise unsupported(self.decoder.model, f"it did not run {min(missing)}")
        for names in groups:
            self._round(layer, names, hidden, step, scheme, done)
        if step + 1 < len(self.names):
            self._write(step + 1, (layer.forward(one, call) for one in hidden.split(1)))

    def _round(
        self, layer: Layer, names: list[str], hidden: Tensor, step: int, scheme: Scheme, done: Done
    ) -> None:
        hessian = Hessian(layer.linears[names[0]].in_features)
        for one in hidden.split(1):
            layer.feed(one, self.calls[step], names[0], hessian.add)
        factor = factorize(hessian.matrix, scheme)
        for name in names:
            linear = layer.linears[name]
            result = quantize_matrix(linear.weight, factor, scheme)
            linear.weight.copy_(result.weights())
            done(name, result)

    def finish(self, step: int) -> None:
        self._path(step).unlink(missing_ok=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"inputs-{step:05}.f32"

    def _map(self, step: int) -> Tensor:
        return self._mapped(self._path(step))

    def _mapped(self, path: Path) -> Tensor:
        shape = (*self.windows.shape, self.decoder.config.hidden_size)
        elements = torch.Size(shape).numel()
        return torch.from_file(str(path), shared=True, size=elements).view(shape)

    def _write(self, step: int, samples: Iterable[Tensor]) -> None:
        path = self._path(step)
        scratch = path.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        target = self._mapped(scratch)
        for i, sample in enumerate(samples):
            target[i] = sample[0]
        scratch.rename(path)


class SyntheticSteps:
    """Every matrix P.weight but embeddings and heads, with inputs that are drawn, not computed."""

    def __init__(self, source: Source, calibration: Calibration):
        self.source = source
        self.seed = calibration.seed
        chosen = [
            name.removesuffix(".weight")
            for name in source.place
            if name.endswith(".weight") and len(source.shape(name)) == 2 and not HEADS.search(name)
        ]
        if not chosen:
            raise InvalidArgumentError(f"{source.directory}: no matrix P.weight to quantize")
        # Those of one input size follow one another, so that the work on it is done once.
        chosen.sort(key=lambda name: source.shape(f"{name}.weight")[1])
        self.names = [[name] for name in chosen]

    def begin(self, folder: Path, first: int) -> None:
        self.factor: Factor | None = None

    def run(self, step: int, scheme: Scheme, done: Done) -> None:
        (name,) = self.names[step]
        weight = self.source.tensor(f"{name}.weight")
        if self.factor is None or len(self.factor.order) != weight.shape[1]:
            hessian = Hessian(weight.shape[1])
            hessian.add(correlated_inputs(weight.shape[1], self.seed))
            self.factor = factorize(hessian.matrix, scheme)
        done(name, quantize_matrix(weight, self.factor, scheme))

    def finish(self, step: int) -> None:
        return


def check_weights(source: Source, names: list[list[str]], schemes: list[Scheme]) -> None:
    """Refuses, before hours are spent, what cannot be quantized; names file, tensor and rule."""
    for name in (f"{module}.weight" for group in names for module in group):
        rows, columns = source.finite_weight(name).shape
        for scheme in schemes:
            run = values_per_run(scheme.bits)
            if rows % run or columns % run:
                raise InvalidArgumentError(
                    f"{source.directory / source.place[name]}: {name} has the shape "
                    f"[{rows}, {columns}]; {scheme.bits} bits need multiples of {run}"
                )

# SPDX-License-Identifier: Apache-2.0
"""Quantizes a model directory; see `quantize`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from qstore.errors import InvalidArgumentError
from qstore.gptq.checkpoint import (
    INDEX,
    Part,
    Source,
    copy_companions,
    copy_directory,
    read_json,
    write_json,
    write_safetensors,
)
from qstore.gptq.options import Calibration, Scheme
from qstore.gptq.solver import Quantized
from qstore.gptq.steps import DecoderSteps, Steps, SyntheticSteps, check_weights
from qstore.gptq.work import StepFile, WorkDirectory

Row = dict[str, Any]


@dataclass
class Events:
    """Calls that a run makes on its thread: what it is about to do, and each matrix it has done.

    A row has name, bits, shape [out, in], groups, error and seconds; `resumed` when an earlier
    process made it. `progress(done, total)` counts matrices of all precisions.
    """

    row: Callable[[Row], object] = lambda row: None
    progress: Callable[[int, int], object] = lambda done, total: None


@dataclass
class Report:
    directories: dict[str, str] = field(default_factory=dict)  # Precision to path.
    rows: list[Row] = field(default_factory=list)
    bytes: dict[str, int] = field(default_factory=dict)  # Of all tensors, by precision.


def quantize(
    source: str | Path,
    output: str | Path,
    schemes: list[Scheme],
    calibration: Calibration,
    *,
    overwrite: bool = False,
    events: Events | None = None,
) -> Report:
    """Makes GPTQ checkpoints of the 16-bit decoder in the directory `source`.

    One scheme is written to `output` itself; several to `output`/{16bit,8bit,4bit,...}, 16bit being
    a copy of the source. Linear layers of the model's layers become qweight, qzeros, scales and
    g_idx; all other tensors and files stay, configs gain `quantization_config`.

    The output appears when it is complete. Until then results gather in `output`.quantizing, and a
    call with the same arguments goes on where an interrupted one was, behind the last layer done.
    Memory: one layer in F32, its Hessians, and whatever the system caches of the activations. These
    are in files of 4 * samples * length * hidden bytes.

    Raises PathNotFoundError, AlreadyExistsError and CorruptError. Raises InvalidArgumentError for a
    model class that cannot be quantized, NaN or infinity in a weight, and shapes that cannot be
    packed. It does so too for too little calibration text, and a work directory of another run.
    Thread-safety: may run several times at once with different outputs.
    """
    schemes = sorted(schemes, key=lambda scheme: -scheme.bits)
    if not schemes or len({scheme.bits for scheme in schemes}) < len(schemes):
        raise InvalidArgumentError("give each number of bits once")
    opened = Source(Path(source))
    if Path(output).resolve() == opened.directory.resolve():
        raise InvalidArgumentError(f"{output}: the output is the source")
    plan = {
        "source": opened.fingerprint(),
        "schemes": [scheme.fingerprint() for scheme in schemes],
        "calibration": calibration.fingerprint(),
        "libraries": {"torch": torch.__version__},
    }
    synthetic = calibration.source == "synthetic"
    steps = (SyntheticSteps if synthetic else DecoderSteps)(opened, calibration)
    check_weights(opened, steps.names, schemes)
    work = WorkDirectory(Path(output), plan, overwrite)
    try:
        return _Run(opened, steps, schemes, work, events or Events()).run()
    finally:
        work.close()


class _Run:
    def __init__(
        self,
        source: Source,
        steps: Steps,
        schemes: list[Scheme],
        work: WorkDirectory,
        events: Events,
    ):
        self.source = source
        self.steps = steps
        self.schemes = schemes
        self.work = work
        self.events = events
        self.report = Report()
        self.total = len(schemes) * sum(map(len, steps.names))

    def run(self) -> Report:
        for scheme in self.schemes:
            self._round(scheme)
        made = self.work.fresh("made")
        if len(self.schemes) == 1:
            self._write(self.schemes[0], made, self.work.output)
        else:
            copy_directory(self.source.directory, made / "16bit")
            self.report.directories["16bit"] = str(self.work.output / "16bit")
            self.report.bytes["16bit"] = sum(map(self.source.size, self.source.place))
            for scheme in self.schemes:
                name = f"{scheme.bits}bit"
                self._write(scheme, made / name, self.work.output / name)
        self.work.publish(made)
        return self.report

    def _round(self, scheme: Scheme) -> None:
        folder = self.work.level(scheme.bits)
        files = self._files(scheme)
        first = next((i for i, file in enumerate(files) if not file.exists()), len(files))
        for file in files[:first]:
            for row in file.rows():
                self._note(row | {"resumed": True})
        if first < len(files):
            self.steps.begin(folder, first)
        for step in range(first, len(files)):
            results: dict[str, Quantized] = {}
            rows: list[Row] = []
            start = time.monotonic()

            def done(name: str, result: Quantized) -> None:
                nonlocal start
                now = time.monotonic()
                rows.append(describe(name, scheme, result, now - start))  # noqa: B023
                results[name] = result  # noqa: B023
                start = now
                self._note(rows[-1])  # noqa: B023

            self.steps.run(step, scheme, done)
            files[step].write(results, rows, scheme.bits)
            self.steps.finish(step)

    def _files(self, scheme: Scheme) -> list[StepFile]:
        folder = self.work.level(scheme.bits)
        return [StepFile(folder, step) for step in range(len(self.steps.names))]

    def _note(self, row: Row) -> None:
        self.report.rows.append(row)
        self.events.row(row)
        self.events.progress(len(self.report.rows), self.total)

    def _write(self, scheme: Scheme, folder: Path, final: Path) -> None:
        """The checkpoint of one precision: files as the source names them, configs, the rest."""
        folder.mkdir(parents=True, exist_ok=True)
        new: dict[str, list[Part]] = {}
        for done in self._files(scheme):
            for part in done.parts():
                new.setdefault(part.name.rpartition(".")[0], []).append(part)
        weight_map: dict[str, str] = {}
        size = 0
        for file in self.source.files:
            parts: list[Part] = []
            for name in (name for name, place in self.source.place.items() if place == file):
                module = name.removesuffix(".weight")
                replaced = name.endswith(".weight") and module in new
                parts += new[module] if replaced else [self.source.part(name)]
            size += write_safetensors(folder / file, parts, self.source.metadata[file])
            weight_map |= {part.name: file for part in parts}
        self._write_configs(scheme, folder, weight_map, size)
        copy_companions(self.source.directory, folder)
        self.report.directories[f"{scheme.bits}bit"] = str(final)
        self.report.bytes[f"{scheme.bits}bit"] = size

    def _write_configs(
        self, scheme: Scheme, folder: Path, weight_map: dict[str, str], size: int
    ) -> None:
        config = scheme.config()
        write_json(folder / "quantize_config.json", config)
        if self.source.config:
            write_json(folder / "config.json", self.source.config | {"quantization_config": config})
        if (self.source.directory / INDEX).exists():
            index = read_json(self.source.directory / INDEX)
            index["metadata"] = index.get("metadata", {}) | {"total_size": size}
            index["weight_map"] = dict(sorted(weight_map.items()))
            write_json(folder / INDEX, index)


def describe(name: str, scheme: Scheme, result: Quantized, seconds: float) -> Row:
    columns, rows = result.integers.shape
    return {
        "name": name,
        "bits": scheme.bits,
        "shape": [rows, columns],
        "groups": len(result.scales),
        "error": result.error,
        "seconds": seconds,
    }

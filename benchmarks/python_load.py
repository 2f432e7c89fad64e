#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares loading a variant into tensors of torch with safetensors and with the C++ library, and
writes python_load.json and python_load.md to a folder. Run by ./dev bench-python.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from driver import data, machine
from driver.worker import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("driver") / "load_worker.py"
LEVELS = ("fast", "balanced")
THEIRS = ("mapped", "copied", "load_file")
OURS = ("get_tensor", "get_tensors")
PROCESSES = {
    "fresh": "a process for each load",
    "same": "the second of two loads in a row, in one process",
}


@dataclass(frozen=True)
class Load:
    variant: str
    how: str
    level: str | None = None  # None: safetensors.

    @property
    def name(self):
        if self.level is None:
            return f"safetensors, {self.how}"
        return f"QStore {self.level}, {self.how}"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="how often everything is repeated")
    parser.add_argument(
        "--process", choices=PROCESSES, action="append", help="only loads in processes of that kind"
    )
    parser.add_argument("--shape", default="4096x4096", help="of a matrix")
    parser.add_argument("--count", type=int, default=6, help="of matrices")
    parser.add_argument("--qstore", type=Path, default=ROOT / "build/bin/qstore")
    parser.add_argument(
        "--library", type=Path, default=ROOT / "build-shared/benchmarks/libin_process_load.so"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-python")
    return parser.parse_args()


class Bench:
    def __init__(self, arguments):
        self.library = arguments.library
        self.processes = arguments.process or list(PROCESSES)
        self.qstore, self.folder = arguments.qstore, arguments.output / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        shape = ["--shape", arguments.shape, "--count", arguments.count]
        self.make("synth", "--force", *shape, "-o", "bf16")
        self.make("quantize", "--force", "--to", "llm-int8", "bf16", "-o", "int8")
        for variant in ("bf16", "int8"):
            data.write_anew(self.folder / variant / "model.safetensors")
        self.memory = (self.folder / "bf16/model.safetensors").stat().st_size * 3
        for level in LEVELS:
            output = ["--force", "--level", level, "-o", f"{level}.qstore"]
            self.make("pack", *output, "bf16=bf16", "int8=int8")
        self.loads = [Load(v, how) for v in ("int8", "bf16") for how in THEIRS]
        self.loads += [
            Load(v, how, level)
            for v in ("int8", "bf16")
            for level in LEVELS
            for how in (*OURS, "C++")
        ]

    def make(self, *words):
        command = [self.qstore, *words]
        subprocess.run(
            list(map(str, command)), cwd=self.folder, check=True, stdout=subprocess.DEVNULL
        )

    def path(self, load):
        inside = f"{load.level}.qstore" if load.level else f"{load.variant}/model.safetensors"
        return str(self.folder / inside)

    def run(self, loads, fresh):
        tasks = [
            {"how": x.how, "path": self.path(x), "variant": x.variant, "memory": self.memory}
            for x in loads
        ]
        done = subprocess.run(
            [sys.executable, WORKER],
            input=json.dumps({"fresh": fresh, "tasks": tasks}).encode(),
            stdout=subprocess.PIPE,
            env={**os.environ, **ENVIRONMENT, "QSTORE_BENCH_LIBRARY": str(self.library)},
            check=True,
        )
        return list(zip(loads, json.loads(done.stdout), strict=True))

    def round(self, number):
        """In another order in every round, so that none always comes after the same."""
        order = random.Random(number).sample(self.loads, len(self.loads))
        times = []
        if "fresh" in self.processes:
            times += [("fresh", *entry) for load in order for entry in self.run([load], True)]
        if "same" in self.processes:
            times += [("same", *entry) for entry in self.run(order, False)]
        check_sums(times)
        return times


def check_sums(times):
    """What is loaded is the same, whoever loads it."""
    for variant in ("int8", "bf16"):
        sums = {time["sum"] for _, load, time in times if load.variant == variant and "sum" in time}
        if len(sums) != 1:
            raise RuntimeError(f"{variant}: the loads differ: {sums}")


def summarize(rounds):
    found = {}
    for process, load, time in (entry for times in rounds for entry in times):
        for until in ("returned", "read", "python"):
            if until in time:
                found.setdefault((process, load, until), []).append(time[until])
    return found


def cell(values):
    if values is None:
        return "–"
    low, middle, high = (1000 * x for x in (min(values), statistics.median(values), max(values)))
    return f"{middle:.1f} ({low:.1f}–{high:.1f})"


def ratio(values, base, form=".2f"):
    if values is None or base is None:
        return "–"
    return f"{statistics.median(values) / statistics.median(base):{form}}"


def share(values, base):
    return ratio(values, base, ".1%")


def table(found, loads, process, variant):
    copied = Load(variant, "copied")
    lines = [
        f"### {variant}, {PROCESSES[process]}",
        "",
        "| | returned (ms) | and every byte read (ms) | returned, of copied | read, of copied"
        " | read, of mapped | returned, of C++ | in Python (ms) | of C++ |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for load in (load for load in loads if load.variant == variant):
        returned, read, python = (
            found.get((process, load, until)) for until in ("returned", "read", "python")
        )
        cpp = found.get((process, Load(variant, "C++", load.level), "returned"))
        ratios = [
            ratio(returned, found[process, copied, "returned"]),
            ratio(read, found[process, copied, "read"]),
            ratio(read, found[process, Load(variant, "mapped"), "read"]),
            ratio(returned, cpp),
        ]
        cells = [load.name, cell(returned), cell(read), *ratios, cell(python), share(python, cpp)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    arguments = parse_arguments()
    bench = Bench(arguments)
    described = machine.describe(arguments.qstore)
    rounds = [bench.round(number) for number in range(arguments.rounds)]
    found = summarize(rounds)
    tables = [(p, v) for p in bench.processes for v in ("int8", "bf16")]
    text = "\n".join(table(found, bench.loads, *which) for which in tables)
    times = [
        {"process": p, "variant": load.variant, "system": load.name, "until": until, "s": values}
        for (p, load, until), values in found.items()
    ]
    report = {"machine": described, "rounds": arguments.rounds, "times": times}
    (arguments.output / "python_load.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.output / "python_load.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

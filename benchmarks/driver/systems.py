# SPDX-License-Identifier: Apache-2.0
"""The systems that are compared. Each saves and loads the same two .safetensors files.

`measure` returns what `qstore bench --json` prints, or None for what a system cannot do.
"""

import json
import os
import subprocess
from dataclasses import dataclass

from . import backed_memory


@dataclass(frozen=True)
class Conditions:
    runs: int = 1
    bandwidth: float | None = None  # MiB/s
    cold: bool = False
    drive: float | None = None  # MiB/s that the system lets a cold file be read at.

    def arguments(self):
        words = ["--runs", str(self.runs)]
        if self.bandwidth:
            words += ["--bandwidth", str(self.bandwidth)]
        return words + (["--cold"] if self.cold else [])


def run_json(command, isa=None):
    environment = {**os.environ, "QSTORE_ISA": isa} if isa else None
    done = subprocess.run(
        [*map(str, command), "--json"], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


class QStore:
    def __init__(self, qstore, level, isa=None):
        self.name = f"qstore {level}" + (f" {isa}" if isa else "")
        self.qstore, self.level, self.isa = qstore, level, isa

    def prepare(self, dataset, work):
        self.work = work
        models = {"16": dataset.high, "8": dataset.low, "f16": dataset.f16}
        stored = {"pair": ("16", "8"), "16": ("16",), "f16": ("f16",)}
        sizes = {}
        for which, names in stored.items():
            archive = self.archive(dataset, which)
            if not archive.exists():
                command = [self.qstore, "pack", "--level", self.level, "-o", archive]
                run_json([*command, *(f"{name}={models[name]}" for name in names)])
            sizes[which] = archive.stat().st_size
        return sizes

    def archive(self, dataset, which):
        return self.work / f"{dataset.name}-{self.level}-{which}.qstore"

    def measure(self, dataset, operation, conditions):
        command = self.save(dataset, operation) or self.load(dataset, operation)
        command = [self.qstore, "bench", *command, *conditions.arguments()]
        result = run_json(command, self.isa)
        return result if self.isa in (None, result["isa"]) else None

    def save(self, dataset, operation):
        models = [f"16={dataset.high}", f"8={dataset.low}"]
        count = {"save_pair": 2, "save_16": 1}.get(operation)
        command = ["save", "--level", self.level, "--directory", self.work]
        return [*command, *models[:count]] if count else None

    def load(self, dataset, operation):
        sources = {"16": dataset.high, "8": dataset.low, "f16": dataset.f16}
        alone = {"load_16_alone": "16", "load_f16": "f16"}
        names = [alone.get(operation, "16")]
        names = {"load_16_8": ["16", "8"], "load_8": ["8"]}.get(operation, names)
        command = ["load", self.archive(dataset, alone.get(operation, "pair")), *names]
        for name in names:
            command += ["--compare", f"{name}={sources[name]}"]
        if operation in ("tensor", "slice"):
            command += ["--tensor", getattr(dataset, operation).tensor]
        if operation == "slice":
            command += ["--rows", "{}:{}".format(*dataset.slice.rows)]
        return command


class Raw:
    """Files as they are, or by a general compressor."""

    def __init__(self, qstore, codec, level=None, huge_pages=False, threads=None):
        self.name = {"none": "uncompressed"}.get(codec, codec) + (f" {level}" if level else "")
        self.command = [qstore, "bench", "raw", "--codec", codec]
        self.load = ["--huge-pages"] if huge_pages else []
        self.name += " to huge pages" if huge_pages else ""
        if threads:
            self.command += ["--threads", threads]
            self.name += f" by {threads} thread"
        if level:
            self.command += ["--zstd-level", level]
        self.is_plain = codec == "none"

    def paths(self, dataset, operation):
        if operation in ("save_pair", "load_16_8"):
            return "pair", [dataset.high, dataset.low]
        if operation == "load_f16":
            return "f16", [dataset.f16]
        return ("8", [dataset.low]) if operation == "load_8" else ("16", [dataset.high])

    def store_of(self, dataset, which):
        return self.work / f"{dataset.name}-{self.name.replace(' ', '-')}-{which}"

    def prepare(self, dataset, work):
        self.work = work
        sizes = {}
        for operation in ("load_16_8", "load_16", "load_f16", "load_8"):
            which, paths = self.paths(dataset, operation)
            if self.is_plain:
                sizes[which] = sum(path.stat().st_size for path in paths)
                continue
            store = self.store_of(dataset, which)
            if not store.exists():
                once = ["--operation", "save", "--runs", 1, "--store", store]
                run_json([*self.command, *paths, *once])
            sizes[which] = store.stat().st_size
        return sizes

    def measure(self, dataset, operation, conditions):
        if operation == "load_16_alone":
            return None  # That is load_16: others store nothing else with it.
        which, paths = self.paths(dataset, operation)
        command = [*self.command, *paths, *conditions.arguments()]
        if operation.startswith("save"):
            return run_json([*command, "--operation", "save", "--directory", self.work])
        command += ["--operation", "load", *self.load]
        if not self.is_plain:
            command += ["--store", self.store_of(dataset, which)]
        if operation in ("tensor", "slice"):
            span = getattr(dataset, operation)
            command += ["--range", f"{span.begin}:{span.end}"]
        return run_json(command)


class PythonLibrary:
    """Runs in a worker process that has the library loaded."""

    def __init__(self, name, workers):
        self.name, self.worker = name, workers.of[name]

    def prepare(self, dataset, work):
        self.work = work
        return self.worker.ask(self.request(dataset, "prepare", Conditions()))["sizes"]

    def measure(self, dataset, operation, conditions):
        return self.worker.ask(self.request(dataset, operation, conditions))

    def request(self, dataset, operation, conditions):
        return {
            "library": self.name,
            "dataset": dataset.name,
            "operation": operation,
            "high": str(dataset.high),
            "low": str(dataset.low),
            "f16": str(dataset.f16),
            "work": str(self.work),
            "tensor": dataset.tensor.tensor,
            "rows": dataset.slice.rows,
            "runs": conditions.runs,
            "bandwidth": conditions.bandwidth,
            "cold": conditions.cold,
        }


class Commands:
    """A system of the user's: shell commands whose last word of output is the seconds they took.

    {"save": ..., "load16": ..., "load16_8": ..., "load8": ..., "size": ...}, each optional; "size"
    prints the bytes of the pair once saved. {high}, {low} and {work} stand for the two files and a
    folder. "datasets" names those it is to be run with.
    """

    NAMES = {
        "save_pair": "save",
        "load_16": "load16",
        "load_16_8": "load16_8",
        "load_8": "load8",
    }

    def __init__(self, name, path):
        self.name = name
        with open(path, encoding="utf-8") as file:
            self.commands = json.load(file)

    def prepare(self, dataset, work):
        self.work = work
        if not self.applies_to(dataset):
            return {}
        self.folder(dataset).mkdir(exist_ok=True)
        if "save" in self.commands:
            self.run("save", dataset)
        return {"pair": int(self.run("size", dataset))} if "size" in self.commands else {}

    def applies_to(self, dataset):
        return dataset.name in self.commands.get("datasets", [dataset.name])

    def folder(self, dataset):
        return self.work / f"{dataset.name}-{self.name}"

    def run(self, which, dataset):
        command = self.commands[which]
        places = {"high": dataset.high, "low": dataset.low, "work": self.folder(dataset)}
        for key, value in places.items():
            command = command.replace("{" + key + "}", str(value))
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        return done.stdout.split()[-1]

    def measure(self, dataset, operation, conditions):
        which = self.NAMES.get(operation)
        if which not in self.commands or not self.applies_to(dataset):
            return None
        if conditions.bandwidth or conditions.cold:
            return None
        both = (dataset.high, dataset.low)
        paths = {"save_pair": both, "load_16_8": both, "load_8": (dataset.low,)}
        size = sum(path.stat().st_size for path in paths.get(operation, (dataset.high,)))
        seconds = []
        for _ in range(conditions.runs):
            backed_memory.back_for(both)
            seconds.append(float(self.run(which, dataset)))
        return {"runs": seconds, "bytes": size}

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares saving and loading by QStore and by others, and writes what it found to a folder:
report.json, report.txt, report.md, and report.html with plots. Run by ./dev bench.

With --publish, docs/benchmarks/report.md, .html and .json are that report too, and
docs/performance.md has its tables of what is wanted.
"""

import argparse
import contextlib
import dataclasses
import json
import re
import shlex
import shutil
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from driver import data, drive_limit, machine, page, publish, rounds
from driver.notes import NOTES
from driver.settings import SIZES
from driver.systems import Commands, PythonLibrary, QStore, Raw
from driver.worker import Workers

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ("fast", "balanced", "max")
SIZED = ("qstore", "zipnn", "lmz")  # Whose sizes are compared.
BASELINES = ("uncompressed", "uncompressed by 1 thread", "zipnn", "lmz")
DOCS = ROOT / "docs"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="below five minutes")
    parser.add_argument("--size", choices=SIZES, help="full, or quick, or tiny for a test")
    parser.add_argument("--rounds", type=int, help="how often everything is repeated")
    parser.add_argument(
        "--sizes", action="store_true", help="no times: minutes, and the same on a busy machine"
    )
    parser.add_argument("--dataset", action="append", help="only this one; may be repeated")
    parser.add_argument(
        "--bandwidth",
        type=lambda text: tuple(int(word) for word in text.split(",")),
        metavar="MIB,...",
        help="read bandwidths in MiB/s to imitate, such as 20,50,100,200,400,800,1500",
    )
    parser.add_argument("--system", action="append", help="only systems with names that begin so")
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="another system: JSON with shell commands, see driver/systems.py",
    )
    parser.add_argument("--publish", action="store_true", help="also to the documentation")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="JSON", help="write this report anew"
    )
    parser.add_argument("--qstore", type=Path, default=ROOT / "build/bin/qstore")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench")
    arguments = parser.parse_args()
    part = arguments.quick or arguments.size or arguments.sizes
    if arguments.publish and (part or arguments.system or arguments.dataset):
        parser.error("only a report on everything is published")
    return arguments


def choose_settings(arguments):
    settings = SIZES[arguments.size or ("quick" if arguments.quick else "full")]
    if arguments.rounds:
        settings = dataclasses.replace(settings, rounds=arguments.rounds)
    if arguments.sizes:
        settings = dataclasses.replace(settings, rounds=0, more_rounds=0, isas=())
    if arguments.bandwidth:
        settings = dataclasses.replace(settings, bandwidths=arguments.bandwidth)
    if arguments.dataset:
        chosen = tuple(r for r in settings.recipes if r.name in arguments.dataset)
        if not chosen:
            sys.exit(f"no such dataset; there are {', '.join(r.name for r in settings.recipes)}")
        settings = dataclasses.replace(settings, recipes=chosen)
    return settings


def make_systems(arguments, workers):
    plain = {"qstore": arguments.qstore, "codec": "none"}
    systems = [Raw(**plain), PythonLibrary("safetensors", workers), Raw(**plain, threads=1)]
    systems += [Raw(**plain, huge_pages=True), Raw(arguments.qstore, "lz4")]
    systems += [Raw(arguments.qstore, "zstd", level) for level in (1, 3, 9)]
    systems += [PythonLibrary(name, workers) for name in ("zipnn", "lmz")]
    extras = [extra.split("=", 1) for extra in arguments.extra]
    systems += [Commands(name, path) for name, path in extras]
    systems += [QStore(arguments.qstore, level) for level in LEVELS]
    wanted = arguments.system or (SIZED if arguments.sizes else None)
    if wanted:
        systems = [s for s in systems if any(s.name.startswith(name) for name in wanted)]
    return systems


def make_isa_systems(arguments, settings, systems):
    levels = [system.level for system in systems if isinstance(system, QStore)]
    return [QStore(arguments.qstore, level, isa) for isa in settings.isas for level in levels]


def command():
    """As it was given, without folders of this machine."""
    words = [re.sub(r"/\S*/", "", word) for word in sys.argv[1:]]
    return shlex.join(["./dev", "bench", *words])


def prepare(arguments, settings, systems, work):
    """The models, and the bytes that each system has stored of each."""
    folder = arguments.output / "data"
    datasets = [data.make(recipe, arguments.qstore, folder) for recipe in settings.recipes]
    sizes = {}
    for dataset in datasets:
        print(f"preparing {dataset.name}", file=sys.stderr)
        sizes[dataset.name] = {system.name: system.prepare(dataset, work) for system in systems}
    return datasets, sizes


def measure(arguments, settings, workers):
    begin = time.monotonic()
    systems = make_systems(arguments, workers)
    isa_systems = make_isa_systems(arguments, settings, systems)
    work = arguments.output / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    described = machine.describe(arguments.qstore)
    datasets, sizes = prepare(arguments, settings, systems + isa_systems, work)
    timed = [dataset for dataset in datasets if dataset.timed and settings.rounds]
    names = [system.name for system in systems]
    extras = [system.name for system in systems if isinstance(system, Commands)]
    baselines = [name for name in (*BASELINES, *extras) if name in names]
    tasks = rounds.plan(settings, systems, isa_systems, timed, baselines) if timed else []
    with contextlib.ExitStack() as stack:
        limit = drive_limit.find(work) if timed else None
        if limit:
            stack.callback(limit.close)
            tasks += rounds.plan_drive(settings, systems, timed[0])

        def limited(drive):
            if not drive:
                return contextlib.nullcontext()
            return limit.applied(drive, workers.processes())

        results = rounds.run(tasks, settings, limited)
    shutil.rmtree(work)
    return {
        "report_version": 2,
        "command": command(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "elapsed_s": round(time.monotonic() - begin),
        "machine": described,
        "settings": {
            "rounds": settings.rounds,
            "more_rounds": settings.more_rounds,
            "runs": settings.runs,
            "bandwidths": list(settings.bandwidths),
            "systems": names,
            "baselines": baselines,
            "sync": False,
            "drives": list(settings.drives) if limit else [],
            "drive_limit": limit.name if limit else "not permitted",
        },
        "notes": list(NOTES),
        "datasets": [dataset.describe() for dataset in datasets],
        "sizes": sizes,
        "results": results,
    }


def as_json(report):
    """A result a line, so that it is read and compared as other text is."""
    results = ",\n  ".join(json.dumps(result) for result in report["results"])
    rest = {key: value for key, value in report.items() if key != "results"}
    return json.dumps(rest, indent=1)[:-2] + f',\n "results": [\n  {results}\n ]\n}}\n'


def write(report, folder):
    """Returns what was written."""
    text = page.text(report)
    outputs = {
        "report.json": as_json(report),
        "report.txt": text,
        "report.md": page.markdown(report),
        "report.html": page.render(report),
    }
    for name, content in outputs.items():
        (folder / name).write_text(content, encoding="utf-8")
    print(text)
    print(f"{report['elapsed_s']} s; written to {folder}: {', '.join(outputs)}")
    return outputs


def main():
    arguments = parse_arguments()
    if arguments.source:
        report = json.loads(arguments.source.read_text(encoding="utf-8"))
    else:
        settings = choose_settings(arguments)
        with Workers() as workers:
            report = measure(arguments, settings, workers)
    arguments.output.mkdir(parents=True, exist_ok=True)
    outputs = write(report, arguments.output)
    if arguments.publish:
        publish.publish(report, outputs, DOCS)


if __name__ == "__main__":
    main()

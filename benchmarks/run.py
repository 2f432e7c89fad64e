#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares saving and loading by QStore and by others, and writes what it found to a folder:
report.json, report.txt, report.md, and report.html with plots. Run by ./dev bench.
"""

import argparse
import contextlib
import dataclasses
import json
import shutil
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from driver import data, drive_limit, machine, page, rounds, tables
from driver.settings import SIZES
from driver.systems import Commands, PythonLibrary, QStore, Raw
from driver.worker import Worker

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ("fast", "balanced", "max")
BASELINES = ("uncompressed", "uncompressed by 1 thread", "zipnn")
NOTES = (
    "Every load ends with the tensors in memory that nothing had touched before, checksums of "
    "QStore's chunks verified; what was loaded is compared with the original outside the time.",
    "Times are medians, with the fastest and the slowest run in brackets. Runs of all systems are "
    "interleaved in rounds. Nothing is synced to the disk when saving.",
    "Before each run as much memory as it may need is touched and freed: virtual machines may hand "
    "free memory back to their host, and getting it again costs more than any loader does.",
    "QStore needs the 8-bit model to load the 16-bit one; the others load the 16-bit file alone. "
    "ZipNN has only the 16-bit file.",
    "uncompressed is read by as many threads as the others have; a program that reads its files "
    "one after another does what one thread does.",
    "lz4 and zstd compress chunks of 1 MiB with all threads, by their C libraries. safetensors "
    "clones each tensor out of the mapped file, and saves tensors that are in memory already.",
    "A bandwidth is a token bucket in the reading process, over files in the page cache. With it "
    "safetensors reads the whole file and parses the bytes.",
    "Cold files are dropped from the page cache before each run, and looked at with mincore. "
    "The system throttles the drive, where it permits that, by a cgroup: io.max, or blkio in v1.",
)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="below five minutes")
    parser.add_argument("--size", choices=SIZES, help="full, or quick, or tiny for a test")
    parser.add_argument("--rounds", type=int, help="how often everything is repeated")
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
    parser.add_argument("--qstore", type=Path, default=ROOT / "build/bin/qstore")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench")
    return parser.parse_args()


def choose_settings(arguments):
    settings = SIZES[arguments.size or ("quick" if arguments.quick else "full")]
    if arguments.rounds:
        settings = dataclasses.replace(settings, rounds=arguments.rounds)
    if arguments.bandwidth:
        settings = dataclasses.replace(settings, bandwidths=arguments.bandwidth)
    if arguments.dataset:
        chosen = tuple(r for r in settings.recipes if r.name in arguments.dataset)
        if not chosen:
            sys.exit(f"no such dataset; there are {', '.join(r.name for r in settings.recipes)}")
        settings = dataclasses.replace(settings, recipes=chosen)
    return settings


def make_systems(arguments, worker):
    plain = {"qstore": arguments.qstore, "codec": "none"}
    systems = [Raw(**plain), PythonLibrary("safetensors", worker), Raw(**plain, threads=1)]
    systems += [Raw(**plain, huge_pages=True), Raw(arguments.qstore, "lz4")]
    systems += [Raw(arguments.qstore, "zstd", level) for level in (1, 3, 9)]
    systems += [PythonLibrary("zipnn", worker)]
    extras = [extra.split("=", 1) for extra in arguments.extra]
    systems += [Commands(name, path) for name, path in extras]
    systems += [QStore(arguments.qstore, level) for level in LEVELS]
    wanted = arguments.system
    if wanted:
        systems = [s for s in systems if any(s.name.startswith(name) for name in wanted)]
    return systems


def make_isa_systems(arguments, settings, systems):
    levels = [system.level for system in systems if isinstance(system, QStore)]
    return [QStore(arguments.qstore, level, isa) for isa in settings.isas for level in levels]


def measure(arguments, settings, worker):
    begin = time.monotonic()
    systems = make_systems(arguments, worker)
    isa_systems = make_isa_systems(arguments, settings, systems)
    work = arguments.output / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    described = machine.describe(arguments.qstore)
    folder = arguments.output / "data"
    datasets = [data.make(recipe, arguments.qstore, folder) for recipe in settings.recipes]
    sizes = {}
    for dataset in datasets:
        print(f"preparing {dataset.name}", file=sys.stderr)
        sizes[dataset.name] = {s.name: s.prepare(dataset, work) for s in systems + isa_systems}
    names = [system.name for system in systems]
    extras = [system.name for system in systems if isinstance(system, Commands)]
    baselines = [name for name in (*BASELINES, *extras) if name in names]
    tasks = rounds.plan(settings, systems, isa_systems, datasets, baselines)
    with contextlib.ExitStack() as stack:
        limit = drive_limit.find(work)
        if limit:
            stack.callback(limit.close)
            tasks += rounds.plan_drive(settings, systems, datasets[0])

        def limited(drive):
            return limit.applied(drive, [worker.process.pid]) if drive else contextlib.nullcontext()

        results = rounds.run(tasks, settings, limited)
    shutil.rmtree(work)
    return {
        "report_version": 1,
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


def write(report, folder):
    found = tables.all_tables(report)
    text = "\n".join(tables.as_text(table) for table in found)
    outputs = {
        "report.json": json.dumps(report, indent=1) + "\n",
        "report.txt": text,
        "report.md": "\n".join(tables.as_markdown(table) for table in found),
        "report.html": page.render(report),
    }
    for name, content in outputs.items():
        (folder / name).write_text(content, encoding="utf-8")
    print(text)
    print(f"{report['elapsed_s']} s; written to {folder}: {', '.join(outputs)}")


def main():
    arguments = parse_arguments()
    settings = choose_settings(arguments)
    with Worker() as worker:
        report = measure(arguments, settings, worker)
    write(report, arguments.output)


if __name__ == "__main__":
    main()

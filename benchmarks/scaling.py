# SPDX-License-Identifier: Apache-2.0
"""Tells how a load goes with more cores than there are here.

A load is cut into units that any thread takes. Each unit has two parts: it clears, fills and copies
memory, and it decodes. This measures both with one thread, lets a simulation take the units with
any number of threads, and compares what it says of two threads with a run. Memory serves so many
threads at full speed ("memory" in the table); more of them share that.

Left out: pages that the kernel hands to one thread at a time, caches that cores share, clocks that
fall when many cores work.

usage: scaling.py ARCHIVE VARIANT...   prints a table as Markdown
"""

import argparse
import heapq
import json
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build"
UNIT_BYTES = 128 << 10  # Of the archive, as src/store/read_plan.h cuts units.
THREADS = (1, 2, 4, 8, 16, 32, 64)
MEMORY = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Load:
    """Seconds of one thread: before all units, and of all units together."""

    opening: float
    memory: float
    decoding: float
    units: int

    @property
    def total(self) -> float:
        return self.opening + self.memory + self.decoding


def simulate(load: Load, threads: int, memory: float) -> float:
    """Seconds of a load by so many threads, where `memory` of them reach memory at full speed."""
    # Threads at memory all go at the same rate, so they finish in the order in which they came
    # there: `served` is what each that was there all the time has had of it.
    share = load.memory / load.units
    decode = load.decoding / load.units
    left = load.units
    now = load.opening
    served = 0.0
    at_memory: list[float] = []  # What `served` is when each is done.
    decoding: list[float] = []  # When each is done.
    idle = threads
    while True:
        while idle > 0 and left > 0:
            heapq.heappush(at_memory, served + share)
            idle -= 1
            left -= 1
        if not at_memory and not decoding:
            return now
        rate = min(1.0, memory / len(at_memory)) if at_memory else 1.0
        memory_done = now + (at_memory[0] - served) / rate if at_memory else float("inf")
        if decoding and decoding[0] <= memory_done:
            served += (decoding[0] - now) * rate
            now = heapq.heappop(decoding)
            idle += 1
        else:
            served = heapq.heappop(at_memory)
            now = memory_done
            heapq.heappush(decoding, now + decode)


def run(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    return done.stdout


def time_load(archive: Path, variants: list[str], threads: int, runs: int) -> dict:
    options = ("--threads", threads, "--runs", runs, "--json")
    return json.loads(run(BUILD / "bin/qstore", "bench", "load", archive, *variants, *options))


def time_memory(archive: Path, size: int, threads: int, runs: int) -> float:
    printed = run(BUILD / "benchmarks/memory_floor", archive, size, runs, threads)
    return float(re.search(r"median ([0-9.]+) s", printed)[1])


def measure(archive: Path, variants: list[str], rounds: int) -> tuple[Load, float, float]:
    """The load by one thread, the time of two, and how many reach memory at full speed."""
    one, two, opening, memory, memory2 = [], [], [], [], []
    for _ in range(rounds):
        single = time_load(archive, variants, 1, 3)
        one.append(single["median_s"])
        opening.append(single["stages_s"]["open"])
        two.append(time_load(archive, variants, 2, 3)["median_s"])
        memory.append(time_memory(archive, single["bytes"], 1, 3))
        memory2.append(time_memory(archive, single["bytes"], 2, 3))
    middle = statistics.median
    units = max(1, single["read_bytes"] // UNIT_BYTES)
    decoding = max(0.0, middle(one) - middle(opening) - middle(memory))
    load = Load(middle(opening), middle(memory), decoding, units)
    return load, middle(two), middle(memory) / middle(memory2)


def table(load: Load) -> str:
    head = "| threads | " + " | ".join(f"memory {m}" for m in MEMORY) + " |"
    rows = [head, "|--:" * (1 + len(MEMORY)) + "|"]
    for threads in THREADS:
        cells = (simulate(load, threads, memory) * 1000 for memory in MEMORY)
        rows.append(f"| {threads} | " + " | ".join(f"{ms:.1f} ms" for ms in cells) + " |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    load, two, memory = measure(options.archive, options.variants, options.rounds)
    print(
        f"{load.units} units; one thread takes {load.total * 1000:.1f} ms: opens "
        f"{load.opening * 1000:.1f}, is at memory {load.memory * 1000:.1f}, decodes "
        f"{load.decoding * 1000:.1f}. Two threads reach memory {memory:.2f} times as fast as one."
    )
    said = simulate(load, 2, max(1.0, memory))
    print(f"Two threads: {two * 1000:.1f} ms measured, {said * 1000:.1f} ms simulated.\n")
    print(table(load))
    return 0


if __name__ == "__main__":
    sys.exit(main())

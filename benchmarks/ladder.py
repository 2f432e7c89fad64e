#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs ladders of GGUF files beside their 16-bit weights, and writes what that takes to a folder:
ladder.json and ladder.md. Run by ./dev bench --ladder.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from driver import ladder_page, ladder_peers, ladders, machine
from driver.systems import run_json

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ("balanced", "max")
TWINS = ("llm-int8", "nf4")  # Copies in .safetensors beside the GGUF files.
WITH_TWINS = ("minilm", "llama")
# A variant whose loads took so many seconds is not measured in more than so many rounds.
PATIENCE_S, LEAST_ROUNDS = 3, 3
SEED = 1  # Of the order of loads.


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=ladders.MAKERS, help="may be repeated")
    parser.add_argument("--rounds", type=int, default=9, help="how often loads are repeated")
    parser.add_argument("--qstore", type=Path, default=ROOT / "build/bin/qstore")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench-ladder")
    return parser.parse_args()


class Bench:
    def __init__(self, arguments):
        self.qstore, self.work = arguments.qstore, arguments.output / "work"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        makers = arguments.only or list(ladders.MAKERS)
        folder = arguments.output / "data"
        self.ladders = [ladders.MAKERS[name](self.qstore, folder) for name in makers]
        self.rounds = arguments.rounds

    def run(self, *arguments):
        subprocess.run([self.qstore, *arguments], check=True, stdout=subprocess.DEVNULL)

    def pack(self, level, variants, name="scratch"):
        """Packs, compares every byte with what was packed, and tells what it took."""
        archive = self.work / f"{name}.qstore"
        words = [f"{variant.replace('_', '-')}={path}" for variant, path in variants.items()]
        begin = time.perf_counter()
        self.run("pack", "--force", "--level", level, "-o", archive, *words)
        seconds = time.perf_counter() - begin
        self.run("verify", archive, *words)
        found = run_json([self.qstore, "inspect", archive])
        by_name = {variant["name"]: variant for variant in found["variants"]}
        added = {variant: by_name[variant.replace("_", "-")]["own_bytes"] for variant in variants}
        return {
            "raw_bytes": found["source_bytes"],
            "bytes": found["stored_bytes"],
            "seconds": seconds,
            "added_bytes": added,
        }

    def twins_of(self, ladder):
        """Copies of the model in .safetensors, by name."""
        if ladder.name not in WITH_TWINS:
            return {}
        folder = self.work / f"twins-{ladder.name}"
        self.run("quantize", ladder.model, "-o", folder, "--to", ",".join(TWINS))
        return {name: folder / name for name in TWINS}

    def measure_sizes(self, ladder):
        print(f"packing {ladder.name}", file=sys.stderr)
        bf16 = {"bf16": ladder.variants["bf16"]}
        twins = self.twins_of(ladder)
        levels = {}
        for level in LEVELS:
            levels[level] = {
                "bf16": self.pack(level, bf16),
                "ladder": self.pack(level, ladder.variants, f"{ladder.name}-{level}"),
                "quants": self.pack(level, ladder.quants),
            }
            if twins:
                levels[level]["with_twins"] = self.pack(level, {**ladder.variants, **twins})
        return {
            "name": ladder.name,
            "text": ladder.text,
            "raw_bytes": {
                name: ladder_peers.raw_bytes(path)
                for name, path in {**ladder.variants, **twins}.items()
            },
            "quants": list(ladder.quants),
            "levels": levels,
            "peers": {
                name: {
                    which: peer(variants, self.work)
                    for which, variants in (("ladder", ladder.variants), ("quants", ladder.quants))
                }
                for name, peer in ladder_peers.PEERS.items()
            },
        }

    def measure_loads(self):
        """Seconds of all loads, by ladder, level and variant; each round in another order."""
        loads = {
            (ladder.name, level, variant): []
            for ladder in self.ladders
            for level in LEVELS
            for variant in ladder.variants
            if variant != "imatrix"
        }
        order = random.Random(SEED)
        for number in range(self.rounds):
            print(f"loading, round {number + 1} of {self.rounds}", file=sys.stderr)
            for name, level, variant in order.sample(list(loads), len(loads)):
                seconds = loads[name, level, variant]
                if number >= LEAST_ROUNDS and sum(seconds) > PATIENCE_S:
                    continue
                archive = self.work / f"{name}-{level}.qstore"
                command = [self.qstore, "bench", "load", archive, variant.replace("_", "-")]
                seconds += run_json([*command, "--runs", "1"])["runs"]
        return [
            {
                "ladder": name,
                "level": level,
                "variant": variant,
                "median_s": statistics.median(seconds),
                "min_s": min(seconds),
                "max_s": max(seconds),
                "runs": seconds,
            }
            for (name, level, variant), seconds in loads.items()
        ]

    def measure(self):
        begin = time.monotonic()
        described = machine.describe(self.qstore)
        known = described["versions"]
        described["versions"] = {name: known[name] for name in ("qstore", "python")}
        described["versions"] |= ladder_peers.versions()
        sizes = [self.measure_sizes(ladder) for ladder in self.ladders]
        loads = self.measure_loads()
        shutil.rmtree(self.work)
        return {
            "report_version": 1,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "elapsed_s": round(time.monotonic() - begin),
            "machine": described,
            "levels": list(LEVELS),
            "rounds": self.rounds,
            "ladders": sizes,
            "loads": loads,
            "peers_not_run": ladder_peers.NOTES,
        }


def main():
    arguments = parse_arguments()
    report = Bench(arguments).measure()
    page = ladder_page.render(report)
    outputs = {"ladder.json": json.dumps(report, indent=1) + "\n", "ladder.md": page}
    for name, content in outputs.items():
        (arguments.output / name).write_text(content, encoding="utf-8")
    print(page)
    print(f"{report['elapsed_s']} s; written to {arguments.output}: {', '.join(outputs)}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions that coding takes for each weight, with valgrind, and guards them.

Counts repeat on busy machines, where times do not. valgrind knows no AVX-512: those kernels are
timed only. Fails when a count is more than 10 % above the one in instructions.json.

usage: instructions.py CHUNK_WORK [--update]
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BASELINE = Path(__file__).with_name("instructions.json")
ALLOWED = 1.10
KINDS = ("int8", "float", "bins", "delta")
CASES = [
    (isa, kind, direction, dtype)
    for isa in ("scalar", "avx2")
    for dtype in ("BF16", "F16")
    for kind in (KINDS if dtype == "BF16" else KINDS[1:])
    for direction in ("encode", "decode")
]


def collected(program, isa, kind, direction, dtype, repeats):
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*tool, program, kind, direction, str(repeats), dtype],
        env={**os.environ, "QSTORE_ISA": isa},
        capture_output=True,
        text=True,
        check=True,
    )
    weights = int(re.search(r"(\d+) weights", done.stdout).group(1))
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1)), weights


def per_weight(program, case):
    few, weights = collected(program, *case, 1)
    many, _ = collected(program, *case, 3)
    return round((many - few) / 2 / weights, 2)


def name_of(case):
    isa, kind, direction, dtype = case
    what = {"int8": "int8", "float": f"{dtype} alone", "bins": f"{dtype} given int8"}
    what["delta"] = f"{dtype} given its base"
    what = what[kind]
    return f"{isa}: {direction} {what}"


def main(argv):
    if len(argv) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = list(pool.map(lambda case: per_weight(argv[1], case), CASES))
    found = dict(zip(map(name_of, CASES), counts, strict=True))
    if "--update" in argv:
        BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    baseline = json.loads(BASELINE.read_text())
    failed = 0
    for name, count in found.items():
        bad = count > ALLOWED * baseline.get(name, 0)
        failed += bad
        print(f"{name:30} {count:8.2f}  was {baseline.get(name)}{'  FAILED' if bad else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

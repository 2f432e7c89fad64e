#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of src and apps that were run, by what gcov counted in a build directory.

A line that several objects have counts as run when one of them ran it. The table by folder is
printed; BUILD/coverage.txt has every file with the lines that were not run.

usage: coverage.py BUILD
"""

import json
import subprocess
import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def counted(build):
    """The number of times that each line ran: {file below ROOT: {line: count}}."""
    lines = defaultdict(lambda: defaultdict(int))
    for notes in sorted(build.rglob("*.gcda")):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", notes],
            cwd=build,
            check=True,
            capture_output=True,
            text=True,
        )
        for text in done.stdout.splitlines():
            for file in json.loads(text)["files"]:
                path = (build / file["file"]).resolve()
                if any(path.is_relative_to(ROOT / top) for top in ("src", "apps")):
                    of_file = lines[str(path.relative_to(ROOT))]
                    for line in file["lines"]:
                        of_file[line["line_number"]] += line["count"]
    return lines


def ranges(numbers):
    """ "3-5, 9" of 3, 4, 5, 9."""
    runs = groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])
    spans = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else str(s[0]) for s in spans)


def row(name, run, all_lines):
    share = 100 * run / all_lines if all_lines else 100
    return f"{name:40}{run:7} of {all_lines:6} lines {share:6.1f} %"


def main(argv):
    if len(argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    build = Path(argv[1]).resolve()
    folders = defaultdict(lambda: [0, 0])
    report = []
    for path, lines in sorted(counted(build).items()):
        missed = [number for number, count in lines.items() if count == 0]
        run = len(lines) - len(missed)
        for key in (str(Path(path).parent), "all"):
            folders[key][0] += run
            folders[key][1] += len(lines)
        report.append(row(path, run, len(lines)))
        if missed:
            report.append(f"    not run: {ranges(missed)}")
    if not folders:
        print(f"{build}: nothing was counted", file=sys.stderr)
        return 1
    total = folders.pop("all")
    table = [row(name, *counts) for name, counts in sorted(folders.items())]
    table.append(row("all", *total))
    print("\n".join(table))
    (build / "coverage.txt").write_text("\n".join([*table, "", *report]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every tracked text file for words that have no place in it.

Paths of the machine somebody developed on, promises of work not done, tests that are switched off.

usage: check_words.py [ROOT]       prints one line per offence, exits 1 when there are any
"""

import re
import subprocess
import sys
from pathlib import Path

RULES = {
    "a path of one machine": re.compile(r"(?<![\w.$}{/*-])/(work|root|home/\w+|opt/\w+)/"),
    "a promise of work not done": re.compile(
        r"\b(TODO|FIXME|XXX|HACK)\b|\b(stub(bed)?|placeholder|not implemented|unimplemented)\b",
        re.I,
    ),
    "a test that is switched off": re.compile(
        r"GTEST_SKIP|\bDISABLED_|pytest\.(skip|mark\.(skip|xfail))|unittest\.skip"
    ),
}
EXEMPT = ("tools/check_words.py", "LICENSE")


def tracked(root):
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z"], check=True, capture_output=True, text=True
    ).stdout
    return [name for name in listing.split("\0") if name and name not in EXEMPT]


def offences_in(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        for rule, pattern in RULES.items():
            if match := pattern.search(line):
                yield f"{name}:{number}: {rule}: {match.group(0)}"


def offences(root):
    for name in tracked(root):
        path = Path(root) / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data:
            yield from offences_in(name, data.decode("utf-8", errors="replace"))


def main(argv):
    root = argv[1] if len(argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(offences(root))
    print("\n".join(found) if found else "words: nothing out of place")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

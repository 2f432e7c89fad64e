#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the compile commands of a build directory, and its objects for one instruction set.

An object compiled with -mavx2 or the like must define no weak symbol: the linker may pick its copy
of an inline function for the whole program, which then dies on an older processor. Such flags are
for files in a folder named kernels only; flags that tie the result to the machine that built it are
for nobody.

usage: check_kernels.py BUILD_DIR  prints one line per offence, exits 1 when there are any
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

FORBIDDEN = ("-march=native", "-mtune=native", "-ffast-math", "-Ofast", "-ffp-contract=fast")
ISA = ("-mavx", "-msse", "-mbmi", "-mfma", "-mf16c", "-march=", "-mlzcnt", "-mpopcnt")


# Pointers that unwinding goes by, in every object with tables for it: no code.
UNWINDER = "DW.ref."


def weak_symbols(target):
    listing = subprocess.run(
        ["nm", "--defined-only", str(target)], check=True, capture_output=True, text=True
    ).stdout
    rows = (line.split() for line in listing.splitlines())
    names = [row[-1] for row in rows if len(row) >= 2 and row[-2] in "WwVvu"]
    return [name for name in names if not name.startswith(UNWINDER)]


def offences(build):
    for entry in json.loads((build / "compile_commands.json").read_text()):
        arguments = shlex.split(entry["command"])
        source = Path(entry["file"])
        for flag in sorted(set(arguments) & set(FORBIDDEN)):
            yield f"{source.name}: compiled with {flag}"
        if not any(a.startswith(ISA) for a in arguments):
            continue
        if source.parent.name != "kernels":
            yield f"{source.name}: an instruction set's flags outside a folder named kernels"
        target = Path(entry["directory"]) / arguments[arguments.index("-o") + 1]
        if not target.is_file():
            yield f"{source.name}: not built"
            continue
        for symbol in weak_symbols(target):
            yield f"{source.name}: defines the weak symbol {symbol}"


def main(argv):
    if len(argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    found = list(offences(Path(argv[1])))
    print("\n".join(found) if found else "kernels: no weak symbol, no flag of one machine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

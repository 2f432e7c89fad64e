# SPDX-License-Identifier: Apache-2.0
"""The shared library exports the functions of qstore.h, and beside them C++ alone.

usage: symbols_test.py LIBRARY
"""

import subprocess
import sys
from pathlib import Path


def main(library):
    command = ["nm", "-D", "--defined-only", "--format=posix", library]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].partition("@")[0] for line in output.splitlines()}
    listed = (Path(__file__).parent / "symbols.txt").read_text().split()
    assert sorted(name for name in names if not name.startswith("_Z")) == listed, names
    assert any(name.startswith("_ZN6qstore") for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

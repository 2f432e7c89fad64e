# SPDX-License-Identifier: Apache-2.0
"""qstore.h declares the functions that are listed, and does not lose one of them."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    header = (ROOT / "include" / "qstore.h").read_text(encoding="utf-8")
    declared = re.findall(r"^QSTORE_EXPORT [^;]*?\b(qstore_\w+)\(", header, re.MULTILINE)
    listed = (ROOT / "tests" / "capi" / "symbols.txt").read_text().split()
    assert sorted(declared) == listed, set(declared) ^ set(listed)
    assert len(re.findall("QSTORE_EXPORT ", header)) == len(listed)


if __name__ == "__main__":
    sys.exit(main())

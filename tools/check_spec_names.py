#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that docs/format*.md name what the code writes to disk as the code does.

Names looked for: the fields of every struct in src/format that can be encoded or decoded, but those
whose names end in _, and the enumerators, with their values, of src/base/disk_ids.h.

usage: check_spec_names.py [ROOT]  prints one line per offence, exits 1 when there are any
"""

import re
import sys
from pathlib import Path

STRUCT = re.compile(r"^(?:struct|class) (\w+)[^;{]*\{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (?!static|using|return|friend|///)[\w:<>, ]+[\w>] (\w+)(?: = [^;]+|\{\})?;",
                   re.MULTILINE)  # fmt: skip
ENUM = re.compile(r"^enum class (\w+)[^{]*\{(.*?)\};", re.MULTILINE | re.DOTALL)
ENUMERATOR = re.compile(r"^\s*(k\w+) = (\d+)", re.MULTILINE)
CODES = re.compile(r"\b(Encode|Decode)\w*\(")


def fields(root):
    for path in sorted((root / "src/format").glob("*.h")):
        for name, body in STRUCT.findall(path.read_text(encoding="utf-8")):
            if CODES.search(body):
                for field in FIELD.findall(body):
                    if not field.endswith("_"):  # What only the code keeps.
                        yield f"{path.name}: {name}", field


def enumerators(root):
    text = (root / "src/base/disk_ids.h").read_text(encoding="utf-8")
    for name, body in ENUM.findall(text):
        for enumerator, value in ENUMERATOR.findall(body):
            yield f"disk_ids.h: {name}", enumerator, value


def offences(root):
    root = Path(root)
    pages = sorted((root / "docs").glob("format*.md"))
    spec = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for place, field in fields(root):
        if not re.search(rf"\b{field}\b", spec):
            yield f"{place}.{field} is not in docs/format*.md"
    for place, enumerator, value in enumerators(root):
        rows = [line for line in spec.splitlines() if re.search(rf"\b{enumerator}\b", line)]
        if not rows:
            yield f"{place}.{enumerator} is not in docs/format*.md"
        elif not any(re.search(rf"\b{value}\b", row) for row in rows):
            yield f"{place}.{enumerator} = {value}: docs/format*.md have the name without the value"


def main(argv):
    root = argv[1] if len(argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(offences(root))
    print("\n".join(found) if found else "spec names: docs/format*.md name what the code writes")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

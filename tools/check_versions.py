#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that everything which repeats a version repeats the same one.

usage: check_versions.py [ROOT]    prints one line per offence, exits 1 when there are any
"""

import json
import re
import sys
from pathlib import Path

# Projects and pages that ask for the library.
CONSUMERS = ("tests/consumer/CMakeLists.txt", "tests/consumer/c/CMakeLists.txt")
GUIDES = ("README.md", "docs/guides/c.md", "docs/guides/cpp.md")


def offences(root):
    root = Path(root)

    def find(path, pattern):
        match = re.search(pattern, (root / path).read_text(encoding="utf-8"), re.MULTILINE)
        return match.group(1) if match else None

    version = find("CMakeLists.txt", r"^project\(qstore VERSION ([0-9.]+)")
    cmake = find("CMakeLists.txt", r"^cmake_minimum_required\(VERSION ([0-9.]+)\)")
    places = [
        ("CHANGELOG.md", r"^## ([0-9.]+)", version),
    ]
    for name in CONSUMERS:
        places.append((name, r"^cmake_minimum_required\(VERSION ([0-9.]+)\)", cmake))
    minor = version and version.rpartition(".")[0]
    for name in (*CONSUMERS, *GUIDES):
        places.append((name, r"find_package\(qstore ([0-9.]+)", minor))
    on_disk = find("src/base/disk_ids.h", r"kFormatVersion = ([0-9]+);")
    specs = sorted((root / "docs").glob("format*.md"))
    places += [(f"docs/{path.name}", r"[Ff]ormat version ([0-9]+)", on_disk) for path in specs]
    for path, pattern, wanted in places:
        if not (root / path).is_file():
            yield f"{path}: not there"
        elif (found := find(path, pattern)) != wanted or wanted is None:
            yield f"{path}: says {found}, not {wanted} (/{pattern}/)"

    presets = json.loads((root / "CMakePresets.json").read_text(encoding="utf-8"))
    least = presets["cmakeMinimumRequired"]
    if f"{least['major']}.{least['minor']}" != cmake:
        yield f"CMakePresets.json: cmakeMinimumRequired is not {cmake}"


def main(argv):
    root = argv[1] if len(argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(offences(root))
    print("\n".join(found) if found else "versions: all agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that everything which repeats a version repeats the same one.

usage: check_versions.py [ROOT]    prints one line per offence, exits 1 when there are any
"""

import json
import re
import sys
from pathlib import Path


def offences(root):
    root = Path(root)

    def find(path, pattern):
        match = re.search(pattern, (root / path).read_text(encoding="utf-8"), re.MULTILINE)
        return match.group(1) if match else None

    version = find("CMakeLists.txt", r"^project\(qstore VERSION ([0-9.]+)")
    cmake = find("CMakeLists.txt", r"^cmake_minimum_required\(VERSION ([0-9.]+)\)")
    consumer = "tests/consumer/CMakeLists.txt"
    places = [
        ("CHANGELOG.md", r"^## ([0-9.]+)", version),
        (consumer, r"find_package\(qstore ([0-9.]+)", version and version.rpartition(".")[0]),
        (consumer, r"^cmake_minimum_required\(VERSION ([0-9.]+)\)", cmake),
    ]
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

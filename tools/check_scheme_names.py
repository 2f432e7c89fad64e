#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that no module but src/scheme or apps/make knows a scheme by name.

Names looked for: what the schemes of src/scheme call themselves, and the folders that they are in,
as words or parts of them in any spelling ("llm-int8", "LlmInt8", "llm_int8"). Texts of the
command for people may have them: literals with a space.

usage: check_scheme_names.py [ROOT]  prints one line per offence, exits 1 when there are any
"""

import re
import sys
from pathlib import Path

# Of src, those below the applications.
MODULES = ("base", "checkpoint", "container", "format", "io", "plan", "store")
FOLDERS = (*(f"src/{module}" for module in MODULES), "apps/analyze", "apps/common", "cli")
# What schemes share is in these folders.
SHARED = {"grid", "ggml"}
NAME = re.compile(r'std::string_view name\(\) const override \{ return "([^"]+)"; \}')
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')
# Too common words: a cast of C++ is none of a scheme's, nor is a delta of numbers.
COMMON = {"cast", "delta"}


def names(root):
    folder = root / "src" / "scheme"
    found = {path.name for path in folder.iterdir() if path.is_dir()} - SHARED
    for path in folder.rglob("*.cc"):
        found.update(NAME.findall(path.read_text(encoding="utf-8")))
    return found - COMMON


def without_texts(line):
    return LITERAL.sub(lambda match: '""' if " " in match.group() else match.group(), line)


def offences(root):
    root = Path(root)
    words = sorted(names(root))
    if not words:
        yield "src/scheme: no scheme has a name"
        return
    pattern = re.compile("|".join(re.sub("[-_]", "[-_]?", word) for word in words), re.IGNORECASE)
    paths = (p for f in FOLDERS for p in (root / f).rglob("*") if p.suffix in (".h", ".cc"))
    for path in sorted(paths):
        file = path.relative_to(root).as_posix()
        lines = [file, *path.read_text(encoding="utf-8").splitlines()]
        if file.startswith("cli/"):
            lines = map(without_texts, lines)
        for number, line in enumerate(lines):
            if match := pattern.search(line):
                yield f"{file}:{number}: {match.group()}: only src/scheme knows schemes by name"


def main(argv):
    root = argv[1] if len(argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(offences(root))
    print("\n".join(found) if found else "scheme names: only src/scheme has them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

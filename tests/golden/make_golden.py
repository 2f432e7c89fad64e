#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes golden archives that do not exist yet; those that do are never touched.

usage: make_golden.py QSTORE_COMMAND

valid/NAME.qstore comes with valid/NAME.sha256: the digest of the archive, then of every file of
every variant. invalid/KIND.RULE.qstore must be refused with the error of that kind; these are made
from valid archives, with every checksum that the damage is not about made right again.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from golden_damage import DAMAGES, Parts
from golden_sources import ARCHIVES, make, variants_of

HERE = Path(__file__).resolve().parent
VALID = HERE / "valid"
INVALID = HERE / "invalid"


def files_of(path):
    if path.is_file():
        return {path.name: path}
    return {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}


def make_valid(command, name):
    source = ARCHIVES[name][0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source(folder, np.random.Generator(np.random.PCG64(20)))
        archive = folder / "archive.qstore"
        make(lambda *given: subprocess.run([command, *given], check=True), name, folder, archive)
        lines = [f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {name}.qstore"]
        for label, path in variants_of(name).items():
            for relative, file in sorted(files_of(folder / path).items()):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                lines.append(f"{digest}  {label}/{relative}")
        (VALID / f"{name}.sha256").write_text("\n".join(lines) + "\n")
        (VALID / f"{name}.qstore").write_bytes(archive.read_bytes())


def make_invalid(name):
    source, change = DAMAGES[name]
    parts = Parts((VALID / f"{source}.qstore").read_bytes())
    change(parts)
    (INVALID / f"{name}.qstore").write_bytes(parts.assemble())


def main(arguments):
    VALID.mkdir(exist_ok=True)
    INVALID.mkdir(exist_ok=True)
    for name in ARCHIVES:
        if not (VALID / f"{name}.qstore").exists():
            print("making", name)
            make_valid(arguments[0], name)
    for name in DAMAGES:
        if not (INVALID / f"{name}.qstore").exists():
            print("making", name)
            make_invalid(name)


if __name__ == "__main__":
    main(sys.argv[1:])

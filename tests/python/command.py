# SPDX-License-Identifier: Apache-2.0
"""Runs the built command, and looks at what it leaves behind."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("QSTORE_BIN", ROOT / "build" / "bin" / "qstore"))


class _ExitCodes(dict):
    """By the name of the error's kind, as the command prints it."""

    def __missing__(self, kind):
        return 1


EXIT_CODES = _ExitCodes(usage=2, corrupt=3, mismatch=3)


def run(*arguments, **options):
    """The finished process, its output as text. A hanging command fails after ten minutes."""
    command = [str(BINARY), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


def ok(*arguments, **options):
    done = run(*arguments, **options)
    assert done.returncode == 0, f"{done.args}\nexit {done.returncode}\n{done.stderr}"
    return done


def ok_json(*arguments):
    return json.loads(ok(*arguments, "--json").stdout)


def pack(archive, *options, **variants):
    """Packs NAME=PATH for every keyword (underscores become dashes); returns the size in bytes."""
    named = [f"{name.replace('_', '-')}={path}" for name, path in variants.items()]
    ok("pack", "-o", archive, *options, *named)
    return Path(archive).stat().st_size


def unpack(archive, name, folder, *options):
    ok("unpack", archive, name, "-o", folder, *options)
    return folder


def contents(root):
    """Relative path to sha256 of every file below `root`, or of the one file it is."""
    root = Path(root)
    if root.is_file():
        return {root.name: hashlib.sha256(root.read_bytes()).hexdigest()}
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def raw_size(root):
    root = Path(root)
    paths = [root] if root.is_file() else root.rglob("*")
    return sum(path.stat().st_size for path in paths if path.is_file())


def assert_comes_back(archive, space, **variants):
    """Every variant, unpacked, equals its source in every byte and in its set of files."""
    for name, source in variants.items():
        name = name.replace("_", "-")
        target = unpack(archive, name, space / f"back-{name}")
        assert contents(target) == contents(source), name

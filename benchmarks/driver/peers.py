# SPDX-License-Identifier: Apache-2.0
"""The environment of what is measured beside this library and is not among its own tools."""

from pathlib import Path

from .from_tests import environment

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements-peers.txt"


def python():
    return environment("peers", REQUIREMENTS)


def pinned(path=REQUIREMENTS):
    """Versions of packages, by name."""
    lines = path.read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)

# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from . import peers


def first_field(path, name):
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe(qstore):
    version = subprocess.run([qstore, "--version"], capture_output=True, text=True, check=True)
    return {
        "processor": first_field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": first_field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "load_average_at_start": os.getloadavg()[0],
        "versions": {
            "qstore": version.stdout.split()[-1],
            "python": platform.python_version(),
            **{name: version_of(name) for name in ("safetensors", "zipnn", "torch")},
            "lmz": peers.pinned()["lmzip"],
        },
    }

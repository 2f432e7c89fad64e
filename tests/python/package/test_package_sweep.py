# SPDX-License-Identifier: Apache-2.0
"""The operations of the package while the first, second, … last call of a kind fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import faults
import models
import pytest
import torch
from faults import Fault

DRIVER = Path(__file__).with_name("fault_driver.py")
STAYS = {("write", "enospc"), ("read", "eio"), ("sync", "eio")}
OPERATIONS = ("load", "read", "verify", "pack", "unpack", "quantize")


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return faults.build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def drive(shim, installed, qstore, space):
    """Runs the driver; returns its lines and how it ended."""
    folder = space.resolve() / "here"
    tensors = {f"{i}.weight": models.llm_weights(48, 512, i, torch.float16) for i in range(2)}
    models.save(tensors, folder / "high")
    (folder / "high" / "config.json").write_text("{}")
    qstore.pack({"a": folder / "high"}, folder / "m.qstore", sync=False)

    def run(operation, chosen=()):
        done = subprocess.run(
            [sys.executable, DRIVER, operation, folder, *map(str, chosen)],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ
            | {
                "LD_PRELOAD": str(shim),
                "QSTORE_FAULT_UNDER": str(folder),
                "PYTHONPATH": os.pathsep.join((str(installed / "site"), str(DRIVER.parents[1]))),
            },
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        last = lines[-1] if lines else None
        assert done.returncode == 0, f"exit {done.returncode} after {last}\n{done.stderr}"
        return [line for line in lines if "begins" not in line]

    return run


def wrong_outcome(line):
    """What is wrong with a line of the driver; empty when nothing is."""
    wrong = list(line["wrong"])
    kind, k, mode = line["fault"].split(":")
    if line["error"] is None:
        if (kind, mode) in faults.FATAL:
            wrong.append("no error")
    elif (kind, mode) in faults.TRANSPARENT:
        wrong.append("is no error")
    elif line["error"] not in ("IoError", "SourceChangedError"):
        wrong.append("another error")
    elif ".qstore-" in line["told"] or "/here" not in line["told"]:
        wrong.append("does not name the file")
    return wrong and [line["fault"], line["error"], line["told"], *wrong]


def wrong_without_memory(line):
    """The same where one piece of memory was refused."""
    wrong = list(line["wrong"])
    # The C library needs memory to list a directory.
    if line["error"] not in (None, "LimitError", "MemoryError", "IoError"):
        wrong.append("another error")
    return wrong and [line["fault"], line["error"], line["told"], *wrong]


def check(drive, operation, kinds):
    (clean,) = drive(operation)
    chosen = [
        Fault(kind, k, mode, stays)
        for kind in kinds
        for mode in faults.MODES[kind]
        for stays in (False, True)[: 1 + ((kind, mode) in STAYS)]
        for k in range(1, clean["counts"][kind] + 1)
    ]
    lines = drive(operation, chosen)[1:]
    assert len(lines) == len(chosen)
    wrong = [found for found in map(wrong_outcome, lines) if found]
    assert wrong == [], "\n".join(map(str, wrong))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_calls_that_fail(drive, operation):
    check(drive, operation, faults.MODES)


# Where all is refused from there on the C library ends the process: it has no way to say that it
# cannot make what belongs to a thread.
@pytest.mark.parametrize("operation", OPERATIONS)
def test_memory_that_is_refused(drive, operation):
    (clean,) = drive(operation)
    chosen = [Fault("memory", k, "enomem") for k in range(1, clean["counts"]["memory"] + 1)]
    lines = drive(operation, chosen)[1:]
    assert len(lines) == len(chosen) > 50
    assert sum(line["error"] is not None for line in lines) > len(chosen) // 2
    wrong = [found for found in map(wrong_without_memory, lines) if found]
    assert wrong == [], "\n".join(map(str, wrong))

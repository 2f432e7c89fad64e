# SPDX-License-Identifier: Apache-2.0
"""The comparison of loads in Python measures every way, and compares what was loaded."""

import json
import os
import subprocess
import sys

import pytest
from command import BINARY, ROOT

# The library once more, compiled as a shared one.
needs_the_shared_library = pytest.mark.rest


def run(installed, output, *options):
    script = ROOT / "benchmarks" / "python_load.py"
    size = ["--shape", "256x256", "--count", "1", "--rounds", "1", "--qstore", BINARY]
    return subprocess.run(
        [sys.executable, script, *size, "--output", output, *options],
        env=os.environ | {"PYTHONPATH": str(installed / "site")},
        capture_output=True,
        text=True,
        timeout=300,
    )


@needs_the_shared_library
def test_every_way_is_measured(installed, space):
    done = run(installed, space)
    assert done.returncode == 0, done.stderr
    times = json.loads((space / "python_load.json").read_text())["times"]
    of_python = {
        (time["process"], time["variant"], time["system"], time["until"]): time["s"]
        for time in times
        if "C++" not in time["system"]
    }
    assert len(of_python) == 2 * 2 * (7 * 2 + 4)
    assert all(len(values) == 1 for values in of_python.values())
    # What Python takes is a part of the time until it returned, and nobody's but QStore's.
    order = {"python": "returned", "returned": "read"}
    for (process, variant, system, until), values in of_python.items():
        assert until != "python" or "QStore" in system
        if until in order:
            later = of_python[process, variant, system, order[until]]
            assert all(0 < first < second for first, second in zip(values, later, strict=True))
    assert sum("C++" in time["system"] for time in times) == 2 * 2 * 2
    assert (space / "python_load.md").read_text().strip() == done.stdout.strip()


@needs_the_shared_library
def test_one_kind_of_process(installed, space):
    done = run(installed, space, "--process", "same")
    assert done.returncode == 0, done.stderr
    times = json.loads((space / "python_load.json").read_text())["times"]
    assert {time["process"] for time in times} == {"same"}
    assert "a process for each load" not in done.stdout


def test_different_sums_are_an_error():
    code = (
        "import python_load as p\n"
        "times = [('same', p.Load(v, 'copied'), {'sum': '1'}) for v in ('int8', 'bf16')]\n"
        "p.check_sums(times + times)\n"
        "p.check_sums([*times, ('same', p.Load('int8', 'mapped'), {'sum': '2'})])\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True)
    assert done.returncode != 0
    assert "int8: the loads differ" in done.stderr

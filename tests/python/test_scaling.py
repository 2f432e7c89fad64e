# SPDX-License-Identifier: Apache-2.0
"""The simulation of benchmarks/scaling.py, where its answer is known."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from scaling import Load, simulate  # noqa: E402

LOAD = Load(opening=0.5, memory=4.0, decoding=12.0, units=64)


def test_one_thread_takes_all_parts() -> None:
    assert simulate(LOAD, 1, 1) == pytest.approx(LOAD.total)


def test_threads_share_the_work_where_memory_serves_all() -> None:
    assert simulate(LOAD, 4, 4) == pytest.approx(0.5 + 16.0 / 4)


def test_more_threads_than_units_help_no_further() -> None:
    assert simulate(LOAD, 64, 64) == pytest.approx(0.5 + 16.0 / 64)
    assert simulate(LOAD, 100, 100) == pytest.approx(0.5 + 16.0 / 64)


def test_memory_ends_it() -> None:
    seconds = simulate(LOAD, 64, 1)
    assert 0.5 + 4.0 < seconds <= 0.5 + 4.0 + 12.0 / 64 + 1e-9


def test_last_units_leave_threads_idle() -> None:
    assert simulate(Load(0, 0, 3.0, 3), 2, 2) == pytest.approx(2.0)

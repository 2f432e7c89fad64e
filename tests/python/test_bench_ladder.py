# SPDX-License-Identifier: Apache-2.0
"""The comparison of ladders of GGUF files tells of each of them, at each level and by each peer."""

import json
import subprocess
import sys

import pytest
from command import BINARY, ROOT

pytestmark = pytest.mark.slow  # Trains a model, and installs ggml's code and peers.
MOST_ADDED = 0.01  # Of the size of a file that follows from the weights.


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ladder")
    driver = [sys.executable, ROOT / "benchmarks" / "ladder.py", "--only", "llama-imatrix"]
    options = ["--rounds", "1", "--qstore", BINARY, "--output", folder]
    subprocess.run([*driver, *options], check=True, timeout=600)
    assert not (folder / "work").exists()
    document = json.loads((folder / "ladder.json").read_text())
    return document, (folder / "ladder.md").read_text(encoding="utf-8")


def test_sizes(report):
    (ladder,) = report[0]["ladders"]
    raw = ladder["raw_bytes"]
    for level, found in ladder["levels"].items():
        whole, quants = found["ladder"], found["quants"]
        assert whole["raw_bytes"] == sum(raw.values())
        assert quants["raw_bytes"] == sum(raw[name] for name in ladder["quants"])
        assert found["bf16"]["bytes"] < whole["bytes"] < quants["raw_bytes"] < whole["raw_bytes"]
        assert sum(whole["added_bytes"].values()) <= whole["bytes"]
        assert whole["added_bytes"]["q8_0"] < MOST_ADDED * raw["q8_0"], level
    best = ladder["levels"]["max"]["ladder"]["added_bytes"]
    assert best["q4_k"] < MOST_ADDED * raw["q4_k"]


def test_peers(report):
    (ladder,) = report[0]["ladders"]
    assert len(ladder["peers"]) == 2
    for found in ladder["peers"].values():
        assert found["quants"]["bytes"] < found["ladder"]["bytes"]
        assert found["ladder"]["bytes"] > ladder["levels"]["balanced"]["ladder"]["bytes"]


def test_loads(report):
    document, _ = report
    (ladder,) = document["ladders"]
    loaded = {(load["level"], load["variant"]) for load in document["loads"]}
    timed = {name for name in ladder["raw_bytes"] if name != "imatrix"}
    assert loaded == {(level, name) for level in document["levels"] for name in timed}
    for load in document["loads"]:
        assert 0 < load["min_s"] <= load["median_s"] <= load["max_s"]


def test_page(report):
    document, page = report
    (ladder,) = document["ladders"]
    for name in ladder["raw_bytes"]:
        assert f"\n| {name} |" in page
    added = ladder["levels"]["max"]["ladder"]["added_bytes"]["q8_0"]
    assert f" {added:,} |" in page

# SPDX-License-Identifier: Apache-2.0
"""Loading the low precision reads its own bytes and no others."""

import os
import subprocess

import models
import pytest
from command import BINARY, contents, ok_json, pack, unpack

# What the loader reads at the head of each shared library, and /proc files of the C++ runtime.
PROCESS_START = 64 << 10


def bytes_read(*arguments):
    """How many bytes the read calls of a command returned.

    The kernel counts them, and keeps the count until the finished process is waited for. Pages of
    mapped files are not in it, so a test must also see that the count is not too small.
    """
    process = subprocess.Popen(
        [BINARY, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with open(f"/proc/{process.pid}/io") as file:
        counts = dict(line.split(": ") for line in file.read().splitlines())
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return int(counts["rchar"])


@pytest.fixture
def synthetic(space):
    tensors = {f"{i}.weight": models.llm_weights(1024, 2048, i) for i in range(4)}
    high, low = models.save_pair(tensors, space)
    return {"bf16": high, "int8": low}


@pytest.fixture
def real(pairs):
    return {"bf16": pairs / "minilm" / "bf16", "int8": pairs / "minilm" / "bf16-int8"}


@pytest.mark.parametrize("pair", ("synthetic", "real"))
def test_a_load_reads_what_inspect_says(space, request, figure, pair):
    variants = request.getfixturevalue(pair)
    size = pack(space / "m.qstore", **variants)
    told = {v["name"]: v for v in ok_json("inspect", space / "m.qstore")["variants"]}
    for name in variants:
        load = told[name]["load_bytes"]
        arguments = (space / "m.qstore", name, "--tensors", "*", "-o", space / name)
        read = bytes_read("unpack", *arguments)
        figure(f"{pair} {name}: a load reads {read:,} bytes, inspect says {load:,} of {size:,}")
        assert load <= read <= load + PROCESS_START
    low = told["int8"]
    assert abs(low["load_bytes"] - low["own_bytes"]) <= 0.02 * low["own_bytes"]
    assert told["bf16"]["load_bytes"] <= size


def test_a_load_does_not_depend_on_bytes_of_others(space, synthetic):
    """With everything that belongs to the 16-bit weights destroyed, int8 still loads."""
    archive = space / "m.qstore"
    pack(archive, **synthetic)
    told = {v["name"]: v for v in ok_json("inspect", archive)["variants"]}
    data = bytearray(archive.read_bytes())
    low_end = 72 + told["int8"]["own_bytes"]
    high_end = low_end + told["bf16"]["own_bytes"]
    data[low_end:high_end] = os.urandom(high_end - low_end)
    archive.write_bytes(data)
    assert contents(unpack(archive, "int8", space / "back")) == contents(synthetic["int8"])

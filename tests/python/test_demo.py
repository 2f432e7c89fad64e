# SPDX-License-Identifier: Apache-2.0
"""What ./dev demo shows, and that it fails when a byte differs."""

import os
import subprocess
import sys

import pytest
import torch
from command import BINARY, ROOT
from zipnn_size import zipnn_sizes

sys.path.insert(0, str(ROOT / "tools"))
import demo  # noqa: E402
import python_site  # noqa: E402

BREAKS_A_FILE = """#!/usr/bin/env bash
{binary} "$@" || exit
[[ $1 != unpack ]] || printf x >>"${{!#}}/config.json"
"""


def run_demo(space, command):
    site = python_site.lay_out(BINARY.parents[1], space / "site")
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "demo.py", command, space / "made"],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_it_ends_with_a_table_and_a_tensor(space):
    done = run_demo(space, BINARY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal sha256" in done.stdout and "% saved" in done.stdout
    assert f"{demo.TENSOR}, loaded from the archive by NumPy" in done.stdout
    assert "int8: int8 (384, 384)" in done.stdout
    assert "bf16: bfloat16 (384, 384)" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_it_fails_when_a_byte_differs(space):
    (space / "qstore").write_text(BREAKS_A_FILE.format(binary=BINARY))
    (space / "qstore").chmod(0o755)
    done = run_demo(space, space / "qstore")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DIFFERS  bf16: config.json" in done.stdout
    assert "2 files DIFFER" in done.stdout


@pytest.mark.rest  # Three ways of compressing by ZipNN, for a number that does not change.
def test_what_is_noted_of_zipnn_is_so(space):
    bf16 = space / "bf16"
    command = [BINARY, "quantize", "--to", "bf16", demo.model_folder(), "-o", bf16]
    subprocess.run(command, check=True, capture_output=True)
    sizes = zipnn_sizes(bf16 / "model.safetensors", torch.bfloat16)
    assert min(sizes.values()) == demo.ZIPNN_OF_BF16


@pytest.mark.rest  # Compiles the command and the package once more.
def test_the_command_for_it(space):
    done = subprocess.run(["./dev", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal sha256" in done.stdout

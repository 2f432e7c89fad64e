# SPDX-License-Identifier: Apache-2.0
"""Fixtures: an archive of three variants, and a mount of it."""

import random

import models
import pytest
import torch
from command import pack
from mounting import mounted


@pytest.fixture(scope="module")
def space_of_all(tmp_path_factory):
    return tmp_path_factory.mktemp("mount")


@pytest.fixture(scope="module")
def variants(space_of_all):
    """Folders: 16 bits, 8 bits that these follow from, and files of other kinds."""
    tensors = {f"{i}.weight": models.llm_weights(1500, 1024, i) for i in range(3)}
    tensors["norm"] = torch.ones(1024, dtype=torch.bfloat16)
    high, low = models.save_pair(tensors, space_of_all)
    other = space_of_all / "other"
    for name, data in {
        "empty": b"",
        "deep/er/ünïcode – name.json": b"{}",
        "deep.txt": b"word\n" * 20000,
        "run.sh": b"#!/bin/sh\necho it runs\n",
        "noise.bin": random.Random(1).randbytes(3_000_001),
    }.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes(data)
    (other / "run.sh").chmod(0o755)
    (other / "none").mkdir()
    return {"high": high, "low": low, "other": other}


@pytest.fixture(scope="module")
def archive(space_of_all, variants):
    pack(space_of_all / "m.qstore", **variants)
    return space_of_all / "m.qstore"


@pytest.fixture
def mount(archive, space):
    with mounted(archive, space / "at") as mount:
        yield mount

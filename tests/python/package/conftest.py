# SPDX-License-Identifier: Apache-2.0
"""Lays out the package of the release build, and packs what most tests of the package read."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import models
import pytest
import samples
from range_server import RangeServer
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("QSTORE_BUILD", ROOT / "build"))
sys.path.insert(0, str(ROOT / "tools"))
import python_site  # noqa: E402


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder with `site`, where the package and its commands are as pip installs them."""
    folder = tmp_path_factory.mktemp("installed")
    python_site.lay_out(BUILD, folder / "site")
    return folder


@pytest.fixture(scope="session")
def qstore(installed):
    """The package."""
    sys.path.insert(0, str(installed / "site"))
    module = importlib.import_module("qstore")
    assert Path(module.__file__).is_relative_to(installed)
    return module


@pytest.fixture(scope="session")
def run_python(installed):
    """Runs code in a process of its own, which finds the package; returns what it printed."""

    def run(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"PYTHONPATH": str(installed / "site")},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def dtypes(qstore, tmp_path_factory):
    """A file with all types: .file, and an .archive whose only variant it is."""
    folder = tmp_path_factory.mktemp("dtypes")
    save_file(
        samples.every_dtype(), folder / "all.safetensors", metadata={"format": "pt", "of": "types"}
    )
    qstore.pack({"all": folder / "all.safetensors"}, folder / "m.qstore", sync=False)
    return SimpleNamespace(file=folder / "all.safetensors", archive=folder / "m.qstore")


@pytest.fixture(scope="session")
def pair(qstore, tmp_path_factory):
    """A 16-bit model of two files and its int8 twin: .high, .low and their .archive."""
    folder = tmp_path_factory.mktemp("pair")
    tensors = {f"{i}.weight": models.llm_weights(2048, 1024, i) for i in range(4)}
    tensors["norm"] = models.llm_weights(1, 1024, 9)[0]
    high, low = models.save_pair(tensors, folder)
    first = {name: tensors[name] for name in ("0.weight", "2.weight")}
    rest = {name: tensors[name] for name in tensors if name not in first}
    (high / "model.safetensors").unlink()
    (high / "config.json").write_text('{"model_type": "none"}')
    save_file(first, high / "b.safetensors", metadata={"format": "pt", "part": "b"})
    save_file(rest, high / "a.safetensors", metadata={"format": "pt", "part": "a"})
    archive = folder / "m.qstore"
    qstore.pack({"bf16": high, "int8": low}, archive, level="fast", sync=False)
    return SimpleNamespace(high=high, low=low, archive=archive, tensors=tensors)


@pytest.fixture(scope="session")
def content(pair):
    """The bytes of the pair's archive."""
    return pair.archive.read_bytes()


@pytest.fixture(scope="session")
def expected(qstore, pair):
    """The tensors of both variants of the pair."""
    return {name: qstore.torch.load_file(pair.archive, name) for name in ("bf16", "int8")}


@pytest.fixture
def server(content):
    """An HTTP server with the pair's archive."""
    with RangeServer(content) as server:
        yield server

# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with the real libraries.

Real models are made once and kept in .cache of the tree, under a name that changes with the pinned
libraries and with the code that makes them.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest
from made import HERE, environment, made_once, real_pairs, trained_llama

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import python_site  # noqa: E402

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

# Tests that a run leaves out unless its option asks for them alone.
MARKERS = {
    "rest": "left to ./dev test --all: makes or compiles what takes minutes",
    "slow": "needs minutes and tens of gigabytes of disk",
    "engine": "needs vLLM and diffusers, of which ./dev test engines makes an environment",
}


def pytest_addoption(parser):
    for name in MARKERS:
        parser.addoption(f"--{name}", action="store_true", help=f"run only the tests marked {name}")


def pytest_configure(config):
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.addinivalue_line("markers", "fuse: mounts an archive; left out where nobody can")
    config.addinivalue_line("markers", "alone: measures time or memory, beside no other test")


def pytest_collection_modifyitems(config, items):
    """The marked tests are runs of their own, so that none is ever reported as skipped."""
    wanted = {name for name in MARKERS if config.getoption(f"--{name}")}
    chosen = [item for item in items if wanted == MARKERS.keys() & item.keywords.keys()]
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        chosen = [item for item in chosen if "fuse" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The environment in which the command finds the programs of the package."""
    build = Path(os.environ.get("QSTORE_BUILD", ROOT / "build"))
    site = python_site.lay_out(build, tmp_path_factory.mktemp("programs") / "site")
    path = f"{site / 'bin'}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(site)}


def pytest_terminal_summary(terminalreporter):
    """The figures that the tests noted, after everything else."""
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for key, value in report.user_properties
        if key == "figure"
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def figure(request):
    """Notes one line that the summary prints."""
    return lambda line: request.node.user_properties.append(("figure", line))


@pytest.fixture(scope="session")
def pairs():
    return real_pairs()


def twins_named(pairs, names):
    maker = HERE / "make_twins.py"
    recipe = [maker, HERE / "make_pairs.py", HERE / "requirements.txt"]
    return made_once("twins-" + names[0], recipe, maker, pairs / "minilm" / "bf16", ",".join(names))


@pytest.fixture(scope="session")
def twins(pairs):
    """The folder of copies of minilm in BF16 in other formats, of the first tier."""
    from test_server_formats import FIRST  # noqa: PLC0415

    return twins_named(pairs, FIRST)


@pytest.fixture(scope="session")
def more_twins(pairs):
    """The folder of further ones."""
    from test_server_formats import REST  # noqa: PLC0415

    return twins_named(pairs, REST)


@pytest.fixture(scope="session")
def native(twins):
    """The folder of BF16 copies of some of these that have just their values."""
    maker = HERE / "make_native.py"
    recipe = [maker, HERE / "make_twins.py", HERE / "requirements.txt"]
    return made_once("native", recipe, maker, twins)


@pytest.fixture(scope="session")
def trained():
    """The folder of the Llama that was trained here: bf16/, fp16/, train.txt and held-out.txt.

    Training takes minutes: for tests marked rest.
    """
    return trained_llama()


@pytest.fixture(scope="session")
def awq(trained):
    """A folder with its copy by AWQ: awq/."""
    maker = HERE / "make_awq.py"
    return made_once("awq", [maker, HERE / "trained_llm.py"], maker, trained)


@pytest.fixture(scope="session")
def calibrators():
    """The Python that has tools with requirements of their own; for tests marked slow."""
    return environment("calibrators", HERE / "requirements-calibrated.txt")


@pytest.fixture(scope="session")
def ggml():
    """The Python that has ggml's code and an engine that loads its files; for tests marked slow."""
    return environment("ggml", HERE / "requirements-ggml.txt")


@pytest.fixture(scope="session")
def engines():
    """The Python that has vLLM and diffusers; for tests marked engine."""
    return environment("engines", HERE / "requirements-engines.txt", "--no-deps")


@pytest.fixture(scope="session")
def modelopt(pairs, twins, calibrators):
    """The folder of copies of minilm by ModelOpt: nvfp4, cast (from MXFP4) and fp8."""
    maker = HERE / "make_modelopt.py"
    recipe = [maker, HERE / "make_twins.py", HERE / "requirements-calibrated.txt"]
    sources = (pairs / "minilm" / "bf16", twins / "mxfp4")
    return made_once("modelopt", recipe, maker, *sources, python=calibrators)


@pytest.fixture(scope="session")
def calibrated(trained, calibrators):
    """The folder of copies of the trained Llama by tools that calibrate; for tests marked slow."""
    maker = HERE / "make_calibrated.py"
    recipe = [maker, HERE / "requirements-calibrated.txt", HERE / "trained_llm.py"]
    return made_once("calibrated", recipe, maker, trained, python=calibrators)


@pytest.fixture(scope="session")
def untrained():
    """The like of `trained` with random weights, which takes seconds."""
    return trained_llama("--steps", "0")


@pytest.fixture
def space(tmp_path):
    """A scratch folder that is emptied after the test, since models are large."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)

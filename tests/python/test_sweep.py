# SPDX-License-Identifier: Apache-2.0
"""Every command while the first, second, … last call of a kind fails.

It ends by itself: with 0 only when all it was to make is there and right, and otherwise with 1 and
one line that names a file, and all as it was before. Inputs are never touched.
"""

import shutil
import subprocess
from dataclasses import replace

import faults
import pytest
from command import ok
from sweep import DONE, SHAPE, Case, Sweep

MODELS = ("a=high", "b=low")
ONE = ("--threads", "1")
CASES = [
    Case("pack", ("pack", *ONE, "-o", "new.qstore", *MODELS)),
    Case("pack-deep", ("pack", *ONE, "-o", "new/deep/new.qstore", *MODELS)),
    Case("pack-force", ("pack", *ONE, "--force", "-o", "old.qstore", *MODELS), "old.qstore"),
    Case("unpack", ("unpack", *ONE, "m.qstore", "b", "-o", "out")),
    Case("unpack-deep", ("unpack", *ONE, "m.qstore", "a", "-o", "new/deep/out")),
    Case("unpack-into-empty", ("unpack", *ONE, "m.qstore", "a", "-o", "out"), "empty"),
    Case("unpack-force", ("unpack", *ONE, "--force", "m.qstore", "a", "-o", "out"), "model"),
    Case("unpack-tensors", ("unpack", *ONE, "m.qstore", "a", "-o", "out", "--tensors", "*")),
    Case("verify", ("verify", *ONE, "m.qstore")),
    Case("verify-originals", ("verify", *ONE, "m.qstore", *MODELS)),
    Case("inspect", ("inspect", "--tensors", "m.qstore")),
    Case("quantize-int8", ("quantize", *ONE, "--to", "llm-int8", "high", "-o", "out")),
    Case("quantize-fp16", ("quantize", *ONE, "--to", "fp16", "high", "-o", "out")),
    Case(
        "quantize-force",
        ("quantize", *ONE, "--force", "--to", "llm-int8", "high", "-o", "out"),
        "shards",
    ),
    Case("synth", ("synth", *ONE, *SHAPE, "-o", "out")),
    Case("synth-force", ("synth", *ONE, "--force", *SHAPE, "-o", "out"), "shards"),
    Case(
        "analyze",
        ("analyze", *ONE, "--methods", "huffman", "-o", "out", *MODELS),
        goes_on=True,
    ),
    Case(
        "analyze-again",
        ("analyze", *ONE, "--methods", "huffman", "-o", "out", *MODELS),
        "analysis",
        goes_on=True,
    ),
    Case(
        "analyze-force",
        ("analyze", *ONE, "--force", "--methods", "huffman", "-o", "out", *MODELS),
        "analysis",
        goes_on=True,
    ),
]
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return faults.build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """A folder for each `old` of a case."""
    root = tmp_path_factory.mktemp("sweep").resolve()
    plain = root / "None"
    ok("synth", "-o", plain / "high", *SHAPE)
    ok("quantize", "--to", "llm-int8", plain / "high", "-o", plain / "low")
    ok("pack", "-o", plain / "m.qstore", f"a={plain}/high", f"b={plain}/low")
    for name in ("old.qstore", "empty", "model", "shards"):
        shutil.copytree(plain, root / name)
    ok("pack", "-o", root / "old.qstore" / "old.qstore", f"x={plain}/low")
    (root / "empty" / "out").mkdir()
    other = root / "model" / "out"
    ok("synth", "--seed", "7", "-o", other, *SHAPE)
    (other / "mine").write_text("mine")
    small = (*SHAPE[:2], "--count", "4", "--shard-size", "90kB")
    ok("synth", "--seed", "7", "-o", root / "shards" / "out", *small)
    again = root / "analysis"
    shutil.copytree(plain, again)
    done = subprocess.run(BY_NAME["analyze"].command, cwd=again, capture_output=True, text=True)
    assert done.returncode == DONE, done.stderr
    return root


@pytest.fixture
def sweep(shim, templates, space):
    def make(name, threads=1):
        case = BY_NAME[name]
        if threads != 1:
            at = case.arguments.index("--threads") + 1
            some = (*case.arguments[:at], str(threads), *case.arguments[at + 1 :])
            case = replace(case, arguments=some)
        return Sweep(case, shim, templates, space)

    return make


STAYS = {("write", "enospc"), ("read", "eio"), ("sync", "eio")}
# Of which every call fails in any run of the tests; of the others every twelfth.
WHOLE = ("pack", "pack-force", "unpack", "unpack-force", "inspect")
FORCED = ("pack-force", "unpack-force")
ALSO_KILLED = ("pack", "unpack", "quantize-force", "synth-force")


@pytest.mark.parametrize("case", BY_NAME)
def test_calls_that_fail(sweep, case):
    runs = sweep(case)
    stride = 1 if case in WHOLE else 12
    runs.check_all(runs.faults(faults.MODES, stride=stride, stays=STAYS), runs.check)


@pytest.mark.rest
@pytest.mark.parametrize("case", [case for case in BY_NAME if case not in WHOLE])
def test_every_call_that_fails(sweep, case):
    runs = sweep(case)
    runs.check_all(runs.faults(faults.MODES, stays=STAYS), runs.check)


def check_kills(sweep, case):
    runs = sweep(case)
    runs.check_all(runs.faults(["any"], modes=["kill"]), runs.check_kill)


@pytest.mark.parametrize("case", FORCED)
def test_kills(sweep, case):
    check_kills(sweep, case)


@pytest.mark.rest
@pytest.mark.parametrize("case", ALSO_KILLED)
def test_more_kills(sweep, case):
    check_kills(sweep, case)


def check_memory(runs):
    """One piece of memory, or all from there on: what cleans up must need none."""
    stride = max(1, runs.clean.ran.count("memory") // 100)
    kinds = runs.faults(["memory"], ["enomem"], stride, stays={("memory", "enomem")})
    runs.check_all(kinds, runs.check)


@pytest.mark.rest
@pytest.mark.parametrize("case", BY_NAME)
def test_memory_that_is_refused(sweep, case):
    check_memory(sweep(case))


# Threads of the pool, and those who ask for them.
@pytest.mark.rest
@pytest.mark.parametrize("case", ["pack", "unpack", "verify-originals", "synth", "analyze"])
def test_memory_that_is_refused_to_threads(sweep, case):
    check_memory(sweep(case, threads=3))

# SPDX-License-Identifier: Apache-2.0
"""Archives that are changed while something goes wrong: they are what they were, or what they
should become."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faults
import pytest
from command import BINARY, ROOT, contents, ok, ok_json, run, unpack

sys.path.insert(0, str(ROOT / "tests" / "reference"))
import decoder  # noqa: E402

SHAPE = ("--shape", "96x512", "--count", "2", "--shard-size", "90kB")
HIGH, LOW, MORE = "high", "low", "more"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with models and archives: one of high, and one of which low was dropped."""
    root = tmp_path_factory.mktemp("models").resolve()
    ok("synth", "-o", root / HIGH, *SHAPE)
    ok("quantize", "--to", "llm-int8", root / HIGH, "-o", root / LOW)
    ok("synth", "--seed", "7", "-o", root / MORE, *SHAPE)
    ok("pack", "-o", root / "one.qstore", f"{HIGH}={root}/{HIGH}")
    dropped = root / "dropped.qstore"
    ok("pack", "-o", dropped, f"{HIGH}={root}/{HIGH}", f"{LOW}={root}/{LOW}", f"x={root}/{MORE}")
    ok("drop", dropped, "x", LOW)
    return root


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return faults.build_shim(tmp_path_factory.mktemp("shim"))


class Changing:
    """A command that changes an archive, which has the one or the other variants by it."""

    def __init__(self, models, space, source, before, after, *arguments):
        self.models, self.source, self.before, self.after = models, source, before, after
        self.archive = space / "m.qstore"
        words = [str(models / word) if word == source else word for word in arguments]
        self.command = [str(self.archive) if word == "@" else word for word in words]

    def renew(self):
        shutil.copyfile(self.models / self.source, self.archive)

    def variants(self):
        return [v["name"] for v in ok_json("inspect", self.archive)["variants"]]

    def check(self):
        """It opens, verifies against the models, and has the variants of before or after."""
        names = self.variants()
        assert names in (self.before, self.after)
        ok("verify", self.archive, *[f"{name}={self.models / name}" for name in names])
        return names == self.after

    def restores(self, space):
        for name in self.variants():
            back = unpack(self.archive, name, space / "back")
            assert contents(back) == contents(self.models / name)
            shutil.rmtree(back)


def changes(models, space):
    low, more = f"{LOW}={models / LOW}", f"{MORE}={models / MORE}"
    one, dropped = "one.qstore", "dropped.qstore"
    return {
        "add": Changing(models, space, one, [HIGH], [HIGH, LOW], "add", "@", low),
        "add-again": Changing(models, space, dropped, [HIGH], [HIGH, MORE], "add", "@", more),
        "compact": Changing(models, space, dropped, [HIGH], [HIGH], "compact", "@"),
    }


@pytest.mark.parametrize("name", ["add", "add-again", "compact"])
def test_every_call_that_kills(models, shim, space, name):
    change = changes(models, space.resolve())[name]
    change.renew()
    log = space / "log"
    clean = faults.run(shim, [BINARY, *change.command], space.resolve(), log)
    assert clean.returncode == 0, clean.stderr
    change.check()
    for k in range(1, clean.count("any") + 1):
        change.renew()
        ran = faults.run(
            shim, [BINARY, *change.command], space.resolve(), log, faults.Fault("any", k, "kill")
        )
        assert ran.returncode == -signal.SIGKILL
        change.check()


@pytest.mark.parametrize("name", ["add", "add-again", "compact"])
def test_calls_that_fail(models, shim, space, name):
    """Done, or all as it was: in both cases the archive is whole, and so are those who said so."""
    change = changes(models, space.resolve())[name]
    change.renew()
    log, under = space / "log", space.resolve()
    clean = faults.run(shim, [BINARY, *change.command], under, log)
    assert clean.returncode == 0, clean.stderr
    after = change.archive.read_bytes()
    assert clean.count("write") >= 2
    assert clean.count("sync") >= 2
    for kind in ("open", "read", "write", "sync", "rename", "stat"):
        for mode in faults.MODES[kind]:
            for k in range(1, clean.count(kind) + 1):
                change.renew()
                before = change.archive.read_bytes()
                fault = faults.Fault(kind, k, mode)
                ran = faults.run(shim, [BINARY, *change.command], under, log, fault)
                left = change.archive.read_bytes()
                if ran.returncode == 0:
                    assert left == after, fault
                    continue
                assert (kind, mode) not in faults.TRANSPARENT, (fault, ran.stderr)
                assert ran.returncode in (1, 3), (fault, ran.stderr)
                assert ran.stderr.count("\n") == 1, (fault, ran.stderr)
                assert left == before, (fault, ran.stderr)


def kill_at_random(change, space, count, seconds):
    """Runs the command again and again until it was killed so many times."""
    chance = random.Random(21)
    killed = done = 0
    change.renew()
    while killed < count:
        process = subprocess.Popen([BINARY, *change.command], stderr=subprocess.PIPE)
        time.sleep(chance.uniform(0, 1.1 * seconds))
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            killed += 1
        else:
            assert process.returncode == 0
        is_new = change.check()
        if killed % 10 == 0:
            change.restores(space)
        # A command that was killed behind its last step has done it.
        if is_new or process.returncode == 0:
            done += 1
            change.renew()
    leftovers = [path for path in space.iterdir() if path.name != "m.qstore"]
    assert len(leftovers) <= 1
    return done


def seconds_of(change):
    change.renew()
    start = time.monotonic()
    ok(*change.command)
    return time.monotonic() - start


@pytest.mark.parametrize("name", ["add", "compact"])
def test_some_kills(models, space, name):
    change = changes(models, space)[name]
    kill_at_random(change, space, 10, seconds_of(change))


@pytest.mark.rest
@pytest.mark.parametrize("name", ["add", "add-again", "compact"])
def test_a_hundred_kills(models, space, name):
    change = changes(models, space)[name]
    kill_at_random(change, space, 100, seconds_of(change))


def test_what_a_killed_add_left_is_no_hindrance(models, space):
    change = changes(models, space)["add"]
    change.renew()
    ok(*change.command)
    size = change.archive.stat().st_size
    with change.archive.open("ab") as file:
        file.write(os.urandom(300_000))
    change.check()
    ok("add", change.archive, f"{MORE}={models / MORE}")
    assert change.archive.stat().st_size < size + 300_000
    ok("verify", change.archive, f"{MORE}={models / MORE}", f"{LOW}={models / LOW}")


def test_reference_decoder_reads_later_generations(models, space):
    """Among them parents that no file has, and new objects behind a gap."""
    archive = space / "m.qstore"
    shutil.copyfile(models / "dropped.qstore", archive)
    ok("add", archive, f"{LOW}={models / LOW}")
    for path in (models / "dropped.qstore", archive):
        read = decoder.Archive(path.read_bytes())
        for variant in read.index.variants:
            restored = read.variant(variant.name)
            assert restored == {
                name: (models / variant.name / name).read_bytes()
                for name in contents(models / variant.name)
            }


def test_readers_that_open_meanwhile(models, space):
    """A process that opens the archive all the time sees one generation or the other."""
    change = changes(models, space)["add"]
    change.renew()
    writer = [
        f"for i in 1 2 3 4 5 6; do {BINARY} add {change.archive} v$i={models / LOW} || exit 1;"
        f" {BINARY} drop {change.archive} v$i || exit 1; done"
    ]
    process = subprocess.Popen(["sh", "-c", *writer], stderr=subprocess.DEVNULL)
    looks = 0
    while process.poll() is None:
        done = run("verify", change.archive)
        assert done.returncode == 0, done.stderr
        looks += 1
    assert process.returncode == 0
    assert looks > 5


def test_add_of_a_derived_copy_reads_little_else(models, space):
    archive = space / "m.qstore"
    shutil.copyfile(models / "one.qstore", archive)
    ok("add", archive, f"x={models / MORE}")
    other = next(v for v in ok_json("inspect", archive)["variants"] if v["name"] == "x")
    added = ok_json("add", archive, f"{LOW}={models / LOW}")
    total = ok_json("inspect", archive)["stored_bytes"]
    assert added["added_bytes"] < 0.05 * added["source_bytes"]
    assert added["read_bytes"] < 2 * (total - other["own_bytes"])
    assert Path(archive).stat().st_size == added["stored_bytes"]

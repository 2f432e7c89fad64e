# SPDX-License-Identifier: Apache-2.0
"""Small archives take neither memory nor time beyond what is allowed and what they give out."""

import resource
import shutil

import bombs
import pytest
from command import ROOT, ok_json, run
from peak_memory import peak_and_result

pytestmark = pytest.mark.alone

MIB = 1 << 20
ALLOWED = 640 * MIB
# Of the process, and of what is not counted in bytes.
BESIDE = 48 * MIB
MOST_WRITTEN = 64 * MIB
# Whatever the archive: a loaded machine is slow.
SECONDS = 10
SECONDS_BY_BYTE = 8 / (1 << 30)


def expect_modest(*arguments, allowed=ALLOWED, given=0, codes=(0,)):
    """Runs a command, which must end with one of these codes within its bounds. Returns what it
    said."""
    done, peak, seconds = peak_and_result(*arguments)
    assert done.returncode in codes, done.stderr
    assert peak <= allowed + BESIDE, f"{arguments}: {peak / MIB:.0f} MiB"
    assert seconds <= SECONDS + given * SECONDS_BY_BYTE, f"{arguments}: {seconds:.1f} s"
    return done.stderr


def expect_modest_reader(archive, space, given, allowed=ALLOWED, threads=2, codes=(0,)):
    """All commands that read archives, of one that holds `given` bytes."""
    memory = ("--max-memory", allowed)
    bounds = {"allowed": allowed, "codes": codes}
    expect_modest("inspect", archive, *memory, **bounds)
    limits = (*memory, "--threads", threads, "--max-bytes")
    expect_modest("verify", archive, *limits, given, given=given, **bounds)
    if codes != (0,):
        return
    unpack = ("unpack", archive, "v", "-o", space / "out", *limits)
    if given <= MOST_WRITTEN:
        expect_modest(*unpack, given, given=given, **bounds)
        shutil.rmtree(space / "out")
    for command in (("verify", archive, *limits), unpack):
        said = expect_modest(*command, given - 1, allowed=allowed, codes=(1,))
        assert "--max-bytes" in said
    assert not (space / "out").exists()


@pytest.fixture
def bomb(space):
    """Writes an archive."""

    def write(data):
        path = space / "bomb.qstore"
        path.write_bytes(data)
        return path

    return write


GOLDEN = sorted((ROOT / "tests" / "golden").glob("*valid/*.qstore"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_archives(path, space):
    assert len(GOLDEN) > 20
    codes = (0,) if path.parent.name == "valid" else (0, 1, 3)
    expect_modest("inspect", path, "--tensors", codes=codes)
    expect_modest("verify", path, "--threads", "16", codes=codes)
    if path.parent.name == "valid":
        name = ok_json("inspect", path)["variants"][0]["name"]
        expect_modest("unpack", path, name, "-o", space / "out", "--max-bytes", 64 * MIB)


@pytest.mark.parametrize("distinct", [1, 1000])
def test_millions_of_parts(bomb, space, distinct):
    count = 20_000_000 if distinct == 1 else 2_000_000
    archive = bomb(bombs.many_parts(count, distinct))
    assert archive.stat().st_size < 20_000
    expect_modest_reader(archive, space, count if distinct == 1 else 2 * count)


def test_millions_of_objects(bomb, space):
    archive = bomb(bombs.many_objects(12_000_000))
    expect_modest_reader(archive, space, 0, codes=(1,))
    said = expect_modest("inspect", archive, codes=(1,))
    assert "index" in said and "max_memory" in said


def test_chunks_of_many_tensors(bomb, space):
    archive = bomb(bombs.many_tensors(20_000, 20_000))
    given = ok_json("inspect", archive)["source_bytes"]
    assert given > 20_000 * 20_000
    expect_modest_reader(archive, space, given)
    load = ("bench", "load", archive, "v", "--runs", "1", "--no-backing", "--max-bytes", 4 * MIB)
    assert "max_bytes" in expect_modest(*load, codes=(1,))
    expect_modest("inspect", archive, "--tensors")
    allowed = 24 * MIB
    said = expect_modest("inspect", archive, "--tensors", "--max-memory", allowed, allowed=allowed,
                         codes=(1,))  # fmt: skip
    assert "--max-memory" in said


def test_large_chunks_on_many_threads(bomb, space):
    archive = bomb(bombs.large_chunks(512 * MIB))
    for allowed in (160 * MIB, 320 * MIB):
        expect_modest_reader(archive, space, 512 * MIB, allowed, threads=8)
    refused = expect_modest("verify", archive, "--max-memory", 50 * MIB, codes=(1,))
    assert "file '000000' of variant 'v'" in refused and "--max-memory" in refused


def test_large_parents_of_many_tensors(bomb, space):
    archive = bomb(bombs.whole_parents(4, 160 * MIB))
    assert archive.stat().st_size < MIB
    layer = 3 * 160 * MIB + 3 * 4096  # Words, weights, scales and zero points.
    expect_modest_reader(archive, space, 4 * layer)
    refused = expect_modest("verify", archive, "--max-memory", 160 * MIB, codes=(1,))
    assert "takes" in refused and "--max-memory" in refused


def test_children_that_share_a_parent_only(bomb, space):
    """Read together they would need all their scales at once, one by one they do not."""
    rows = 4 * MIB
    archive = bomb(bombs.children_of_one(6, rows))
    allowed = 64 * MIB
    given = ok_json("inspect", archive)["source_bytes"]
    assert given > 6 * (2 + 4) * rows + rows
    expect_modest_reader(archive, space, given, allowed)
    load = ("bench", "load", archive, "v", "--runs", "1", "--no-backing", "--threads", "2")
    expect_modest(*load, "--max-memory", allowed, allowed=allowed + 6 * 2 * rows)


def test_indexes_that_are_not_there(space):
    path = space / "claim.qstore"
    for file_size in (64 << 30, 4 << 30, 200 << 20):
        bombs.claim(path, file_size, file_size - 200, 1000)
        codes = (1,) if file_size > 1 << 30 else (3,)
        for command in ("inspect", "verify"):
            expect_modest(command, path, codes=codes)
        path.unlink()
    path.write_bytes(bombs.claim_raw_size(1 << 28))
    for command in ("inspect", "verify"):
        expect_modest(command, path, allowed=8 * MIB, codes=(3,))


@pytest.mark.parametrize("command", ["inspect", "verify", "unpack", "load"])
def test_a_system_without_memory(bomb, space, command):
    """The address space ends anywhere: an error says so, and nothing is left."""
    archive = bomb(bombs.many_parts(200_000, 1000))
    arguments = {
        "inspect": ("inspect", archive, "--tensors"),
        "verify": ("verify", archive, "--threads", "4"),
        "unpack": ("unpack", archive, "v", "-o", space / "out", "--threads", "4"),
        "load": ("bench", "load", archive, "v", "--runs", "1", "--no-backing"),
    }[command]
    seen = set()
    for limit in range(18 * MIB, 60 * MIB, 3 * MIB):

        def limited(most=limit):
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

        done = run(*arguments, preexec_fn=limited)
        # 127: the system could not even start the command.
        assert done.returncode in (0, 1, 127), (limit, done.stderr)
        if done.returncode == 1:
            assert "memory" in done.stderr, done.stderr
            assert not (space / "out").exists()
        elif done.returncode == 0 and command == "unpack":
            shutil.rmtree(space / "out")
        seen.add(done.returncode)
    assert 0 in seen

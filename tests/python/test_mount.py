# SPDX-License-Identifier: Apache-2.0
"""Programs that open files find in a mount what was packed."""

import contextlib
import errno
import os
import random
import signal
import stat
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from command import BINARY, EXIT_CODES, contents, ok, ok_json, pack, run
from mounting import Mount, mounted
from safetensors import safe_open

pytestmark = pytest.mark.fuse

MIB = 1 << 20


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


def test_the_files_are_the_originals(mount, variants):
    assert sorted(os.listdir(mount.folder)) == sorted(variants)
    for name, folder in variants.items():
        subprocess.run(["diff", "-r", folder, mount / name], check=True, timeout=300)
        assert contents(mount / name) == contents(folder)
    assert mount.unmount() == (0, "")


def test_of_a_single_file(space, variants):
    pack(space / "m.qstore", one=variants["high"] / "model.safetensors")
    with mounted(space / "m.qstore", space / "at") as mount:
        assert contents(mount.folder) == {
            "one/model.safetensors": contents(variants["high"])["model.safetensors"]
        }


def test_mapped_by_numpy(mount, variants):
    for name in ("high", "low", "other"):
        for path in contents(variants[name]):
            original = variants[name] / path
            if original.stat().st_size == 0:
                continue
            seen = np.memmap(mount / name / path, np.uint8, "r")
            assert np.array_equal(seen, np.fromfile(original, np.uint8)), path


def test_mapped_by_safetensors(mount, variants):
    for name in ("high", "low"):
        with (
            safe_open(mount / name / "model.safetensors", "pt") as seen,
            safe_open(variants[name] / "model.safetensors", "pt") as original,
        ):
            assert seen.keys() == original.keys()
            for tensor in original.keys():  # noqa: SIM118
                assert torch.equal(seen.get_tensor(tensor), original.get_tensor(tensor))


def test_any_range_by_many_threads(mount, variants):
    paths = [f"{name}/{path}" for name, folder in variants.items() for path in contents(folder)]
    originals = {path: (variants[path.split("/")[0]].parent / path).read_bytes() for path in paths}

    def check(seed):
        chance = random.Random(seed)
        files = {path: os.open(mount / path, os.O_RDONLY) for path in paths}
        for _ in range(60):
            path = chance.choice(paths)
            begin = chance.randrange(len(originals[path]) + 2)
            size = chance.choice((1, 4096, 70_000, 3_000_000))
            assert os.pread(files[path], size, begin) == originals[path][begin : begin + size]
        for file in files.values():
            os.close(file)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(8)))
    assert mount.unmount() == (0, "")


def test_attributes(mount, archive, variants):
    for name, folder in variants.items():
        for original in [folder, *folder.rglob("*")]:
            seen = (mount / name / original.relative_to(folder)).stat()
            is_folder = original.is_dir()
            runs = is_folder or os.access(original, os.X_OK) and original.name == "run.sh"
            kind = stat.S_IFDIR if is_folder else stat.S_IFREG
            assert seen.st_mode == kind | (0o555 if runs else 0o444), original
            assert seen.st_mtime_ns == archive.stat().st_mtime_ns
            if not is_folder:
                assert seen.st_size == original.stat().st_size
                assert seen.st_blocks == -(-seen.st_size // 512)
    assert ok_json("ls", archive, "other") == [
        {
            "path": str(path.relative_to(variants["other"])),
            "bytes": path.stat().st_size if path.is_file() else 0,
            "container": "",
            "directory": path.is_dir(),
            "executable": path.name == "run.sh",
        }
        for path in sorted(variants["other"].rglob("*"), key=lambda path: path.parts)
        if path.is_file() or not any(path.iterdir())
    ]
    assert subprocess.check_output([mount / "other/run.sh"]) == b"it runs\n"


def test_nodes_have_the_same_numbers_again(archive, space):
    def numbers(folder):
        return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*")}

    with mounted(archive, space / "at") as mount:
        first = numbers(mount.folder)
        with mounted(archive, space / "there") as other:
            assert numbers(other.folder) == first
    assert len(set(first.values())) == len(first) > 5


def test_nothing_can_be_written(mount):
    for attempt in (
        lambda: (mount / "other/new").write_bytes(b""),
        lambda: (mount / "other/deep.txt").open("r+b"),
        lambda: (mount / "other/deep.txt").unlink(),
        lambda: (mount / "other/none").rmdir(),
    ):
        with pytest.raises(OSError) as error:
            attempt()
        assert error.value.errno in (errno.EROFS, errno.EACCES)
    assert not (mount / "other/nothing").exists()


def test_the_second_read_comes_from_the_page_cache(mount, archive):
    path = mount / "high/model.safetensors"
    first = path.read_bytes()

    def reads():
        return int(Path(f"/proc/{mount.process.pid}/io").read_text().split()[1])

    before = reads()
    assert path.read_bytes() == first
    assert reads() - before < 100_000


@pytest.mark.parametrize("sign", (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
def test_a_signal_unmounts(mount, sign):
    (mount / "other/deep.txt").read_bytes()
    assert mount.stop(sign) == (0, "")
    assert not os.path.ismount(mount.folder)
    assert os.listdir(mount.folder) == []


@contextlib.contextmanager
def open_file(path):
    """Its descriptor. To close it is an error when nobody serves it any more."""
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            os.close(file)


def test_a_signal_while_a_file_is_open(mount):
    with open_file(mount / "high/model.safetensors") as file:
        os.pread(file, 10, 0)
        assert mount.stop() == (0, "")
        assert not os.path.ismount(mount.folder)
        with pytest.raises(OSError):
            os.pread(file, 4096, 2 * MIB)


def test_killed(mount, archive, space):
    """What is left can be taken away, and nobody waits for ever."""
    with open_file(mount / "high/model.safetensors") as file:
        mount.process.kill()
        mount.process.wait()
        with pytest.raises(OSError):
            os.pread(file, 4096, 2 * MIB)
    with pytest.raises(OSError) as error:
        os.listdir(mount.folder)
    assert error.value.errno == errno.ENOTCONN
    done = run("mount", archive, mount.folder)
    assert done.returncode == EXIT_CODES["io"]
    assert "umount -l" in done.stderr
    subprocess.run(["umount", "-l", mount.folder], check=True, timeout=60)
    with mounted(archive, mount.folder) as again:
        assert (again / "other/empty").read_bytes() == b""


def test_in_the_background(archive, space, variants):
    (space / "at").mkdir()
    # Nothing is inherited that would keep whoever started it waiting.
    done = run("mount", archive, space / "at", cwd=space)
    try:
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert contents(space / "at/high") == contents(variants["high"])
        (process,) = serving(space / "at")
        assert os.readlink(f"/proc/{process}/cwd") == "/"
        assert Path(f"/proc/{process}/stat").read_text().split()[6] == "0", "no terminal"
        subprocess.run(["fusermount3", "-u", space / "at"], check=True, timeout=60)
        for _ in range(1000):
            if not serving(space / "at"):
                break
            time.sleep(0.01)
        assert not serving(space / "at")
    finally:
        subprocess.run(["umount", "-l", space / "at"], stderr=subprocess.DEVNULL, check=False)


def serving(folder):
    """The processes that serve a mount there."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"mount" in words and os.fsencode(folder) in words and b"-l" not in words:
            found.append(process)
    return found


def test_by_a_relative_path(archive, space, variants):
    """The process of the background leaves the working directory."""
    (space / "at").mkdir()
    try:
        relative = os.path.relpath(archive, space)
        ok("mount", "--log", "log", relative, "at", cwd=space)
        assert contents(space / "at/other") == contents(variants["other"])
        assert (space / "log").read_text() == ""
    finally:
        subprocess.run(["umount", space / "at"], check=True, timeout=60)


def damaged(archive, copy):
    """A copy of which payloads in the middle are wrong."""
    data = bytearray(archive.read_bytes())
    for at in range(len(data) // 3, 2 * len(data) // 3, 1000):
        data[at] ^= 1
    copy.write_bytes(data)
    return copy


def read_errors(folder):
    """Files that cannot be read, with the numbers of their errors."""
    errors = {}
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file():
                path.read_bytes()
        except OSError as error:
            errors[str(path.relative_to(folder))] = error.errno
    return errors


def test_damage_is_an_error_of_the_read(archive, space):
    with mounted(damaged(archive, space / "m.qstore"), space / "at") as mount:
        errors = read_errors(mount.folder)
        assert errors
        assert set(errors.values()) == {errno.EIO}
        assert "other/run.sh" not in errors
        code, log = mount.unmount()
    assert code == 0
    for path in errors:
        assert f"cannot read {path} at offset " in log
    for line in log.splitlines():
        assert str(space / "m.qstore") in line
        assert "chunk " in line
        assert "(corrupt)" in line
        assert "tensor '" in line or "file '" in line
    assert len(log.splitlines()) < 200


def test_the_log_of_the_background(archive, space):
    (space / "at").mkdir()
    ok("mount", "--log", space / "log", damaged(archive, space / "m.qstore"), space / "at")
    try:
        assert read_errors(space / "at")
        assert "(corrupt)" in (space / "log").read_text()
    finally:
        subprocess.run(["umount", space / "at"], check=True, timeout=60)


def test_an_archive_that_is_replaced(archive, space, variants):
    """The one that was mounted goes on being read."""
    path = space / "m.qstore"
    path.write_bytes(archive.read_bytes())
    with mounted(path, space / "at") as mount:
        pack(space / "new.qstore", other=variants["other"])
        os.replace(space / "new.qstore", path)
        assert contents(mount / "high") == contents(variants["high"])
        assert mount.unmount() == (0, "")


def test_an_archive_that_is_changed_in_place(archive, space):
    path = space / "m.qstore"
    path.write_bytes(archive.read_bytes())
    with mounted(path, space / "at") as mount:
        with path.open("r+b") as file:
            file.seek(1000)
            file.write(b"changed " * (path.stat().st_size // 8 - 2000))
        assert set(read_errors(mount.folder).values()) == {errno.EIO}
        _, log = mount.unmount()
    assert "(source-changed)" in log
    assert "(corrupt)" not in log


@pytest.mark.parametrize("options", ((), ("-f",)))
def test_where_nothing_can_be_mounted(archive, space, options):
    (space / "full").mkdir()
    (space / "full/mine").write_bytes(b"")
    (space / "empty").mkdir()
    (space / "no.qstore").write_bytes(b"not an archive, whatever its name says" * 10)
    for kind, source, folder, wrong in (
        ("already-exists", archive, "full", "full"),
        ("invalid-argument", archive, "full/mine", "full/mine"),
        ("not-found", archive, "nowhere", "nowhere"),
        ("not-found", space / "none.qstore", "empty", "none.qstore"),
        ("corrupt", space / "no.qstore", "empty", "no.qstore"),
    ):
        refused(kind, space / wrong, "mount", *options, source, space / folder)
    assert sorted(os.listdir(space)) == ["empty", "full", "no.qstore"]
    assert os.listdir(space / "empty") == []


def refused(kind, names, *arguments):
    done = run(*arguments)
    assert done.returncode == EXIT_CODES[kind], done
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"({kind})"), line
    assert str(names) in line


def test_twice_on_one_directory(mount, archive):
    refused("already-exists", mount.folder, "mount", archive, mount.folder)
    assert (mount / "other/run.sh").exists()


def test_without_the_device(archive, space):
    (space / "at").mkdir()
    script = 'mount -t tmpfs none /dev && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", BINARY, "mount", archive, space / "at"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_CODES["not-found"]
    (line,) = done.stderr.splitlines()
    assert "/dev/fuse" in line
    assert "(not-found)" in line


@pytest.mark.parametrize("allowed", (True, False))
def test_other_users(archive, allowed):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        options = ["--allow-other"] if allowed else []
        with mounted(archive, Path(folder) / "at", *options) as mount:
            reader = ["cat", mount / "other/run.sh"]
            done = subprocess.run(reader, capture_output=True, user=65534, timeout=60)
            assert (done.returncode == 0) == allowed, done
            assert mount.unmount() == (0, "")


@pytest.mark.alone
def test_memory_is_bounded(space, figure):
    tensors = {f"{i}.weight": models.llm_weights(4096, 4096, i) for i in range(2)}
    high, low = models.save_pair(tensors, space)
    pack(space / "m.qstore", high=high, low=low)
    with mounted(space / "m.qstore", space / "at", "--memory", "64MiB") as mount:
        with ThreadPoolExecutor(4) as pool:
            paths = [mount / f"{name}/model.safetensors" for name in ("high", "low")]
            list(pool.map(lambda path: path.read_bytes(), paths * 2))
        peak = mount.peak()
    figure(f"mount --memory 64MiB: at most {peak / MIB:.0f} MiB for two files of 96 MiB")
    assert peak <= 64 * MIB


def test_ends_when_it_is_told_at_once(archive, space):
    """However soon the signal comes."""
    for delay in (0, 0.001, 0.005, 0.02):
        folder = space / f"at{delay}"
        folder.mkdir()
        process = subprocess.Popen([BINARY, "mount", "-f", archive, folder])
        time.sleep(delay)
        process.terminate()
        assert process.wait(timeout=60) in (0, -signal.SIGTERM)
        assert not os.path.ismount(folder)


def test_readers_that_come_and_go(archive, space, variants):
    """Opened, read in part and closed by many at once; then unmounted while none is left."""
    with mounted(archive, space / "at") as mount:

        def peek(seed):
            chance = random.Random(seed)
            name = chance.choice(("high", "low"))
            with (mount / name / "model.safetensors").open("rb") as file:
                file.seek(chance.randrange(2 * MIB))
                return len(file.read(chance.randrange(MIB)))

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(peek, range(200))) > 0
        assert contents(mount / "low") == contents(variants["low"])
        assert mount.unmount() == (0, "")


def test_an_archive_within_a_mount(mount, space):
    pack(space / "outer.qstore", inner=Path(mount.process.args[3]))
    with mounted(space / "outer.qstore", space / "outer") as outer:
        inner = Mount(outer / "inner/m.qstore", space / "inner")
        try:
            assert contents(inner / "other") == contents(mount / "other")
        finally:
            inner.force_away()

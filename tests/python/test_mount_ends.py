# SPDX-License-Identifier: Apache-2.0
"""How a mount ends, what it refuses, and what it does when bytes are damaged."""

import contextlib
import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import BINARY, EXIT_CODES, contents, ok, pack, run
from mounting import mounted

pytest_plugins = ("mounted_archive",)
pytestmark = pytest.mark.fuse


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
            os.pread(file, 4096, 2 << 20)


def test_killed(mount, archive, space):
    """What is left can be taken away, and nobody waits for ever."""
    with open_file(mount / "high/model.safetensors") as file:
        mount.process.kill()
        mount.process.wait()
        with pytest.raises(OSError):
            os.pread(file, 4096, 2 << 20)
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

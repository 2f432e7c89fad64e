# SPDX-License-Identifier: Apache-2.0
"""Programs that open files find in a mount what was packed."""

import errno
import os
import random
import stat
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from command import contents, ok_json, pack
from mounting import Mount, mounted
from safetensors import safe_open

pytest_plugins = ("mounted_archive",)
pytestmark = pytest.mark.fuse

MIB = 1 << 20


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

# SPDX-License-Identifier: Apache-2.0
"""Variants in a cache: by the command, and by Python."""

import concurrent.futures
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest
from command import BINARY, contents, ok, ok_json, run


def get(cache, archive, variant, *options):
    done = ok("get", archive, variant, "--path", "--cache", cache, *options)
    return done.stdout.removesuffix("\n")


def entries(cache):
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_a_directory_and_a_file(pair, space):
    cache = space / "cache"
    high = get(cache, pair.archive, "bf16")
    assert os.path.isabs(high) and contents(high) == contents(pair.high)
    one = get(cache, pair.archive, "bf16", "--file", "config.json")
    assert one == f"{high}/config.json"  # It is there already.
    low = get(cache, pair.archive, "int8")
    assert contents(low) == contents(pair.low)
    files = sorted(pair.low.iterdir())
    assert os.path.isfile(low) == (len(files) == 1)
    assert len(entries(cache)) == 2


def test_one_file_of_many(pair, space):
    path = get(space / "cache", pair.archive, "bf16", "--file", "config.json")
    assert path.endswith("/config.json")
    assert contents(path) == {"config.json": contents(pair.high)["config.json"]}
    done = run("get", pair.archive, "bf16", "--file", "none", "--cache", space / "cache")
    assert done.returncode == 1 and "no file 'none' (not-found)" in done.stderr


def test_it_is_made_once(pair, space):
    first = ok_json("get", pair.archive, "int8", "--cache", space / "cache")
    assert not first["was_there"]
    again = ok_json("get", pair.archive, "int8", "--cache", space / "cache")
    assert again["was_there"] and again["path"] == first["path"]
    # By another path too, but not for another archive in its place.
    link = space / "link.qstore"
    link.symlink_to(pair.archive)
    copy = space / "copy.qstore"
    shutil.copy(pair.archive, copy)
    assert get(space / "cache", copy, "int8") != first["path"]
    moved = get(space / "cache", copy, "int8")
    os.utime(copy, (1, 1))
    assert get(space / "cache", copy, "int8") != moved


def test_what_was_damaged_is_made_anew(pair, space):
    path = get(space / "cache", pair.archive, "bf16")
    expected = contents(path)
    with open(f"{path}/a.safetensors", "ab") as file:
        file.write(b"x")
    os.unlink(f"{path}/config.json")
    assert get(space / "cache", pair.archive, "bf16") == path
    assert contents(path) == expected


def test_default_places(pair, space):
    for name, place in (
        ("QSTORE_CACHE", "a"),
        ("XDG_CACHE_HOME", "b/qstore"),
        ("HOME", "c/.cache/qstore"),
    ):
        bare = {key: os.environ[key] for key in os.environ if key != "XDG_CACHE_HOME"}
        bare |= {"HOME": "/nowhere"}
        done = ok("get", pair.archive, "int8", env=bare | {name: str(space / place.split("/")[0])})
        assert done.stdout.startswith(f"{space / place}/")


def test_many_processes_at_once(pair, space):
    cache = space / "cache"
    variants = ["int8", "bf16"] * 6
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        paths = list(pool.map(lambda name: get(cache, pair.archive, name), variants))
    assert len(set(paths)) == 2
    assert contents(paths[1]) == contents(pair.high)
    assert len(entries(cache)) == 2  # And nothing that was being written.


def test_killed_while_it_writes(pair, space):
    cache = space / "cache"
    for pause in (0.0, 0.01, 0.02, 0.04):
        process = subprocess.Popen(
            [BINARY, "get", pair.archive, "bf16", "--cache", cache, "--threads", "1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert contents(get(cache, pair.archive, "bf16")) == contents(pair.high)
    get(cache, pair.archive, "int8")  # Which tidies up.
    names = [path.name for path in cache.iterdir() if not path.name.startswith(".")]
    assert len(names) == 4  # Two entries with their locks.
    hidden = [path for folder in cache.glob(".*") for path in folder.rglob("*")]
    assert not [path for path in hidden if path.is_file() and path.stat().st_size > 1000]


def sizes(pair):
    return {
        name: sum(path.stat().st_size for path in folder.iterdir())
        for name, folder in (("bf16", pair.high), ("int8", pair.low))
    }


def test_what_was_asked_for_longest_ago_goes(pair, space):
    cache, size = space / "cache", sizes(pair)
    copies = []
    for i in range(3):
        copies.append(space / f"copy{i}.qstore")
        shutil.copy(pair.archive, copies[-1])
    limit = ("--cache-size", str(2 * size["int8"] + size["int8"] // 2))
    paths = []
    for copy in copies[:2]:
        paths.append(get(cache, copy, "int8", *limit))
        time.sleep(0.02)
    assert get(cache, copies[0], "int8", *limit) == paths[0]
    time.sleep(0.02)
    get(cache, copies[2], "int8", *limit)
    assert os.path.exists(paths[0]) and not os.path.exists(paths[1])
    assert len(entries(cache)) == 2
    done = run("get", pair.archive, "bf16", "--cache", cache, "--cache-size", "1kB")
    assert done.returncode == 1 and "--cache-size) (limit)" in done.stderr
    assert len(entries(cache)) == 2


def test_what_a_process_uses_stays(qstore, run_python, pair, space):
    cache = space / "cache"
    path = qstore.get(pair.archive, "int8", cache=cache)
    copy = space / "copy.qstore"
    shutil.copy(pair.archive, copy)
    limit = ("--cache-size", str(sizes(pair)["bf16"]))
    other = get(cache, copy, "bf16", *limit)
    assert path.exists() and os.path.exists(other)
    code = "import qstore, sys; print(qstore.get(sys.argv[1], 'int8', cache=sys.argv[2]))"
    elsewhere = space / "elsewhere.qstore"
    shutil.copy(pair.archive, elsewhere)
    ended = run_python(code, elsewhere, cache).strip()
    assert os.path.exists(ended)
    get(cache, pair.archive, "bf16", *limit)
    assert path.exists() and not os.path.exists(ended)


def test_python(qstore, server, pair, space):
    folder = qstore.get(pair.archive, "bf16", cache=space)
    assert contents(folder) == contents(pair.high)
    assert (
        qstore.get(pair.archive, "bf16", file="config.json", cache=space) == folder / "config.json"
    )
    remote = qstore.get(server.url, "bf16", cache=space)
    assert remote != folder and contents(remote) == contents(pair.high)
    sent = server.bytes_sent
    assert qstore.get(server.url, "bf16", cache=space) == remote
    assert server.bytes_sent - sent <= (64 << 10) + 72  # The index.
    server.etag = '"2"'
    assert qstore.get(server.url, "bf16", cache=space) != remote
    with pytest.raises(qstore.UnknownNameError, match="none"):
        qstore.get(pair.archive, "bf16", file="none", cache=space)
    with pytest.raises(qstore.LimitError, match="cache may hold"):
        qstore.get(pair.archive, "int8", cache=space / "small", cache_size=1000)


def limited_files():
    """In the child: writing beyond 50 kB of a file fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_files_that_may_not_grow(pair, space):
    cache = space / "cache"
    done = run("get", pair.archive, "bf16", "--cache", cache, preexec_fn=limited_files)
    assert done.returncode == 1 and done.stdout == "" and "(io)" in done.stderr
    assert not list(cache.iterdir())


@pytest.fixture
def small_disk(space):
    """A file system of 1 MiB; where none may be mounted, None."""
    folder = space / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    is_mounted = subprocess.run(mount, capture_output=True).returncode == 0
    yield folder if is_mounted else None
    if is_mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(pair, small_disk, space):
    cache = (small_disk or space) / "cache"
    size = ("--cache-size", "1GB")
    limit = {} if small_disk else {"preexec_fn": limited_files}
    done = run("get", pair.archive, "bf16", "--cache", cache, *size, **limit)
    error = "No space left on device" if small_disk else "File too large"
    assert done.returncode == 1 and f"{error} (io)" in done.stderr
    assert not list(cache.iterdir())
    assert get(cache, pair.archive, "bf16", "--file", "config.json", *size)

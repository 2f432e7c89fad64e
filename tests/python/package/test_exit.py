# SPDX-License-Identifier: Apache-2.0
"""Processes that end while daemon threads still load, pack and verify: without an abort."""

import os
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.alone

REPEATS = 4
# `work` is called again and again by two daemon threads, until the main thread has come to its end.
CODE = """
import sys, threading, time
import qstore

path, scratch, high = sys.argv[1:]
begun = threading.Semaphore(0)

{setup}

def loop():
    begun.release()
    while True:
        work()

threads = [threading.Thread(target=loop, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in threads:
    begun.acquire()
time.sleep({wait})
"""
ENTRIES = {
    "open": "work = lambda: qstore.Archive(path)",
    "load": "import qstore.numpy\nwork = lambda: qstore.numpy.load_file(path, 'int8')",
    "load with progress": """
handle = qstore.safe_open(path, 'int8', 'np')
work = lambda: handle.get_tensors(progress=lambda done, total: None)
""",
    "one tensor": """
handle = qstore.safe_open(path, 'int8', 'np', threads=1)
work = lambda: handle.get_tensor('norm')
""",
    "reading ahead": """
handle = threading.local()
def work():
    if not hasattr(handle, 'file'):
        handle.file = qstore.safe_open(path, 'bf16', 'np', threads=2)
    for name in handle.file.keys():
        handle.file.get_tensor(name)
""",
    "slice": """
handle = qstore.safe_open(path, 'int8', 'np')
work = lambda: handle.get_slice('0.weight')[3:900]
""",
    "file": """
archive = qstore.Archive(path)
work = lambda: archive.read_file('bf16', 'config.json')
""",
    "verify": "work = lambda: qstore.verify(path)",
    "unpack": """
work = lambda: qstore.unpack(path, 'int8', f'{scratch}/{threading.get_ident()}', overwrite=True)
""",
    "pack": """
work = lambda: qstore.pack({'a': high}, f'{scratch}/{threading.get_ident()}', level='fast',
                           overwrite=True, sync=False, progress=lambda done, total: None)
""",
    "quantize": """
work = lambda: qstore.quantize(high, f'{scratch}/{threading.get_ident()}', 'fp16', overwrite=True,
                               sync=False)
""",
}
# Over HTTP, and by a file system of fsspec: Python's code on threads of the library.
REMOTE = {
    "open": ENTRIES["open"],
    "load": ENTRIES["load"],
    "one tensor": ENTRIES["one tensor"],
    "verify": ENTRIES["verify"],
}


@pytest.fixture
def run_to_exit(installed, pair, space):
    def run(setup, path, wait):
        code = CODE.format(setup=setup, wait=wait)
        return subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(space), str(pair.high)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(installed / "site")},
        )

    def run_all(setup, path):
        # At different moments of the work.
        runs = [run(setup, path, 0.05 + 0.04 * i) for i in range(REPEATS)]
        ends = [(run.communicate(timeout=120)[0], run.returncode) for run in runs]
        assert ends == [("", 0)] * REPEATS

    return run_all


@pytest.mark.parametrize("entry", ENTRIES)
def test_daemon_threads_at_exit(run_to_exit, pair, entry):
    run_to_exit(ENTRIES[entry], pair.archive)


@pytest.mark.parametrize("entry", REMOTE)
def test_daemon_threads_over_http_at_exit(run_to_exit, server, entry):
    server.latency = 0.002
    run_to_exit(REMOTE[entry], server.url)


@pytest.mark.parametrize("entry", REMOTE)
def test_daemon_threads_by_fsspec_at_exit(run_to_exit, pair, entry):
    run_to_exit(REMOTE[entry], f"local://{pair.archive}")


def test_loading_once_python_has_ended(run_python, pair):
    """By a destructor of the last object: no other thread may run Python's code any more."""
    code = """
import sys
import qstore
class Last:
    def __init__(self, path):
        self.file = qstore.safe_open(path, "int8", framework="np")
        self.file.get_tensor("norm")
    def __del__(self, error=RuntimeError, print=print, ends=sys.is_finalizing):
        try:
            print(ends(), self.file.get_tensor("0.SCB").shape)
        except error as caught:
            print(ends(), caught)
last = Last(sys.argv[1])
"""
    begin = time.perf_counter()
    assert run_python(code, pair.archive) == "True (2048,)\n"
    assert run_python(code, f"local://{pair.archive}").startswith("True Python is ending")
    assert time.perf_counter() - begin < 30

# SPDX-License-Identifier: Apache-2.0
"""One operation of the package again and again in one process, each time with another fault.

usage: fault_driver.py OPERATION FOLDER FAULT...     under LD_PRELOAD of the library of faults.py

FOLDER holds the model high and the archive m.qstore. Prints a line of JSON for each fault, and for
"" first: the counts of calls, the error raised (null when none was), and what is wrong beside that.
"""

import ctypes
import gc
import json
import os
import shutil
import sys
from pathlib import Path

import faults
import numpy
import qstore

FAULT = ctypes.CDLL(None)
FAULT.qstore_fault_count.restype = ctypes.c_long
KINDS = ("memory", *faults.MODES)


def load(folder):
    return qstore.numpy.load_file(folder / "m.qstore", "a", threads=1)


def read(folder):
    with qstore.safe_open(folder / "m.qstore", "a", framework="np", threads=1) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def verify(folder):
    return qstore.verify(folder / "m.qstore", {"a": folder / "high"}, threads=1)


def pack(folder):
    qstore.pack({"a": folder / "high"}, folder / "new.qstore", threads=1)


def unpack(folder):
    qstore.unpack(folder / "m.qstore", "a", folder / "out", threads=1)


def quantize(folder):
    high, out = folder / "high", folder / "out"
    return qstore.quantize(high, out, "llm-int8", include=["0.*"], exclude=["1.*"], threads=1)


WRITE = (pack, unpack, quantize)
OPERATIONS = {operation.__name__: operation for operation in (load, read, verify, *WRITE)}


def same(a, b):
    if isinstance(a, dict) and any(isinstance(value, numpy.ndarray) for value in a.values()):
        return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)
    return a == b


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def attempt(operation, folder, fault):
    """The result and the error, one of them None; the fault ends with the call."""
    assert FAULT.qstore_fault_set(fault.encode()) == 0, fault
    result = raised = None
    try:
        result = operation(folder)
    except (qstore.QStoreError, MemoryError) as error:
        raised = error.with_traceback(None)
    counts.update((kind, FAULT.qstore_fault_count(kind.encode())) for kind in KINDS)
    FAULT.qstore_fault_set(b"")
    if raised is None and operation in WRITE:
        result = (result, made(folder))
    return result, raised


def made(folder):
    """What was written."""
    found = faults.snapshot(folder)
    return {name: content for name, content in found.items() if name.startswith(("new", "out"))}


def tidy(folder):
    (folder / "new.qstore").unlink(missing_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)


def remove_temporaries(folder):
    """What one fault leaves is no leaving of the next."""
    for path in folder.glob(".qstore-*"):
        shutil.rmtree(path)


counts = {}


def main(name, folder, *chosen):
    folder = Path(folder)
    operation = OPERATIONS[name]
    before = faults.snapshot(folder)
    expected, error = attempt(operation, folder, "")
    assert error is None, error
    tidy(folder)
    print(json.dumps({"fault": "", "counts": counts}), flush=True)
    files = open_files()
    for fault in chosen:
        print(json.dumps({"begins": fault}), flush=True)
        result, error = attempt(operation, folder, fault)
        wrong = []
        if error is None and not same(result, expected):
            wrong.append("a wrong result")
        if error is None:
            tidy(folder)
        after = faults.snapshot(folder)
        if fault.startswith("unlink:"):
            after = faults.without_temporaries(after)
        if after != before:
            wrong.append(f"leaves {sorted(after.keys() ^ before.keys())}")
        kind = error and type(error).__name__
        told = error and str(error)
        error = result = None
        if open_files() != files:
            wrong.append("leaves files open")
        line = {"fault": fault, "counts": counts, "error": kind, "told": told, "wrong": wrong}
        print(json.dumps(line), flush=True)
        tidy(folder)
        remove_temporaries(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])

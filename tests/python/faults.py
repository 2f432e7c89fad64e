# SPDX-License-Identifier: Apache-2.0
"""Runs programs of which one call of the system fails, chosen by its kind and number.

The calls are those about files below one folder; fault_shim.c says how they are made to fail.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent

MODES = {
    "open": ("eio", "emfile", "eintr"),
    "read": ("eio", "eintr", "short", "zero"),
    "write": ("eio", "enospc", "eintr", "short", "zero"),
    "sync": ("eio", "enospc", "eintr"),
    "rename": ("eio", "enospc"),
    "mkdir": ("eio", "enospc"),
    "close": ("eio", "enospc", "eintr"),
    "unlink": ("eio",),
    "stat": ("eio",),
    "list": ("eio",),
}

# What says that the call is to be made again, or goes on where it stopped, is no error. A close
# that was interrupted has closed.
TRANSPARENT = {
    *(("open", "eintr"), ("read", "eintr"), ("write", "eintr"), ("close", "eintr")),
    *(("read", "short"), ("write", "short")),
}
# Who asked for a result on the disk must be told that it may not be there.
FATAL = {(kind, mode) for kind in ("write", "sync") for mode in ("eio", "enospc", "zero")}


class Fault(NamedTuple):
    """The k-th call of a kind, and with `stays` all later ones."""

    kind: str
    k: int
    mode: str
    stays: bool = False

    def __str__(self):
        return f"{self.kind}:{self.k}{'+' if self.stays else ''}:{self.mode}"


class Call(NamedTuple):
    """A call that was counted."""

    kind: str
    writing: bool  # Of a close: the file was open for writing.
    name: str
    path: str
    failed: bool


class Ran(NamedTuple):
    """A program that has ended. `returncode` is None when it did not end by itself."""

    returncode: int | None
    stdout: str
    stderr: str
    calls: list[Call]
    allocations: int  # 0 when the program was killed.

    @property
    def struck(self):
        """The calls that failed on request."""
        return [call for call in self.calls if call.failed]

    def count(self, kind):
        if kind == "memory":
            return self.allocations
        return sum(1 for call in self.calls if kind in ("any", call.kind))


def build_shim(folder):
    """The library for LD_PRELOAD."""
    library = Path(folder) / "fault.so"
    command = [os.environ.get("CC", "cc"), "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", library, HERE / "fault_shim.c", "-ldl"], check=True)
    return library


def run(shim, command, under, log, fault=None, seconds=20, env=None):
    """Runs a program in the folder `under` with that fault in its calls about what is there."""
    log.unlink(missing_ok=True)
    environment = (env or os.environ) | {
        "LD_PRELOAD": str(shim),
        "QSTORE_FAULT_UNDER": str(under),
        "QSTORE_FAULT_LOG": str(log),
    }
    if fault is not None:
        environment["QSTORE_FAULT"] = str(fault)
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        cwd=under,
    )
    try:
        stdout, stderr = process.communicate(timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        code = None
    calls, allocations = read_log(log)
    return Ran(code, stdout, stderr, calls, allocations)


def read_log(log):
    calls, allocations = [], 0
    # A loop that does not end fills it.
    with log.open(errors="replace") as file:
        lines = file.read(1 << 20).splitlines()
    for line in lines:
        kind, _, rest = line.lstrip("!").partition(" ")
        failed = line.startswith("!")
        if kind == "memory":
            allocations = int(rest or 0)
            if failed:
                calls.append(Call("memory", False, "", "", True))
            continue
        name, _, path = rest.partition(" ")
        calls.append(Call(kind.removesuffix("w"), kind.endswith("w"), name, path, failed))
    return calls, allocations


def snapshot(folder):
    """Every name below a folder, with the content of files; None for folders."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes() if path.is_file() else None
    return found


def is_temporary(name):
    """Whether that is a temporary of ours, or within one; an analysis has them in "scratch"."""
    return any(part.startswith(".qstore-") or part == "scratch" for part in Path(name).parts)


def without_temporaries(found):
    return {name: content for name, content in found.items() if not is_temporary(name)}


def renew(template, folder):
    """`folder` as `template` is, times included."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)

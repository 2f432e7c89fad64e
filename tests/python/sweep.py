# SPDX-License-Identifier: Apache-2.0
"""Commands that are run while a call of theirs fails, and what must be true behind each run."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import faults
from command import BINARY
from faults import Fault

WORKERS = 2
SHAPE = ("--shape", "96x512", "--count", "2", "--shard-size", "90kB")
DONE, FAILED = 0, 1


@dataclass(frozen=True)
class Case:
    """A command in a folder where the models high and low and the archive m.qstore are."""

    name: str
    arguments: tuple[str, ...]  # Paths are relative to the folder.
    old: str | None = None  # What stands at the output before: see `templates`.
    goes_on: bool = False  # A run that fails leaves what the next one goes on with.

    @property
    def command(self):
        return [BINARY, *self.arguments, "--json"]

    @property
    def output(self):
        """The last name of the output."""
        return Path(self.arguments[self.arguments.index("-o") + 1]).name


class Clean(NamedTuple):
    """A run without a fault."""

    ran: faults.Ran
    before: dict
    after: dict
    printed: str


def is_error_document(text):
    """What a command prints that failed: nothing, or with --json what it tells people as well."""
    try:
        return text == "" or list(json.loads(text)) == ["error"]
    except ValueError:
        return False


class Sweep:
    """Runs a case many times, each time in a fresh folder."""

    def __init__(self, case, shim, templates, space):
        self.case, self.shim = case, shim
        self.template = templates / str(case.old)
        self.space = space.resolve()
        self.clean = self.run_clean()

    def run(self, folder, fault=None):
        log = folder.with_suffix(".log")
        return faults.run(self.shim, self.case.command, folder, log, fault)

    def run_clean(self):
        folder = self.space / "clean"
        faults.renew(self.template, folder)
        before = faults.snapshot(folder)
        ran = self.run(folder)
        assert ran.returncode == DONE, ran.stderr
        after = self.result(folder)
        assert self.inputs(after) == self.inputs(before)
        return Clean(ran, before, after, printed(ran.stdout, folder))

    def result(self, folder):
        """What is there, without what differs from run to run."""
        found = faults.snapshot(folder)
        if self.case.name.startswith("analyze"):
            for name in [name for name in found if name.endswith("analyze.log")]:
                found[name] = b""
            for name in [name for name in found if name.startswith("out/") and found[name]]:
                found[name] = re.sub(rb'"[a-z_]*seconds": [^,}]*', b"", found[name])
        return found

    def inputs(self, found):
        names = self.clean_inputs if hasattr(self, "clean_inputs") else None
        if names is None:
            names = self.clean_inputs = [
                name
                for name in found
                if name.partition("/")[0] in ("high", "low") or name == "m.qstore"
            ]
        return {name: found.get(name, "gone") for name in names}

    def faults(self, kinds, modes=None, stride=1, stays=()):
        for kind in kinds:
            count = self.clean.ran.count(kind)
            for mode in modes or faults.MODES[kind]:
                yield from (Fault(kind, k, mode) for k in range(1, count + 1, stride))
                if (kind, mode) in stays:
                    yield from (Fault(kind, k, mode, True) for k in range(1, count + 1, stride))

    def check_all(self, chosen, check):
        """Runs with each of the faults; fails with what was wrong in them."""
        chosen = list(chosen)
        folders = [self.space / f"run-{worker}" for worker in range(WORKERS)]

        def work(worker):
            found = []
            for fault in chosen[worker::WORKERS]:
                faults.renew(self.template, folders[worker])
                wrong = check(folders[worker], fault)
                if wrong:
                    found.append(f"{fault}: {wrong}")
            return found

        with ThreadPoolExecutor(WORKERS) as pool:
            wrong = sorted(sum(pool.map(work, range(WORKERS)), []))
        assert wrong == [], f"{len(wrong)} of {len(chosen)} runs:\n" + "\n".join(wrong[:600])

    def check(self, folder, fault):
        """What is wrong in a run with that fault; None when nothing is."""
        ran = self.run(folder, fault)
        after = faults.snapshot(folder)
        told = self.told(folder, ran)
        if ran.returncode is None:
            return f"hangs, {told}"
        if self.inputs(after) != self.inputs(self.clean.before):
            return f"inputs are changed, {told}"
        if ran.returncode == DONE:
            wrong = self.wrong_success(folder, fault, ran)
        elif ran.returncode == FAILED:
            wrong = self.wrong_failure(folder, after, fault, ran)
        else:
            wrong = "neither done nor failed"
        return wrong and f"{wrong}, {told}"

    @staticmethod
    def told(folder, ran):
        struck = f"{ran.struck[0].name} {ran.struck[0].path}" if ran.struck else "nothing"
        text = f"exit {ran.returncode}, struck {struck}, {ran.stderr[-400:]!r}"
        return text.replace(str(folder), "@")

    def wrong_success(self, folder, fault, ran):
        if ran.struck and self.is_fatal(fault, ran.struck[0]):
            return "says done"
        after = self.result(folder)
        if is_cleanup(ran):
            after = faults.without_temporaries(after)
        if after != self.clean.after:
            return f"is not what was to be made: {difference(after, self.clean.after)}"
        if printed(ran.stdout, folder) != self.clean.printed and not reads_output(ran):
            return "does not print what it should"
        return None

    def is_fatal(self, fault, call):
        # The log of an analysis is for people, and is no result.
        if call.path.endswith("analyze.log"):
            return False
        # A marker is there for its lock alone.
        is_output = call.writing and "/writer" not in call.path
        closes_output = fault.kind == "close" and is_output and fault.mode != "eintr"
        return closes_output or (fault.kind, fault.mode) in faults.FATAL

    def wrong_failure(self, folder, after, fault, ran):
        if not ran.struck:
            return "fails without a fault"
        if (fault.kind, fault.mode) in faults.TRANSPARENT:
            return "is no error"
        if not is_error_document(ran.stdout):
            return f"prints {ran.stdout[:80]!r}"
        if not re.fullmatch(r"qstore: [^\n]* \([a-z-]+\)\n", ran.stderr):
            return "does not tell in one line"
        named = (names_file(ran.stderr, folder, call, self.case) for call in ran.struck)
        if fault.kind != "memory" and not any(named):
            return "does not name the file"
        if is_cleanup(ran):
            after = faults.without_temporaries(after)
        if self.case.goes_on:
            return self.wrong_rest(folder, after)
        # Without memory the result may be there and only the report missing.
        done = fault.kind == "memory" and after == self.clean.after
        if after != self.clean.before and not done:
            return f"leaves something: {difference(after, self.clean.before)}"
        return None

    def wrong_rest(self, folder, after):
        """Of a command that goes on with what is there."""
        if any(faults.is_temporary(name) for name in after):
            return f"leaves something: {difference(after, self.clean.before)}"
        again = self.run(folder)
        if again.returncode != DONE:
            return f"cannot go on: {again.stderr!r}"
        if self.result(folder) != self.clean.after:
            return f"goes on wrongly: {difference(self.result(folder), self.clean.after)}"
        return None

    def check_kill(self, folder, fault):
        """What is wrong after the command was killed before a call; None when nothing is."""
        ran = self.run(folder, fault)
        after = faults.snapshot(folder)
        if ran.returncode != -9:
            return f"was not killed, exit {ran.returncode}"
        for name, content in faults.without_temporaries(after).items():
            if content not in (self.clean.before.get(name, "none"), self.clean.after.get(name)):
                return f"{name} is neither old nor new, {self.told(folder, ran)}"
        for name in self.clean.before.keys() & self.clean.after.keys() - after.keys():
            return f"{name} is gone, {self.told(folder, ran)}"
        again = self.run(folder)
        if again.returncode != DONE:
            # Without --force a command does not touch what is there: then it was complete.
            complete = faults.without_temporaries(after) == self.clean.after
            return None if complete else f"cannot be run again: {again.stderr!r}"
        rest = faults.without_temporaries(faults.snapshot(folder))
        if rest != self.clean.after:
            return f"run again: {difference(rest, self.clean.after)}, {self.told(folder, ran)}"
        return None


def printed(text, folder):
    """The document without what differs from run to run.

    The estimate of zstd is 0 where the samples that it takes after packing cannot be read.
    """
    changing = r'"seconds": [^,}]*|"zstd_estimate_bytes": \d+|'
    return re.sub(changing + re.escape(str(folder)), "", text)


def reads_output(ran):
    """Whether packing had done its work, and could not read the archive to tell of it."""
    return all(
        call.kind in ("open", "read", "stat") and call.path.endswith(("/new.qstore", "/old.qstore"))
        for call in ran.struck
    )


def is_cleanup(ran):
    """Whether what failed may have been the removal of something temporary, which then stays."""
    return any(
        call.kind == "unlink"
        or (call.kind in ("open", "list", "stat") and faults.is_temporary(call.path))
        for call in ran.struck
    )


def names_file(message, folder, call, case):
    """Whether that names what the call was about; of a temporary, what it was to become; where
    something is removed, the folder that goes with all it holds is enough."""
    path = Path(call.path).parent if call.kind == "unlink" else Path(call.path)
    relative = str(path.relative_to(folder))
    if path == folder:
        return case.output in message or f"{folder}:" in message
    if faults.is_temporary(relative):
        return case.output in message and ".qstore-" not in message
    return relative in message


def difference(found, wanted):
    return {
        name: "new" if name not in wanted else "gone" if name not in found else "changed"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name, "none") != wanted.get(name, "none")
    }

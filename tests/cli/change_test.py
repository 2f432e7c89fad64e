#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`qstore add`, `drop` and `compact`.

Needs the standard library only.

usage: change_test.py QSTORE [unittest's arguments]
"""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import cli_test
from cli_test import (
    CORRUPT,
    FAILED,
    USAGE,
    Case,
    contents,
    limited_files,
    ok,
    run,
    without_override,
)


class Changes(Case):
    """add, drop and compact; what they leave when they are killed is in tests/python."""

    def setUp(self):
        super().setUp()
        self.archive = Path(shutil.copy(self.archive, self.space))
        ok("synth", "-o", self.made / "other", "--shape", "64x64", "--force")
        self.other = f"other={self.made}/other"

    def names(self):
        document = json.loads(ok("inspect", "--json", self.archive).stdout)
        return [variant["name"] for variant in document["variants"]], document["dead_bytes"]

    def test_add_drop_compact(self):
        before = self.archive.stat().st_size
        self.assertEqual(self.names(), (["int8", "bf16"], 0))
        self.assertIn(" added in ", ok("add", self.archive, self.other).stderr)
        names, dead = self.names()
        self.assertEqual(names, ["int8", "bf16", "other"])
        self.assertLess(0, dead)
        self.assertIn(" dead", ok("inspect", self.archive).stdout)
        ok("verify", self.archive, self.other, f"int8={self.made}/int8", f"bf16={self.model}")
        self.assertIn("compact", ok("drop", self.archive, "other").stderr)
        self.assertEqual(self.names()[0], ["int8", "bf16"])
        ok("compact", self.archive)
        self.assertEqual(self.archive.read_bytes(), (self.made / "m.qstore").read_bytes())
        ok("drop", self.archive, "int8")
        ok("compact", self.archive, "-o", self.space / "small.qstore")
        self.assertLess((self.space / "small.qstore").stat().st_size, before)
        ok("verify", self.space / "small.qstore", f"bf16={self.model}")
        ok("unpack", self.space / "small.qstore", "bf16", "-o", self.space / "back")
        self.assertEqual(contents(self.space / "back"), contents(self.model))

    def test_results_for_programs(self):
        commands = (
            (("add", self.archive, self.other), ("source_bytes", "added_bytes", "read_bytes")),
            (("drop", self.archive, "bf16", "int8"), ("dead_bytes",)),
            (("compact", self.archive), ("before_bytes", "seconds")),
        )
        for arguments, fields in commands:
            done = ok(*arguments, "--json")
            self.assertEqual(done.stderr, "")
            document = json.loads(done.stdout)
            self.assertEqual(document["archive"], str(self.archive))
            self.assertEqual(document["stored_bytes"], self.archive.stat().st_size)
            for field in fields:
                self.assertIn(field, document)

    def test_what_is_refused(self):
        taken = f"int8={self.made}/other"
        self.refused(FAILED, "already-exists", "add", self.archive, taken, mentions="'int8'")
        nowhere = f"a={self.space}/nowhere"
        self.refused(FAILED, "not-found", "add", self.archive, nowhere, mentions="nowhere")
        self.refused(FAILED, "not-found", "add", self.space / "none", self.other, mentions="none")
        self.refused(FAILED, "not-found", "drop", self.archive, "f32", mentions="f32")
        both = "int8", "bf16"
        self.refused(FAILED, "invalid-argument", "drop", self.archive, *both, mentions="left")
        onto = "compact", self.archive, "-o", self.archive
        self.refused(FAILED, "invalid-argument", *onto, mentions="m.qstore")
        there = "compact", self.archive, "-o", self.made / "m.qstore"
        self.refused(FAILED, "already-exists", *there, mentions="m.qstore")
        for arguments in ([], ["--parent", "x", self.other], ["--level", "ultra", self.other]):
            self.assertEqual(run("add", self.archive, *arguments).returncode, USAGE)
        self.assertEqual(run("drop", self.archive).returncode, USAGE)

    def test_archives_that_cannot_be_changed(self):
        self.archive.chmod(0o444)
        for command in (("add", self.archive, self.other), ("drop", self.archive, "int8")):
            self.refused(FAILED, "io", *command, mentions="m.qstore", preexec_fn=without_override)
        self.archive.chmod(0o644)
        full = "add", self.archive, self.other
        self.archive.write_bytes(self.archive.read_bytes()[:-1])
        self.refused(CORRUPT, "corrupt", *full, mentions="m.qstore")
        self.refused(CORRUPT, "corrupt", "drop", self.archive, "int8", mentions="m.qstore")
        self.refused(CORRUPT, "corrupt", "compact", self.archive, mentions="m.qstore")

    def test_full_disk(self):
        ok("drop", self.archive, "int8")
        full = "add", self.archive, f"a={self.made}/int8"
        self.refused(FAILED, "io", *full, mentions="m.qstore", preexec_fn=limited_files)
        compact = "compact", self.archive
        self.refused(FAILED, "io", *compact, mentions="m.qstore", preexec_fn=limited_files)

    def test_two_writers(self):
        """One of two that begin together waits, or says that the other one is at work."""
        commands = [("add", self.archive, f"v{i}={self.made}/other") for i in range(3)]
        running = [
            subprocess.Popen(
                [cli_test.BINARY, *map(str, command)], stderr=subprocess.PIPE, text=True
            )
            for command in commands
        ]
        added = []
        for i, process in enumerate(running):
            _, errors = process.communicate(timeout=300)
            if process.returncode == 0:
                added.append(f"v{i}")
            else:
                self.assertIn("another process is changing it (io)", errors)
        self.assertNotEqual(added, [])
        self.assertEqual(sorted(self.names()[0]), sorted(["int8", "bf16", *added]))
        ok("verify", self.archive, *[f"{name}={self.made}/other" for name in added])


if __name__ == "__main__":
    cli_test.BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command in places that others use too, and on a system that gives it little.

Needs the standard library only, and for one test the right to make process namespaces.

usage: system_test.py QSTORE [unittest's arguments]
"""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest
from pathlib import Path

import cli_test
from cli_test import FAILED, Case, contents, listing, ok, run

NAMESPACE = ("unshare", "--pid", "--fork")


def may_unshare():
    """Whether this user may make a process namespace, also one with a user of its own."""
    for command in (NAMESPACE, (*NAMESPACE, "--user", "--map-root-user")):
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], check=False).returncode == 0
        ):
            return command
    return None


def few_descriptors():
    """In the child: as many open files as the smallest systems allow."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


class SharedFolder(Case):
    def writers(self, name):
        return (
            ("unpack", self.archive, "bf16", "-o", self.space / name),
            ("quantize", "--to", "fp16", self.model, "-o", self.space / name),
            ("synth", "--shape", "64x64", "-o", self.space / name),
            ("pack", "-o", self.space / name, f"a={self.model}"),
        )

    def test_writers_of_equal_process_ids(self):
        """Each is process 1 of its container; they write different names in one folder."""
        namespace = may_unshare()
        if namespace is None:
            self.skipTest("this user may not make process namespaces")
        for attempt in range(5):
            running = [
                subprocess.Popen(
                    [*namespace, cli_test.BINARY, *map(str, arguments)], stderr=subprocess.PIPE
                )
                for name in (f"a{attempt}", f"b{attempt}")
                for arguments in self.writers(name)[attempt % 4 : attempt % 4 + 1]
            ]
            for process in running:
                _, errors = process.communicate(timeout=300)
                self.assertEqual(process.returncode, 0, errors)
        names = [f"{name}{attempt}" for name in "ab" for attempt in range(5)]
        self.assertEqual(sorted(os.listdir(self.space)), sorted(names))

    def killed(self, *arguments):
        """Kills the command while its output has a temporary name. False when it was too late."""
        process = subprocess.Popen(
            [cli_test.BINARY, *map(str, arguments)], stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not list(self.space.glob(".qstore-*/writer")):
            time.sleep(0.0005)
        process.kill()
        process.wait()
        return bool(list(self.space.glob(".qstore-*/writer")))

    def test_leftovers_of_killed_writers(self):
        for i in range(4):
            with self.subTest(self.writers("x")[i][0]):
                for attempt in range(20):
                    if self.killed(*self.writers(f"killed{i}-{attempt}")[i]):
                        break
                self.assertNotEqual(list(self.space.glob(".qstore-*.tmp")), [])
                ok(*self.writers(f"next{i}")[3 - i])
                self.assertEqual(list(self.space.glob(".qstore-*.tmp")), [])

    def test_what_belongs_to_others(self):
        """Directories with the names that a process numbered 1 would have taken, and did."""
        for name in (".qstore-1-0.tmp", ".qstore-0123456789abcdef.tmp"):
            (self.space / name / "deep").mkdir(parents=True)
            (self.space / name / "deep" / "mine").write_text("mine")
        before = contents(self.space)
        namespace = may_unshare() or ()
        for i, arguments in enumerate(self.writers("out")):
            arguments = [str(word) for word in self.writers(f"out{i}")[i]]
            done = subprocess.run(
                [*namespace, cli_test.BINARY, *arguments], capture_output=True, check=False
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertLessEqual(before.items(), contents(self.space).items())

    def test_scratch_files_of_benches(self):
        """A link with the name that process 1 would take is neither followed nor removed."""
        namespace = may_unshare()
        if namespace is None:
            self.skipTest("this user may not make process namespaces")
        (self.space / "mine").write_text("mine")
        (self.space / "qstore-bench-1").symlink_to("mine")
        once = ("--runs", "1", "--directory", self.space)
        for arguments in (
            ("bench", "raw", "--operation", "load", "--codec", "lz4", *once, self.model),
            ("bench", "save", *once, f"a={self.model}"),
        ):
            command = [*namespace, cli_test.BINARY, *map(str, arguments)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(listing(self.space), ["mine", "qstore-bench-1"])
            self.assertEqual((self.space / "mine").read_text(), "mine")


class Links(Case):
    def test_links_beneath_the_output(self):
        archive = self.space / "m.qstore"
        model = shutil.copytree(self.model, self.space / "model" / "sub").parent
        ok("pack", "-o", archive, f"a={model}")
        outside = self.space / "outside"
        outside.mkdir()
        (outside / "config.json").write_text("mine")
        for link in (outside, Path("../outside"), self.space / "nowhere"):
            out = self.space / "out"
            out.mkdir()
            (out / "sub").symlink_to(link)
            arguments = ("unpack", "--force", archive, "a", "-o", out)
            self.refused(FAILED, "invalid-argument", *arguments, mentions="out/sub: is a symbolic")
            arguments = ("quantize", "--force", "--to", "fp16", model, "-o", out)
            self.refused(FAILED, "invalid-argument", *arguments, mentions="out/sub: is a symbolic")
            shutil.rmtree(out)
        self.assertEqual(contents(outside), {"config.json": b"mine"})

    def test_a_link_to_the_output(self):
        (self.space / "real").mkdir()
        (self.space / "out").symlink_to("real")
        ok("unpack", self.archive, "bf16", "-o", self.space / "out")
        ok("unpack", "--force", self.archive, "bf16", "-o", self.space / "out")
        self.assertEqual(contents(self.space / "real"), contents(self.model))


class SpecialFiles(Case):
    def test_pack_replaces_none(self):
        pipe, device = self.space / "pipe", self.space / "device"
        os.mkfifo(pipe)
        names = [pipe]
        try:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            names.append(device)
        except PermissionError:  # Only root makes devices; links to them are tried by all.
            pass
        (self.space / "null").symlink_to("/dev/null")
        for name in (*names, self.space / "null"):
            before = os.lstat(name)
            for force in ([], ["--force"]):
                arguments = "pack", *force, "-o", name, f"a={self.model}"
                self.refused(FAILED, "invalid-argument", *arguments, mentions="not a regular file")
            self.assertEqual(os.lstat(name).st_ino, before.st_ino)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))


class ManyFiles(Case):
    def test_few_descriptors(self):
        ok(
            "synth",
            "-o",
            self.space / "a",
            "--shape",
            "16x16",
            "--count",
            "60",
            "--shard-size",
            "1kB",
        )
        for i in range(60):
            folder = self.space / "a" / str(i)
            folder.mkdir()
            (folder / "note.txt").write_text(str(i))
        limit = {"preexec_fn": few_descriptors}
        self.assertGreater(len(contents(self.space / "a")), 120)

        def limited(*arguments):
            done = run(*arguments, **limit)
            self.assertEqual(done.returncode, 0, done.stderr)

        a, b = (f"{name}={self.space / name}" for name in "ab")
        limited("quantize", "--to", "llm-int8", self.space / "a", "-o", self.space / "b")
        archive = self.space / "m.qstore"
        limited("pack", "-o", archive, a, b)
        limited("verify", archive, a, b)
        for _ in range(2):
            limited("unpack", "--force", archive, "b", "-o", self.space / "back")
        self.assertEqual(contents(self.space / "back"), contents(self.space / "b"))
        limited("analyze", "-o", self.space / "analysis", a, b)


class StandardOutput(Case):
    def printers(self):
        out = self.space / "out"
        yield "--help"
        yield "--version"
        yield "pack", "--help"
        yield "inspect", self.archive
        yield "inspect", "--json", self.archive
        yield "verify", "--json", self.archive
        yield "pack", "--json", "--force", "-o", self.space / "m.qstore", f"a={self.model}"
        yield "unpack", "--json", "--force", self.archive, "bf16", "-o", out
        yield "quantize", "--json", "--force", "--to", "fp16", self.model, "-o", out
        yield "quantize", "--dry-run", "--to", "llm-int8", self.model, "-o", out
        yield "synth", "--json", "--force", "--shape", "64x64", "-o", out
        yield "analyze", "--force", "-o", self.space / "analysis", f"a={self.model}"
        yield "bench", "--help"

    def check(self, **options):
        for arguments in self.printers():
            arguments = [arguments] if isinstance(arguments, str) else list(map(str, arguments))
            with self.subTest(arguments):
                done = subprocess.run(
                    [cli_test.BINARY, *arguments],
                    stderr=subprocess.PIPE,
                    text=True,
                    check=False,
                    **options,
                )
                self.assertEqual(done.returncode, FAILED, done.stderr)
                self.assertIn("qstore: standard output: cannot write", done.stderr)

    def test_full_device(self):
        with open("/dev/full", "w") as full:
            self.check(stdout=full)

    def test_closed(self):
        """Nor does a file that the command opens get the number of standard output."""
        self.check(preexec_fn=lambda: os.close(1))
        archive = self.space / "m.qstore"
        ok("verify", archive, f"a={self.model}")
        self.assertEqual(
            json.loads(ok("verify", archive, "--json").stdout)["archive"], str(archive)
        )

    def test_nothing_printed_needs_none(self):
        done = subprocess.run(
            [cli_test.BINARY, "verify", self.archive],
            stderr=subprocess.PIPE,
            preexec_fn=lambda: os.close(1),
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)


class Signals(Case):
    def test_a_stopped_command_ends_by_the_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                process = subprocess.Popen(
                    [cli_test.BINARY, "synth", "-o", str(self.space / "out"), "--size", "2GB"],
                    stderr=subprocess.PIPE,
                    text=True,
                    preexec_fn=lambda number=number: signal.signal(number, signal.SIG_DFL),
                )
                while not list(self.space.glob(".qstore-*/*")):
                    time.sleep(0.001)
                process.send_signal(number)
                _, errors = process.communicate(timeout=300)
                self.assertEqual(process.returncode, -number)
                self.assertIn("(cancelled)", errors)
                self.assertEqual(listing(self.space), [])

    def test_a_loop_of_the_shell_stops(self):
        """As after Ctrl-C, the shell gets the signal too and looks how its command ended."""
        script = 'for i in 1 2 3; do echo $i; "$0" synth -o "$1/out$i" --size 2GB; done; echo on'
        process = subprocess.Popen(
            ["bash", "-c", script, cli_test.BINARY, str(self.space)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while not list(self.space.glob(".qstore-*/*")):
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=300)
        self.assertEqual(printed, "1\n")
        self.assertEqual(process.returncode, -signal.SIGINT)


if __name__ == "__main__":
    cli_test.BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)

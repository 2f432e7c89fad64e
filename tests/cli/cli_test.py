#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command itself: exit codes, what it prints where, and that a failure leaves nothing.

Needs the standard library only.

usage: cli_test.py QSTORE [unittest's arguments]
"""

import ctypes
import json
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FAILED, USAGE, CORRUPT = 1, 2, 3


def run(*arguments, **options):
    command = [BINARY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def ok(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, f"{done.args}\nexit {done.returncode}\n{done.stderr}"
    return done


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def limited_files():
    """In the child: writing beyond 50 kB of a file fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def small_gguf():
    """A model of one matrix of 256 by 512 weights in F32."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("llama.block_count") + struct.pack("<II", 4, 1)
    head += text("blk.0.attn_q.weight") + struct.pack("<IQQIQ", 2, 512, 256, 0, 0)
    head += bytes(-len(head) % 32)
    return head + struct.pack("<131072f", *(i * i % 1009 - 500 for i in range(131072)))


def without_override():
    """In the child: takes from root the right to pass over file permissions."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


class Case(unittest.TestCase):
    """A folder with a model of two shards, its int8 twin and an archive of both."""

    @classmethod
    def setUpClass(cls):
        cls.made = Path(tempfile.mkdtemp(prefix="qstore-cli-"))
        cls.addClassCleanup(shutil.rmtree, cls.made)
        shape = ("--shape", "128x256", "--count", "3", "--shard-size", "150kB")
        ok("synth", "-o", cls.made / "bf16", *shape)
        ok("quantize", "--to", "llm-int8", cls.made / "bf16", "-o", cls.made / "int8")
        variants = (f"int8={cls.made}/int8", f"bf16={cls.made}/bf16")
        ok("pack", "-o", cls.made / "m.qstore", *variants)

    def setUp(self):
        self.space = Path(tempfile.mkdtemp(prefix="qstore-cli-"))
        self.addCleanup(shutil.rmtree, self.space)
        self.model = self.made / "bf16"
        self.archive = self.made / "m.qstore"

    def refused(self, code, kind, *arguments, mentions="", **options):
        """That exit code, one line on stderr that says what is wrong, and nothing written."""
        before = contents(self.space), listing(self.space)
        done = run(*arguments, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        if "--json" in arguments:
            error = json.loads(done.stdout)["error"]
            self.assertEqual((error["code"], error["exit_code"]), (kind, code))
        else:
            self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(f"({kind})", done.stderr)
        self.assertIn(str(mentions), done.stderr)
        self.assertEqual((contents(self.space), listing(self.space)), before)

    def refused_pack(self, kind, *variants, **options):
        arguments = "pack", "--json", "-o", self.space / "new" / "m.qstore", *variants
        self.refused(FAILED, kind, *arguments, **options)


class Inputs(Case):
    def test_missing_path(self):
        self.refused_pack("not-found", f"a={self.space}/nowhere", mentions="nowhere")
        for command in (["inspect"], ["verify"], ["unpack", "-o", self.space / "out"]):
            name = ["a"] if command[0] == "unpack" else []
            arguments = *command, self.space / "nowhere", *name
            self.refused(FAILED, "not-found", *arguments, mentions="nowhere")
        out = self.space / "out"
        arguments = "quantize", "--to", "bf16", self.space / "nowhere", "-o", out
        self.refused(FAILED, "not-found", *arguments, mentions="nowhere")

    def test_empty_directory(self):
        (self.space / "empty").mkdir()
        self.refused_pack("invalid-argument", f"a={self.space}/empty", mentions="empty")
        arguments = "quantize", "--to", "bf16", self.space / "empty", "-o", self.space / "out"
        self.refused(FAILED, "invalid-argument", *arguments, mentions="empty")

    def test_unreadable_file(self):
        copy = shutil.copytree(self.model, self.space / "model")
        (copy / "config.json").chmod(0)
        done = run("pack", "-o", self.space / "m.qstore", f"a={copy}", preexec_fn=without_override)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn("config.json", done.stderr)
        self.assertIn("(io)", done.stderr)
        self.assertFalse((self.space / "m.qstore").exists())
        self.assertEqual(len(listing(self.space)), 1 + len(listing(copy)))

    def test_variants_that_clash(self):
        other = f"a={self.made}/int8"
        self.refused_pack("invalid-argument", f"a={self.model}", other, mentions="'a'")
        self.refused_pack("invalid-argument", f"a={self.model}", f"b={self.model}")
        (self.space / "link").symlink_to(self.model)
        self.refused_pack("invalid-argument", f"a={self.model}", f"b={self.space}/link")

    def test_damaged_archives(self):
        data = self.archive.read_bytes()
        flipped = bytearray(data)
        flipped[5000] ^= 4
        cases = {"empty": b"", "cut": data[:-1], "half": data[: len(data) // 2], "flip": flipped}
        for name, bad in cases.items():
            with self.subTest(name):
                path = self.space / "damaged.qstore"
                path.write_bytes(bad)
                self.refused(CORRUPT, "corrupt", "verify", path, mentions=path)
                out = self.space / "out"
                outcomes = [
                    run("unpack", path, variant, "-o", out / variant)
                    for variant in ("int8", "bf16")
                ]
                self.assertIn(CORRUPT, [done.returncode for done in outcomes])
                for done in outcomes:
                    self.assertIn(done.returncode, (0, CORRUPT))
                    variant = Path(done.args[-1])
                    self.assertEqual(variant.exists(), done.returncode == 0)
                shutil.rmtree(out, ignore_errors=True)

    def test_other_exit_codes_of_archives(self):
        future = GOLDEN / "invalid" / "unsupported-version.future.qstore"
        for command in (["verify", future], ["unpack", future, "a", "-o", self.space / "out"]):
            self.refused(FAILED, "unsupported-version", *command, mentions="future.qstore")
        arguments = "unpack", self.archive, "f32", "-o", self.space / "out"
        self.refused(FAILED, "not-found", *arguments, mentions="f32")
        differs = f"bf16={self.made}/int8"
        self.refused(CORRUPT, "mismatch", "verify", self.archive, differs)


class Gguf(Case):
    """GGUF files; what is made of them is compared in tests/python."""

    def setUp(self):
        super().setUp()
        self.gguf = self.space / "m-f32.gguf"
        self.gguf.write_bytes(small_gguf())

    def quantize(self, *options, to="q4_0"):
        return "quantize", self.gguf, "--to", to, "-o", self.space / "out", *options

    def test_list(self):
        done = ok(*self.quantize("--list", to="q4_0,Q8_0"))
        self.assertEqual(listing(self.space / "out"), ["m-Q4_0.gguf", "m-Q8_0.gguf"])
        self.assertIn("Q8_0 blk.0.attn_q.weight\n", done.stdout)
        self.refused(FAILED, "already-exists", *self.quantize(), mentions="m-Q4_0.gguf")
        ok(*self.quantize("--force"))
        report = json.loads(ok(*self.quantize("--json", "--force")).stdout)
        self.assertEqual((report["target"], report["quantized"], report["kept"]), ("Q4_0", 1, 0))
        self.assertEqual(report["output_bytes"], Path(report["file"]).stat().st_size)

    def test_dry_run(self):
        done = ok(*self.quantize("--dry-run"))
        self.assertEqual(done.stdout, "Q4_0 blk.0.attn_q.weight\n")
        self.assertFalse((self.space / "out").exists())

    def test_options_without_meaning(self):
        for options in (("--rest", "bf16"), ("--include", "x"), ("--bits", "4")):
            self.assertEqual(run(*self.quantize(*options)).returncode, USAGE, options)
        for to in ("nvfp4", "q4_0,", "q4_2"):
            self.assertEqual(run(*self.quantize(to=to)).returncode, USAGE, to)
        self.assertEqual(run(*self.quantize("--output-tensor-type", "q4")).returncode, USAGE)
        for options in (("--to", "q4_0"), ("--to", "bf16", "--pure")):
            done = run("quantize", self.model, *options, "-o", self.space / "out")
            self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertEqual(listing(self.space), ["m-f32.gguf"])

    def test_what_cannot_be_is_refused(self):
        nowhere = "--imatrix", self.space / "nowhere"
        self.refused(FAILED, "not-found", *self.quantize(*nowhere), mentions="nowhere")
        self.refused(FAILED, "invalid-argument", *self.quantize(to="f32"), mentions="F32")
        full = self.quantize(to="q8_0")
        self.refused(FAILED, "io", *full, mentions="m-Q8_0", preexec_fn=limited_files)
        self.gguf.write_bytes(small_gguf()[:-1])
        self.refused(CORRUPT, "corrupt", *self.quantize(), mentions="'blk.0.attn_q.weight'")


class Outputs(Case):
    def writers(self, output):
        """Every command that writes a directory."""
        return (
            ("unpack", self.archive, "bf16", "-o", output),
            ("synth", "--shape", "128x256", "--count", "3", "-o", output),
            ("quantize", "--to", "fp16", self.model, "-o", output),
        )

    def test_directory_that_is_not_empty(self):
        out = self.space / "out"
        out.mkdir()
        (out / "mine").write_text("mine")
        for arguments in self.writers(out):
            self.refused(FAILED, "already-exists", *arguments, mentions=out)
            ok(*arguments, "--force")
            self.assertEqual((out / "mine").read_text(), "mine")
            for path in out.iterdir():
                if path.name != "mine":
                    path.unlink()
        for arguments in self.writers(out / "mine"):
            self.refused(FAILED, "invalid-argument", *arguments, mentions="mine")
        archive = shutil.copy(self.archive, self.space)
        self.refused(FAILED, "already-exists", "pack", "-o", archive, f"a={self.model}")

    def test_full_disk(self):
        self.refused_pack("io", f"a={self.model}", mentions="m.qstore", preexec_fn=limited_files)
        (self.space / "empty").mkdir()
        for out in (self.space / "new" / "deep", self.space / "empty"):
            for arguments in self.writers(out):
                named = out / "model"
                self.refused(FAILED, "io", *arguments, mentions=named, preexec_fn=limited_files)

    def test_forced_with_fewer_shards(self):
        out = self.space / "out"
        for shard_size in ("150kB", "1GB"):
            arguments = "synth", "--shape", "128x256", "--count", "3", "-o", out, "--force"
            ok(*arguments, "--shard-size", shard_size)
        self.assertEqual(listing(out), ["config.json", "model.safetensors"])

    def test_results_for_programs(self):
        """With --json one document on stdout, without it nothing there; stderr is for people."""
        model, twin, back = (self.space / name for name in ("model", "twin", "back"))
        archive = self.space / "m.qstore"
        commands = (
            (["synth", "-o", model, "--shape", "64x64"], ["tensors", "weights", "shards"]),
            (
                ["quantize", "--to", "llm-int8", model, "-o", twin, "--list"],
                ["source_bytes", "output_bytes", "quantized", "quantized_list"],
            ),
            (["pack", "-o", archive, f"a={model}", f"b={twin}"], ["source_bytes", "stored_bytes"]),
            (["verify", archive], ["files", "bytes"]),
            (["unpack", archive, "b", "-o", back], ["files", "bytes"]),
        )
        for arguments, fields in commands:
            done = ok(*arguments, "--json")
            self.assertEqual(done.stderr, "")
            document = json.loads(done.stdout)
            for field in (*fields, "seconds"):
                self.assertIn(field, document, arguments)
        self.assertEqual(contents(back), contents(twin))
        for arguments, _ in commands:
            force = [] if arguments[0] == "verify" else ["--force"]
            plain = [argument for argument in arguments if argument != "--list"]
            done = ok(*plain, *force)
            self.assertEqual(done.stdout, "", arguments)
            self.assertNotEqual(done.stderr, "", arguments)
        done = ok("quantize", "--to", "llm-int8", model, "-o", twin, "--dry-run")
        self.assertEqual(done.stdout, "int8 layers.0.linear.weight\n")

    def test_inspect(self):
        document = json.loads(ok("inspect", "--json", self.archive).stdout)
        self.assertEqual(document["format_version"], 1)
        self.assertEqual(document["stored_bytes"], self.archive.stat().st_size)
        sizes = {
            name: sum(map(len, contents(self.made / name).values())) for name in ("int8", "bf16")
        }
        self.assertEqual(document["source_bytes"], sum(sizes.values()))
        variants = {variant["name"]: variant for variant in document["variants"]}
        self.assertEqual({name: v["source_bytes"] for name, v in variants.items()}, sizes)
        self.assertEqual(
            {name: v["tensors"] for name, v in variants.items()}, {"int8": 9, "bf16": 3}
        )
        for variant in variants.values():
            for field in ("own_bytes", "load_bytes"):
                self.assertLess(0, variant[field])
                self.assertLess(variant[field], document["stored_bytes"])
        self.assertNotEqual(ok("inspect", self.archive).stdout, "")

    def test_usage(self):
        for arguments in ([], ["frobnicate"], ["pack"], ["unpack", "x"], ["synth", "--shape", "4"]):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""), arguments)
            self.assertNotEqual(done.stderr, "")


class Analyses(Case):
    def analyze(self, *arguments):
        variants = (f"16={self.model}", f"8={self.made / 'int8'}")
        return run("analyze", *variants, "-o", self.space / "out", *arguments)

    def test_prints_totals_and_leaves_results(self):
        done = self.analyze()
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("raw", "zstd-3", "16 given 8", "prototype+tables", "archive"):
            self.assertIn(text, done.stdout)
        self.assertIn("3 layers (0 of an earlier run), 0 not analysed", done.stderr)
        self.assertIn("no report.html: it is drawn by qstore-draw; it comes with: ", done.stderr)
        names = ["analyze.log", "layers", "run.json", "summary.json"]
        self.assertEqual(sorted(path.name for path in (self.space / "out").iterdir()), names)

    def test_results_for_programs(self):
        document = json.loads(self.analyze("--json", "--methods", "conditional").stdout)
        self.assertEqual(document["total"]["weights"], 3 * 128 * 256)
        methods = {measure["method"] for measure in document["total"]["measures"]}
        names = {"raw", "entropy", "prototype", "prototype+tables", "qstore", "archive"}
        self.assertEqual(methods, names)
        again = self.analyze("--methods", "conditional")
        self.assertIn("3 layers (3 of an earlier run)", again.stderr)

    def test_pairs_layers_and_samples_are_chosen(self):
        pair = ("--target", "16", "--given", "8")
        document = json.loads(self.analyze("--json", *pair, "--layers", "*.1.*").stdout)
        self.assertEqual([layer["layer"] for layer in document["layers"]], ["layers.1.linear"])
        document = json.loads(self.analyze("--json", "--force", "--sample", "32").stdout)
        self.assertEqual(document["total"]["weights"], 3 * 32 * 256)
        other = self.analyze("--sample", "0.5")
        self.assertEqual(other.returncode, FAILED)
        self.assertIn("holds an analysis of other models or with other options", other.stderr)

    def test_refuses_what_has_no_meaning(self):
        for arguments in (
            ("--methods", "gzip"),
            ("--sample", "0"),
            ("--sample", "1.5"),
            ("--sample", "many"),
            ("--target", "16"),
            ("--level", "best"),
        ):
            self.assertEqual(self.analyze(*arguments).returncode, USAGE, arguments)
        for arguments in (("--target", "16", "--given", "4"), ("--zstd-levels", "99")):
            done = self.analyze(*arguments)
            self.assertEqual(done.returncode, FAILED, arguments)
            self.assertIn("(invalid-argument)", done.stderr)
        self.assertEqual(listing(self.space), [])

    def test_refuses_models_that_are_none_or_no_pair(self):
        ok("synth", "-o", self.space / "other", "--shape", "64x64")
        ok("quantize", "--to", "llm-int8", self.space / "other", "-o", self.space / "low")
        pair = (f"a={self.model}", f"b={self.space / 'low'}")
        self.refused(FAILED, "invalid-argument", *self.into(*pair), mentions="no layer in common")
        text = self.space / "torn" / "m.safetensors"
        text.parent.mkdir()
        text.write_bytes(bytes(20))
        self.refused(CORRUPT, "corrupt", *self.into(f"a={text}"), mentions="m.safetensors")
        self.refused(FAILED, "not-found", *self.into(f"a={self.space / 'none'}"), mentions="none")

    def into(self, *variants):
        return ("analyze", *variants, "-o", self.space / "out")


class Signals(Case):
    def check(self, *arguments):
        """Stopped at moments of its run, the command leaves nothing or has done everything."""
        before = listing(self.space)
        start = time.monotonic()
        ok(*arguments)
        seconds = time.monotonic() - start
        after = listing(self.space)
        stopped = 0
        for attempt in range(20):
            if stopped and attempt >= 4:
                break
            share = random.random()
            for name in set(after) - set(before):
                path = self.space / name
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(True)
            with self.subTest(arguments[0], seconds=share * seconds):
                command = [BINARY, *map(str, arguments)]
                process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
                time.sleep(share * seconds)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=300)
                # Before the command looks for signals, they end it.
                self.assertIn(process.returncode, (0, -signal.SIGINT), errors)
                self.assertEqual(listing(self.space), after if process.returncode == 0 else before)
                stopped += process.returncode != 0 and "(cancelled)" in errors
        self.assertLess(0, stopped, arguments)

    def test_interrupts(self):
        large = self.space / "large"
        self.check("synth", "-o", large, "--size", "60MB", "--shape", "1000x1000")
        ok("synth", "-o", large, "--size", "60MB", "--shape", "1000x1000", "--force")
        self.check("quantize", "--to", "llm-int8", large, "-o", self.space / "int8")
        self.check("pack", "-o", self.space / "m.qstore", f"a={large}")
        ok("pack", "-o", self.space / "m.qstore", "--force", f"a={large}")
        self.check("unpack", self.space / "m.qstore", "a", "-o", self.space / "back" / "deep")


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)

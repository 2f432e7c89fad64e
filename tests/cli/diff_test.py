#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What differs between models, and what verbs say of archives that need no explanation.

Needs the standard library only.

usage: diff_test.py QSTORE [unittest's arguments]
"""

import json
import shutil
import sys
import unittest

import cli_test
from cli_test import CORRUPT, FAILED, USAGE, Case, contents, ok, run


class Diff(Case):
    def diff(self, *sides):
        """The document, once the exit code has been seen to agree with it."""
        done = run("diff", *sides, "--json")
        document = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if document["equal"] else CORRUPT, done.stderr)
        return document

    def other(self):
        """The model with one byte of a tensor changed."""
        folder = shutil.copytree(self.model, self.space / "other")
        shard = max(folder.glob("*.safetensors"))
        shard.write_bytes(shard.read_bytes()[:-1] + b"\x07")
        return folder, shard.name

    def test_equal(self):
        self.assertTrue(self.diff(self.archive, self.archive)["equal"])
        self.assertTrue(self.diff(f"{self.archive}:bf16", self.model)["equal"])
        self.assertTrue(self.diff(self.model, self.model)["equal"])

    def test_a_byte(self):
        folder, name = self.other()
        for first in (self.model, f"{self.archive}:bf16"):
            document = self.diff(first, folder)
            file, tensor = document["differences"]
            self.assertEqual((file["what"], file["name"], file["how"]), ("file", name, "content"))
            self.assertEqual(file["offset"], (folder / name).stat().st_size - 1)
            self.assertEqual((tensor["what"], tensor["how"]), ("tensor", "content"))
        done = run("diff", self.model, folder)
        self.assertIn(f"file '{name}' differs from byte {file['offset']} on", done.stdout)
        self.assertIn("2 differences", done.stderr)

    def test_archives(self):
        folder, name = self.other()
        other = self.space / "other.qstore"
        ok("pack", "-o", other, f"bf16={folder}")
        differences = self.diff(self.archive, other)["differences"]
        self.assertEqual(
            [(each["what"], each["variant"], each["how"]) for each in differences],
            [
                ("variant", "", "only-in-a"),
                ("file", "bf16", "content"),
                ("tensor", "bf16", "content"),
            ],
        )

    def test_variants_of_one_archive(self):
        differences = self.diff(f"{self.archive}:bf16", f"{self.archive}:int8")["differences"]
        types = [each for each in differences if each["how"] == "type"]
        self.assertEqual({(each["a"], each["b"]) for each in types}, {("BF16", "I8")})
        added = [each for each in differences if each["how"] == "only-in-b"]
        self.assertEqual(len(added), 6)

    def test_what_is_not_there(self):
        self.refused(FAILED, "not-found", "diff", self.model, self.space / "none", mentions="none")
        self.refused(FAILED, "not-found", "diff", f"{self.archive}:q4", self.model, mentions="bf16")
        self.refused(
            FAILED, "invalid-argument", "diff", self.archive, self.model, mentions="int8, bf16"
        )


class Words(Case):
    def test_variants_are_listed(self):
        out = self.space / "out"
        arguments = ("unpack", self.archive, "int4", "-o", out)
        self.refused(FAILED, "not-found", *arguments, mentions="there are: int8, bf16")
        arguments = ("unpack", self.archive, "-o", out)
        self.refused(FAILED, "invalid-argument", *arguments, mentions="there are: int8, bf16")

    def test_the_only_variant(self):
        one = self.space / "one.qstore"
        ok("pack", "-o", one, f"a={self.model}")
        ok("unpack", one, "-o", self.space / "back")
        self.assertEqual(contents(self.space / "back"), contents(self.model))

    def test_a_model_is_no_archive(self):
        shard = next(self.model.glob("*.safetensors"))
        self.refused(FAILED, "invalid-argument", "inspect", shard, mentions="not a .qstore archive")

    def test_no_archive_on_standard_output(self):
        done = run("pack", "-o", "-", f"a={self.model}", cwd=self.space)
        self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
        self.assertIn("standard output", done.stderr)
        self.assertEqual(list(self.space.iterdir()), [])

    def test_names_are_suggested(self):
        arguments = ("cat", self.archive, "bf16", "config.jsn")
        self.refused(FAILED, "not-found", *arguments, mentions="did you mean 'config.json'?")

    def test_what_cat_would_write(self):
        name = json.loads(ok("ls", self.archive, "bf16", "--tensors", "--json").stdout)[0]["name"]
        told = json.loads(ok("cat", self.archive, "bf16", name, "--json").stdout)
        self.assertEqual((told["dtype"], told["bytes"]), ("BF16", 2 * 128 * 256))


class Pack(Case):
    def test_summary(self):
        model = shutil.copytree(self.model, self.space / "model")
        (model / ".git").mkdir()
        (model / ".git" / "HEAD").write_text("x")
        (model / "pytorch_model.bin").write_bytes(bytes(100_000))
        (model / "cut.safetensors").write_bytes(next(model.glob("*-of-*")).read_bytes()[:-9])
        variants = (f"bf16={model}", f"int8={self.made / 'int8'}")
        done = ok("pack", "-o", self.space / "m.qstore", *variants)
        for text in ("int8 adds ", "of the archive", "of the files of bf16 alone", "zstd -3"):
            self.assertIn(text, done.stderr)
        for name in (".git/HEAD", "pytorch_model.bin", "cut.safetensors"):
            self.assertIn(f"note: bf16/{name}", done.stderr)
        told = json.loads(ok("pack", "--json", "-o", self.space / "n.qstore", *variants).stdout)
        self.assertEqual(sorted(each["name"] for each in told["variants"]), ["bf16", "int8"])
        self.assertEqual(len(told["remarks"]), 3)
        raw = sum(map(len, contents(model).values()))
        self.assertLess(raw / 3, told["zstd_estimate_bytes"])
        self.assertLess(told["zstd_estimate_bytes"], told["source_bytes"])


class Quantize(Case):
    def test_messages(self):
        int8 = self.made / "int8"
        arguments = ("quantize", "--to", "fp8-channel", int8, "-o", self.space / "x")
        self.refused(FAILED, "invalid-argument", *arguments, mentions="quantized already")
        done = ok("quantize", "--to", "fp16", self.model, "-o", self.space / "half")
        self.assertIn("3 tensors cast to fp16", done.stderr)


if __name__ == "__main__":
    cli_test.BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)

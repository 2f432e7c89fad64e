#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the command tells of itself: help, man pages, completion, suggestions, sizes, errors.

Needs the standard library only; bash, zsh, fish and mandoc are tried where they are.

usage: help_test.py QSTORE [unittest's arguments]
"""

import json
import os
import pty
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import cli_test
from cli_test import FAILED, USAGE, Case, ok, run

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import check_prose  # noqa: E402

LEVELS = "fast|balanced|max"


def pages():
    return json.loads(ok("help", "--json").stdout)["pages"]


def verbs():
    return [page["name"].split()[1:] for page in pages() if page["name"] != "qstore"]


def usage(*arguments):
    """The first line on standard error of a command line that has no meaning."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (USAGE, ""), (done.stdout, done.stderr)
    return done.stderr.splitlines()[0]


def on_a_terminal(*arguments, **environment):
    """What a terminal shows of both streams."""
    outer, inner = pty.openpty()
    command = [cli_test.BINARY, *map(str, arguments)]
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    kept |= {"TERM": "xterm", **environment}
    process = subprocess.Popen(command, stdout=inner, stderr=inner, env=kept)
    os.close(inner)
    shown = b""
    try:
        while part := os.read(outer, 65536):
            shown += part
    except OSError:  # Linux says so when nobody has the other end.
        pass
    process.wait()
    os.close(outer)
    return shown.decode()


class Help(unittest.TestCase):
    def test_every_way_to_ask(self):
        first = ok("--help").stdout
        self.assertEqual(first, ok("help").stdout)
        for verb in verbs():
            text = ok(*verb, "--help").stdout
            self.assertEqual(text, ok("help", *verb).stdout)
            self.assertIn(f"Usage: qstore {' '.join(verb)}", text)
            if len(verb) == 1:
                self.assertRegex(first, rf"(?m)^  {verb[0]} ")

    def test_lines_fit_and_show_no_inner_names(self):
        for verb in [[], *verbs()]:
            for line in ok("help", *verb).stdout.splitlines():
                self.assertLessEqual(len(line), 80, line)
                for sign in ("->", "{", "UINT", " TEXT", "ENUM", ":SIZE"):
                    self.assertNotIn(sign, line)
        self.assertIn(f"--level {LEVELS}", ok("help", "pack").stdout)

    def test_every_text_is_there_and_short(self):
        for page in pages():
            entries = page["arguments"] + page["options"]
            texts = [page["summary"], *page["notes"].splitlines(), *(e["text"] for e in entries)]
            for text in texts:
                self.assertTrue(text, page["name"])
                if text.startswith("  "):
                    continue
                for sentence in check_prose.sentences(text):
                    words = len(check_prose.WORD.findall(sentence))
                    self.assertLessEqual(words, check_prose.MOST_WORDS, f"{page['name']}: {text}")

    def test_every_verb_has_json(self):
        for page in pages():
            names = [name for option in page["options"] for name in option["names"]]
            verb = page["name"].removeprefix("qstore").split()
            without = ([], ["bench"], ["completion"])
            self.assertEqual("--json" in names, verb not in without, verb)

    def test_version(self):
        line = ok("--version").stdout
        self.assertEqual(line, ok("-v").stdout)
        self.assertRegex(
            line, r"^qstore \d+\.\d+\.\d+ \((gcc|clang) [\d.]+, \w+.*, kernels \w+\)\n$"
        )
        for isa in ("scalar",):
            done = run("--version", env={**os.environ, "QSTORE_ISA": isa})
            self.assertIn(f"kernels {isa}", done.stdout)


class Man(Case):
    def test_a_page_for_each_verb(self):
        ok("help", "--man", self.space / "man1")
        names = {"-".join(["qstore", *verb]) + ".1" for verb in [[], *verbs()]}
        self.assertEqual({path.name for path in (self.space / "man1").iterdir()}, names)
        page = (self.space / "man1" / "qstore-pack.1").read_text()
        for part in (".SH NAME", ".SH SYNOPSIS", r"\-\-level fast|balanced|max", ".BR qstore (1)"):
            self.assertIn(part, page)

    def test_roff_is_taken(self):
        tool = next((tool for tool in ("mandoc", "groff") if shutil.which(tool)), None)
        if tool is None:
            self.skipTest("neither mandoc nor groff is here")
        ok("help", "--man", self.space)
        options = ["-Tlint", "-Werror"] if tool == "mandoc" else ["-man", "-ww", "-z", "-Tutf8"]
        for page in self.space.iterdir():
            done = subprocess.run([tool, *options, page], capture_output=True, text=True)
            self.assertEqual((done.stdout, done.stderr), ("", ""), page)

    def test_a_folder_that_cannot_be(self):
        (self.space / "file").write_text("")
        self.refused(FAILED, "io", "help", "--man", self.space / "file", mentions="file")


class Suggestions(Case):
    def test_verbs(self):
        self.assertIn("there is no verb 'pak'; did you mean 'pack'?", usage("pak"))
        self.assertIn("there is no verb 'inspcet'; did you mean 'inspect'?", usage("inspcet"))
        self.assertIn("there is no verb 'laod'; did you mean 'load'?", usage("bench", "laod"))
        self.assertIn("there is no verb 'unp'; did you mean 'unpack'?", usage("help", "unp"))
        self.assertNotIn("did you mean", usage("frobnicate"))
        self.assertIn("name a verb", usage())
        self.assertIn("name a verb", usage("bench"))

    def test_options(self):
        self.assertIn(
            "there is no option --levle; did you mean '--level'?",
            usage("pack", "--levle=max", "-o", "x", "a=b"),
        )
        self.assertIn("did you mean '--tensors'?", usage("inspect", "m", "--tensor"))
        self.assertNotIn("did you mean", usage("inspect", "m", "--frobnicate"))
        self.assertIn("'more' is one argument too many", usage("inspect", "m", "more"))

    def test_words_of_options(self):
        self.assertEqual(
            usage("pack", "--level", "ultra", "-o", "x", "a=b"),
            'qstore: qstore pack: --level: "ultra" is none of fast, balanced, max (usage)',
        )
        self.assertIn("did you mean 'balanced'?", usage("pack", "--level", "balance", "a=b"))
        self.assertIn("is none of keep, bf16, fp16", usage("quantize", "--rest", "x", "a"))
        ok("pack", "--level", "FAST", "-o", self.space / "m.qstore", f"a={self.model}")


class Sizes(Case):
    """One convention: kB and K are 1000 bytes, KiB and Ki 1024, in every option."""

    def cut(self, option, size):
        """The size of the largest file that `synth` writes."""
        out = self.space / "out"
        shape = ("--shape", "64x256", "--count", "20", "--force", "-o", out)
        ok("synth", *shape, option, size)
        return max(path.stat().st_size for path in out.glob("*.safetensors"))

    def test_units_of_a_limit(self):
        """A variant of 196608 bytes of tensors, against limits just above and below."""
        total = sum(f["bytes"] for f in json.loads(ok("ls", "--json", self.archive, "bf16").stdout))
        out = self.space / "out"
        for limit, allowed in (
            (str(total), True),
            (str(total - 1), False),
            ("0.9MB", total <= 900_000),
            (f"{total // 1000 + 1}kB", True),
            (f"{total // 1000 + 1}K", True),
            (f"{total // 1000}k", False),
            (f"{total // 1024 + 1}KiB", True),
            (f"{total // 1024 + 1} Ki", True),
            (f"{total // 1024}kib", False),
        ):
            done = run("unpack", "--force", self.archive, "bf16", "-o", out, "--max-bytes", limit)
            self.assertEqual(done.returncode == 0, allowed, (limit, done.stderr))

    def test_every_option_reads_them_alike(self):
        """The one with 1000s is refused or taken as the one with 1024s is, by all options."""
        for page in pages():
            for option in page["options"]:
                if option["value"] not in ("SIZE", "RATE"):
                    continue
                name = option["names"][-1]
                verb = page["name"].split()[1:]
                for bad in ("12q", "MB", "", "1..5GB", "-1", "99999999EiB"):
                    line = usage(*verb, f"{name}={bad}") if bad else ""
                    if bad:
                        self.assertIn(name, line)
        self.assertIn('--memory: "12q" is no size', usage("pack", "--memory", "12q", "a=b"))


class Errors(Case):
    def error(self, *arguments):
        done = run(*arguments, "--json")
        document = json.loads(done.stdout)
        self.assertEqual(set(document), {"error"})
        self.assertEqual(document["error"]["exit_code"], done.returncode)
        self.assertIn(document["error"]["message"], done.stderr)
        return document["error"]

    def test_errors_are_documents(self):
        nowhere = self.space / "nowhere"
        for verb in ("inspect", "verify", "ls"):
            error = self.error(verb, nowhere)
            self.assertEqual((error["code"], error["exit_code"]), ("not-found", 1))
            self.assertIn(str(nowhere), error["message"])
        self.assertEqual(self.error("inspect")["code"], "usage")
        self.assertEqual(self.error("frobnicate")["code"], "usage")
        damaged = self.space / "m.qstore"
        damaged.write_bytes(self.archive.read_bytes()[:-1])
        self.assertEqual(self.error("verify", damaged)["exit_code"], 3)


class Completion(Case):
    def words(self, *line):
        return ok("completion", "words", "--", *line).stdout.split()

    def test_words(self):
        self.assertEqual(self.words("unp"), ["unpack"])
        self.assertIn("pack", self.words(""))
        self.assertEqual(self.words("pack", "--lev"), ["--level"])
        self.assertEqual(self.words("pack", "--level", "b"), ["balanced"])
        self.assertEqual(self.words("pack", "--level=m"), ["--level=max"])
        self.assertEqual(self.words("pack", "--level", "=", "m"), ["max"])
        self.assertEqual(self.words("bench", "l"), ["load"])
        self.assertEqual(self.words("help", "insp"), ["inspect"])
        self.assertEqual(self.words("completion", ""), ["bash", "zsh", "fish", "words"][:3])

    def test_names_of_an_archive(self):
        self.assertEqual(self.words("unpack", self.archive, ""), ["int8", "bf16"])
        self.assertEqual(self.words("unpack", "-o", "x", self.archive, "i"), ["int8"])
        self.assertEqual(self.words("drop", self.archive, "int8", "b"), ["bf16"])
        self.assertEqual(self.words("cat", self.archive, "bf16", "config"), ["config.json"])
        # Paths are the shell's.
        self.assertEqual(self.words("unpack", ""), [])
        self.assertEqual(self.words("unpack", self.space / "nowhere", ""), [])

    def test_bash(self):
        script = ok("completion", "bash").stdout + (
            'COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _qstore\n'
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        line = (cli_test.BINARY, "unpack", self.archive, "")
        done = subprocess.run(["bash", "-c", script, "_", *line], capture_output=True, text=True)
        self.assertEqual((done.stdout.split(), done.stderr), (["int8", "bf16"], ""))

    def test_scripts_are_those_of_the_shells(self):
        for shell in ("bash", "zsh", "fish"):
            script = ok("completion", shell).stdout
            self.assertIn("completion words", script)
            if shutil.which(shell):
                subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)


class Terminal(Case):
    def test_colours_are_for_terminals(self):
        self.assertIn("\033[1m", on_a_terminal("help"))
        self.assertIn("\033[1;31mqstore:", on_a_terminal("inspect", self.space / "nowhere"))
        for quiet in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\033[1", on_a_terminal("help", **quiet))
            self.assertNotIn("\033[1", on_a_terminal("inspect", self.space / "nowhere", **quiet))
        self.assertNotIn("\033", ok("help").stdout)
        self.assertNotIn("\033", run("inspect", self.space / "nowhere").stderr)

    def test_a_bar_with_its_rate(self):
        out = self.space / "big"
        shown = on_a_terminal("synth", "--size", "400MB", "-o", out)
        self.assertRegex(shown, r"inventing .*\[#*\.*\].* \d+ % of ")
        self.assertRegex(shown, r", \d+ MB/s")
        self.assertNotIn("\r", run("synth", "--size", "1MB", "--force", "-o", out).stderr)


if __name__ == "__main__":
    cli_test.BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)

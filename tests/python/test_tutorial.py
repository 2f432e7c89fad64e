# SPDX-License-Identifier: Apache-2.0
"""The tutorial "Add a scheme", done as it says on a copy of the tree.

A block with a title that is a path is a file, or the change of one; "in the tree" are commands.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from command import ROOT

PAGE = ROOT / "docs" / "tutorials" / "add-a-scheme.md"
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.M | re.S)
COMMAND = "build/bin/qstore"
TEST = "tests/unit/scheme/negated_test.cc"


def copy_tree(target):
    """What git would commit, and nothing that was built."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def change(path, diff):
    """Lines with a blank or a minus in front are there, once. Those with a plus replace them."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path}: not once there:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def environment(tree):
    """`python` is this one; what was compiled before comes from the cache, where there is one."""
    (tree / "bin").mkdir()
    python = tree / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    found = os.environ | {"PATH": f"{tree / 'bin'}:{os.environ['PATH']}"}
    if shutil.which("ccache"):
        found |= {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CCACHE_BASEDIR": str(tree)}
        found |= {"CCACHE_NOHASHDIR": "1", "CCACHE_SLOPPINESS": "pch_defines,time_macros"}
    return found


def run(command, tree, env):
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The copy, every block of the page applied from top to bottom."""
    tree = tmp_path_factory.mktemp("tutorial") / "tree"
    copy_tree(tree)
    env = environment(tree)
    for language, title, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if title == "in the tree":
            run(["bash", "-euo", "pipefail", "-c", text], tree, env)
        elif language == "diff":
            change(tree / title, text)
        else:
            (tree / title).parent.mkdir(parents=True, exist_ok=True)
            (tree / title).write_text(text, encoding="utf-8")
    return tree


@pytest.mark.rest  # Compiles the library and the command once more.
class TestAddAScheme:
    def test_the_planner_takes_the_scheme(self, tree):
        run([COMMAND, "verify", "m.qstore"], tree, os.environ)
        report = json.loads(
            run([COMMAND, "inspect", "--json", "--tensors", "m.qstore"], tree, None)
        )
        tensors = [tensor for variant in report["variants"] for tensor in variant["tensors"]]
        assert sorted(tensor["scheme"] for tensor in tensors) == ["negated", "none"]
        (child,) = (tensor for tensor in tensors if tensor["scheme"] == "negated")
        assert child["stored_bytes"] < 100

    def test_its_unit_test_passes(self, tree):
        includes = ["-Isrc", "-Itests", "-Iinclude", "-Ibuild/include"]
        libraries = ["build/libqstore.a", "-lgtest", "-lgtest_main", "-lzstd", "-lcrypto"]
        compiler = ["c++", "-std=c++20", "-DQSTORE_STATIC_DEFINE", *includes, TEST, "-o", "test"]
        run([*compiler, *libraries, "-lpthread", "-ldl"], tree, None)
        assert "[  PASSED  ] 2 tests." in run(["./test"], tree, None)

    def test_the_checks_of_the_tree_pass(self, tree):
        for check in ("check_layers", "check_scheme_names"):
            run([sys.executable, f"tools/{check}.py"], tree, None)
        sources = [
            title for _, title, _ in BLOCK.findall(PAGE.read_text()) if title.endswith("d.cc")
        ]
        run(["clang-format-14", "--dry-run", "-Werror", *sources, TEST], tree, None)


def test_every_block_with_a_path_is_applied():
    titles = [title for _, title, _ in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    assert titles.count("in the tree") == 2
    assert "src/scheme/negated/negated.cc" in titles


def test_changes_fit_the_tree(tmp_path):
    """What they change is there: so the page cannot age between two runs of the rest."""
    for language, title, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "diff":
            copy = tmp_path / title
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                shutil.copy2(ROOT / title, copy)
            change(copy, text)

# SPDX-License-Identifier: Apache-2.0
"""What ./dev says of its steps, and the parts of its tools that can be tried alone."""

import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import coverage  # noqa: E402
import python_site  # noqa: E402


def dev(*arguments):
    return subprocess.run([ROOT / "dev", *arguments], capture_output=True, text=True)


class Steps(unittest.TestCase):
    def test_both_tiers_are_listed(self):
        lines = dev("test", "--list").stdout.splitlines()
        tiers = {line.split()[2]: line.split()[1] for line in lines}
        for name in ("lint", "release", "python", "asan-part"):
            self.assertEqual(tiers.pop(name), "1", name)
        builds = ("tidy", "shared", "gcc11", "clang14", "asan", "tsan", "fuzz")
        for name in (*builds, "python-rest", "engines"):
            self.assertEqual(tiers.pop(name), "2", name)
        self.assertEqual(tiers, {})

    def test_an_unknown_step_is_a_usage_error(self):
        done = dev("test", "lint", "no-such-step")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no-such-step", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_an_unknown_command_is_a_usage_error(self):
        self.assertEqual(dev("no-such-command").returncode, 2)


class Tools(unittest.TestCase):
    def test_ranges_of_lines(self):
        self.assertEqual(coverage.ranges([9, 3, 4, 5, 11, 12]), "3-5, 9, 11-12")
        self.assertEqual(coverage.ranges([]), "")

    def test_a_build_without_the_extension_is_told(self):
        with self.assertRaisesRegex(FileNotFoundError, "dev build python"):
            python_site.lay_out(ROOT / "tests", ROOT / "tests" / "nowhere")


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""Folders that tools/check_folders.py must refuse, and good ones."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_folders  # noqa: E402

PAGE = "# io\n\nFiles.\n\n- **May include**: nothing.\n- **Start with**: `file.h`.\n"


class CheckFoldersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("src/io/README.md", PAGE)
        self.write("src/io/file.h")
        self.write("src/io/file.cc")
        self.write("tests/unit/io/file_test.cc")

    def write(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def offences(self, *rows):
        with mock.patch.object(check_folders, "ELSEWHERE", rows):
            return list(check_folders.offences(self.root))

    def test_a_good_folder_passes(self):
        self.assertEqual(self.offences(), [])

    def test_pages_are_short_and_say_what_is_asked(self):
        self.write("src/io/README.md", PAGE.replace("Start with", "Begin") + "\n" * 20)
        more, start = self.offences()
        self.assertIn("more than 20 lines", more)
        self.assertIn("Start with", start)
        (self.root / "src/io/README.md").unlink()
        self.assertEqual(self.offences(), ["src/io/README.md: is missing"])

    def test_files_that_a_page_names_are_there(self):
        self.write("src/io/README.md", PAGE.replace("file.h", "gone.h"))
        self.assertEqual(self.offences(), ["src/io/README.md: names gone.h, which is not there"])

    def test_a_file_without_test_needs_a_row(self):
        self.write("src/io/deep/other.cc")
        self.assertIn("src/io/deep/other.cc", self.offences()[0])
        self.assertEqual(self.offences(("io/deep/*", "io/file_test.cc", "why")), [])

    def test_rows_age(self):
        (unused,) = self.offences(("io/gone.cc", "io/file_test.cc", "why"))
        self.assertIn("no file needs", unused)
        self.write("src/io/other.cc")
        (gone,) = self.offences(("io/other.cc", "io/gone_test.cc", "why"))
        self.assertIn("gone_test.cc", gone)


if __name__ == "__main__":
    unittest.main()

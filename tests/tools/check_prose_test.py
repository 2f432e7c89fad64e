# SPDX-License-Identifier: Apache-2.0
"""Pages that tools/check_prose.py must refuse, and good ones."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_prose  # noqa: E402

SHORT = " ".join(["word"] * 30)
LONG = " ".join(["word"] * 31)


def offences_of(text, name="page.md"):
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / name
        page.write_text(text)
        return [offence.split(":", 1)[1] for offence in check_prose.offences(page)]


class CheckProseTest(unittest.TestCase):
    def test_thirty_words_pass(self):
        self.assertEqual(offences_of(f"{SHORT}.\n"), [])

    def test_long_sentence_fails_where_it_begins(self):
        (found,) = offences_of(f"# Title\n\nShort. W{LONG[1:79]}\n{LONG[80:]}.\n")
        self.assertIn("3: a sentence of 31 words", found)

    def test_sentences_are_counted_one_by_one(self):
        self.assertEqual(offences_of(f"{SHORT}. {SHORT.capitalize()}. `{SHORT}` is code.\n"), [])

    def test_code_counts_as_a_word(self):
        self.assertEqual(offences_of(f"```sh\n{LONG}\n```\n\nRun `{LONG}`.\n"), [])

    def test_items_and_cells_stand_alone(self):
        rule = "|---|---|"
        text = f"- {SHORT}\n- {SHORT}\n\n| {SHORT} | {SHORT} |\n{rule}\n"
        self.assertEqual(offences_of(text), [])
        text = f"- {SHORT}\n- {LONG}\n\n| {SHORT} | {LONG} |\n{rule}\n"
        self.assertEqual(len(offences_of(text)), 2)

    def test_addresses_of_links_do_not_count(self):
        self.assertEqual(offences_of(f"{SHORT.replace('word', '[word](a b c)', 1)}.\n"), [])

    def test_tables_may_be_indented(self):
        self.assertEqual(offences_of(f"1. {SHORT}:\n\n   | {SHORT} | {SHORT} |\n"), [])

    def test_comments_of_a_header_are_read(self):
        long = "\n".join(["/// Short."] + [f"/// {word}" for word in LONG.split()])
        self.assertIn("1: a sentence of 32", offences_of(f"{long}\nint F();\n", "a.h")[0])
        self.assertEqual(
            offences_of(f"/// {SHORT}.\n/// {SHORT.capitalize()}\nint F();\n", "a.h"), []
        )

    def test_comments_behind_members_are_read_one_by_one(self):
        one, other = f"int a;  ///< {SHORT}\n", f"int b;  ///< {SHORT}\n"
        self.assertEqual(offences_of(one + other, "a.h"), [])
        self.assertEqual(len(offences_of(f"{one}        ///< more\n", "a.h")), 1)

    def test_code_of_a_header_is_not_read(self):
        self.assertEqual(offences_of(f"int {LONG.replace(' ', '_ ')};\n", "a.h"), [])

    def test_public_docstrings_are_read(self):
        public = f'def f():\n    """{LONG}"""\n'
        self.assertIn("2: a sentence of 31", offences_of(public, "a.py")[0])
        self.assertEqual(offences_of(public.replace("def f", "def _f"), "a.py"), [])
        self.assertEqual(len(offences_of(f'"""{LONG}"""\n', "a.py")), 1)
        method = f'class A:\n    def __init__(self):\n        """{LONG}"""\n'
        self.assertEqual(len(offences_of(method, "a.py")), 1)


if __name__ == "__main__":
    unittest.main()

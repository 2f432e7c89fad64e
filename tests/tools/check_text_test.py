# SPDX-License-Identifier: Apache-2.0
"""What check_words.py, check_spec_names.py and check_scheme_names.py of tools must refuse, and what
they must not."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_scheme_names  # noqa: E402
import check_spec_names  # noqa: E402
import check_words  # noqa: E402

# Put together here, so that this file passes the check itself.
PROMISES = ["TO" + "DO: later", "a st" + "ub", "not imple" + "mented", "// FIX" + "ME"]
PATHS = ["see /ro" + "ot/x", '"/wo' + 'rk/a"', "/ho" + "me/ada/m"]
SWITCHED_OFF = ["  GTEST_" + "SKIP();", "TEST(A, DISA" + "BLED_B)", "@pytest.mark." + "skip"]
FINE = ["src/wo" + "rk/x", "the root of the tree", "${CMAKE_SOURCE_DIR}/wo" + "rk/", "stubborn"]
FINE += ["a hacksaw"]

HEADER = """
struct Footer {
  uint64_t index_offset = 0;
  uint32_t index_size;
  static constexpr size_t kSize = 12;
  void EncodeTo(ByteWriter* out) const;
  uint64_t known_only_in_memory_ = 0;
};
struct InMemoryOnly {
  int not_on_disk = 0;
};
"""
IDS = """
enum class Codec : uint8_t {
  kRaw = 0,
  kZstd = 1,
};
"""
SPEC = "index_offset, index_size\n| 0 | `kRaw` |\n| 1 | `kZstd` |\n"


def spec_offences(spec):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {
            "src/format/layout.h": HEADER,
            "src/base/disk_ids.h": IDS,
            "docs/format.md": spec,
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return list(check_spec_names.offences(root))


class CheckWordsTest(unittest.TestCase):
    def test_refused(self):
        for line in PROMISES + PATHS + SWITCHED_OFF:
            with self.subTest(line=line):
                self.assertEqual(len(list(check_words.offences_in("x", line))), 1)

    def test_allowed(self):
        for line in FINE:
            with self.subTest(line=line):
                self.assertEqual(list(check_words.offences_in("x", line)), [])


class CheckSpecNamesTest(unittest.TestCase):
    def test_complete_spec_passes(self):
        self.assertEqual(spec_offences(SPEC), [])

    def test_missing_field_fails(self):
        (found,) = spec_offences(SPEC.replace("index_size", "size"))
        self.assertIn("Footer.index_size", found)

    def test_missing_enumerator_fails(self):
        (found,) = spec_offences(SPEC.replace("kZstd", "zstd"))
        self.assertIn("Codec.kZstd", found)

    def test_wrong_value_fails(self):
        (found,) = spec_offences(SPEC.replace("| 1 |", "| 2 |"))
        self.assertIn("Codec.kZstd = 1", found)


class SchemeNames(unittest.TestCase):
    SCHEME = 'std::string_view name() const override { return "round-off"; }\n'

    def offences_of(self, text, file="src/plan/order.cc"):
        with tempfile.TemporaryDirectory() as root:
            for path, content in {"src/scheme/awq4/awq4.cc": self.SCHEME, file: text}.items():
                place = Path(root, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content)
            return list(check_scheme_names.offences(root))

    def test_names_in_any_spelling_are_found(self):
        for text in ("// as RoundOff has it", "awq4::Find()", 'name == "round-off"', "kRoundOff"):
            self.assertEqual(len(self.offences_of(text + "\n")), 1, text)

    def test_others_are_not(self):
        self.assertEqual(self.offences_of("scheme::Schemes()\n"), [])
        self.assertEqual(self.offences_of('"awq4"\n', "apps/make/quantize.cc"), [])
        self.assertEqual(self.offences_of("a round offer, gawq\n"), [])

    def test_applications_but_make_have_none(self):
        for folder in ("apps/analyze", "apps/common", "cli", "cli/bench"):
            (found,) = self.offences_of("\nkRoundOff\n", f"{folder}/x.cc")
            self.assertIn(f"{folder}/x.cc:2: RoundOff", found)
        self.assertEqual(len(self.offences_of('"of awq4"\n', "apps/analyze/x.cc")), 1)
        self.assertEqual(len(self.offences_of("", "cli/awq4.cc")), 1)

    def test_texts_of_the_command_may_have_them(self):
        for text in ('Help("awq4 and round-off")', r'Help("a", "\" awq4", "awq4 b")'):
            self.assertEqual(self.offences_of(text, "cli/x.cc"), [], text)
        for text in ('Is("awq4")', 'f("a b", kRoundOff, "c d")', "// awq4"):
            self.assertEqual(len(self.offences_of(text, "cli/x.cc")), 1, text)

    def test_a_tree_without_schemes_is_none(self):
        with tempfile.TemporaryDirectory() as root:
            Path(root, "src/scheme").mkdir(parents=True)
            self.assertEqual(len(list(check_scheme_names.offences(root))), 1)


if __name__ == "__main__":
    unittest.main()

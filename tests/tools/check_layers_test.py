# SPDX-License-Identifier: Apache-2.0
"""Small bad trees that tools/check_layers.py must refuse, and a good one."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_layers  # noqa: E402

GOOD = {
    "include/qstore/status.h": "#include <string>\n",
    "include/qstore/pack.h": '#include "qstore/export.h"\n#include "qstore/status.h"\n',
    "src/base/hash.h": "#include <span>\n",
    "src/base/hash.cc": '#include "base/hash.h"\n#include <xxhash.h>\n',
    "include/qstore.h": '#include <stddef.h>\n#include "qstore/export.h"\n',
    "src/capi/open.cc": '#include "qstore.h"\n#include "store/pack.cc"\n',
    "src/io/file.h": '#include <sys/stat.h>\n#include "qstore/status.h"\n',
    "src/codec/zstd.h": '#include "base/hash.h"\n',
    "src/codec/zstd.cc": '#include "codec/zstd.h"\n#include <zstd.h>\n',
    "src/codec/kernels/kernels.h": "#include <cstdint>\n",
    "src/codec/kernels/avx2.cc": '#include <immintrin.h>\n#include "codec/kernels/kernels.h"\n',
    "src/scheme/planner.h": '#include "codec/zstd.h"\n#include "base/hash.h"\n',
    "src/store/pack.cc": '#include "scheme/planner.h"\n#include "io/file.h"\n',
    "apps/common/glob.h": "#include <string_view>\n",
    "apps/make/include/qstore_apps/synth.h": '#include "qstore/pack.h"\n',
    "apps/make/synth.cc": '#include "qstore_apps/synth.h"\n#include "common/glob.h"\n'
    '#include "io/file.h"\n#include "base/hash.h"\n',
    "apps/analyze/sum.h": "#include <string>\n",
    "apps/analyze/sum.cc": '#include "analyze/sum.h"\n',
    "cli/args.h": "#include <string>\n",
    "cli/main.cc": '#include <CLI/CLI.hpp>\n#include "cli/args.h"\n#include "qstore/pack.h"\n'
    '#include "qstore_apps/synth.h"\n',
    "tests/unit/io/file_test.cc": '#include "io/file.h"\n#include <gtest/gtest.h>\n',
    "tests/apps/analyze/sum_test.cc": '#include "analyze/sum.h"\n#include "qstore_apps/synth.h"\n',
}

# A file that replaces or joins those of GOOD, its content, and a piece of the message expected.
BAD = [
    ("src/base/x.cc", '#include "io/file.h"', "base (level 0) may not see io (1)"),
    ("src/io/x.cc", '#include "codec/zstd.h"', "io (level 1) may not see codec (1)"),
    ("src/scheme/x.cc", '#include "store/pack.cc"', "scheme (level 2) may not see store (4)"),
    ("src/store/x.cc", '#include "make/synth.cc"', "relative to src"),
    ("src/store/x.cc", '#include "qstore_apps/synth.h"', "relative to src"),
    ("apps/make/x.cc", '#include "scheme/planner.h"', "apps/make may not see scheme"),
    ("apps/make/x.cc", '#include "store/pack.cc"', "apps/make may not see store"),
    ("apps/make/x.cc", '#include "codec/zstd.h"', "apps/make may not see codec"),
    ("apps/make/x.cc", '#include "analyze/sum.h"', "apps/make may not see analyze"),
    ("apps/analyze/x.cc", '#include "qstore_apps/synth.h"', "relative to apps or src"),
    ("apps/common/x.cc", '#include "analyze/sum.h"', "apps/common may not see analyze"),
    ("apps/make/x.cc", '#include "cli/args.h"', "relative to apps or src"),
    ("apps/make/x.cc", "#include <zstd.h>", "belongs to"),
    ("apps/make/include/qstore_apps/x.h", '#include "base/hash.h"', "a public header"),
    ("apps/other/x.cc", '#include "base/hash.h"', "that docs/architecture.md does not know"),
    ("src/io/x.cc", '#include "file.h"', "relative to src"),
    ("src/io/x.cc", '#include "../base/hash.h"', "relative to src"),
    ("src/io/x.cc", '#include "qstore/gone.h"', "not in include/qstore"),
    ("src/store/x.cc", '#include "qstore.h"', "is for src/capi"),
    ("cli/main.cc", '#include "qstore.h"', "is for src/capi"),
    ("src/store/x.cc", '#include "capi/open.cc"', "store (level 4) may not see capi (5)"),
    ("src/util/x.cc", '#include "base/hash.h"', "a module that docs/architecture.md does not know"),
    ("src/io/x.cc", "#include <xxhash.h>", "belongs to"),
    ("src/store/x.cc", "#include <zstd.h>", "belongs to"),
    ("src/store/x.cc", "#include <nlohmann/json.hpp>", "belongs to"),
    ("src/store/x.cc", "#include <CLI/CLI.hpp>", "belongs to"),
    ("src/store/x.cc", "#include <gtest/gtest.h>", "belongs to"),
    ("src/store/x.cc", "#include <boost/any.hpp>", "no system header"),
    ("src/codec/kernels/avx2.cc", "#include <vector>", "in a kernel"),
    ("src/codec/kernels/avx2.cc", '#include "base/hash.h"', "only its own folder"),
    ("src/codec/kernels/avx2.cc", '#include "qstore/status.h"', "only its own folder"),
    ("src/codec/kernels/loops.h", '#include "codec/zstd.h"', "only its own folder"),
    ("include/qstore/pack.h", '#include "base/hash.h"', "a public header"),
    ("include/qstore/pack.h", "#include <nlohmann/json.hpp>", "belongs to"),
    ("cli/main.cc", '#include "base/hash.h"', 'cli may include only "qstore/..."'),
    ("cli/main.cc", '#  include "src/base/hash.h"', 'cli may include only "qstore/..."'),
    ("cli/main.cc", '#include "gone.h"', 'cli may include only "qstore/..."'),
    ("python/bindings.cc", '#include "store/pack.cc"', 'python may include only "qstore/..."'),
    ("tests/unit/io/x.cc", '#include "io/gone.h"', "neither in src nor in apps nor in tests"),
    ("cli/main.cc", '#include "make/synth.cc"', 'cli may include only "qstore/..."'),
    ("cli/main.cc", '#include "qstore_apps/gone.h"', 'cli may include only "qstore/..."'),
]


def offences_of(tree):
    with tempfile.TemporaryDirectory() as root:
        for name, text in tree.items():
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return list(check_layers.offences(root))


class CheckLayersTest(unittest.TestCase):
    def test_good_tree_passes(self):
        self.assertEqual(offences_of(GOOD), [])

    def test_bad_trees_fail(self):
        for name, text, message in BAD:
            with self.subTest(file=name, include=text):
                found = offences_of(GOOD | {name: text})
                self.assertTrue(found)
                for offence in found:
                    self.assertTrue(offence.startswith(name.rpartition("/")[0]), offence)
                self.assertIn(message, " ".join(found))


if __name__ == "__main__":
    unittest.main()

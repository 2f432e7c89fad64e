# SPDX-License-Identifier: Apache-2.0
"""Builds that tools/check_kernels.py must refuse, and a good one. CXX names the compiler."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_kernels  # noqa: E402

FREESTANDING = "void Copy(char* to, const char* from) { *to = *from; }\n"
SHARED_CODE = "template <class T> T Id(T x) { return x; }\nint F(int x) { return Id(x); }\n"


def offences_of(source, text, flags):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = root / source
        path.parent.mkdir(parents=True)
        path.write_text(text)
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, "-O0", "-c", path, "-o", root / "x.o"], check=True)
        # The flags are only recorded, so that the test runs on every processor and compiler.
        command = f"{compiler} {flags} -o x.o -c {path}"
        entry = {"directory": folder, "command": command, "file": str(path)}
        (root / "compile_commands.json").write_text(json.dumps([entry]))
        return list(check_kernels.offences(root))


class CheckKernelsTest(unittest.TestCase):
    def test_freestanding_kernel_passes(self):
        self.assertEqual(offences_of("src/codec/kernels/avx2.cc", FREESTANDING, "-mavx2"), [])

    def test_weak_symbols_pass_without_isa_flags(self):
        self.assertEqual(offences_of("src/io/file.cc", SHARED_CODE, "-O2"), [])

    def test_weak_symbol_in_kernel_fails(self):
        (found,) = offences_of("src/codec/kernels/avx2.cc", SHARED_CODE, "-mavx2")
        self.assertIn("weak symbol", found)

    def test_pointer_of_the_unwinder_passes(self):
        text = "struct S { ~S(); };\nvoid Work();\nvoid F() { S s; Work(); }\n"
        self.assertEqual(offences_of("src/codec/kernels/avx2.cc", text, "-mavx2 -fPIE"), [])

    def test_isa_flag_outside_the_kernels_fails(self):
        (found,) = offences_of("src/io/file.cc", FREESTANDING, "-mavx512bw")
        self.assertIn("outside a folder named kernels", found)

    def test_flag_of_one_machine_fails(self):
        found = offences_of("src/codec/kernels/avx2.cc", FREESTANDING, "-march=native")
        self.assertIn("avx2.cc: compiled with -march=native", found)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""Compiles the example in C by what pkg-config says of an installed QStore, and runs it.

usage: pkg_config_test.py PREFIX ARCHIVE COMPILER [FLAG...]
"""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "capi" / "print_tensor.c"


def flags(folder, *what):
    environment = os.environ | {"PKG_CONFIG_PATH": str(folder)}
    command = ["pkg-config", *what, "qstore"]
    return subprocess.check_output(command, env=environment, text=True).split()


def main(prefix, archive, *compiler):
    (package,) = Path(prefix).rglob("qstore.pc")
    program = Path(prefix) / "print_tensor"
    cflags, libs = flags(package.parent, "--cflags"), flags(package.parent, "--libs")
    command = [*" ".join(compiler).split(), "-std=c99", *cflags, EXAMPLE, "-o", program, *libs]
    subprocess.run(command, check=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(package.parents[1])}
    subprocess.run([program, archive, "bf16"], env=environment, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""The example for other languages reads a golden archive as it was packed.

usage: ctypes_test.py LIBRARY
"""

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "capi"))
import qstore_ctypes  # noqa: E402

GOLDEN = ROOT / "tests" / "golden" / "valid"


def check_files(archive):
    digests = (GOLDEN / "pair.sha256").read_text().splitlines()[1:]
    expected = {path: digest for digest, path in (line.split("  ", 1) for line in digests)}
    found = {}
    for variant in archive.variants():
        for i in range(variant.first_file, variant.first_file + variant.file_count):
            file = archive.file(i)
            content = archive.read_file(i, 0, file.byte_size) if file.byte_size else b""
            found[f"{variant.name}/{file.path}"] = hashlib.sha256(content).hexdigest()
    assert found == expected


def check_rows(archive):
    variant = archive.variant("bf16")
    for i in range(variant.first_tensor, variant.first_tensor + variant.tensor_count):
        tensor = archive.tensor(i)
        content = archive.read_tensor(i)
        row = len(content) // tensor.shape[0]
        assert archive.read_rows(i, 0, 1) == content[:row]
        assert len(content) == tensor.byte_size


def check_errors(library):
    try:
        qstore_ctypes.Archive(library, "nowhere.qstore")
    except qstore_ctypes.QStoreError as error:
        assert error.code == "not-found" and "nowhere.qstore" in str(error)
    else:
        raise AssertionError("a file that is not there was opened")


def main(path):
    library = qstore_ctypes.Library(path)
    with qstore_ctypes.Archive(library, str(GOLDEN / "pair.qstore")) as archive:
        archive.verify()
        check_files(archive)
        check_rows(archive)
    check_errors(library)
    qstore_ctypes.main(path, str(GOLDEN / "pair.qstore"), "int8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

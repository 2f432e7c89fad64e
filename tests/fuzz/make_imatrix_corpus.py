#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes inputs of imatrix_fuzz.

usage: make_imatrix_corpus.py      those that exist are never touched
"""

import struct
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus" / "imatrix"
sys.path.insert(0, str(HERE.parent / "golden"))
import golden_ladder as models  # noqa: E402

ENTRIES = {"blk.0.w": (17, np.arange(3)), "b": (0, np.ones(1)), "c": (-1, np.zeros(2))}
ENDED = struct.pack("<II", 17, 4) + b"text"
LONG = struct.pack("<II1siI", 1, 1, b"a", 1, 0x7FFFFFFF)
# NAME: entries, and what follows them.
FILES = {
    "ended": (ENTRIES, ENDED),
    "bare": (ENTRIES, b""),
    "chunks_alone": (ENTRIES, ENDED[:4]),
    "text_cut": (ENTRIES, ENDED[:-1]),
    "behind": (ENTRIES, ENDED + b"x"),
    "nothing": ({}, b""),
    "no_name": ({"": (1, np.ones(1))}, b""),
    "no_values": ({"a": (1, np.ones(0))}, b""),
}


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, (entries, end) in FILES.items():
        if not (CORPUS / name).exists():
            models.write_imatrix(CORPUS / name, entries, end)
    if not (CORPUS / "long").exists():
        (CORPUS / "long").write_bytes(LONG)
    bare = (CORPUS / "bare").read_bytes()
    if not (CORPUS / "twice").exists():
        (CORPUS / "twice").write_bytes(struct.pack("<I", 6) + 2 * bare[4:])


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The program `qstore-zipnn`, by which `qstore analyze --methods zipnn` has files compressed.

For each line on its standard input it answers one line. It reads a JSON object of path, offset,
size and dtype. It answers the number of bytes that ZipNN makes of that, 256 MiB at a time, or what
failed.
"""

import json
import os
import signal
import sys
from importlib import import_module

_PIECE = 256 << 20


def main() -> int:
    # An interruption of the terminal is the command's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # For what the libraries print.

    def answer(text: object) -> None:
        print(" ".join(str(text).split()), file=answers, flush=True)

    try:
        zipnn = import_module("zipnn")
    except Exception as error:
        answer(f"{type(error).__name__}: {error}")
        return 1
    answer("ready")
    for line in sys.stdin:
        try:
            request = json.loads(line)
            total, left = 0, request["size"]
            with open(request["path"], "rb") as file:
                file.seek(request["offset"])
                while left:
                    piece = bytearray(file.read(min(left, _PIECE)))
                    left -= len(piece)
                    coder = zipnn.ZipNN(input_format="byte", bytearray_dtype=request["dtype"])
                    total += len(coder.compress(piece)) if piece else left
            answer(total)
        except Exception as error:
            answer(f"{type(error).__name__}: {error}")
    return 0

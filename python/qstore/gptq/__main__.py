# SPDX-License-Identifier: Apache-2.0
"""The part of `qstore quantize` that makes GPTQ checkpoints, with the exit codes of the command."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from pathlib import Path

from qstore._stop import end_by_signal, interrupt
from qstore.errors import CorruptError, QStoreError
from qstore.gptq.options import Calibration, Scheme

DONE, FAILED, USAGE, CORRUPT = 0, 1, 2, 3


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="qstore quantize", allow_abbrev=False)
    made.add_argument("source", type=Path, help="directory of a 16-bit decoder model")
    made.add_argument("-o", "--output", type=Path, required=True, help="directory to write")
    made.add_argument("--to", type=targets, required=True, help="gptq-Nbit,...; N is 2, 3, 4 or 8")
    made.add_argument("--group-size", type=int, default=128, help="input channels; -1 is all")
    zeros = made.add_mutually_exclusive_group()
    zeros.add_argument("--sym", action="store_true", help="no zeros but the middle; the default")
    zeros.add_argument("--asym", action="store_true", help="a zero for each group")
    made.add_argument("--act-order", action="store_true", help="active channels first")
    made.add_argument("--static-groups", action="store_true", help="scales before rounding")
    made.add_argument("--damp", type=float, default=0.01, help="part of the mean diagonal")
    made.add_argument("--calibration", default="c4", help="a text file or a data set")
    made.add_argument("--samples", type=int, default=128, help="windows of calibration text")
    made.add_argument("--seqlen", type=int, default=0, help="tokens of each; 0 is 2048 at most")
    made.add_argument("--seed", type=int, default=0, help="of the choice of texts")
    made.add_argument("--force", action="store_true", help="replace the output")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    return made


def targets(text: str) -> list[int]:
    names = text.lower().split(",")
    bits = [re.fullmatch(r"gptq-([2348])bit", name) for name in names]
    if not all(bits):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of gptq-Nbit, N being 2, 3, 4 or 8")
    return [int(found.group(1)) for found in bits if found]


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, interrupt)
    options = parser().parse_args(arguments)
    try:
        schemes = [
            Scheme(
                bits,
                group_size=options.group_size,
                symmetric=not options.asym,
                act_order=options.act_order,
                static_groups=options.static_groups,
                damp=options.damp,
            )
            for bits in options.to
        ]
        calibration = Calibration(
            options.calibration, options.samples, options.seqlen, options.seed
        )
    except QStoreError as error:
        return complain(error, USAGE)
    try:
        return run(options, schemes, calibration)
    except QStoreError as error:
        return complain(error, CORRUPT if isinstance(error, CorruptError) else FAILED)
    except OSError as error:
        return complain(error, FAILED)
    except ImportError as error:
        return complain(f"{error}; GPTQ needs: pip install 'qstore[quantize]'", FAILED)
    except KeyboardInterrupt as stop:
        complain("stopped; the same command goes on from here", FAILED)
        end_by_signal(stop)
        return FAILED


def run(options: argparse.Namespace, schemes: list[Scheme], calibration: Calibration) -> int:
    from qstore.gptq.run import Events, quantize
    from qstore.gptq.terminal import Terminal, as_json

    terminal = Terminal(print_rows=not options.json)
    try:
        report = quantize(
            options.source,
            options.output,
            schemes,
            calibration,
            overwrite=options.force,
            events=Events(terminal.row, terminal.progress),
        )
    finally:
        terminal.clear()
    if options.json:
        print(json.dumps(as_json(report)))
    else:
        terminal.summary(report)
    return DONE


def complain(error: object, code: int) -> int:
    kind = f" ({error.code})" if isinstance(error, QStoreError) else ""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(error))
    print(f"qstore: {text}{kind}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

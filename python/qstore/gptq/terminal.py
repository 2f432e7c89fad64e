# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a run: a row for each matrix, and a line of progress on a terminal."""

from __future__ import annotations

import sys
import time

from qstore.gptq.run import Report, Row


class Terminal:
    """Rows on standard output, progress on standard error where that is a terminal."""

    def __init__(self, print_rows: bool):
        self.print_rows = print_rows
        self.has_line = sys.stderr.isatty()
        self.width = 0
        self.resumed = 0
        self.start = time.monotonic()
        self.header_printed = False

    def row(self, row: Row) -> None:
        self.resumed += bool(row.get("resumed"))
        if not self.print_rows:
            return
        self.clear()
        if not self.header_printed:
            print(f"{'bits':>4}  {'shape':>13}  {'groups':>6}  {'error':>8}  {'time':>8}  module")
            self.header_printed = True
        shape = "{}x{}".format(*row["shape"])
        seconds = "resumed" if row.get("resumed") else f"{row['seconds']:.2f} s"
        print(
            f"{row['bits']:>4}  {shape:>13}  {row['groups']:>6}  {row['error']:>8.5f}  "
            f"{seconds:>8}  {row['name']}",
            flush=True,
        )

    def progress(self, done: int, total: int) -> None:
        if not self.has_line:
            return
        fresh = done - self.resumed
        left = ""
        if fresh and done < total:
            seconds = (time.monotonic() - self.start) / fresh * (total - done)
            left = f", {int(seconds) // 60}:{int(seconds) % 60:02} left"
        text = f"quantizing: {done} of {total} matrices{left}"
        self.clear()
        print(text, end="", file=sys.stderr, flush=True)
        self.width = len(text)

    def clear(self) -> None:
        if self.width:
            print("\r" + " " * self.width + "\r", end="", file=sys.stderr, flush=True)
            self.width = 0

    def summary(self, report: Report) -> None:
        """A line for each precision: mean and largest error, size, path."""
        seconds = time.monotonic() - self.start
        for name, directory in report.directories.items():
            errors = [row["error"] for row in report.rows if f"{row['bits']}bit" == name]
            found = "copied"
            if errors:
                found = (
                    f"{len(errors)} matrices, error {sum(errors) / len(errors):.5f} in the mean, "
                    f"{max(errors):.5f} at most"
                )
            megabytes = report.bytes[name] / 1e6
            print(f"{name}: {found}; {megabytes:.1f} MB in {directory}", file=sys.stderr)
        print(f"done in {seconds:.1f} s", file=sys.stderr)


def as_json(report: Report) -> dict[str, object]:
    return {"directories": report.directories, "bytes": report.bytes, "matrices": report.rows}

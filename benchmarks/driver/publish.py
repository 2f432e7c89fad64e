# SPDX-License-Identifier: Apache-2.0
"""Puts a report into the documentation: its own pages, and tables that another page marks."""

from . import bars, page
from .tables import as_markdown

REPORTS = ("report.json", "report.md", "report.html")


def marks(name):
    return f"<!-- {name} of the report -->\n", f"<!-- end of {name} -->\n"


def filled(text, name, content):
    """The page with `content` in the place that it marks."""
    begin, end = marks(name)
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def fill(text, report):
    where = f"[Report](benchmarks/report.md): {page.measured_on(report)}.\n"
    tables = {"times": bars.times_table(report), "sizes": bars.alone_table(report)}
    for name, table in tables.items():
        _, rows = as_markdown(table).split("\n\n", 1)
        text = filled(text, name, f"{rows}\n{where}")
    return text


def publish(report, outputs, docs):
    for name in REPORTS:
        (docs / "benchmarks" / name).write_text(outputs[name], encoding="utf-8")
    performance = docs / "performance.md"
    text = fill(performance.read_text(encoding="utf-8"), report)
    performance.write_text(text, encoding="utf-8")

# SPDX-License-Identifier: Apache-2.0
"""A report as text, as Markdown, and as one HTML file with plots: no script, nothing from
elsewhere.
"""

from . import bars, plots
from .drawing import page as drawn
from .tables import all_tables, as_markdown, as_text


def as_html(table):
    kinds = {}
    for place, row in enumerate(table.rows):
        if row[-1] == "NOT MET":
            kinds[place] = "missed"
        elif row[0].startswith("qstore"):
            kinds[place] = "ours"
    return drawn.table(table.title, table.head, table.rows, kinds)


def found(report):
    """All tables, those first that tell whether what is wanted is there."""
    return [table for table in (*bars.all_tables(report), *all_tables(report)) if table.rows]


def measured_on(report):
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = f"load average at the start {machine['load_average_at_start']:.1f}"
    where = f"{machine['processor']}, {machine['cores']} cores, kernel {machine['kernel']}, {load}"
    return f"{report['date']} · {report['elapsed_s']} s · {where}; {versions}"


def text(report):
    return "\n".join(as_text(table) for table in found(report))


def markdown(report):
    notes = "\n".join(f"- {note}" for note in report["notes"])
    head = f"# Benchmark report\n\n{measured_on(report)}\n\nWritten by `{report['command']}`.\n"
    return "\n".join([head, notes + "\n", *map(as_markdown, found(report))])


def render(report):
    about = f"{measured_on(report)}. Written by {report['command']}."
    tables = map(as_html, found(report))
    notes = drawn.items("How it was measured", report["notes"])
    parts = (*plots.all_sections(report), *tables, notes)
    return drawn.page("QStore benchmark", plots.says(report), about, *parts)

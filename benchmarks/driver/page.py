# SPDX-License-Identifier: Apache-2.0
"""A report as text, as Markdown, and as one HTML file with plots: no script, nothing from
elsewhere.
"""

from html import escape

from . import bars
from .plots import all_plots
from .tables import all_tables, as_markdown, as_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #111827; background: #fff;
       max-width: 1500px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(560px, 1fr)); gap: 1rem; }
svg { border: 1px solid #e5e7eb; border-radius: 6px; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #374151; }
svg text.title { font-size: 15px; font-weight: 600; fill: #111827; }
svg text.label { font-weight: 600; }
svg .grid { stroke: #eef0f3; } svg .line { stroke-width: 2; } svg .spread { stroke-width: 1.5; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 3px 12px; text-align: right; border-bottom: 1px solid #e5e7eb;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.ours td { background: #eff6ff; } tr.missed td { background: #fef2f2; }
li { max-width: 60rem; }
"""


def as_html(table):
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = []
    for row in table.rows:
        kind = ' class="ours"' if row[0].startswith("qstore") else ""
        kind = ' class="missed"' if row[-1] == "NOT MET" else kind
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        rows.append(f"<tr{kind}>{cells}</tr>")
    body = "".join(rows)
    return (
        f"<h2>{escape(table.title)}</h2>"
        f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
    )


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
    notes = "".join(f"<li>{escape(note)}</li>" for note in report["notes"])
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<link rel="icon" href="data:,"><title>QStore benchmark</title>'
        f"<style>{STYLE}</style></head><body><h1>QStore benchmark</h1>"
        f"<p>{escape(measured_on(report))}</p><ul>{notes}</ul>"
        f'<div class="plots">{"".join(all_plots(report))}</div>'
        + "".join(map(as_html, found(report)))
        + "</body></html>\n"
    )

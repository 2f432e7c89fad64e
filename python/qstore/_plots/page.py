# SPDX-License-Identifier: Apache-2.0
"""A page that people look at: one HTML file without script, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #111827; background: #fff; margin: 0; }
main { max-width: 1240px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0 0; } h2 { font-size: 1.25rem; margin: 2.2rem 0 0.4rem; }
.says { font-size: 1.15rem; max-width: 60rem; } p, li { max-width: 60rem; }
.about, figcaption { color: #4b5563; font-size: 14px; overflow-wrap: anywhere; }
.figures { display: grid; gap: 1.2rem; align-items: start;
           grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); }
figure { margin: 0; border: 1px solid #e5e7eb; border-radius: 8px; padding: 10px;
         min-width: 0; max-width: 720px; }
figcaption b { color: #111827; font-size: 16px; display: block; }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { padding: 3px 8px; text-align: right; border-bottom: 1px solid #e5e7eb; }
td { white-space: nowrap; } td small { color: #4b5563; display: block; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 7em;
                                 white-space: normal; }
@media (max-width: 480px) { main { padding: 0.5rem; } figure { padding: 5px; } }
tr.ours td { background: #eff6ff; } tr.missed td { background: #fef2f2; }
"""
_SPREAD = re.compile(r" (\([^()]*\))$")


def figure(title: str, caption: str, svg: str) -> str:
    """A chart with its title, and a sentence that says how to read it."""
    text = f"<b>{escape(title)}</b>{escape(caption)}"
    return f"<figure><figcaption>{text}</figcaption>\n{svg}\n</figure>\n"


def section(title: str, *parts: str) -> str:
    """Figures beside one another under a heading; nothing when there are none."""
    figures = "".join(parts)
    return f'<h2>{escape(title)}</h2><div class="figures">\n{figures}</div>\n' if figures else ""


def _cell(text: str) -> str:
    return _SPREAD.sub(r" <small>\1</small>", escape(text, quote=False))


def table(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    kinds: Mapping[int, str] | None = None,
) -> str:
    """`kinds` gives rows a class of the style: "ours" or "missed"."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = []
    for place, row in enumerate(rows):
        kind = (kinds or {}).get(place)
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in row)
        body.append(f'<tr class="{kind}">{cells}</tr>\n' if kind else f"<tr>{cells}</tr>\n")
    return (
        f'<h2>{escape(title)}</h2><div class="scroll"><table><tr>{top}</tr>\n'
        f"{''.join(body)}</table></div>\n"
    )


def items(title: str, lines: Sequence[str]) -> str:
    entries = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>{escape(title)}</h2><ul>\n{entries}</ul>\n" if lines else ""


def page(title: str, says: str, about: str, *parts: str) -> str:
    """`says` is the sentence that a reader is to take away, `about` what was looked at."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><main><h1>{escape(title)}</h1>\n"
        f'<p class="says">{escape(says)}</p>\n<p class="about">{escape(about)}</p>\n'
        + "".join(parts)
        + "</main></body></html>\n"
    )

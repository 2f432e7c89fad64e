# SPDX-License-Identifier: Apache-2.0
"""A page to look at: what a registry has, which models share an archive, and what that saves."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from qstore.registry.printing import size
from qstore.registry.savings import KINDS, TITLES, Totals, total
from qstore.registry.state import State
from qstore.registry.tokens import Scopes

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; }
table { border-collapse: collapse; }
td, th { padding: .2em .8em .2em 0; text-align: left; font-weight: normal; }
th { opacity: .6; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: 13px; opacity: .8; } ul { padding-left: 1.4em; }
li > b { font-weight: 600; } small { opacity: .7; }
svg { display: block; margin: .3em 0; }
.a { fill: #4c6ef5; } .b { fill: #adb5bd; }
"""
_WIDTH, _HEIGHT = 480, 10  # Of a bar, in pixels.


def render(state: State, scopes: Scopes) -> str:
    """The page as somebody with these scopes may see it."""
    seen = sorted(filter(scopes.allow, state.repos))
    needed = state.with_bases(
        digest
        for name in seen
        for head in state.repos[name].commits.values()
        for digest in head.archives
    )
    rows = "".join(_rows(state, seen)) or '<tr><td colspan="5">no repositories</td></tr>'
    return (
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>QStore registry</title>"
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>QStore registry</h1>"
        f"{_sums(total(state, needed))}"
        f"<h2>Repositories</h2><table><tr><th>name<th>revisions<th>commit<th>files<th>bytes</tr>"
        f"{rows}</table><h2>Families</h2><ul>{''.join(_families(state, needed, seen))}</ul></html>"
    )


def _rows(state: State, seen: list[str]) -> Iterator[str]:
    for name in seen:
        repo = state.repos[name]
        for commit, head in repo.commits.items():
            refs = ", ".join(sorted(ref for ref, to in repo.refs.items() if to == commit))
            yield (
                f"<tr><td>{escape(name)}<td>{escape(refs)}<td><code>{commit[:12]}</code>"
                f"<td class=n>{head.files}<td class=n>{size(head.size)}</tr>"
            )


def _sums(found: Totals) -> str:
    parts = "".join(
        f"<tr><td>{TITLES[name]}<td class=n>{size(found.parts[name].source)}"
        f"<td>in<td class=n>{size(found.parts[name].stored)}</tr>"
        for name in KINDS
    )
    told = f"{size(found.served)} served from {size(found.stored)}: {found.saved:.1%} saved"
    return f"<p>{told}</p>{_bar(found.stored, found.served)}<table>{parts}</table>"


def _families(state: State, needed: set[str], seen: list[str]) -> Iterator[str]:
    """Archives as a tree, below their bases; one with several bases below each."""
    children: dict[str, list[str]] = {}
    for digest in sorted(needed & state.archives.keys()):
        for base in state.archives[digest].bases or ("",):
            children.setdefault(base, []).append(digest)
    return _branch(state, children, "", seen)


def _branch(
    state: State, children: dict[str, list[str]], root: str, seen: list[str]
) -> Iterator[str]:
    for digest in children.get(root, ()):
        record = state.archives[digest]
        names = [
            name
            for name in seen
            if any(digest in head.archives for head in state.repos[name].commits.values())
        ]
        below = "".join(_branch(state, children, digest, seen))
        yield (
            f"<li><b>{escape(', '.join(names)) or 'a base'}</b> <code>{digest[:12]}</code> "
            f"<small>{size(record.source)} in {size(record.size)}</small>"
            f"{_bar(record.size, record.source)}{f'<ul>{below}</ul>' if below else ''}</li>"
        )


def _bar(stored: int, source: int) -> str:
    """What is stored, as a part of what there is."""
    part = min(1.0, stored / source) if source else 0.0
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{part:.1%} stored">'
        f'<rect class="b" width="{_WIDTH}" height="{_HEIGHT}"/>'
        f'<rect class="a" width="{part * _WIDTH:.1f}" height="{_HEIGHT}"/></svg>'
    )

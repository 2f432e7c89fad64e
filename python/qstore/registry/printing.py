# SPDX-License-Identifier: Apache-2.0
"""What commands print of a registry: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qstore.registry.records import Listing
from qstore.registry.registry import Added, Collected
from qstore.registry.savings import KINDS, TITLES, Totals, total
from qstore.registry.state import State


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} TiB"


def added(done: Added) -> str:
    lines = [f"{repo}@{revision} {commit}" for repo, revision, commit in done.commits]
    sizes = f"{size(done.source_bytes)} in {size(done.stored_bytes)}"
    there = ", which was there already" if done.was_there else ""
    return "\n".join([*lines, f"archive {done.archive}: {sizes}{there}"])


def added_as_json(done: Added) -> dict[str, Any]:
    names = ("repository", "revision", "commit")
    commits = [dict(zip(names, commit, strict=True)) for commit in done.commits]
    return {**done._asdict(), "commits": commits}


def state(found: State) -> str:
    rows = []
    for name, repo in sorted(found.repos.items()):
        for commit, head in repo.commits.items():
            refs = ", ".join(sorted(ref for ref, to in repo.refs.items() if to == commit)) or "-"
            rows.append((name, refs, commit[:12], str(head.files), size(head.size)))
    titles = ("repository", "revisions", "commit", "files", "bytes")
    lines = list(_table([titles, *rows])) if rows else ["no repositories"]
    return "\n".join([*lines, "", *totals(total(found))])


def state_as_json(found: State) -> dict[str, Any]:
    repos = {
        name: {
            "revisions": dict(repo.refs),
            "commits": {commit: head._asdict() for commit, head in repo.commits.items()},
        }
        for name, repo in sorted(found.repos.items())
    }
    archives = {
        digest: {**record._asdict(), "saved": _parts(record.saved)}
        for digest, record in found.archives.items()
    }
    return {"repositories": repos, "archives": archives, "totals": _totals_as_json(total(found))}


def repo(name: str, listing: Listing, found: State) -> str:
    rows = [(file.path, size(file.size), file.sha256[:16]) for file in listing.files]
    lines = [f"{name} {listing.commit}", *_table([("file", "bytes", "sha256"), *rows]), ""]
    for digest in listing.archives:
        lines.append(f"archive {digest}")
    return "\n".join([*lines, *totals(total(found, found.with_bases(listing.archives)))])


def repo_as_json(name: str, listing: Listing, found: State) -> dict[str, Any]:
    return {
        "repository": name,
        "commit": listing.commit,
        "files": [file._asdict() for file in listing.files],
        "totals": _totals_as_json(total(found, found.with_bases(listing.archives))),
    }


def totals(found: Totals) -> list[str]:
    """What is saved, and why, a line each."""
    lines = [f"{size(found.served)} served from {size(found.stored)}: {found.saved:.1%} saved"]
    for name in KINDS:
        part = found.parts[name]
        lines.append(f"  {TITLES[name]}: {size(part.source)} in {size(part.stored)}")
    return lines


def collected(done: Collected) -> str:
    commits = sum(len(gone) for gone in done.commits.values())
    return (
        f"{len(done.archives)} archive(s) removed, {size(done.freed_bytes)} freed; "
        f"{commits} commit(s) and {done.staging} unfinished one(s) removed"
    )


def _totals_as_json(found: Totals) -> dict[str, Any]:
    return {**found._asdict(), "parts": _parts(found.parts), "saved": found.saved}


def _parts(parts: Any) -> dict[str, Any]:
    return {name: part._asdict() for name, part in parts.items()}


def _table(rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()

# SPDX-License-Identifier: Apache-2.0
"""The page of `qstore analyze`, from its summary.json."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import charts, page
from .charts import Panel, Point, Series
from .style import look_of, number, shown

_LABEL = "bits per weight\n← smaller is better"
# Layers whose names are all rows of one chart.
_MOST_ROWS = 30
# Have a chart of their own, or are what others are compared with.
_ELSEWHERE = ("raw", "archive")

Document = Mapping[str, Any]


class Subject(NamedTuple):
    """A variant, alone or given another."""

    of: str
    given: str

    @property
    def title(self) -> str:
        return f"{self.of} given {self.given}" if self.given else f"{self.of} alone"


def _subject(measure: Document) -> Subject:
    return Subject(measure["of"], measure["given"])


def _per_weight(document: Document, method: str, subject: Subject) -> float | None:
    for measure in document["measures"]:
        if measure["method"] == method and _subject(measure) == subject:
            return float(measure["bits_per_weight"])
    return None


def _methods(total: Document, subject: Subject) -> list[str]:
    return [
        measure["method"]
        for measure in total["measures"]
        if _subject(measure) == subject and measure["method"] not in _ELSEWHERE
    ]


def says(summary: Document) -> str:
    """What the analysis found, in a sentence."""
    total = summary["total"]
    plans = {plan["method"]: plan["bits_per_weight"] for plan in total["plans"]}
    names = [variant["name"] for variant in summary["run"]["variants"]]
    count = "One variant takes" if len(names) == 1 else f"{len(names)} variants together take"
    raw = plans.get("raw")
    ours = next((value for name, value in plans.items() if name.startswith("archive")), None)
    others = {name: value for name, value in plans.items() if name.startswith(("zstd", "zipnn"))}
    if raw is None:
        return "The charts tell what the weights of each variant take by each method."
    parts = [f"{count} {number(raw)} bits per weight as they are"]
    if others:
        best = min(others, key=lambda name: others[name])
        parts.append(f"{number(others[best])} by {best}")
    if ours is not None:
        parts.append(f"{number(ours)} in one archive")
    return ", ".join(parts) + "."


def _plans(total: Document) -> str:
    plans = total["plans"]
    if not plans:
        return ""
    points = [
        Point(
            row,
            plan["bits_per_weight"],
            look_of(plan["method"]),
            f"{plan['method']}: {number(plan['bits_per_weight'])}",
            text=number(plan["bits_per_weight"]),
            beyond=plan["method"] == "raw" and len(plans) > 1,
        )
        for row, plan in enumerate(plans)
    ]
    title = "All variants together"
    svg = charts.dots(title, [plan["method"] for plan in plans], [Panel(_LABEL)], points)
    caption = (
        "Each row is a way to keep all variants. The scale begins where the differences are; "
        "an arrow points to what lies beyond it."
    )
    return page.figure(title, caption, svg)


def _archive(total: Document) -> str:
    names = [m["of"] for m in total["measures"] if m["method"] == "archive" and m["of"]]
    points = []
    looks = {}
    for method, what in (("raw", "as it is"), ("archive", "in an archive of all variants")):
        looks[what] = look_of(method)
        for row, name in enumerate(names):
            value = _per_weight(total, method, Subject(name, ""))
            if value is not None:
                hint = f"{name} {what}: {number(value)}"
                text = number(value) if method == "archive" else ""
                points.append(Point(row, value, looks[what], hint, text=text))
    if not names:
        return ""
    title = "In one archive, by variant"
    caption = "What each variant adds to an archive of all of them is the number at the right."
    return page.figure(title, caption, charts.dots(title, names, [Panel(_LABEL)], points, looks))


def _by_method(total: Document, subjects: Sequence[Subject], title: str) -> str:
    """Rows of methods, a column for each subject."""
    methods = list(dict.fromkeys(m for subject in subjects for m in _methods(total, subject)))
    points = []
    for place, subject in enumerate(subjects):
        for row, method in enumerate(methods):
            value = _per_weight(total, method, subject)
            if value is not None:
                hint = f"{subject.title}, {method}: {number(value)}"
                look = look_of(method)
                points.append(Point(row, value, look, hint, panel=place, text=number(value)))
    if not points:
        return ""
    panels = [Panel(f"{shown(subject.title, 22)}\n← smaller is better") for subject in subjects]
    caption = "Bits per weight over all layers. Each column has a scale of its own."
    return page.figure(title, caption, charts.dots(title, methods, panels, points))


def _rows(names: Sequence[str], documents: Sequence[Document], subject: Subject, title: str) -> str:
    """A row for each name, a dot for each method."""
    points, looks = [], {}
    for row, (name, document) in enumerate(zip(names, documents, strict=True)):
        for method in _methods(document, subject):
            value = _per_weight(document, method, subject)
            if value is not None:
                looks[method] = look_of(method)
                hint = f"{name}, {method}: {number(value)}"
                points.append(Point(row, value, looks[method], hint))
    return charts.dots(title, names, [Panel(_LABEL)], points, looks) if points else ""


def _number_in(name: str) -> int | None:
    found = re.search(r"(?<![^.])\d+(?![^.])", name)
    return int(found[0]) if found else None


def _small_charts(layers: Sequence[Document], subject: Subject, title: str) -> str:
    """A chart for each type of layer, over the numbers of the layers."""
    panels: dict[str, list[Series]] = {}
    for kind in dict.fromkeys(layer["type"] for layer in layers):
        mine = [layer for layer in layers if layer["type"] == kind]
        numbers = [_number_in(layer["layer"]) for layer in mine]
        if None in numbers or len(set(numbers)) < len(numbers):
            numbers = list(range(len(mine)))
        for method in _methods(mine[0], subject):
            found = [
                (float(place or 0), value)
                for place, layer in zip(numbers, mine, strict=True)
                if (value := _per_weight(layer, method, subject)) is not None
            ]
            if found:
                panels.setdefault(kind, []).append(Series(method, look_of(method), found))
    if not panels:
        return ""
    label = "number of the layer, as its name has it"
    return charts.small_lines(title, panels, label, _LABEL.replace("\n", ", "))


def _common(names: Sequence[str]) -> str:
    """The parts that all names begin with."""
    split = [name.split(".")[:-1] for name in names]
    length = 0
    while split and all(
        len(parts) > length and parts[length] == split[0][length] for parts in split
    ):
        length += 1
    return "".join(part + "." for part in split[0][:length]) if split else ""


def _by_layer(layers: Sequence[Document], subject: Subject) -> str:
    title = f"{subject.title}, by layer"
    names = [layer["layer"] for layer in layers]
    common = _common(names) if len(names) > 1 else ""
    if len(layers) <= _MOST_ROWS:
        short = [name.removeprefix(common) for name in names]
        svg = _rows(short, layers, subject, title)
        caption = f"Names follow {common}" if common else ""
    else:
        svg = _small_charts(layers, subject, title)
        caption = "A chart for each type of layer. All have the same scale."
    return page.figure(title, caption, svg) if svg else ""


def _by_type(by_type: Mapping[str, Document], subject: Subject) -> str:
    title = f"{subject.title}, by type of layer"
    svg = _rows(list(by_type), list(by_type.values()), subject, title)
    return page.figure(title, "", svg) if svg else ""


def _totals(total: Document) -> str:
    rows = [
        [
            measure["method"],
            measure["of"] or "all variants",
            measure["given"],
            f"{measure['weights']:,}",
            number(measure["bits_per_weight"]),
        ]
        for measure in (*total["plans"], *total["measures"])
    ]
    return page.table("Totals", ["method", "of", "given", "weights", "bits per weight"], rows)


def render(summary: Document) -> str:
    """The page. `summary` is the content of summary.json; raises KeyError where it is another."""
    total, layers = summary["total"], summary["layers"]
    subjects = list(dict.fromkeys(_subject(m) for m in total["measures"] if m["of"]))
    alone = [subject for subject in subjects if not subject.given]
    given = [subject for subject in subjects if subject.given]
    details = [
        page.section(
            subject.title, _by_type(summary["by_type"], subject), _by_layer(layers, subject)
        )
        for subject in subjects
    ]
    sources = ", ".join(f"{v['name']} = {v['path']}" for v in summary["run"]["variants"])
    about = f"{sources}; {total['layers']} layers, {total['weights']:,} weights"
    reasons = [f"{entry['layer']}: {entry['not_analysed']}" for entry in summary["not_analysed"]]
    together = page.section(
        "All variants",
        _plans(total),
        _archive(total),
        _by_method(total, alone, "Each variant alone, by method"),
        _by_method(total, given, "Given another variant, by method"),
    )
    body = (together, *details, _totals(total), page.items("Not analysed", reasons))
    return page.page("QStore analysis", says(summary), about, *body)

# SPDX-License-Identifier: Apache-2.0
"""Charts of any data: dots in rows, stacked bars, lines. Each function returns an SVG element.

Rows have names, axes say which way is better, and dots zoom to where the differences are. Values
are finite numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from .style import Drawing, Look, Unit, number, shown, styled, unit_of

_ROW = 20.0  # Height of a row of dots.
_AXIS = 62.0  # Height of an axis with its label.
_MOST_MARKS = 16  # On a line of a small chart.
_LEGEND = 18.0  # Height of a line of a legend.
_DARK = "#111827"


class Panel(NamedTuple):
    """A column of a chart of dots, with an axis of its own."""

    label: str
    log: bool = False
    mark: float | None = None  # Where a line is drawn, such as a target.


class Point(NamedTuple):
    """A value of a row; `low` and `high` are its spread."""

    row: int
    value: float
    look: Look
    hint: str
    panel: int = 0
    low: float | None = None
    high: float | None = None
    text: str = ""  # Beside the row, at the right of the panel.
    beyond: bool = False  # Left out when the axis is chosen; an arrow where it does not fit.


class Series(NamedTuple):
    """A line: points (x, y) in order, and for each (low, high) where there is a spread."""

    name: str
    look: Look
    points: Sequence[tuple[float, float]]
    spreads: Sequence[tuple[float, float]] = ()


class Part(NamedTuple):
    """A piece of a bar."""

    size: float
    color: str
    hint: str


class Bar(NamedTuple):
    name: str
    parts: Sequence[Part]
    text: str = ""  # Behind its end.
    mark: float | None = None  # A stroke across it.


def _limits(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        margin = max((high / low) ** 0.06, 1.05)
        return low / margin, high * margin
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Numbers of few digits in the range, apart by about the same factor."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        found = [value for value in found if low <= value <= high]
        if len(found) <= most:
            break
    return found[:: -(-len(found) // most)]


def _scale(axis: Any, limits: tuple[float, float], log: bool, marks: int) -> None:
    """Ticks at round numbers, at most about `marks` of them."""
    low, high = limits
    if log and low > 0 and high > 4 * low:
        axis.axes.set_xscale("log")
        axis.set_major_locator(FixedLocator(_round_numbers(low, high, marks - 1)))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(marks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shown(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)


def dots(
    title: str,
    names: Sequence[str],
    panels: Sequence[Panel],
    points: Sequence[Point],
    legend: Mapping[str, Look] | None = None,
) -> str:
    """Rows with a dot for each value, in columns that share the rows."""
    entries = list((legend or {}).items())
    with styled():
        above = _LEGEND * (1 + len(entries) // 3) if entries else 0
        drawing = Drawing(title, _ROW * len(names) + _AXIS + above)
        row_of_axes = drawing.figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for place, axes in enumerate(row_of_axes):
            mine = [point for point in points if point.panel == place]
            _draw_dots(drawing, axes, panels[place], mine)
        _name_rows(row_of_axes[0], names)
        if entries:
            drawing.legend(entries)
        return drawing.svg()


def _draw_dots(drawing: Drawing, axes: Any, panel: Panel, points: Sequence[Point]) -> None:
    inside = [point for point in points if not point.beyond] or points
    values = [value for p in inside for value in (p.value, p.low, p.high) if value is not None]
    values += [] if panel.mark is None else [panel.mark]
    limits = _limits(values or [0.0], panel.log)
    _scale(axes.xaxis, limits, panel.log, 4)
    axes.set_xlim(*limits)
    axes.set_xlabel(panel.label)
    if panel.mark is not None:
        axes.axvline(panel.mark, color=_DARK, linewidth=1)
    for point in points:
        color, marker = point.look
        if point.low is not None and point.high is not None:
            axes.plot([point.low, point.high], [point.row] * 2, color=color, linewidth=1.5)
        fits = limits[0] <= point.value <= limits[1]
        at = min(max(point.value, limits[0]), limits[1])
        shape = marker if fits else ">" if point.value > limits[1] else "<"
        (dot,) = axes.plot(
            [at], [point.row], color=color, marker=shape, markersize=6.5, clip_on=False, zorder=3
        )
        drawing.hint(dot, point.hint)
        if point.text:
            place = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 10.5}
            axes.text(1.03, point.row, point.text, **place)


def bars(
    title: str, rows: Sequence[Bar], label: str, legend: Mapping[str, str], height: float = 20.0
) -> str:
    """Rows with pieces laid end to end from 0. `legend` is the colour of each kind of piece."""
    with styled():
        entries = [(name, Look(color, "s")) for name, color in legend.items()]
        above = _LEGEND * (1 + len(entries) // 3)
        drawing = Drawing(title, height * len(rows) + _AXIS + above)
        axes = drawing.figure.subplots()
        axes.grid(False, axis="y")
        ends = [0.0]
        for place, row in enumerate(rows):
            begin = 0.0
            for part in row.parts:
                if part.size <= 0:
                    continue
                (piece,) = axes.barh(place, part.size, 0.72, left=begin, color=part.color)
                drawing.hint(piece, part.hint)
                begin += part.size
            if row.mark is not None:
                axes.plot([row.mark] * 2, [place - 0.46, place + 0.46], color=_DARK, linewidth=2.5)
            ends.append(max(begin, row.mark or 0.0))
            if row.text:
                axes.annotate(
                    row.text,
                    (ends[-1], place),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=10.5,
                )
        axes.set_xlim(0, max(ends) or 1)
        _scale(axes.xaxis, (0, max(ends) or 1), False, 6)
        axes.set_xlabel(label)
        _name_rows(axes, [row.name for row in rows])
        drawing.legend(entries)
        return drawing.svg()


def bars_of_bytes(title: str, rows: Sequence[Bar], label: str, legend: Mapping[str, str]) -> str:
    """The same of bytes, told in the unit that fits. `label` gets the unit in place of {}."""
    unit: Unit = unit_of(max((sum(part.size for part in row.parts) for row in rows), default=0))
    scaled = [
        row._replace(parts=[part._replace(size=part.size / unit.size) for part in row.parts])
        for row in rows
    ]
    return bars(title, scaled, label.format(unit.name), legend)


def lines(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    x_marks: Sequence[float],
    mark: float | None = None,
) -> str:
    """Lines over a logarithmic axis with ticks at `x_marks`; `mark` is a level to compare with."""
    with styled():
        drawing = Drawing(title, 330 + _LEGEND * (1 + len(series) // 3))
        axes = drawing.figure.subplots()
        values = [y for one in series for _, y in one.points]
        values += [bound for one in series for spread in one.spreads for bound in spread]
        limits = _limits([*values, *([] if mark is None else [mark])], False)
        if mark is not None:
            axes.axhline(mark, color=_DARK, linewidth=1)
        for one in series:
            xs, ys = zip(*one.points, strict=True)
            axes.plot(xs, ys, color=one.look.color, linewidth=1.8)
            for x, spread in zip(xs, one.spreads, strict=False):
                axes.plot([x, x], spread, color=one.look.color, linewidth=1.2)
            for x, y in one.points:
                (dot,) = axes.plot([x], [y], color=one.look.color, marker=one.look.marker, zorder=3)
                drawing.hint(dot, f"{one.name} at {number(x)}: {number(y)}")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(x_marks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        _scale(axes.yaxis, limits, False, 7)
        axes.set_ylim(*limits)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        drawing.legend([(one.name, one.look) for one in series], line=True)
        return drawing.svg()


def small_lines(
    title: str, panels: Mapping[str, Sequence[Series]], x_label: str, y_label: str
) -> str:
    """A small chart of lines for each name, all with the same scale of y."""
    looks = {one.name: one.look for series in panels.values() for one in series}
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with styled():
        drawing = Drawing(title, 118 * rows + 40 + _LEGEND * (1 + len(looks) // 3))
        grid = drawing.figure.subplots(rows, columns, sharey=True, squeeze=False)
        values = [y for series in panels.values() for one in series for _, y in one.points]
        limits = _limits(values, False)
        places = [axes for row in grid for axes in row]
        for axes, (name, series) in zip(places, panels.items(), strict=False):
            for one in series:
                xs, ys = zip(*one.points, strict=True)
                color, marker = one.look
                dotted = {"marker": marker, "markersize": 3} if len(xs) <= _MOST_MARKS else {}
                axes.plot(xs, ys, color=color, linewidth=1.2, **dotted)
            axes.set_title(shown(name, 30), loc="left")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        _scale(places[0].yaxis, limits, False, 4)
        places[0].set_ylim(*limits)
        drawing.figure.supxlabel(x_label, fontsize=11)
        drawing.figure.supylabel(y_label, fontsize=11)
        drawing.legend(list(looks.items()), line=True)
        return drawing.svg()

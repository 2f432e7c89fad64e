# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG: two axes, points with their spread, lines, bars, labels."""

import itertools
import math
from html import escape

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 44, 52
LINE = 13  # Of labels.


class Axis:
    """Maps values to pixels, by their logarithms when `log`."""

    def __init__(self, low, high, begin, end, log=False, marks=None):
        self.log, self.begin, self.end, self.marks = log, begin, end, marks
        self.low, self.high = low, high

    def at(self, value):
        low, high, value = (
            (math.log(x) for x in (self.low, self.high, max(value, 1e-12)))
            if self.log
            else (self.low, self.high, value)
        )
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)

    def ticks(self):
        if self.marks:
            return self.marks
        if not self.log:
            step = nice_step(self.high - self.low)
            first = math.ceil(self.low / step - 1e-9)
            last = math.floor(self.high / step + 1e-9)
            return [number * step for number in range(first, last + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        marks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [mark for mark in marks if self.low * 0.999 <= mark <= self.high * 1.001]


def nice_step(span):
    raw = span / 6
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= raw)


def number(value):
    return f"{value:.4g}" if value < 10000 else f"{value:.0f}"


class Figure:
    """A plot; `x` and `y` are (low, high, label, is logarithmic), `marks` ticks of x to have."""

    def __init__(self, title, x, y, height=HEIGHT, marks=None):
        self.title, self.height = title, height
        self.x = Axis(x[0], x[1], LEFT, WIDTH - RIGHT, x[3], marks)
        self.y = Axis(y[0], y[1], height - BOTTOM, TOP, y[3])
        self.x_label, self.y_label = x[2], y[2]
        self.parts = []
        self.labels = []

    def line(self, points, color, dash=""):
        path = " ".join(f"{self.x.at(x):.1f},{self.y.at(y):.1f}" for x, y in points)
        style = f'stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline class="line" points="{path}" stroke="{color}" fill="none" {style}/>'
        )

    def point(self, x, y, color, text, low=None, high=None):
        at_x, at_y = self.x.at(x), self.y.at(y)
        if low is not None:
            top, bottom = self.y.at(high), self.y.at(low)
            self.parts.append(
                f'<line class="spread" x1="{at_x:.1f}" x2="{at_x:.1f}" y1="{top:.1f}" '
                f'y2="{bottom:.1f}" stroke="{color}"/>'
            )
        self.parts.append(
            f'<circle class="point" cx="{at_x:.1f}" cy="{at_y:.1f}" r="4.5" fill="{color}">'
            f"<title>{escape(text)}</title></circle>"
        )

    def label(self, x, y, color, text):
        """Beside a point; labels that would overlap are moved apart."""
        self.labels.append([self.x.at(x) + 9, self.y.at(y) + 4, color, text])

    def bar(self, x_from, x_to, y_center, thickness, color, text):
        left, right = self.x.at(x_from), self.x.at(x_to)
        self.parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{y_center - thickness / 2:.1f}" '
            f'width="{max(right - left, 0.5):.1f}" height="{thickness}" fill="{color}">'
            f"<title>{escape(text)}</title></rect>"
        )

    def text(self, x, y, text, anchor="start", kind="note"):
        self.parts.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def render(self, with_y_ticks=True):
        grid = [f'<text class="title" x="{LEFT}" y="22">{escape(self.title)}</text>']
        bottom, right = self.height - BOTTOM, WIDTH - RIGHT
        for tick in self.x.ticks():
            at = self.x.at(tick)
            grid.append(
                f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}"/>'
            )
            grid.append(
                f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">'
                f"{number(tick)}</text>"
            )
        for tick in self.y.ticks() if with_y_ticks else ():
            at = self.y.at(tick)
            grid.append(
                f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            )
            grid.append(
                f'<text class="tick" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
                f"{number(tick)}</text>"
            )
        middle = (LEFT + right) / 2
        grid.append(
            f'<text class="axis" x="{middle}" y="{self.height - 12}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>"
        )
        center = (TOP + bottom) / 2
        grid.append(
            f'<text class="axis" transform="translate(18 {center}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y_label)}</text>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'role="img" aria-label="{escape(self.title)}">'
            + "".join([*grid, *self.parts, *self.placed_labels()])
            + "</svg>"
        )

    def placed_labels(self):
        """Labels in one place are moved apart, downwards first and up from the bottom then."""
        columns = {}
        for label in sorted(self.labels, key=lambda label: label[1]):
            near = next((x for x in columns if abs(x - label[0]) < 60), label[0])
            columns.setdefault(near, []).append(label)
        for column in columns.values():
            for above, below in itertools.pairwise(column):
                below[1] = max(below[1], above[1] + LINE)
            column[-1][1] = min(column[-1][1], self.height - BOTTOM)
            for above, below in itertools.pairwise(column[::-1]):
                below[1] = min(below[1], above[1] - LINE)
        return [
            f'<text class="label" x="{x:.1f}" y="{y:.1f}" style="fill: {color}">'
            f"{escape(text)}</text>"
            for x, y, color, text in self.labels
        ]

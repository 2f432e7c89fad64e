# SPDX-License-Identifier: Apache-2.0
"""The look that all pictures share: colours, marks, text, and how a figure becomes SVG."""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

# Of a picture, in units of its text: narrow enough to be read on a telephone.
WIDTH = 520.0
_FONT = "DejaVu Sans"  # Comes with matplotlib, and is wider than what may stand in for it.
_FONTS = f"'{_FONT}', Verdana, sans-serif"
_RULES: dict[str, Any] = {
    "svg.fonttype": "none",  # Text stays text: it is found, read aloud, and small.
    "svg.hashsalt": "qstore",  # The same data make the same bytes.
    "text.parse_math": False,  # Names may have dollars.
    "font.family": _FONT,
    "font.size": 11.5,
    "axes.labelsize": 11,
    "axes.titlesize": 11.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 11,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": "#374151",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e5e7eb",
    "xtick.color": "#4b5563",
    "ytick.color": "#374151",
    "ytick.left": False,
    "text.color": "#374151",
}
_GREATEST_NAME = 44


class Look(NamedTuple):
    """By which a system is known in every picture."""

    color: str
    marker: str


# The longest name that begins that of a system or method gives its look.
_SYSTEMS = {
    "uncompressed": Look("#6b7280", "s"),
    "uncompressed by 1": Look("#9ca3af", "s"),
    "uncompressed to huge": Look("#4b5563", "D"),
    "raw": Look("#6b7280", "s"),
    "safetensors": Look("#a16207", "P"),
    "lz4": Look("#db2777", "v"),
    "zstd": Look("#047857", "^"),
    "zstd 1": Look("#34d399", "^"),
    "zstd-1": Look("#34d399", "^"),
    "zstd 3": Look("#10b981", "^"),
    "zstd-3": Look("#10b981", "^"),
    "zstd 9": Look("#065f46", "^"),
    "zstd-9": Look("#065f46", "^"),
    "zipnn": Look("#dc2626", "X"),
    "lmz": Look("#ea580c", "d"),
    "entropy": Look("#111827", "|"),
    "huffman": Look("#f59e0b", "p"),
    "huffman+tables": Look("#b45309", "p"),
    "prototype": Look("#a855f7", "h"),
    "prototype+tables": Look("#6b21a8", "h"),
    "prototype chain with tables": Look("#6b21a8", "h"),
    "qstore": Look("#2563eb", "o"),
    "qstore fast": Look("#38bdf8", "o"),
    "qstore balanced": Look("#2563eb", "o"),
    "qstore max": Look("#4338ca", "o"),
    "archive": Look("#1e3a8a", "o"),
}
_OTHER = Look("#0d9488", "*")
_VARIANTS = (
    "#2563eb",
    "#f59e0b",
    "#059669",
    "#dc2626",
    "#7c3aed",
    "#0891b2",
    "#db2777",
    "#65a30d",
    "#92400e",
    "#475569",
    "#93c5fd",
    "#fcd34d",
    "#6ee7b7",
    "#fca5a5",
    "#c4b5fd",
    "#67e8f9",
    "#f9a8d4",
    "#bef264",
    "#d6b38a",
    "#cbd5e1",
)


def look_of(system: str) -> Look:
    """The look of a system of a benchmark, or a method of an analysis."""
    begins = [name for name in _SYSTEMS if system.startswith(name)]
    return _SYSTEMS[max(begins, key=len)] if begins else _OTHER


def variant_color(number: int) -> str:
    """The colour of a variant, by its place in the archive."""
    return _VARIANTS[number % len(_VARIANTS)]


def tint(color: str, share: float) -> str:
    """The colour mixed with white: `share` of 1 is the colour itself."""
    return str(to_hex([1 - share * (1 - part) for part in to_rgb(color)]))


def shown(name: str, most: int = _GREATEST_NAME) -> str:
    """A name as a label: without control characters, its middle left out where it is long."""
    text = "".join(c if c.isprintable() else "?" for c in name)
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def number(value: float) -> str:
    """With four digits that count, and no exponent."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Unit(NamedTuple):
    """In which bytes are told: "MiB", and how many bytes that is."""

    name: str
    size: float


def unit_of(largest: float) -> Unit:
    power = 0
    while power < 4 and largest >= 1024 ** (power + 1):
        power += 1
    return Unit(("bytes", "KiB", "MiB", "GiB", "TiB")[power], float(1024**power))


def human_bytes(count: float) -> str:
    """ "13.6 MiB", as the command has it."""
    unit = unit_of(count)
    return f"{count:.0f} bytes" if unit.size == 1 else f"{count / unit.size:.1f} {unit.name}"


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """What is drawn meanwhile has this look, whatever the user's matplotlibrc says."""
    with warnings.catch_warnings(), matplotlib.style.context(["default", _RULES]):
        warnings.simplefilter("ignore")  # Of letters that the font does not have.
        yield


class Drawing:
    """A figure, and the hints that a browser shows where the pointer is. REQUIRES: styled()."""

    def __init__(self, title: str, height: float, width: float = WIDTH) -> None:
        self.title = title
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
        self.figure = Figure(figsize=(width / 72, height / 72), layout=layout)
        self._hints: list[str] = []

    def hint(self, artist: Any, text: str) -> None:
        artist.set_gid(f"hint-{len(self._hints)}")
        self._hints.append(text)

    def legend(self, entries: Sequence[tuple[str, Look]], line: bool = False) -> None:
        """Above all panels, in as many columns as fit."""
        names = [" " + shown(name) for name, _ in entries]  # One that begins with _ is left out.
        widest = max(map(len, names))
        handles = [
            Line2D([], [], color=look.color, marker=look.marker, linestyle="-" if line else "none")
            for _, look in entries
        ]
        columns = max(1, min(len(names), int(self.figure.get_figwidth() * 72 / (7 * widest + 36))))
        self.figure.legend(
            handles, names, loc="outside upper left", ncols=columns, handletextpad=0.4
        )

    def svg(self) -> str:
        """The figure as an element that takes the width it is given."""
        text = io.StringIO()
        self.figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        svg = text.getvalue()
        svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.S)
        box = re.search(r'viewBox="[^"]*"', svg)
        assert box is not None
        head = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'{box[0]} role="img" aria-label="{escape(self.title)}">'
        )
        svg = head + svg[svg.index(">") + 1 :]
        svg = re.sub(rf"'{_FONT}'(, sans-serif)?", _FONTS, svg)
        for place, hint in enumerate(self._hints):
            titled = f"<g><title>{escape(hint)}</title>"
            svg = svg.replace(f'<g id="hint-{place}">', titled, 1)
        # Nobody refers to groups, and several pictures on a page would have the same names.
        svg = re.sub(r'<g id="[^"]*"', "<g", svg)
        return re.sub(r"\n\s*", "\n", svg).strip()

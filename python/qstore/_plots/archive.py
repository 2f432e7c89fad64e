# SPDX-License-Identifier: Apache-2.0
"""The page of an archive, from what `qstore inspect --json --tensors` prints."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.patches import FancyArrowPatch, Patch

from . import charts, page
from .charts import Bar, Part
from .style import Drawing, human_bytes, shown, styled, tint, unit_of, variant_color

Document = Mapping[str, Any]

_MOST_ROWS = 40  # Of a chart.
_ROW = 58.0  # Height of a variant.
_SHARED, _FILES = 0.35, 0.1  # How much of its colour these have.
_SPREAD = 56.0  # How far an arrow goes aside, at most.


class Link(NamedTuple):
    """Tensors of a variant that follow from, or equal, those of another."""

    child: str
    parent: str
    scheme: str  # "same" where they are equal.


class Links(NamedTuple):
    tensors: int
    stored_bytes: int


def links_of(document: Document) -> dict[Link, Links]:
    """What derives from what: by the main parent of each tensor."""
    tensors: Counter[Link] = Counter()
    stored: Counter[Link] = Counter()
    for variant in document["variants"]:
        for tensor in variant["tensor_list"]:
            origin, scheme = tensor["same_as"], "same"
            if origin is None and tensor["parents"]:
                origin, scheme = tensor["parents"][0], tensor["scheme"]
            if origin is None or origin["variant"] == variant["name"]:
                continue
            link = Link(variant["name"], origin["variant"], scheme)
            tensors[link] += 1
            stored[link] += 0 if tensor["same_as"] else tensor["stored_bytes"]
    return {link: Links(tensors[link], stored[link]) for link in tensors}


def says(document: Document) -> str:
    """What the archive is, in a sentence."""
    variants = document["variants"]
    files, stored = human_bytes(document["source_bytes"]), human_bytes(document["stored_bytes"])
    if not variants:
        return "The archive holds no variant."
    if len(variants) == 1:
        return f"One variant of {files} takes {stored} here."
    most = max(variants, key=lambda variant: variant["own_bytes"])
    rest = document["stored_bytes"] - most["own_bytes"]
    return (
        f"{len(variants)} variants, {files} of files, take {stored} here: "
        f"{human_bytes(most['own_bytes'])} for {shown(most['name'])}, {human_bytes(rest)} for all "
        "else."
    )


def picture(document: Document) -> str:
    """Variants as rows: arrows from what they derive from, bars of what they add and read."""
    variants = document["variants"]
    title = "What the archive holds"
    unit = unit_of(max((variant["source_bytes"] for variant in variants), default=0))
    with styled():
        drawing = Drawing(title, _ROW * len(variants) + 84)
        arcs, axes = drawing.figure.subplots(1, 2, width_ratios=[1, 6])
        for row, variant in enumerate(variants):
            _draw_variant(drawing, axes, row, variant, unit.size)
        axes.set_yticks([])
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit.name}, ← smaller is better")
        _draw_arrows(drawing, arcs, document)
        kinds = {"adds to the archive": 1.0, "shared, read by a load": _SHARED, "files": _FILES}
        swatches = [Patch(color=tint("#374151", share), label=k) for k, share in kinds.items()]
        drawing.figure.legend(handles=swatches, loc="outside lower center", ncols=3)
        return drawing.svg()


def _draw_variant(drawing: Drawing, axes: Any, row: int, variant: Document, unit: float) -> None:
    color = variant_color(row)
    own, load, files = (variant[key] for key in ("own_bytes", "load_bytes", "source_bytes"))
    told = f"adds {human_bytes(own)}, a load reads {human_bytes(load)}, files {human_bytes(files)}"
    for size, share in ((files, _FILES), (load, _SHARED), (own, 1.0)):
        (bar,) = axes.barh(row + 0.27, size / unit, 0.28, color=tint(color, share))
        drawing.hint(bar, f"{variant['name']}: {told}")
    place = {"transform": axes.get_yaxis_transform(), "va": "center"}
    axes.text(0.01, row - 0.3, shown(variant["name"]), color=color, fontweight="bold", **place)
    axes.text(0.01, row - 0.02, told, fontsize=10.5, **place)


def _draw_arrows(drawing: Drawing, axes: Any, document: Document) -> None:
    rows = {variant["name"]: row for row, variant in enumerate(document["variants"])}
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for link, count in links_of(document).items():
        found[link.parent, link.child].append(f"{count.tensors} by {link.scheme}")
    for (parent, child), how in found.items():
        begin, end = rows[parent], rows[child]
        aside = min(0.5, 2 * _SPREAD / (_ROW * abs(end - begin)))
        arrow = FancyArrowPatch(
            (1, begin),
            (1, end),
            connectionstyle=f"arc3,rad={aside if end > begin else -aside}",
            arrowstyle="-|>",
            mutation_scale=11,
            color=variant_color(begin),
            linewidth=1.6,
            linestyle=":" if all(text.endswith(" by same") for text in how) else "-",
            shrinkA=2,
            shrinkB=2,
        )
        arrow.set_clip_on(False)
        axes.add_patch(arrow)
        drawing.hint(arrow, f"{child} follows from {parent}: {', '.join(how)}")


def _parts_of(name: str) -> list[str]:
    """Of the module that a tensor belongs to."""
    return name.split(".")[:-1] or [name]


def layer_of(name: str) -> tuple[str, int | None]:
    """The block of the model that a tensor is in: ("model.layers", 12), ("lm_head", None)."""
    parts = _parts_of(name)
    for place, part in enumerate(parts):
        if part.isdecimal() and place > 0:
            return ".".join(parts[:place]), int(part)
    return ".".join(parts), None


def kind_of(name: str) -> str:
    """What a tensor is for: "self_attn.q_proj"."""
    words = [part for part in _parts_of(name) if not part.isdecimal()]
    return ".".join(words[-2:]) or name


def _sums(document: Document, key: Callable[[str], Any]) -> dict[Any, list[int]]:
    """Stored bytes by key and variant, in the order of the first variant that has the key."""
    sums: dict[Any, list[int]] = {}
    count = len(document["variants"])
    for place, variant in enumerate(document["variants"]):
        for tensor in variant["tensor_list"]:
            if tensor["same_as"] is None:
                sums.setdefault(key(tensor["name"]), [0] * count)[place] += tensor["stored_bytes"]
    return sums


def _merged(sums: Mapping[tuple[str, int | None], list[int]]) -> dict[str, list[int]]:
    """By layer, neighbours together where there are more than a chart shows."""
    by_name: dict[str, dict[int | None, list[int]]] = defaultdict(dict)
    for (name, place), sizes in sums.items():
        by_name[name][place] = sizes
    rows: dict[str, list[int]] = {}
    step = -(-len(sums) // _MOST_ROWS)
    for name, layers in by_name.items():
        plain = layers.pop(None, None)
        if plain is not None:
            rows[name] = plain
        numbers = sorted(number for number in layers if number is not None)
        for begin in range(0, len(numbers), step):
            group = numbers[begin : begin + step]
            label = f"{name}.{group[0]}" + (f" to {group[-1]}" if len(group) > 1 else "")
            rows[label] = [sum(parts) for parts in zip(*(layers[n] for n in group), strict=True)]
    return rows


def _rest(rows: dict[str, list[int]]) -> dict[str, list[int]]:
    """The rows that take most, and the sum of the others."""
    ordered = sorted(rows.items(), key=lambda item: -sum(item[1]))
    first, others = ordered[: _MOST_ROWS // 2], ordered[_MOST_ROWS // 2 :]
    found = dict(first)
    if others:
        sums = [sum(parts) for parts in zip(*(sizes for _, sizes in others), strict=True)]
        found[f"{len(others)} others"] = sums
    return found


def _stacks(title: str, caption: str, rows: Mapping[str, Sequence[int]], names: list[str]) -> str:
    bars = []
    for row, sizes in rows.items():
        if not any(sizes):
            continue
        parts = [
            Part(size, variant_color(place), f"{row}, {names[place]}: {human_bytes(size)}")
            for place, size in enumerate(sizes)
        ]
        bars.append(Bar(row, parts, human_bytes(sum(sizes))))
    legend = {name: variant_color(place) for place, name in enumerate(names)}
    label = "{} stored, ← smaller is better"
    return page.figure(title, caption, charts.bars_of_bytes(title, bars, label, legend))


def _variants(document: Document) -> str:
    rows = [
        [
            variant["name"],
            str(variant["files"]),
            str(variant["tensors"]),
            *(human_bytes(variant[key]) for key in ("source_bytes", "own_bytes", "load_bytes")),
            f"{variant['bits_per_weight']:.2f}",
        ]
        for variant in document["variants"]
    ]
    head = ["variant", "files", "tensors", "size of files", "adds", "loading reads", "bits/weight"]
    return page.table("Variants", head, rows)


def _derived(document: Document) -> str:
    rows = [
        [
            link.child,
            link.parent,
            "stored once" if link.scheme == "same" else link.scheme,
            str(count.tensors),
            human_bytes(count.stored_bytes),
        ]
        for link, count in links_of(document).items()
    ]
    head = ["variant", "follows from", "how", "tensors", "stored for them"]
    return page.table("What follows from what", head, rows) if rows else ""


def _beside(document: Document) -> str:
    """What is no tensor: files of other kinds, the index."""
    variants = document["variants"]
    tensors = sum(sum(sizes) for sizes in _sums(document, lambda name: None).values())
    own = sum(variant["own_bytes"] for variant in variants)
    index = document["stored_bytes"] - own - document["dead_bytes"]
    told = [f"{human_bytes(own - tensors)} of headers and files", f"index {human_bytes(index)}"]
    if document["dead_bytes"]:
        told.append(f"{human_bytes(document['dead_bytes'])} dead, which compact takes away")
    return "; ".join(told)


def render(document: Document) -> str:
    """The page. Raises KeyError where `document` is another one, or lacks the tensors."""
    names = [variant["name"] for variant in document["variants"]]
    caption = (
        "Arrows go from a variant to those that follow from it; a dotted one means equal tensors, "
        "which are stored once. Loading a variant reads its own bytes and those it shares."
    )
    figures = [page.figure("What the archive holds", caption, picture(document))] if names else []
    layers = _merged(_sums(document, layer_of))
    if layers:
        title = "Bytes by layer"
        figures.append(_stacks(title, "A colour is a variant.", layers, names))
        kinds = _rest(_sums(document, kind_of))
        title = "Bytes by kind of tensor"
        figures.append(_stacks(title, "Those that take most come first.", kinds, names))
    about = f"{document['archive']}, format {document['format_version']}; {_beside(document)}"
    title = re.sub(r".*/", "", document["archive"]) or "archive"
    body = (page.section("Pictures", *figures), _variants(document), _derived(document))
    return page.page(title, says(document), about, *body)

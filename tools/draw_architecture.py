#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/pictures/architecture.svg: the way of the data through the functions that carry it.

A step names a function and its file, and the function must be there: so the picture stays true.

usage: draw_architecture.py           writes the picture
       draw_architecture.py --check   prints one line per offence, exits 1 when there are any
"""

import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/pictures/architecture.svg"


class Step(NamedTuple):
    function: str
    file: str
    text: str


PACK = (
    Step("ListSources", "src/store/source_model.cc", "container/ takes files apart into parts"),
    Step("AssignObjects", "src/store/assign_objects.cc", "equal parts become one object"),
    Step("ChooseParents", "src/store/choose_parents.cc", "collects edges, and has one chosen"),
    Step("Detect", "src/scheme/scheme.h", "each scheme proposes edges between variants"),
    Step("Measure", "src/plan/measure.cc", "codes samples under each edge"),
    Step("Arrange", "src/plan/arrangement.cc", "takes the edges that save most"),
    Step("EncodeObjects", "src/store/pack_encoder.cc", "threads code chunk after chunk"),
    Step("Encode", "src/scheme/chunk_encoder.cc", "by the scheme or alone, with codec/"),
    Step("EncodeEnd", "src/store/pack_index.cc", "format/ writes index and footer"),
    Step("Commit", "src/io/output_file.cc", "a rename: now the archive is there"),
)
LOAD = (
    Step("ArchiveFile::Open", "src/store/archive_file.cc", "format/ reads header, footer, index"),
    Step("BindScheme", "src/scheme/registry.cc", "checks each edge, once"),
    Step("TargetsOf", "src/store/running_read.cc", "tensors become ranges of objects"),
    Step(
        "ReadPlan::Make",
        "src/store/read_plan_needs.cc",
        "cuts the read into units that fit the memory",
    ),
    Step("RunPipeline", "src/base/pipeline.cc", "threads claim units"),
    Step("ReadPlan::RunUnit", "src/store/read_plan_run.cc", "lists the chunks of a unit"),
    Step("ChunkBatch::Run", "src/store/chunk_batch.cc", "reads payloads, checks checksums"),
    Step("Decode", "src/scheme/chunk_coder.cc", "a chunk from payload and parents"),
    Step("Bound::Decode", "src/scheme/scheme.h", "the scheme, with the kernels of codec/"),
    Step("content", "src/store/load.cc", "bytes lie in the buffers of the caller"),
)

WIDTH, TOP, STEP, BOX_WIDTH, BOX_HEIGHT = 760, 74, 52, 330, 42
COLUMNS = (
    (25, "Pack: files to an archive", PACK, "#4472a8"),
    (405, "Load: an archive to tensors", LOAD, "#5a9a57"),
)


def text(x, y, content, size=13, weight="normal", colour="#222222", anchor="middle"):
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{colour}">{escape(content)}</text>'
    )


def column(x, title, steps, colour):
    middle = x + BOX_WIDTH // 2
    yield text(middle, TOP - 14, title, 15, "bold")
    for i, step in enumerate(steps):
        y = TOP + i * STEP
        folder = "/".join(step.file.split("/")[1:])
        yield (
            f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" '
            f'fill="#ffffff" stroke="{colour}" stroke-width="1.6"/>'
        )
        yield text(x + 10, y + 17, step.function, 13, "bold", anchor="start")
        yield text(x + BOX_WIDTH - 10, y + 17, folder, 11, colour="#666666", anchor="end")
        yield text(x + 10, y + 34, step.text, 12, anchor="start")
        if i:
            yield (
                f'<path d="M {middle} {y - STEP + BOX_HEIGHT} V {y - 2} m -4 -5 l 4 5 l 4 -5" '
                'stroke="#222222" fill="none"/>'
            )


def picture():
    height = TOP + len(PACK) * STEP + 14
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" role="img">',
        "<title>The way of the data: packing and loading, step by step</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(WIDTH // 2, 28, "The way of the data", 16, "bold"),
    ]
    for each in COLUMNS:
        lines.extend(column(*each))
    return "\n".join([*lines, "</svg>", ""])


def offences():
    for step in (*PACK, *LOAD):
        path = ROOT / step.file
        name = step.function.split("::")[-1]
        if not path.is_file() or f"{name}(" not in path.read_text():
            yield f"{step.file}: has no function {name}, which the picture names"
    if not PICTURE.is_file() or PICTURE.read_text() != picture():
        yield f"{PICTURE.relative_to(ROOT)}: is not what tools/draw_architecture.py draws"


def main(argv):
    if argv[1:] != ["--check"]:
        PICTURE.write_text(picture())
        return 0
    found = list(offences())
    print("\n".join(found) if found else "architecture: the picture is as the code runs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

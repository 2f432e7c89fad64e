# SPDX-License-Identifier: Apache-2.0
"""Pages of archives and analyses show what their JSON says; the command has them drawn."""

import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import models
import page_samples
import pytest
from command import ok, ok_json, pack, run
from page_samples import analysis_summary, archive_document, drawing

INSTALL = "pip install 'qstore[plots]'"
SVG = "{http://www.w3.org/2000/svg}"


def pictures(page):
    """The pictures of a page, each an element that can be parsed."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.S)]


def texts(picture):
    return [text.text for text in picture.iter(f"{SVG}text")]


def hints(picture):
    return [title.text for title in picture.iter(f"{SVG}title")]


def titled(page, title):
    found = [picture for picture in pictures(page) if picture.get("aria-label") == title]
    assert len(found) == 1, title
    return found[0]


def test_an_archive_is_drawn():
    document = archive_document(["bf16", "int8", "fp8"], layers=2, same=["fp8"])
    page = drawing.archive.render(document)
    picture = titled(page, "What the archive holds")
    assert {"bf16", "int8", "fp8"} <= set(texts(picture))
    told = hints(picture)
    # Three bars a variant, an arrow to each that follows from another.
    assert len(told) == 3 * 3 + 2
    assert "int8 follows from bf16: 10 by llm-int8" in told
    assert "fp8 follows from bf16: 10 by same" in told
    own = drawing.style.human_bytes(document["variants"][1]["own_bytes"])
    assert any(hint.startswith(f"int8: adds {own}, a load reads ") for hint in told)
    layers = titled(page, "Bytes by layer")
    assert {"model.layers.0", "model.layers.1", "model.embed_tokens"} <= set(texts(layers))
    assert "self_attn.q_proj" in texts(titled(page, "Bytes by kind of tensor"))
    assert "<td>llm-int8</td>" in page and "<td>stored once</td>" in page
    assert "3 variants, " in page


def test_bytes_of_layers_add_up():
    """Neighbours are drawn together where there are many, and nothing is lost."""
    document = archive_document(["bf16", "int8"], layers=100)
    archive = drawing.archive
    sums = archive._sums(document, archive.layer_of)
    rows = archive._merged(sums)
    assert len(rows) <= archive._MOST_ROWS + 2
    assert "model.layers.0 to 2" in rows
    for place, variant in enumerate(document["variants"]):
        stored = sum(tensor["stored_bytes"] for tensor in variant["tensor_list"])
        assert sum(sizes[place] for sizes in rows.values()) == stored
    kinds = archive._rest({str(i): [i, 0] for i in range(50)})
    assert len(kinds) == archive._MOST_ROWS // 2 + 1
    assert sum(sizes[0] for sizes in kinds.values()) == sum(range(50))


@pytest.mark.parametrize("layers", [2, 10])
def test_an_analysis_is_drawn(layers):
    page = drawing.analysis.render(analysis_summary(layers))
    drawn = [picture.get("aria-label") for picture in pictures(page)]
    # All variants: plans, archive, alone, given. Each of three subjects: by type, by layer.
    assert len(drawn) == 4 + 2 * 3
    assert "28 bits per weight as they are, 21.7 by zipnn + zstd-3, 12.5 in one archive" in page
    plans = texts(titled(page, "All variants together"))
    assert "zipnn + zstd-3" in plans and "12.5" in plans
    assert "← smaller is better" in plans
    by_layer = texts(titled(page, "bf16 given int8, by layer"))
    names = {"0.mlp.up_proj", "1.self_attn.q_proj"} if layers == 2 else {"mlp.up_proj"}
    assert names <= set(by_layer)
    assert "lm_head: int8: not quantized" in page


def test_scales_begin_where_differences_are():
    """What is beyond does not stretch the axis: an arrow points to it."""
    points = [
        drawing.charts.Point(row, value, drawing.style.look_of("x"), "", beyond=value > 20)
        for row, value in enumerate((10.4, 10.5, 24.0))
    ]
    svg = drawing.charts.dots("t", list("abc"), [drawing.charts.Panel("bits")], points)
    ticks = [float(text) for text in texts(ElementTree.fromstring(svg)) if text[:1].isdigit()]
    assert min(ticks) > 10 and max(ticks) < 11


def test_a_colour_is_one_system():
    look_of = drawing.style.look_of
    assert look_of("qstore balanced avx2") == look_of("qstore balanced") == look_of("qstore each")
    assert look_of("zipnn + zstd-3") == look_of("zipnn")
    assert look_of("zstd 3") == look_of("zstd-3 each")
    systems = ("uncompressed", "safetensors", "lz4", "zstd 1", "zstd 9", "zipnn", "lmz")
    ours = ("qstore fast", "qstore balanced", "qstore max")
    assert len({look_of(system).color for system in (*systems, *ours)}) == 10


def test_names_are_anybodys():
    names = ["<b>&\"'", "_hidden", "$a$ {x}", "n" * 200, "\u540d\u524d", "tab\there"]
    page = drawing.archive.render(archive_document(names, layers=1))
    assert "<b>&" not in page
    drawn = texts(titled(page, "What the archive holds"))
    assert "<b>&\"'" in drawn and "$a$ {x}" in drawn and "tab?here" in drawn
    legend = [text.strip() for text in texts(titled(page, "Bytes by layer"))]
    assert "_hidden" in legend
    assert max(map(len, drawn)) < 100


def test_empty_archives_have_a_page():
    for names, layers in (([], 0), (["bf16"], 0)):
        document = archive_document(names, layers)
        for variant in document["variants"]:
            variant["tensor_list"] = []
        assert "<h1>m.qstore</h1>" in drawing.archive.render(document)


def test_the_same_data_make_the_same_bytes():
    document = archive_document(["bf16", "int8"], layers=2)
    code = "import json, sys\nfrom page_samples import drawing\n"
    code += "print(drawing.archive.picture(json.load(sys.stdin)))"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": os.path.dirname(page_samples.__file__)}
    other = subprocess.run(
        command, input=json.dumps(document), env=environment, capture_output=True, text=True
    )
    assert other.stdout == drawing.archive.picture(document) + "\n", other.stderr


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    high, low = models.save_pair({"layers.0.a.weight": models.llm_weights(64, 128, 1)}, folder)
    pack(folder / "m.qstore", bf16=high, int8=low)
    return folder / "m.qstore"


def test_the_command_draws(archive, programs, space):
    page = space / "page.html"
    ok("inspect", archive, "--html", page, env=programs)
    document = ok_json("inspect", archive, "--tensors")
    assert page.read_text(encoding="utf-8") == drawing.archive.render(document)
    assert ok("inspect", archive, "--html", "-", env=programs).stdout == page.read_text()
    assert page.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in space.iterdir()] == ["page.html"]


def test_view_opens_a_browser(archive, programs, space):
    browser = space / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {space}/opened\n')
    browser.chmod(0o755)
    environment = programs | {"BROWSER": str(browser), "XDG_CACHE_HOME": str(space / "cache")}
    places = [ok("view", archive, env=environment).stdout.strip() for _ in range(2)]
    assert places[0] == places[1] and places[0].startswith(f"{space}/cache/qstore-pages/m.qstore-")
    assert (space / "opened").read_text() == f"file://{places[0]}\n"
    (space / "opened").unlink()
    assert json.loads(ok("view", archive, "--json", env=environment).stdout) == {"path": places[0]}
    (space / "opened").unlink()
    silent = {name: value for name, value in environment.items() if name != "BROWSER"}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        silent.pop(name, None)
    done = ok("view", archive, "--output", space / "page.html", env=silent)
    assert done.stdout == f"{space}/page.html\n" and (space / "page.html").exists()
    assert not (space / "opened").exists()


@pytest.mark.parametrize("what", ["program", "library"])
def test_what_is_missing_is_told(archive, programs, space, what):
    (space / "matplotlib.py").write_text("raise ImportError('no matplotlib here')")
    hidden = {"PYTHONPATH": f"{space}:{programs['PYTHONPATH']}"}
    environment = programs | ({"PATH": "/nowhere"} if what == "program" else hidden)
    for command in (["view", archive], ["inspect", archive, "--html", space / "page.html"]):
        done = run(*command, env=environment)
        assert done.returncode == 1
        assert INSTALL in done.stderr and done.stderr.count("\n") == 1
    assert not (space / "page.html").exists()
    model = archive.parent / "high"
    command = ["analyze", f"16={model}", "-o", space / "out", "--methods", "huffman"]
    done = ok(*command, env=environment)
    assert INSTALL in done.stderr
    assert sorted(path.name for path in (space / "out").iterdir()) == [
        "analyze.log",
        "layers",
        "run.json",
        "summary.json",
    ]


def test_json_of_something_else_is_refused(programs, space):
    (space / "other.json").write_text('{"variants": [{}]}')
    (space / "torn.json").write_text('{"variants": ')
    for name, what in (("other", "the JSON is not that of an archive"), ("torn", "qstore: ")):
        arguments = ("draw", "archive", space / f"{name}.json", "--output", space / "page.html")
        done = run(*arguments, env=programs)
        assert done.returncode == 1 and what in done.stderr and done.stderr.count("\n") == 1
    assert not (space / "page.html").exists()

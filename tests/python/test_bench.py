# SPDX-License-Identifier: Apache-2.0
"""`qstore bench` measures what it says, and the comparison's page shows its plots in a browser."""

import json
import re
import shutil
import subprocess
import sys

import models
import pytest
from command import BINARY, ROOT, ok_json, pack, run

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two models and their archive, a few MiB."""
    space = tmp_path_factory.mktemp("bench")
    tensors = {"a.weight": models.llm_weights(1024, 2048, 1)}
    tensors["b.weight"] = models.llm_weights(64, 64, 2)
    high, low = models.save_pair(tensors, space)
    pack(space / "m.qstore", high=high, low=low)
    yield space
    shutil.rmtree(space)


def check_times(document, runs):
    assert len(document["runs"]) == runs
    assert 0 < document["min_s"] <= document["median_s"] <= document["max_s"]
    assert document["threads"] >= 1
    assert document["isa"] in ("scalar", "avx2", "avx512")


def bench_load(pair, *arguments):
    return ok_json("bench", "load", pair / "m.qstore", *arguments)


def test_load(pair):
    originals = [f"--compare={name}={pair / name}" for name in ("high", "low")]
    document = bench_load(pair, "high", "low", "--runs", 3, *originals)
    check_times(document, 3)
    weights = 1024 * 2048 + 64 * 64
    assert document["bytes"] == weights * 3 + (1024 + 64) * 4 + 2
    assert document["compared_tensors"] == document["tensors"] == 8
    assert document["stored_bytes"] == (pair / "m.qstore").stat().st_size
    # The low one by itself, without what only the high one needs.
    assert bench_load(pair, "low")["read_bytes"] < 0.75 * document["read_bytes"]


def test_load_of_one_tensor_and_of_rows(pair):
    compare = ("--compare", pair / "high")
    whole = bench_load(pair, "high", "--tensor", "a.weight", *compare)
    rows = bench_load(pair, "high", "--tensor", "a.weight", "--rows", "100:117", *compare)
    assert whole["bytes"] == 1024 * 2048 * 2
    assert rows["bytes"] == 17 * 2048 * 2
    assert whole["compared_tensors"] == rows["compared_tensors"] == 1


def test_a_difference_is_found(pair):
    done = run("bench", "load", pair / "m.qstore", "high", "--compare", pair / "low")
    assert done.returncode == 3
    done = run("bench", "load", pair / "m.qstore", "high", "low", "--compare", pair / "low")
    assert done.returncode == 1
    other = models.save({"a.weight": models.llm_weights(1024, 2048, 9)}, pair / "other")
    arguments = ("high", "--tensor", "a.weight", "--compare", other)
    done = run("bench", "load", pair / "m.qstore", *arguments)
    assert done.returncode == 3
    assert "a.weight" in done.stderr


def test_save_leaves_nothing_behind(pair, space):
    sources = (f"high={pair / 'high'}", f"low={pair / 'low'}")
    document = ok_json("bench", "save", *sources, "--level", "fast", "--directory", space)
    check_times(document, 5)
    assert document["stored_bytes"] < 0.6 * document["bytes"]
    assert list(space.iterdir()) == []


@pytest.mark.parametrize("codec", (["none"], ["lz4"], ["zstd", "--zstd-level", "1"]))
def test_raw(pair, space, codec):
    sources = (pair / "high", pair / "low", "--codec", *codec, "--directory", space)
    saved = ok_json("bench", "raw", *sources, "--operation", "save", "--runs", 2)
    loaded = ok_json("bench", "raw", *sources, "--operation", "load", "--runs", 2)
    check_times(saved, 2)
    check_times(loaded, 2)
    raw = sum(path.stat().st_size for name in ("high", "low") for path in (pair / name).iterdir())
    assert saved["bytes"] == loaded["bytes"] == raw
    assert loaded["stored_bytes"] <= raw + 4096
    # Ends inside a chunk on both sides; compared with the files by the command.
    part = ok_json("bench", "raw", *sources, "--operation", "load", "--range", "1000000:3000001")
    assert part["bytes"] == 2000001
    assert list(space.iterdir()) == []


def test_bandwidth_limits_what_is_read(pair):
    """Never faster than the limit allows, but for the burst; every byte read is counted."""
    burst = 256 << 10
    ours = bench_load(pair, "high", "--bandwidth", 20, "--runs", 2)
    assert ours["min_s"] >= (ours["read_bytes"] - burst) / (20 << 20)
    raw = ("bench", "raw", pair / "high", "--operation", "load", "--bandwidth", 20, "--runs", 2)
    theirs = ok_json(*raw)
    assert theirs["min_s"] >= (theirs["bytes"] - burst) / (20 << 20)
    assert ours["bandwidth_mib"] == theirs["bandwidth_mib"] == 20


@pytest.mark.parametrize("variant, least", [("low", 1.1), ("high", 1.45)])
def test_behind_a_slow_source(space, figure, variant, least):
    """So many times as fast as an uncompressed read, which is no slower than safetensors."""
    high, low = models.save_pair({"a.weight": models.llm_weights(4096, 4096, 1)}, space)
    pack(space / "m.qstore", high=high, low=low)
    slow = ("--bandwidth", 20, "--runs", 1)
    ours = bench_load(space, variant, *slow)
    theirs = ok_json(
        "bench", "raw", {"high": high, "low": low}[variant], "--operation", "load", *slow
    )
    times = theirs["median_s"] / ours["median_s"]
    figure(f"{variant} behind 20 MiB/s: {times:.2f} times as fast as uncompressed")
    assert times >= least


def test_cold_reports_what_is_still_in_memory(pair):
    document = bench_load(pair, "high", "--cold", "--runs", 2)
    assert document["cold"] is True
    assert 0 <= document["resident_share"] <= 1


def test_isa_is_chosen(pair, monkeypatch):
    monkeypatch.setenv("QSTORE_ISA", "scalar")
    assert bench_load(pair, "high", "--compare", pair / "high")["isa"] == "scalar"


def compare(folder, *options):
    driver = [sys.executable, ROOT / "benchmarks" / "run.py", "--size", "tiny"]
    options = ["--qstore", BINARY, "--output", folder, *options]
    subprocess.run([*driver, *options], check=True, timeout=300)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a comparison of tiny models, with a system of the user's."""
    folder = tmp_path_factory.mktemp("report")
    commands = {"save": "cp {high} {work}/copy; echo 0.5", "load16": "echo took 0.25"}
    commands["size"] = "stat -c %s {work}/copy"
    extra = folder / "extra.json"
    extra.write_text(json.dumps({**commands, "datasets": ["layers"]}))
    options = ["--extra", f"copy={extra}", *(f"--system={name}" for name in (*SYSTEMS, *OURS))]
    compare(folder, *options)
    return folder


SYSTEMS = ("uncompressed", "safetensors", "lz4", "zstd 1", "zstd 3", "zstd 9", "zipnn", "copy")
OURS = ("qstore fast", "qstore balanced", "qstore max")


def test_report(report):
    document = json.loads((report / "report.json").read_text())
    assert not (report / "work").exists()
    results = {
        (d["dataset"], d["system"], d["operation"], d["bandwidth_mib"], d["cold"]): d
        for d in document["results"]
        if d["drive_mib"] is None
    }
    throttled = [d for d in document["results"] if d["drive_mib"]]
    assert len(results) + len(throttled) == len(document["results"])
    check_throttled(document["settings"], throttled)
    for system in (*SYSTEMS, *OURS):
        loaded = results["layers", system, "load_16", None, False]
        assert loaded["min_s"] <= loaded["median_s"] <= loaded["max_s"]
        assert loaded["bytes"] >= 2 * 512 * 512 * 2
    assert results["layers", "copy", "load_16", None, False]["median_s"] == 0.25
    for system in ("uncompressed", "safetensors", "zstd 3", *OURS):
        for bandwidth in document["settings"]["bandwidths"]:
            assert ("layers", system, "load_16_8", bandwidth, False) in results
        cold = results["layers", system, "load_16_8", None, True]
        assert 0 <= cold["resident_share"] <= 1
    assert results["layers", "qstore fast scalar", "load_16", None, False]["isa"] == "scalar"
    # What a bar judges has every round.
    repeated = results["small", "qstore balanced", "load_8", None, False]
    once = results["small", "qstore max", "load_8", None, False]
    assert (len(repeated["runs"]), len(once["runs"])) == (3, 2)
    for name in ("report.txt", "report.md"):
        text = (report / name).read_text()
        assert all(system in text for system in (*SYSTEMS, *OURS))


def rows_of(report, title):
    """Cells of the table with that title in the Markdown."""
    text = (report / "report.md").read_text(encoding="utf-8")
    table = text.split(f"### {title}")[1].split("\n\n")[1]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_bars_of_time(report):
    """Each says what was measured, and follows from the ratio."""
    rows = rows_of(report, "times wanted")
    bars = [row[0] for row in rows if row[1] == "layers"]
    assert bars == [
        "load both",
        "load 8-bit",
        "load BF16 stored alone",
        "load F16 stored alone",
        "save both",
        "load 16-bit",
    ]
    for *_, ratio, most, verdict in rows:
        if float(ratio) != float(most):  # It is rounded.
            assert verdict == ("met" if float(ratio) < float(most) else "NOT MET")


def test_bars_of_bytes(report):
    document = json.loads((report / "report.json").read_text())
    rows = {row[0]: row[1:] for row in rows_of(report, "16-bit alone")}
    models = ("layers", "small", "only-size")
    assert list(rows) == [f"{model} {dtype}" for model in models for dtype in ("BF16", "F16")]
    for dataset in document["datasets"]:
        sizes = document["sizes"][dataset["name"]]
        for dtype, key in (("BF16", "16"), ("F16", "f16")):
            _, balanced, _, lmz, zipnn, ratio, most, verdict = rows[f"{dataset['name']} {dtype}"]
            ours, theirs = sizes["qstore balanced"][key], sizes["zipnn"][f"{key} smallest"]
            assert lmz == "–"
            assert float(balanced) == round(8 * ours / dataset["weights"], 3)
            assert float(zipnn) == round(8 * theirs / dataset["weights"], 3)
            assert (ratio, most) == (f"{ours / theirs:.4f}", "1")
            assert verdict == ("met" if ours <= theirs else "NOT MET")


def test_report_is_written_anew(report, space):
    """From its JSON, without measuring."""
    compare(space, "--from", report / "report.json")
    for name in ("report.json", "report.txt", "report.md", "report.html"):
        assert (space / name).read_text() == (report / name).read_text()


def test_tables_of_the_documentation(report):
    """What is published is in the marked places of the page, and the rest of it stays."""
    sys.path.append(str(ROOT / "benchmarks"))
    from driver import publish

    document = json.loads((report / "report.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    filled = publish.fill(page, document)
    assert publish.fill(filled, document) == filled
    for name, row in (("times", "| load 8-bit | layers |"), ("sizes", "| layers BF16 |")):
        begin, end = publish.marks(name)
        assert row in filled.split(begin)[1].split(end)[0]
        page, filled = (text.split(begin)[0] + text.split(end)[1] for text in (page, filled))
    assert filled == page


@pytest.mark.rest  # Installs lmz.
def test_lmz(space):
    compare(space, "--system", "lmz", "--system", "qstore balanced", "--dataset", "layers")
    document = json.loads((space / "report.json").read_text())
    assert document["machine"]["versions"]["lmz"]
    loads = {
        (d["operation"], d["bandwidth_mib"], d["cold"]): d
        for d in document["results"]
        if d["system"] == "lmz" and d["drive_mib"] is None
    }
    raw = document["datasets"][0]
    for operation in ("load_16", "save_16"):
        assert loads[operation, None, False]["bytes"] == raw["bytes_16"]
    for operation in ("load_16_8", "save_pair"):
        assert loads[operation, None, False]["bytes"] == raw["bytes_16"] + raw["bytes_8"]
    sizes = document["sizes"]["layers"]["lmz"]
    assert sizes["16"] < sizes["f16"] < sizes["pair"] < raw["bytes_16"] + raw["bytes_8"]
    bandwidth = document["settings"]["bandwidths"][0]
    least = (sizes["16"] - (256 << 10)) / (bandwidth << 20)
    assert loads["load_16", bandwidth, False]["min_s"] > 0.9 * least
    assert rows_of(space, "16-bit alone")[0][4] == f"{8 * sizes['16'] / raw['weights']:.3f}"


def check_throttled(settings, results):
    """What the drive gave was what the system was told to let through, if it could be told."""
    assert (settings["drives"] == []) == (settings["drive_limit"] == "not permitted")
    loads = {(d["system"], d["operation"]): d for d in results}
    wanted = [(s, o) for s in (*SYSTEMS[:7], *OURS) for o in ("load_16", "load_16_8")]
    if settings["drives"]:
        wanted.remove(("zipnn", "load_16_8"))
        assert set(wanted) <= set(loads)
    for load in results:
        read = load["read_bytes"] or load["stored_bytes"] or load["bytes"]
        least = read / (load["drive_mib"] * (1 << 20))
        assert load["min_s"] > least - 0.12, load  # The kernel counts in slices of 0.1 s.


def test_page_shows_its_plots(report):
    document = (report / "report.html").read_text(encoding="utf-8")
    plots = re.findall(r"<svg.*?</svg>", document, re.S)
    # What is wanted, sizes; two of each model that is timed; two by bandwidth, and stages.
    assert len(plots) == 2 + 2 * 2 + 3
    titles = ("Times wanted", "both stored and loaded", "16-bit model alone", "processor time")
    for title in (*titles, "behind a read bandwidth"):
        assert any(title in plot for plot in plots), title
    # A chart has a system's size beside its load of the same: "copy" tells only one of them.
    for system in (*SYSTEMS[:-1], *OURS):
        assert any(f">{system}<" in plot for plot in plots), system
    assert sum(plot.count("<title>") for plot in plots) > 100
    assert not re.search(r"(src|href)=\"(?!data:|#)", document)
    assert "NaN" not in document


def test_both_and_one_are_apart(report):
    """No chart has an archive of both models beside files of one."""
    document = (report / "report.html").read_text(encoding="utf-8")
    both, alone = (
        re.search(rf'aria-label="layers: {title}".*?</svg>', document, re.S)[0]
        for title in ("16-bit and 8-bit model, both stored and loaded", "16-bit model alone")
    )
    sizes = json.loads((report / "report.json").read_text())["sizes"]["layers"]
    assert ">zipnn<" not in both and "pair" not in sizes["zipnn"]
    assert ">zipnn<" in alone and ">qstore balanced<" in alone

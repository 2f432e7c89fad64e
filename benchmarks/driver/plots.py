# SPDX-License-Identifier: Apache-2.0
"""The charts of the page, from the report."""

from . import bars
from .drawing import charts, page, style
from .settings import COUNTERPARTS
from .tables import find, systems_of

Panel, Point, Series = charts.Panel, charts.Point, charts.Series

SIZE = "bits per weight\n← smaller is better"
SPEED = "loaded, MB/s\nfaster is better →"
BASELINE = "uncompressed"
# What stores the bytes as they are: not what the scale of sizes is chosen for.
AS_THEY_ARE = ("uncompressed", "safetensors", "lz4")
# Of the table of sizes.
SIZED = (*bars.LEVELS, "lmz", "zipnn")


def stored(report, dataset, system, which):
    """Bits per weight of what a system stores of "pair", "16" or "f16"; none where it cannot."""
    size = report["sizes"][dataset["name"]].get(system, {}).get(which)
    return 8 * size / dataset["weights"] if size else None


def load_of(report, dataset, system, operation):
    """Others store a model alone anyway."""
    if not system.startswith("qstore"):
        operation = COUNTERPARTS.get(operation, operation)
    return find(report, dataset=dataset["name"], system=system, operation=operation)


def sizes_and_speeds(report, dataset, which, operation):
    """(system, bits per weight, its load) of the systems that have both, the smallest first."""
    found = []
    for system in report["settings"]["systems"]:
        size = stored(report, dataset, system, which)
        load = load_of(report, dataset, system, operation)
        if size and load:
            found.append((system, size, load))
    return sorted(found, key=lambda entry: entry[1])


def size_and_speed(report, dataset, which, operation, title, caption):
    """Rows of systems: what they store, and how fast they load it."""
    rows = sizes_and_speeds(report, dataset, which, operation)
    if len(rows) < 2:
        return ""
    points = []
    for row, (system, size, load) in enumerate(rows):
        look = style.look_of(system)
        as_it_is = system.startswith(AS_THEY_ARE)
        hint = f"{system}: {size:.2f} bits per weight"
        points.append(Point(row, size, look, hint, text=f"{size:.2f}", beyond=as_it_is))
        speed, low, high = (load["bytes"] / load[k] / 1e6 for k in ("median_s", "max_s", "min_s"))
        hint = f"{system}: {speed:.0f} MB/s ({low:.0f} to {high:.0f})"
        text = style.number(float(f"{speed:.3g}"))
        points.append(Point(row, speed, look, hint, 1, low, high, text))
    names = [system for system, _, _ in rows]
    title = f"{dataset['name']}: {title}"
    svg = charts.dots(title, names, [Panel(SIZE), Panel(SPEED, log=True)], points)
    return page.figure(title, caption, svg)


def of_dataset(report, dataset):
    both = size_and_speed(
        report,
        dataset,
        "pair",
        "load_16_8",
        "16-bit and 8-bit model, both stored and loaded",
        "Bits of both models, per weight. ZipNN is absent: it has only the 16-bit file.",
    )
    alone = size_and_speed(
        report,
        dataset,
        "16",
        "load_16_alone",
        "16-bit model alone",
        "Everybody stores and loads the 16-bit model and nothing else.",
    )
    return page.section(f"{dataset['name']}: {dataset['text']}", both, alone)


def targets(report):
    """How far each time is from what is wanted."""
    found = [row for bar in bars.BARS for row in bars.time_rows(report, bar)]
    if not found:
        return ""
    names, points = [], []
    for place, (text, model, _, other, _, ratio, most, verdict) in enumerate(found):
        names.append(f"{text}, {model}")
        look = style.look_of(bars.BALANCED)
        look = look if verdict == "met" else look._replace(marker="X")
        hint = f"{text}, {model}: {ratio} times {other}, wanted {most}: {verdict}"
        value = float(ratio) / float(most)
        points.append(Point(place, value, look, hint, text=f"{ratio} of {most}"))
    title = "Times wanted"
    panel = Panel("time over the target, ← smaller is better", log=True, mark=1.0)
    caption = (
        "Each row is the time of QStore at balanced over that of another system, divided by the "
        "target. Left of the line it is met; a cross is not."
    )
    return page.figure(title, caption, charts.dots(title, names, [panel], points))


def alone(report):
    """Bits per weight of 16-bit models, by those whose sizes are compared."""
    names = [dataset["name"] for dataset in report["datasets"]]
    points, looks = [], {}
    for row, dataset in enumerate(report["datasets"]):
        for panel, (which, dtype) in enumerate(bars.DTYPES.items()):
            for system, size in bars.alone_sizes(report, dataset, which).items():
                if not size:
                    continue
                value = 8 * size / dataset["weights"]
                looks[system] = style.look_of(system)
                hint = f"{dataset['name']} {dtype}, {system}: {value:.3f}"
                points.append(Point(row, value, looks[system], hint, panel))
    if not points:
        return ""
    title = "16-bit models, each stored alone"
    labels = [f"{dtype}, bits per weight\n← smaller is better" for dtype in bars.DTYPES.values()]
    legend = {system: looks[system] for system in SIZED if system in looks}
    svg = charts.dots(title, names, [Panel(label) for label in labels], points, legend)
    return page.figure(title, "One model a row. Headers are counted.", svg)


def bandwidth(report, operation, title, caption):
    """Load time over that of uncompressed files, by read bandwidth."""
    name = report["datasets"][0]["name"]
    rates = report["settings"]["bandwidths"]

    def load(system, rate):
        return find(report, dataset=name, system=system, operation=operation, bandwidth_mib=rate)

    base = {rate: load(BASELINE, rate) for rate in rates}
    if not all(base.values()):
        return ""
    series = []
    for system in systems_of(report, name):
        found = [load(system, rate) for rate in rates]
        if system == BASELINE or not all(found) or len(found) < 2:
            continue
        middles = [base[rate]["median_s"] for rate in rates]
        pairs = list(zip(rates, found, middles, strict=True))
        line = [(rate, document["median_s"] / middle) for rate, document, middle in pairs]
        spreads = [(d["min_s"] / middle, d["max_s"] / middle) for _, d, middle in pairs]
        series.append(Series(system, style.look_of(system), line, spreads))
    if not series:
        return ""
    title = f"{name}: {title}, behind a read bandwidth"
    label = "time over that of uncompressed files, ← smaller is better"
    svg = charts.lines(title, series, "read bandwidth, MiB/s", label, rates, mark=1.0)
    return page.figure(title, caption, svg)


def stages(report):
    """Processor time of a load, and its elapsed time as a mark."""
    name = report["datasets"][0]["name"]
    rows = []
    for system in systems_of(report, name):
        document = find(report, dataset=name, system=system, operation="load_16_8")
        if not document or document["user_s"] is None:
            continue
        color = style.look_of(system).color
        pieces = (("user", document["user_s"], 1.0), ("system", document["system_s"], 0.4))
        parts = []
        for kind, seconds, share in pieces:
            hint = f"{system}, {kind}: {1000 * seconds:.1f} ms"
            parts.append(charts.Part(1000 * seconds, style.tint(color, share), hint))
        elapsed = 1000 * document["median_s"]
        rows.append(charts.Bar(system, parts, f"{elapsed:.0f} ms elapsed", elapsed))
    if not rows:
        return ""
    title = f"{name}: processor time to load both"
    legend = {
        "user: decoding": "#4b5563",
        "system: reads, pages": style.tint("#4b5563", 0.4),
    }
    caption = "Of all threads. The stroke is the elapsed time."
    svg = charts.bars(title, rows, "ms, ← smaller is better", legend)
    return page.figure(title, caption, svg)


def says(report):
    """What the report found, in a sentence."""
    dataset = report["datasets"][0]
    ours, theirs = (stored(report, dataset, s, "pair") for s in (bars.BALANCED, BASELINE))
    name = dataset["name"]
    loads = [
        find(report, dataset=name, system=s, operation="load_16_8")
        for s in (bars.BALANCED, BASELINE)
    ]
    rows = [row for bar in bars.BARS for row in bars.time_rows(report, bar)]
    parts = []
    if ours and theirs:
        parts.append(
            f"Of {name} in 16 and 8 bits, QStore stores {ours:.2f} bits per weight in place of "
            f"{theirs:.2f}"
        )
    if all(loads):
        ratio = loads[0]["median_s"] / loads[1]["median_s"]
        parts.append(f"loads both in {ratio:.2f} of the time of uncompressed files")
    if rows:
        met = sum(row[-1] == "met" for row in rows)
        parts.append(f"and meets {met} of {len(rows)} times wanted")
    return ", ".join(parts) + "." if parts else "Sizes by several systems."


def all_sections(report):
    timed = [dataset for dataset in report["datasets"] if dataset["timed"]]
    slow = (
        bandwidth(
            report,
            "load_16_8",
            "load both",
            "The drive is imitated. Below the line a system is faster than uncompressed files.",
        ),
        bandwidth(
            report,
            "load_16",
            "load 16-bit",
            "QStore loads it from an archive of both models, and reads the 8-bit one for that. "
            "The others load a file of the 16-bit model alone.",
        ),
        stages(report),
    )
    return [
        page.section("What is wanted", targets(report), alone(report)),
        *(of_dataset(report, dataset) for dataset in timed),
        page.section("What loading takes", *slow),
    ]

# SPDX-License-Identifier: Apache-2.0
"""The plots of the page, from the report."""

from .svg import BOTTOM, LEFT, TOP, Figure
from .tables import bits, find, systems_of

COLORS = {
    "uncompressed": "#6b7280",
    "safetensors": "#a16207",
    "lz4": "#db2777",
    "zstd 1": "#059669",
    "zstd 3": "#0f766e",
    "zstd 9": "#134e4a",
    "zipnn": "#dc2626",
    "lmz": "#ea580c",
    "qstore fast": "#38bdf8",
    "qstore balanced": "#2563eb",
    "qstore max": "#4338ca",
}
OTHER = "#9333ea"
STAGES = {"user_s": ("#2563eb", "user: decoding"), "system_s": ("#f59e0b", "system: reads, pages")}


def color_of(system):
    return next((c for name, c in COLORS.items() if system.startswith(name)), OTHER)


def size_and_speed(report, dataset):
    """Bits per weight against the speed of loading the 16-bit model, with what that needs."""
    points = []
    for system in report["settings"]["systems"]:
        size, which = bits(report, dataset, system)
        loaded = find(report, dataset=dataset["name"], system=system, operation="load_16")
        if size is None or loaded is None:
            continue
        speeds = [loaded["bytes"] / loaded[key] / 1e6 for key in ("median_s", "max_s", "min_s")]
        name = system + (" (16-bit alone)" if which == "16" else "")
        points.append((name, size, speeds, color_of(system)))
    if not points:
        return ""
    sizes = [size for _, size, _, _ in points]
    speeds = [speed for _, _, three, _ in points for speed in three]
    figure = Figure(
        f"{dataset['name']}: size against load speed",
        (min(sizes) - 0.6, max(sizes) + 0.6, "bits per weight stored (smaller is better)", False),
        (min(speeds) * 0.8, max(speeds) * 1.25, "load 16-bit, MB/s", True),
    )
    for name, size, (median, low, high), color in points:
        text = f"{name}: {size:.2f} bits per weight, {median:.0f} MB/s ({low:.0f} to {high:.0f})"
        figure.point(size, median, color, text, low, high)
        figure.label(size, median, color, name)
    return figure.render()


def bandwidth(report, operation, title):
    """Load time against read bandwidth, a line for each system."""
    name = report["datasets"][0]["name"]
    lines = {}
    for system in systems_of(report, name):
        found = [
            find(report, dataset=name, system=system, operation=operation, bandwidth_mib=b)
            for b in report["settings"]["bandwidths"]
        ]
        if all(found) and len(found) > 1:
            lines[system] = found
    if not lines:
        return ""
    rates = report["settings"]["bandwidths"]
    times = [
        document[key] for line in lines.values() for document in line for key in ("min_s", "max_s")
    ]
    figure = Figure(
        f"{name}: {title} against read bandwidth",
        (min(rates) * 0.9, max(rates) * 1.1, "read bandwidth, MiB/s", True),
        (min(times) * 0.85, max(times) * 1.15, "load time, s", True),
        marks=rates,
    )
    # What the others are compared with is drawn last, above them.
    for system, line in reversed(lines.items()):
        color = color_of(system)
        points = [(document["bandwidth_mib"], document["median_s"]) for document in line]
        figure.line(points, color, "5 4" if system == "uncompressed" else "")
        for document in line:
            rate, median = document["bandwidth_mib"], document["median_s"]
            text = f"{system}: {median:.3f} s at {rate} MiB/s"
            figure.point(rate, median, color, text, document["min_s"], document["max_s"])
        figure.label(*points[-1], color, system)
    return figure.render()


def stages(report):
    """Processor time of a load, and its elapsed time as a mark."""
    name = report["datasets"][0]["name"]
    found = [
        document
        for system in systems_of(report, name)
        if (document := find(report, dataset=name, system=system, operation="load_16_8"))
        and document["user_s"] is not None
    ]
    if not found:
        return ""
    longest = max(max(d["user_s"] + d["system_s"], d["median_s"]) for d in found) * 1000
    step, thickness = 30, 16
    figure = Figure(
        f"{name}: load both, processor time by stage",
        (0, longest * 1.05, "ms (all threads); the mark is the elapsed time", False),
        (0, 1, "", False),
        TOP + BOTTOM + step * (len(found) + 1),
    )
    for row, document in enumerate(found):
        center = TOP + step * (row + 0.5)
        begin = 0
        for key, (color, label) in STAGES.items():
            end = begin + 1000 * document[key]
            text = f"{document['system']}, {label}: {1000 * document[key]:.1f} ms"
            figure.bar(begin, end, center, thickness, color, text)
            begin = end
        elapsed = 1000 * document["median_s"]
        width = longest * 0.004
        text = f"{document['system']}: {elapsed:.1f} ms elapsed"
        figure.bar(elapsed, elapsed + width, center, thickness + 8, "#111827", text)
        figure.text(figure.x.at(max(begin, elapsed)) + 10, center + 4, document["system"])
    for number, (color, label) in enumerate(STAGES.values()):
        at = LEFT + 170 * number
        y = TOP + step * (len(found) + 0.5)
        figure.parts.append(f'<rect x="{at}" y="{y - 9}" width="12" height="12" fill="{color}"/>')
        figure.text(at + 18, y + 2, label)
    return figure.render(with_y_ticks=False)


def all_plots(report):
    plots = [size_and_speed(report, dataset) for dataset in report["datasets"]]
    plots += [
        bandwidth(report, "load_16_8", "load both"),
        bandwidth(report, "load_16", "load 16-bit"),
        stages(report),
    ]
    return [plot for plot in plots if plot]

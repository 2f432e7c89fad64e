# SPDX-License-Identifier: Apache-2.0
"""The report as tables, of which the text, the Markdown and the page are made."""

from dataclasses import dataclass, field

from .settings import COUNTERPARTS, OPERATIONS


@dataclass
class Table:
    title: str
    head: list
    rows: list = field(default_factory=list)


def seconds(document):
    """Median and spread, in milliseconds."""
    if document is None:
        return "–"
    digits = 2 if document["median_s"] < 0.01 else 1 if document["median_s"] < 0.1 else 0
    low, middle, high = (
        f"{1000 * document[key]:.{digits}f}" for key in ("min_s", "median_s", "max_s")
    )
    return f"{middle} ({low}–{high})"


def find(report, **wanted):
    wanted = {"bandwidth_mib": None, "cold": False, "drive_mib": None, **wanted}
    for document in report["results"]:
        if all(document[key] == value for key, value in wanted.items()):
            return document
    return None


def systems_of(report, dataset):
    names = [d["system"] for d in report["results"] if d["dataset"] == dataset]
    return list(dict.fromkeys(names))


def bits(report, dataset, system):
    """Bits per weight of the pair, or of the 16-bit model where that is all; and which it is."""
    sizes = report["sizes"][dataset["name"]].get(system, {})
    for which in ("pair", "16"):
        if which in sizes:
            return 8 * sizes[which] / dataset["weights"], which
    return None, None


def dataset_table(report, dataset):
    table = Table(
        f"{dataset['name']}: {dataset['text']}, {dataset['weights'] / 1e6:.1f} M weights (ms)",
        ["system", "bits per weight", *OPERATIONS.values()],
    )
    for system in systems_of(report, dataset["name"]):
        value, which = bits(report, dataset, system)
        size = "–" if value is None else f"{value:.2f}" + (" (16 alone)" if which == "16" else "")
        cells = [
            seconds(find(report, dataset=dataset["name"], system=system, operation=operation))
            for operation in OPERATIONS
        ]
        table.rows.append([system, size, *cells])
    return table


def compared(report, dataset, operation, system, baseline):
    """The times of both."""
    ours = find(report, dataset=dataset, system=system, operation=operation)
    operation = COUNTERPARTS.get(operation, operation)
    return ours, find(report, dataset=dataset, system=baseline, operation=operation)


def ratio_table(report, baseline):
    """How many times as fast as the baseline each system is."""
    name = report["datasets"][0]["name"]
    table = Table(f"{name}: times as fast as {baseline}", ["system", *OPERATIONS.values()])
    for system in systems_of(report, name):
        cells = []
        for operation in OPERATIONS:
            ours, theirs = compared(report, name, operation, system, baseline)
            known = ours and theirs
            cells.append(f"{theirs['median_s'] / ours['median_s']:.2f}" if known else "–")
        table.rows.append([system, *cells])
    return table


def bandwidth_table(report, operation):
    name = report["datasets"][0]["name"]
    table = Table(
        f"{name}: {OPERATIONS[operation]} by read bandwidth in MiB/s (ms)",
        ["system", *(str(b) for b in report["settings"]["bandwidths"])],
    )
    for system in systems_of(report, name):
        cells = [
            find(report, dataset=name, system=system, operation=operation, bandwidth_mib=b)
            for b in report["settings"]["bandwidths"]
        ]
        if any(cells):
            table.rows.append([system, *map(seconds, cells)])
    return table


def cold_table(report):
    name = report["datasets"][0]["name"]
    operations = ("load_16", "load_16_8", "load_8")
    titles = [OPERATIONS[operation] for operation in operations]
    table = Table(f"{name}: from cold files (ms)", ["system", *titles, "pages still in memory"])
    for system in systems_of(report, name):
        found = [
            find(report, dataset=name, system=system, operation=operation, cold=True)
            for operation in operations
        ]
        shares = [document["resident_share"] for document in found if document]
        if shares:
            share = f"{100 * max(shares):.1f} %"
            table.rows.append([system, *map(seconds, found), share])
    return table


def drive_table(report, operation):
    name = report["datasets"][0]["name"]
    drives = report["settings"]["drives"]
    limit = report["settings"]["drive_limit"]
    table = Table(
        f"{name}: {OPERATIONS[operation]}, cold, by MiB/s of the throttled drive, {limit} (ms)",
        ["system", *map(str, drives)],
    )
    for system in systems_of(report, name):
        wanted = {"dataset": name, "system": system, "operation": operation, "cold": True}
        cells = [find(report, **wanted, drive_mib=drive) for drive in drives]
        if any(cells):
            table.rows.append([system, *map(seconds, cells)])
    return table


def stage_table(report):
    name = report["datasets"][0]["name"]
    table = Table(
        f"{name}: load both, by stage (ms)",
        [
            "system",
            "open",
            "read and decode",
            "user time",
            "system time",
            "page faults",
        ],
    )
    for system in systems_of(report, name):
        document = find(report, dataset=name, system=system, operation="load_16_8")
        if not document or not document["stages_s"]:
            continue
        stages = [document["stages_s"][stage] for stage in ("open", "read")]
        times = [*stages, document["user_s"], document["system_s"]]
        cells = [f"{1000 * value:.2f}" for value in times]
        table.rows.append([system, *cells, f"{document['page_faults']:.0f}"])
    return table


def all_tables(report):
    timed = [dataset for dataset in report["datasets"] if dataset["timed"]]
    tables = [dataset_table(report, dataset) for dataset in timed]
    tables += [ratio_table(report, baseline) for baseline in report["settings"]["baselines"]]
    tables += [bandwidth_table(report, operation) for operation in ("load_16", "load_16_8")]
    tables += [drive_table(report, operation) for operation in ("load_16", "load_16_8")]
    return [*tables, cold_table(report), stage_table(report)]


def as_markdown(table):
    lines = [f"### {table.title}", "", "| " + " | ".join(table.head) + " |"]
    lines.append("|---" + "|--:" * (len(table.head) - 1) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def as_text(table):
    rows = [table.head, *table.rows]
    widths = [max(len(row[c]) for row in rows) for c in range(len(table.head))]
    lines = [table.title]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells))
    return "\n".join(lines) + "\n"

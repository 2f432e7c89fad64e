# SPDX-License-Identifier: Apache-2.0
"""What is wanted of QStore, and whether a report has it: a row for each bar and model."""

from dataclasses import dataclass

from .settings import COUNTERPARTS
from .tables import Table, compared, seconds

BALANCED, UNCOMPRESSED = "qstore balanced", "uncompressed"
DTYPES = {"16": "BF16", "f16": "F16"}
LEVELS = ("qstore fast", BALANCED, "qstore max")


@dataclass(frozen=True)
class Bar:
    """The time of an operation is at most so many times that of another system."""

    text: str
    models: tuple  # Names of datasets, or none for all.
    operation: str
    most: float
    system: str = BALANCED
    other: str = UNCOMPRESSED


BARS = (
    Bar("load both", ("layers", "huge", "experts", "embedding"), "load_16_8", 0.85),
    Bar("load both", ("small", "minilm"), "load_16_8", 1.25),
    Bar("load both, avx2", ("layers",), "load_16_8", 1.0, "qstore balanced avx2"),
    Bar("load 8-bit", (), "load_8", 1.5),
    Bar("load BF16 stored alone", (), "load_16_alone", 1.3),
    Bar("load F16 stored alone", (), "load_f16", 1.3),
    Bar("save both", ("layers",), "save_pair", 1.6),
    Bar("save both", ("small", "minilm"), "save_pair", 3),
    Bar("load 16-bit", (), "load_16", 0.4, other="zipnn"),
)


def is_judged(dataset, operation, system):
    """Whether a bar compares the times that this system takes for this operation."""
    for bar in BARS:
        if bar.models and dataset not in bar.models:
            continue
        other = COUNTERPARTS.get(bar.operation, bar.operation)
        if (operation, system) in ((bar.operation, bar.system), (other, bar.other)):
            return True
    return False


def verdict(is_met):
    return "met" if is_met else "NOT MET"


def time_rows(report, bar):
    names = [dataset["name"] for dataset in report["datasets"] if dataset["timed"]]
    for name in names:
        if bar.models and name not in bar.models:
            continue
        ours, theirs = compared(report, name, bar.operation, bar.system, bar.other)
        if not ours or not theirs:
            continue
        ratio = ours["median_s"] / theirs["median_s"]
        measured = [seconds(ours), bar.other, seconds(theirs), f"{ratio:.3f}"]
        yield [bar.text, name, *measured, f"{bar.most:g}", verdict(ratio <= bar.most)]


def times_table(report):
    title = "times wanted: qstore balanced over another system at most the target (ms)"
    head = ["bar", "model", "qstore", "of", "its time", "ratio", "target", "verdict"]
    return Table(title, head, [row for bar in BARS for row in time_rows(report, bar)])


def alone_sizes(report, dataset, which):
    """Bytes by system. ZipNN counts in the smallest of its ways."""
    sizes = report["sizes"][dataset["name"]]
    found = {name: sizes.get(name, {}).get(which) for name in (*LEVELS, "lmz")}
    return {**found, "zipnn": sizes.get("zipnn", {}).get(f"{which} smallest")}


def alone_rows(report):
    for dataset in report["datasets"]:
        for which, dtype in DTYPES.items():
            sizes = alone_sizes(report, dataset, which)
            bits = [
                f"{8 * size / dataset['weights']:.3f}" if size else "–" for size in sizes.values()
            ]
            others = [size for size in (sizes["lmz"], sizes["zipnn"]) if size]
            judged = ["–", "1", "–"]
            if others and sizes[BALANCED]:
                ratio = sizes[BALANCED] / min(others)
                judged = [f"{ratio:.4f}", "1", verdict(ratio <= 1)]
            yield [f"{dataset['name']} {dtype}", *bits, *judged]


def alone_table(report):
    title = "16-bit alone, bits a weight; ratio: balanced over the smaller of lmz and zipnn"
    head = ["model", *LEVELS, "lmz", "zipnn", "ratio", "target", "verdict"]
    return Table(title, head, list(alone_rows(report)))


def all_tables(report):
    return [times_table(report), alone_table(report)]

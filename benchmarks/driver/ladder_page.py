# SPDX-License-Identifier: Apache-2.0
"""The report on ladders as a page in Markdown."""

from .tables import Table, as_markdown

RUNS_FOR_LEAST = 5

HEAD = """\
# GGUF ladders: quantized copies next to 16-bit weights

`./dev bench --ladder` writes this page to `build/bench-ladder/ladder.md`, and all figures to
`ladder.json` beside it.

A ladder is a model in BF16, as a folder of safetensors and as a GGUF file, and GGUF files of it in
many types. `tests/python/make_ggufs.py` makes them by ggml's own code, the packages `libgguf` and
`gguf`:

{ladders}

All of a ladder are packed into one archive, and each is compared with its file, byte for byte.
*Added* is what is stored for a variant alone; it may follow from another copy of the ladder, and
without that one would add more. `q4_k_m` is mixed as llama.cpp mixes it. All other
files have one type, or what llama.cpp falls back to for rows that do not divide into blocks of 256.
The imatrix holds random importance.

Sizes do not depend on the machine, but on the build of ggml that made the files. Times are of one
run, on {cores} cores of {processor}, Linux {kernel}, the load average {load:.1f} when it began.
"""

LOADS = """\
## Time of loads

Of the time of the variant `bf16` in the same archive: medians, with the fastest and the slowest run
in brackets, over the median of `bf16`. *Least* is the fastest run over the fastest of `bf16`, which
other work on the machine touches least; of fewer than {least} runs it would be chance. There are
up to {rounds} rounds, fewer for slow loads, each in another order, with a process for each load.
Archives are in the page cache, their weights trained or random. Tensors go to memory that nothing
has touched. A variant that follows from 16-bit weights needs those decoded first.
"""

OTHERS = """\
## Next to others

The same files by others, on the same machine in the same run. *Ladder* is all of them, *without
16-bit* the quantized files alone. Seconds are of one run of each.
"""


def per_cent(part, whole, digits=2):
    return f"{100 * part / whole:.{digits}f} %"


def mb(size):
    return f"{size / 1e6:.2f}"


def reached_table(report):
    """Bytes added, of the raw ones: a row for each type."""
    levels = report["levels"]
    table = Table(
        "Bytes added, of the size of the file",
        ["type", *(f"{lad['name']}, {level}" for lad in report["ladders"] for level in levels)],
    )
    names = dict.fromkeys(name for ladder in report["ladders"] for name in ladder["quants"])
    for name in names:
        cells = [share_of(ladder, level, name) for ladder in report["ladders"] for level in levels]
        table.rows.append([name, *cells])
    return table


def share_of(ladder, level, name):
    added = ladder["levels"][level]["ladder"]["added_bytes"].get(name)
    return "–" if added is None else per_cent(added, ladder["raw_bytes"][name])


def whole_table(report):
    """What an archive takes of what it holds, and of the BF16 alone."""
    table = Table(
        "Whole archives",
        [
            "ladder, level",
            "files",
            "raw MB",
            "archive MB",
            "of raw",
            "BF16 alone MB",
            "archive, of BF16 alone",
            "without 16-bit: raw MB",
            "archive MB",
            "of raw",
            "packed in s",
        ],
    )
    for ladder in report["ladders"]:
        for level, found in ladder["levels"].items():
            whole, alone, quants = found["ladder"], found["bf16"], found["quants"]
            table.rows.append(
                [
                    f"{ladder['name']}, {level}",
                    str(len(whole["added_bytes"])),
                    mb(whole["raw_bytes"]),
                    mb(whole["bytes"]),
                    per_cent(whole["bytes"], whole["raw_bytes"], 1),
                    mb(alone["bytes"]),
                    f"{whole['bytes'] / alone['bytes']:.3f}",
                    mb(quants["raw_bytes"]),
                    mb(quants["bytes"]),
                    per_cent(quants["bytes"], quants["raw_bytes"], 1),
                    f"{whole['seconds']:.1f}",
                ]
            )
    return table


def twins_table(report):
    """What the copies add to the archive of the ladder; 16-bit weights may follow from them."""
    table = Table(
        "With copies in safetensors in the same archive",
        ["ladder, level", "copies", "raw bytes", "added", "of raw", "archive, of BF16 alone"],
    )
    for ladder in report["ladders"]:
        for level, found in ladder["levels"].items():
            if "with_twins" not in found:
                continue
            whole, both = found["ladder"], found["with_twins"]
            names = [name for name in both["added_bytes"] if name not in whole["added_bytes"]]
            raw = both["raw_bytes"] - whole["raw_bytes"]
            added = both["bytes"] - whole["bytes"]
            cells = [f"{ladder['name']}, {level}", ", ".join(names), f"{raw:,}", f"{added:,}"]
            ratio = f"{both['bytes'] / found['bf16']['bytes']:.3f}"
            table.rows.append([*cells, per_cent(added, raw), ratio])
    return table


def variant_table(report, ladder):
    levels = report["levels"]
    heads = [f"{what}, {level}" for level in levels for what in ("added", "of raw")]
    table = Table(f"{ladder['name']}: bytes", ["variant", "raw", *heads])
    for name in ladder["levels"][levels[0]]["ladder"]["added_bytes"]:
        raw = ladder["raw_bytes"][name]
        row = [name, f"{raw:,}"]
        for level in levels:
            added = ladder["levels"][level]["ladder"]["added_bytes"][name]
            row += [f"{added:,}", per_cent(added, raw)]
        table.rows.append(row)
    return table


def load_table(report, ladder):
    levels = report["levels"]
    heads = [head for level in levels for head in (level, f"{level}, least")]
    table = Table(f"{ladder['name']}: load, of that of bf16", ["variant", *heads])
    times = {
        (load["variant"], load["level"]): load
        for load in report["loads"]
        if load["ladder"] == ladder["name"]
    }
    bases = {level: times["bf16", level] for level in levels}
    for name in dict.fromkeys(variant for variant, _ in times):
        row = [name]
        for level, base in bases.items():
            load = times[name, level]
            row += [ratio(load, base["median_s"]), least_ratio(load, base)]
        table.rows.append(row)
    row = ["bf16 itself, ms"]
    for base in bases.values():
        row += [f"{1000 * base[key]:.1f}" for key in ("median_s", "min_s")]
    table.rows.append(row)
    return table


def ratio(load, base):
    low, middle, high = (load[key] / base for key in ("min_s", "median_s", "max_s"))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def least_ratio(load, base):
    if min(len(load["runs"]), len(base["runs"])) < RUNS_FOR_LEAST:
        return "–"
    return f"{load['min_s'] / base['min_s']:.2f}"


def peer_table(ladder):
    table = Table(
        f"{ladder['name']}: by others",
        ["system", "ladder MB", "of raw", "s", "without 16-bit MB", "of raw"],
    )
    rows = {f"qstore {level}": found for level, found in ladder["levels"].items()}
    rows |= ladder["peers"]
    raw = {
        "ladder": ladder["levels"]["balanced"]["ladder"]["raw_bytes"],
        "quants": ladder["levels"]["balanced"]["quants"]["raw_bytes"],
    }
    for name, found in rows.items():
        whole, quants = found["ladder"], found["quants"]
        first = [mb(whole["bytes"]), per_cent(whole["bytes"], raw["ladder"], 1)]
        second = [mb(quants["bytes"]), per_cent(quants["bytes"], raw["quants"], 1)]
        table.rows.append([name, *first, f"{whole['seconds']:.1f}", *second])
    return table


def render(report):
    machine = report["machine"]
    ladders = report["ladders"]
    listed = "\n".join(f"* *{ladder['name']}*: {ladder['text']}." for ladder in ladders)
    head = HEAD.format(
        ladders=listed,
        cores=machine["cores"],
        processor=machine["processor"],
        kernel=machine["kernel"],
        load=machine["load_average_at_start"],
    )
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items() if value)
    parts = [head, f"Versions: {versions}.\n", "## What is reached\n"]
    parts += [as_markdown(reached_table(report)), as_markdown(whole_table(report))]
    twins = twins_table(report)
    parts += [as_markdown(twins)] if twins.rows else []
    parts += [LOADS.format(rounds=report["rounds"], least=RUNS_FOR_LEAST)]
    parts += [as_markdown(load_table(report, ladder)) for ladder in ladders]
    parts += [OTHERS, *(as_markdown(peer_table(ladder)) for ladder in ladders)]
    parts += [f"{name}: {why}.\n" for name, why in report["peers_not_run"].items()]
    parts += ["## Every variant\n", *(as_markdown(variant_table(report, lad)) for lad in ladders)]
    return "\n".join(parts)

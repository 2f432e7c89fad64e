# SPDX-License-Identifier: Apache-2.0
"""JSON as the command writes it, of archives and analyses of any size, to draw pages from."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from driver import drawing  # noqa: E402, F401

KINDS = ("self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj", "mlp.down_proj")
# Bits per weight of a method, of a variant alone and given another.
ALONE = {"raw": 16.0, "entropy": 10.4, "huffman": 10.7, "zstd-3": 13.2, "zipnn": 10.66}
ALONE["qstore"] = 10.54
GIVEN = {"entropy": 3.2, "prototype": 3.9, "prototype+tables": 4.6, "qstore": 3.5}


def layer_names(layers):
    return [f"model.layers.{i}.{kind}" for i in range(layers) for kind in KINDS]


def archive_document(names, layers, same=()):
    """An archive whose first variant explains all others; those in `same` equal it."""
    variants = []
    for place, name in enumerate(names):
        tensors = []
        for number, layer in enumerate([*layer_names(layers), "model.embed_tokens", "lm_head"]):
            title = f"{layer}.weight"
            origin = {"variant": names[0], "tensor": title}
            tensors.append(
                {
                    "name": title,
                    "stored_bytes": 400_000 + 999 * number if place == 0 else 7_000 + 11 * number,
                    "scheme": "none" if place == 0 or name in same else "llm-int8",
                    "parents": [] if place == 0 or name in same else [origin],
                    "same_as": origin if name in same else None,
                }
            )
        own = sum(t["stored_bytes"] for t in tensors if t["same_as"] is None) + 5_000
        first = variants[0]["own_bytes"] if variants else 0
        variants.append(
            {
                "name": name,
                "files": 3,
                "tensors": len(tensors),
                "source_bytes": 600_000 * len(tensors) // (1 + (place > 0)),
                "own_bytes": own,
                "load_bytes": own + first + 8_000,
                "bits_per_weight": 10.5,
                "tensor_list": tensors,
            }
        )
    return {
        "archive": "models/m.qstore",
        "format_version": 1,
        "source_bytes": sum(variant["source_bytes"] for variant in variants),
        "stored_bytes": sum(variant["own_bytes"] for variant in variants) + 8_000,
        "dead_bytes": 0,
        "variants": variants,
    }


def measures(factor, layers):
    """Of all variants, alone and given the next, for `layers` layers of a million weights."""
    found = []
    for of, share in (("bf16", 1.0), ("int8", 0.7)):
        known = {"raw": {"bf16": 16.0, "int8": 8.0}[of]}
        for method, bits in (ALONE | known | {"archive": 9.0 * share}).items():
            if method == "zipnn" and of != "bf16":
                continue
            value = bits if method == "raw" else bits * factor * share
            found.append((method, of, "", value))
    found += [(method, "bf16", "int8", bits * factor) for method, bits in GIVEN.items()]
    found.append(("archive", "", "", 12.5 * factor))
    return [as_measure(*entry, layers) for entry in found]


def as_measure(method, of, given, value, layers):
    weights = 1_000_000 * layers
    bits = {"bits": value * weights, "bits_per_weight": value, "weights": weights}
    return {"method": method, "of": of, "given": given, **bits}


def totals(layers):
    plans = {
        "raw": 28.0,
        "zstd-3 each": 23.1,
        "zipnn + zstd-3": 21.7,
        "prototype chain": 14.1,
        "qstore each": 18.2,
        "archive, side tensors included": 12.5,
    }
    return {
        "layers": layers,
        "weights": 1_000_000 * layers,
        "measures": measures(1, layers),
        "plans": [as_measure(name, "", "", value, layers) for name, value in plans.items()],
    }


def analysis_summary(layers):
    names = layer_names(layers)
    return {
        "run": {"variants": [{"name": n, "path": f"models/{n}"} for n in ("bf16", "int8")]},
        "total": totals(len(names)),
        "by_type": {kind: totals(layers) for kind in KINDS},
        "layers": [
            {
                "layer": name,
                "type": ".".join(name.split(".")[-2:]),
                "weights": 1_000_000,
                "measures": measures(1 + 0.002 * (place % 17), 1),
            }
            for place, name in enumerate(names)
        ],
        "not_analysed": [
            {"layer": "lm_head", "type": "lm_head", "not_analysed": "int8: not quantized"}
        ],
    }

# SPDX-License-Identifier: Apache-2.0
"""`qstore analyze` beside the libraries that the research prototype's scripts call."""

import collections
import json
import math
import re
import signal
import subprocess
import time

import dahuffman
import gptq_levels
import models
import numpy as np
import pytest
import torch
import zipnn
import zstandard
from command import BINARY, contents, ok, ok_json, pack, run

LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")
SHAPE = (256, 512)  # [out, in]


class Chain:
    """A model in FP16, its GPTQ-like levels of 8 and 4 bits, its LLM.int8() twin."""

    def __init__(self, folder):
        self.folder = folder
        self.weights, self.levels, self.int8 = {}, {}, {}
        embed = models.llm_weights(32, 64, 9, torch.float16)
        saved = {name: {"model.embed_tokens.weight": embed} for name in ("16", "8", "4")}
        for seed, layer in enumerate(LAYERS):
            weight = models.llm_weights(*SHAPE, seed, torch.float16)
            self.weights[layer] = weight.numpy()
            saved["16"][f"{layer}.weight"] = weight
            for bits in (8, 4):
                integers, scales, tensors = gptq_levels.quantize(weight, bits, 128, 0.6, seed)
                self.levels[layer, bits] = integers.T, np.repeat(scales, 128, 0).T
                for suffix, tensor in tensors.items():
                    saved[str(bits)][f"{layer}.{suffix}"] = tensor
        for name, tensors in saved.items():
            models.save(tensors, folder / name)
        int8 = models.twin_of(saved["16"])
        models.save(int8, folder / "int8")
        for layer in LAYERS:
            scale = int8[f"{layer}.SCB"].numpy()
            q = int8[f"{layer}.weight"].numpy()
            self.int8[layer] = q, np.repeat(scale[:, None], SHAPE[1], 1)

    def arguments(self, *names):
        return [f"{name}={self.folder / name}" for name in names]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    yield Chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def analysis(chain, programs, tmp_path_factory):
    """The summary of all methods, and its folder."""
    folder = tmp_path_factory.mktemp("analysis") / "out"
    methods = ("--methods", "all", "--zstd-levels", "1,9")
    ok("analyze", *chain.arguments("16", "8", "4"), "-o", folder, *methods, env=programs)
    return json.loads((folder / "summary.json").read_text()), folder


def bits_of(summary, layer, method, of, given=""):
    """Bits of the one measure of a layer."""
    entry = next(entry for entry in summary["layers"] if entry["layer"] == layer)
    found = [
        measure["bits"]
        for measure in entry["measures"]
        if (measure["method"], measure["of"], measure["given"]) == (method, of, given)
    ]
    assert len(found) == 1, (layer, method, of, given)
    return found[0]


def coded_bits(symbols):
    """What the prototype's coder writes."""
    return 8 * len(dahuffman.HuffmanCodec.from_data(symbols).encode(symbols))


def groups_of(target, integers, scales):
    """The symbols of every pair of a scale and an integer, grouped as by the prototype."""
    groups = collections.defaultdict(list)
    triples = zip(target.ravel(), integers.ravel(), scales.ravel(), strict=True)
    for symbol, integer, scale in triples:
        groups[float(scale), int(integer)].append(symbol)
    return groups


def prototype_bits(target, integers, scales, symbol_bits):
    groups = groups_of(target, integers, scales)
    return sum(coded_bits(g) if len(g) > 1 else symbol_bits for g in groups.values())


def entropy_bits(symbols):
    counts = collections.Counter(symbols).values()
    total = sum(counts)
    return sum(count * math.log2(total / count) for count in counts)


@pytest.mark.parametrize("layer", LAYERS)
def test_huffman_is_what_the_prototypes_coder_writes(chain, analysis, layer):
    summary, _ = analysis
    for bits in (8, 4):
        integers, _ = chain.levels[layer, bits]
        expected = coded_bits(integers.ravel().tolist())
        assert bits_of(summary, layer, "huffman", str(bits)) == expected
    planes = chain.weights[layer].view(np.uint8).reshape(-1, 2)
    expected = sum(coded_bits(plane.tolist()) for plane in planes.T)
    assert bits_of(summary, layer, "huffman", "16") == expected


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("target", "given"), [(16, 8), (16, 4), (8, 4)])
def test_groups_cost_what_the_prototypes_scripts_count(chain, analysis, layer, target, given):
    summary, _ = analysis
    integers, scales = chain.levels[layer, given]
    symbols = chain.weights[layer] if target == 16 else chain.levels[layer, target][0]
    pair = (str(target), str(given))
    expected = prototype_bits(symbols, integers, scales, target)
    assert bits_of(summary, layer, "prototype", *pair) == expected
    groups = groups_of(symbols, integers, scales).values()
    floor = sum(entropy_bits(group) for group in groups)
    assert bits_of(summary, layer, "entropy", *pair) == pytest.approx(floor)
    tables = sum(16 + (len(set(group)) * (target + 6) if len(group) > 1 else 0) for group in groups)
    assert bits_of(summary, layer, "prototype+tables", *pair) == expected + tables


def test_llm_int8_groups_cost_the_same_as_by_the_prototypes_coder(chain, space):
    summary = ok_json("analyze", *chain.arguments("16", "int8"), "-o", space / "out")
    for layer in LAYERS:
        expected = prototype_bits(chain.weights[layer], *chain.int8[layer], 16)
        assert bits_of(summary, layer, "prototype", "16", "int8") == expected


def test_general_compressors(chain, analysis):
    summary, _ = analysis
    for layer in LAYERS:
        weight = chain.weights[layer].tobytes()
        for level in (1, 9):
            theirs = 8 * len(zstandard.ZstdCompressor(level=level).compress(weight))
            # Another release of zstd may code a little differently.
            assert bits_of(summary, layer, f"zstd-{level}", "16") == pytest.approx(theirs, rel=0.01)
        coder = zipnn.ZipNN(input_format="byte", bytearray_dtype="float16")
        theirs = 8 * len(coder.compress(bytearray(weight)))
        assert bits_of(summary, layer, "zipnn", "16") == theirs
        assert bits_of(summary, layer, "entropy", "16") == pytest.approx(
            entropy_bits(chain.weights[layer].view(np.uint16).ravel().tolist())
        )


def test_what_is_stored_is_what_an_archive_takes(chain, space):
    """One layer in a model of its own, packed by the command and looked at."""
    layer = LAYERS[0]
    weight = torch.from_numpy(chain.weights[layer])
    tensors = {f"{layer}.weight": weight}
    high, low = models.save_pair(tensors, space)
    pack(space / "m.qstore", high=high, low=low)
    inspected = ok_json("inspect", space / "m.qstore", "--tensors")
    stored = {
        (variant["name"], tensor["name"]): tensor["stored_bytes"]
        for variant in inspected["variants"]
        for tensor in variant["tensor_list"]
    }
    summary = ok_json("analyze", f"high={high}", f"low={low}", "-o", space / "out")
    assert bits_of(summary, layer, "qstore", "high", "low") == 8 * stored["high", f"{layer}.weight"]
    assert bits_of(summary, layer, "qstore", "low") == 8 * stored["low", f"{layer}.weight"]
    assert bits_of(summary, layer, "archive", "high") == 8 * stored["high", f"{layer}.weight"]
    assert bits_of(summary, layer, "archive", "") == 8 * sum(stored.values())
    pack(space / "alone.qstore", high=high)
    tensors = ok_json("inspect", space / "alone.qstore", "--tensors")["variants"][0]["tensor_list"]
    assert bits_of(summary, layer, "qstore", "high") == 8 * tensors[0]["stored_bytes"]
    plans = {plan["method"]: plan["bits_per_weight"] for plan in summary["total"]["plans"]}
    assert plans["archive, side tensors included"] < 0.6 * plans["raw"]


def test_summary_adds_up(analysis):
    summary, _ = analysis
    assert summary["total"]["layers"] == len(LAYERS)
    assert summary["total"]["weights"] == len(LAYERS) * SHAPE[0] * SHAPE[1]
    assert set(summary["by_type"]) == {"self_attn.q_proj", "mlp.down_proj"}
    assert [entry["layer"] for entry in summary["not_analysed"]] == ["model.embed_tokens"]
    assert "not quantized" in summary["not_analysed"][0]["not_analysed"]
    for measure in summary["total"]["measures"]:
        name = (measure["method"], measure["of"], measure["given"])
        parts = [bits_of(summary, layer, *name) for layer in LAYERS]
        assert measure["bits"] == pytest.approx(sum(parts))


def test_a_sample_is_near_the_whole(chain, analysis, space):
    whole, _ = analysis
    part = ok_json("analyze", *chain.arguments("16", "8", "4"), "-o", space / "o", "--sample", 0.5)
    assert part["total"]["weights"] * 2 == whole["total"]["weights"]
    for name in ("raw", "entropy", "huffman"):
        for level in ("16", "8", "4"):
            parts = [2 * bits_of(part, layer, name, level) for layer in LAYERS]
            wholes = [bits_of(whole, layer, name, level) for layer in LAYERS]
            assert parts == pytest.approx(wholes, rel=0.03)


def without_times(summary):
    """A summary but for what differs from run to run."""
    for layer in summary["layers"]:
        layer.pop("seconds")
    return summary


def test_a_killed_analysis_goes_on(space):
    layers = {f"layers.{i}.proj.weight": models.llm_weights(1024, 1024, i) for i in range(6)}
    high, low = models.save_pair(layers, space)
    command = ["analyze", f"16={high}", f"8={low}", "--threads", "1"]
    whole = ok_json(*command, "-o", space / "whole")
    out = space / "out"
    process = subprocess.Popen(
        [str(BINARY), *command, "-o", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    give_up = time.monotonic() + 60
    while not list(out.glob("layers/*.json")) and time.monotonic() < give_up:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = {path.name: path.read_bytes() for path in out.glob("layers/*.json")}
    assert 1 <= len(done) < 6
    assert not (out / "summary.json").exists()

    resumed = ok(*command, "-o", out)
    assert f"6 layers ({len(done)} of an earlier run)" in resumed.stderr
    assert all((out / "layers" / name).read_bytes() == text for name, text in done.items())
    assert not (out / "scratch").exists()
    summary = json.loads((out / "summary.json").read_text())
    assert without_times(summary) == without_times(whole)
    log = (out / "analyze.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in log)
    assert sum("begin: 6 layers" in line for line in log) == 2


def test_an_interrupted_analysis_says_so(chain, space):
    process = subprocess.Popen(
        [str(BINARY), "analyze", *chain.arguments("16", "8"), "-o", str(space / "out")],
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + 60
    while not (space / "out" / "run.json").exists() and time.monotonic() < give_up:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    # Unless it was done before.
    assert process.returncode == 0 or "the same command goes on" in errors
    assert not (space / "out" / "scratch").exists()


def test_inputs_are_left_alone(chain, analysis):
    _, folder = analysis
    assert set(contents(chain.folder)) == {
        f"{name}/model.safetensors" for name in ("16", "8", "4", "int8")
    }
    assert sorted(path.name for path in folder.iterdir()) == [
        "analyze.log",
        "layers",
        "report.html",
        "run.json",
        "summary.json",
    ]


@pytest.mark.parametrize("what", ["program", "library"])
def test_zipnn_tells_what_to_install(chain, programs, space, what):
    (space / "zipnn.py").write_text("raise ImportError('no zipnn here')")
    hidden = {"PYTHONPATH": f"{space}:{programs['PYTHONPATH']}"}
    environment = programs | ({"PATH": "/nowhere"} if what == "program" else hidden)
    arguments = [*chain.arguments("16"), "-o", space / "out", "--methods", "zipnn"]
    done = run("analyze", *arguments, env=environment)
    assert done.returncode == 1
    assert "pip install qstore zipnn" in done.stderr
    assert ("no zipnn here" in done.stderr) == (what == "library")
    assert not (space / "out").exists()


def test_page_shows_its_plots(analysis):
    """Of all methods, types and layers; test_pages.py looks at what is in them."""
    _, folder = analysis
    document = (folder / "report.html").read_text(encoding="utf-8")
    plots = re.findall(r"<svg.*?</svg>", document, re.S)
    # All variants together, in the archive, alone and given; by type and by layer for each.
    assert len(plots) == 4 + 2 * 6
    for title in ("All variants together", "16 given 8, by layer", "8 given 4, by type of layer"):
        assert any(title in plot for plot in plots), title
    for method in ("prototype+tables", "zipnn", "zstd-9", "qstore", "entropy", "huffman"):
        assert any(method in plot for plot in plots), method
    for layer in LAYERS:
        assert any(layer.removeprefix("model.layers.") in plot for plot in plots), layer
    assert not re.search(r"(src|href)=\"(?!data:|#)", document)
    assert "nan" not in document.lower()

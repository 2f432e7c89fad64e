# SPDX-License-Identifier: Apache-2.0
"""A model in 16, 8 and 4 bits as GPTQ stores them, in one archive."""

import itertools
from collections import Counter

import models
import numpy as np
import pytest
import torch
from command import assert_comes_back, contents, ok, ok_json, pack, raw_size, run, unpack
from safetensors.torch import load_file, save_file

GROUP = 64
MODULES = {"model.layers.0.up": (256, 384), "model.layers.0.down": (384, 256)}


def packed(integers, bits):
    """By input and output, into words along the inputs."""
    stream = (integers.T[:, :, None] >> np.arange(bits) & 1).astype(np.uint8)
    rows = np.packbits(stream.reshape(len(stream), -1), axis=1, bitorder="little").view("<i4")
    return torch.from_numpy(np.ascontiguousarray(rows.T))


def quantized(weights, bits, seed, order=None, less_one=True):
    """The tensors of one module; the noise is what error feedback does to a rounded weight."""
    value = weights.float().numpy()
    random = np.random.default_rng(seed)
    group_of = np.arange(value.shape[1]) // GROUP
    if order is not None:
        group_of = group_of[order]
    most = 2**bits - 1
    integers = np.zeros(value.T.shape, np.int64)
    scales, zeros = [], []
    for group in range(value.shape[1] // GROUP):
        columns = value[:, group_of == group]
        low, high = columns.min(1), columns.max(1)
        scale = ((high - low) / most).astype(np.float16).astype(np.float32)
        zero = np.rint(-low / scale)
        steps = columns / scale[:, None] + 0.3 * random.standard_normal(columns.shape)
        integers[group_of == group] = np.clip(np.rint(steps) + zero[:, None], 0, most).T
        scales.append(scale)
        zeros.append(zero)
    stored = (np.array(zeros, np.int64) - (1 if less_one else 0)) % 2**bits
    return {
        "qweight": packed(integers, bits),
        "qzeros": packed(stored.T, bits).T.contiguous(),
        "scales": torch.from_numpy(np.array(scales)).half(),
        "g_idx": torch.from_numpy(group_of.astype(np.int32)),
    }


def chain_of(space, dtype=torch.bfloat16, levels=(8, 4), shuffled=False, less_one=True):
    tensors = {
        f"{module}.weight": models.llm_weights(*shape, seed, dtype)
        for seed, (module, shape) in enumerate(MODULES.items())
    }
    shared = {"model.norm.weight": torch.ones(256, dtype=dtype)}
    folders = {"bf16": models.save({**tensors, **shared}, space / "bf16")}
    random = np.random.default_rng(7)
    orders = {m: random.permutation(shape[1]) for m, shape in MODULES.items()}
    for bits in levels:
        low = dict(shared)
        for module in MODULES:
            order = orders[module] if shuffled else None
            twin = quantized(tensors[f"{module}.weight"], bits, bits, order, less_one)
            low.update({f"{module}.{name}": tensor for name, tensor in twin.items()})
        folders[f"q{bits}"] = models.save(low, space / f"q{bits}")
    return folders


def parents_of(archive):
    """By variant, the variants that its weights' parents are of; "" for none."""
    found = {}
    for variant in ok_json("inspect", archive, "--tensors")["variants"]:
        for tensor in variant["tensor_list"]:
            if tensor["name"].endswith(("weight", "qweight")) and "norm" not in tensor["name"]:
                parent = tensor["parents"][0]["variant"] if tensor["parents"] else ""
                found.setdefault(variant["name"], set()).add(parent)
    return found


def alone_in(archive):
    """By matrix, how many variants hold it without parents."""
    found = Counter()
    for variant in ok_json("inspect", archive, "--tensors")["variants"]:
        for tensor in variant["tensor_list"]:
            module, _, part = tensor["name"].rpartition(".")
            if part in ("weight", "qweight") and "norm" not in module and not tensor["parents"]:
                found[module.rpartition(".")[2]] += 1
    return found


@pytest.mark.parametrize("shuffled", (False, True))
@pytest.mark.parametrize("less_one", (False, True))
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16))
def test_chain_comes_back_in_few_bytes(space, figure, dtype, less_one, shuffled):
    chain = chain_of(space, dtype, less_one=less_one, shuffled=shuffled)
    size = pack(space / "m.qstore", **chain)
    share = size / sum(map(raw_size, chain.values()))
    figure(f"chain of {dtype}, shuffled {shuffled}: {100 * share:.1f} % of raw")
    assert share < (0.5 if dtype == torch.bfloat16 else 0.62)
    assert_comes_back(space / "m.qstore", space, **chain)
    ok("verify", space / "m.qstore", *(f"{name}={path}" for name, path in chain.items()))


def test_order_of_variants_does_not_matter(space):
    chain = chain_of(space)
    archives = set()
    for i, order in enumerate(itertools.permutations(chain)):
        pack(space / f"{i}.qstore", **{name: chain[name] for name in order})
        archives.add((space / f"{i}.qstore").read_bytes())
    assert len(archives) == 1
    assert parents_of(space / "0.qstore") == {"q4": {""}, "q8": {"q4"}, "bf16": {"q8"}}


def test_the_planner_takes_what_is_cheapest(space):
    """Of each matrix one variant loads from its own bytes, any of them, and the others follow. So
    it is with GPTQ in 4 bits and 16."""
    chain = chain_of(space)
    low = models.twin_of(load_file(chain["bf16"] / "model.safetensors"))
    chain["int8"] = models.save(low, space / "int8")
    size = pack(space / "m.qstore", **chain)
    assert alone_in(space / "m.qstore") == {"down": 1, "up": 1}
    for parent in ("bf16=int8", "bf16=q8", "int8=bf16"):
        # Bytes that loads read count too.
        other = pack(space / "other.qstore", "--force", "--parent", parent, **chain)
        assert size <= 1.01 * other
    assert_comes_back(space / "m.qstore", space, **chain)
    two = {"bf16": chain["bf16"], "q4": chain["q4"]}
    size = pack(space / "two.qstore", **two)
    assert {"bf16", "q4"} & set().union(*parents_of(space / "two.qstore").values())
    assert size <= pack(space / "direct.qstore", "--direct", "q4", **two)
    assert parents_of(space / "direct.qstore") == {"q4": {""}, "bf16": {"q4"}}
    pack(space / "high.qstore", "--direct", "bf16", **two)
    assert parents_of(space / "high.qstore") == {"q4": {"bf16"}, "bf16": {""}}


def test_parents_and_direct_variants_can_be_chosen(space):
    chain = chain_of(space, levels=(8, 4, 3, 2))
    archive = space / "m.qstore"
    pack(archive, "--parent", "bf16=q4", "--parent", "q8=q2", **chain)
    assert parents_of(archive)["bf16"] == {"q4"}
    assert parents_of(archive)["q8"] == {"q2"}
    assert_comes_back(archive, space / "one", **chain)
    pack(archive, "--force", "--direct", "q8", "--parent", "q4=q8", **chain)
    assert parents_of(archive)["q8"] == {""}
    assert parents_of(archive)["q4"] == {"q8"}
    assert_comes_back(archive, space / "two", **chain)


@pytest.mark.parametrize(
    "options, words",
    (
        (("--parent", "q8=nine"), "no variant is named 'nine'"),
        (("--direct", "nine"), "no variant is named 'nine'"),
        (("--parent", "q8=q4", "--parent", "q4=q8"), "circle"),
        (("--parent", "q8=q8"), "circle"),
        (("--direct", "q4", "--parent", "q4=q8"), "direct"),
        (("--parent", "bf16=q4", "--parent", "bf16=q8"), "two parents"),
    ),
)
def test_impossible_parents_are_refused(space, options, words):
    chain = chain_of(space)
    named = [f"{name}={path}" for name, path in chain.items()]
    done = run("pack", "-o", space / "m.qstore", *options, *named)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (space / "m.qstore").exists()


def test_a_level_loads_without_the_levels_above(space):
    chain = chain_of(space)
    archive = space / "m.qstore"
    pack(archive, **chain)
    told = {v["name"]: v for v in ok_json("inspect", archive)["variants"]}
    data = bytearray(archive.read_bytes())
    begin = 72 + told["q4"]["own_bytes"]
    for name in ("q8", "bf16"):
        assert abs(told[name]["load_bytes"] - begin - told[name]["own_bytes"]) < 4096
        begin += told[name]["own_bytes"]
    spared = 72 + told["q4"]["own_bytes"]
    data[spared:begin] = bytes(begin - spared)
    archive.write_bytes(data)
    assert contents(unpack(archive, "q4", space / "back")) == contents(chain["q4"])
    assert run("unpack", archive, "q8", "-o", space / "q8-back").returncode == 3


def change(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def noise(tensor, seed):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(-(2**31), 2**31, tensor.shape, np.int32))


def odd_weights(tensors):
    weights = tensors["model.layers.0.up.weight"]
    weights[3, :4] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-40])
    weights[5] = 0


def odd_levels(tensors):
    name = "model.layers.0.up"
    tensors[f"{name}.qweight"] = noise(tensors[f"{name}.qweight"], 1)
    tensors[f"{name}.qzeros"] = noise(tensors[f"{name}.qzeros"], 2)
    tensors["model.layers.0.down.g_idx"][5] = 9999
    tensors[f"{name}.scales"][0, :3] = torch.tensor([float("nan"), float("inf"), 0.0])


def wrong_shapes(tensors):
    tensors["model.layers.0.up.scales"] = tensors["model.layers.0.up.scales"][:, 1:].contiguous()
    tensors["model.layers.0.down.g_idx"] = tensors["model.layers.0.down.g_idx"][1:].contiguous()


@pytest.mark.parametrize("edit, level", ((odd_weights, "bf16"), (odd_levels, "q4"),
                                         (odd_levels, "q8"), (wrong_shapes, "q4"),
                                         (wrong_shapes, "q8")))  # fmt: skip
def test_what_makes_no_sense_comes_back_too(space, edit, level):
    chain = chain_of(space)
    change(chain[level], edit)
    pack(space / "m.qstore", **chain)
    assert_comes_back(space / "m.qstore", space, **chain)


def test_levels_of_other_models_are_not_taken_for_parents(space):
    chain = chain_of(space)
    tensors = load_file(chain["bf16"] / "model.safetensors")
    shuffled = {name: t.flatten()[torch.randperm(t.numel())].reshape(t.shape) for name, t in
                tensors.items()}  # fmt: skip
    chain["bf16"] = models.save(shuffled, space / "other")
    pack(space / "m.qstore", **chain)
    assert parents_of(space / "m.qstore")["bf16"] == {""}
    assert_comes_back(space / "m.qstore", space, **chain)

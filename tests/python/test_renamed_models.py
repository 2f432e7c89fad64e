# SPDX-License-Identifier: Apache-2.0
"""Copies whose modules have other names than those of the weights that they were made of."""

import json
import re
import zlib

import numpy as np
import pytest
from command import assert_comes_back, ok, ok_json, pack

# Of make_twins.py, one of each way to store codes: bytes, words, nibbles, blocks of bytes in rows.
COPIES = ("llm-int8", "fp8-channel", "fp8-fine-grained", "nvfp4", "w4a16-asym", "nf4", "mlx-4")
# The names that the releases of Meta have for what transformers calls otherwise.
META = {
    "encoder.layer.": "layers.",
    "attention.self.query": "attention.wq",
    "attention.self.key": "attention.wk",
    "attention.self.value": "attention.wv",
    "attention.output.dense": "attention.wo",
    "intermediate.dense": "feed_forward.w1",
    "output.dense": "feed_forward.w2",
}
# Bytes that other names may cost: a header of its own.
NAMES_COST = 4000


def in_front(name):
    return f"language_model.model.{name}"


def as_meta(name):
    for old, new in META.items():
        name = name.replace(old, new)
    return name


def numbered(name):
    """Nothing of the name is left but its number and the tensor's own."""
    parts = re.fullmatch(r"(.*?)\.(weight.*|bias|scales|biases|SCB)", name)
    return f"m{zlib.crc32(parts[1].encode())}.{parts[2]}" if parts else name


def rewritten(source, target, rename, change=bytes):
    """The same tensors in the same order under other names, their bytes changed or not."""
    data = (source / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    renamed = {rename(name): entry for name, entry in header.items() if name != "__metadata__"}
    assert len(renamed) == len(header.keys() - {"__metadata__"})
    text = json.dumps(renamed).encode()
    target.mkdir()
    (target / "model.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + change(data[8 + size :])
    )
    return target


# All of them under names that say nothing, two also under those that do.
EACH = [
    *((name, numbered) for name in COPIES),
    *((name, rename) for name in ("llm-int8", "nvfp4") for rename in (in_front, as_meta)),
]


@pytest.fixture(scope="module")
def bf16(pairs):
    return pairs / "minilm" / "bf16"


@pytest.mark.parametrize(("name", "rename"), EACH)
def test_copy_under_other_names(bf16, twins, space, name, rename):
    own = pack(space / "own.qstore", "--direct", "bf16", bf16=bf16, copy=twins / name)
    copy = rewritten(twins / name, space / "copy", rename)
    size = pack(space / "m.qstore", "--direct", "bf16", bf16=bf16, copy=copy)
    assert size <= own + NAMES_COST
    assert edges(space / "m.qstore") == edges(space / "own.qstore")
    assert_comes_back(space / "m.qstore", space, bf16=bf16, copy=copy)


def edges(archive):
    """Schemes and parameters of the copy's tensors."""
    (copy,) = (
        v for v in ok_json("inspect", "--tensors", archive)["variants"] if v["name"] == "copy"
    )
    return sorted((t["scheme"], t["params"]) for t in copy["tensor_list"])


@pytest.mark.parametrize("options", ((), ("--direct", "copy")))
@pytest.mark.parametrize("name", ("llm-int8", "nvfp4"))
def test_either_may_be_the_parent(bf16, twins, space, name, options):
    """Also where the copy is stored first, or must be."""
    copy = rewritten(twins / name, space / "copy", as_meta)
    own = pack(space / "own.qstore", *options, bf16=bf16, copy=twins / name)
    size = pack(space / "m.qstore", *options, bf16=bf16, copy=copy)
    assert size <= own + NAMES_COST
    estimate = ok_json("pack", "--estimate", *options, f"bf16={bf16}", f"copy={copy}")
    assert abs(estimate["arrangements"][0]["stored_bytes"] / size - 1) < 0.02
    assert_comes_back(space / "m.qstore", space, bf16=bf16, copy=copy)


def test_other_weights_of_the_same_shapes(bf16, twins, space):
    """What no module explains is stored by itself."""

    def other(data):
        return np.frombuffer(data, np.uint8)[::-1].tobytes()

    copy = rewritten(twins / "fp8-channel", space / "copy", as_meta, other)
    alone = pack(space / "alone.qstore", bf16=bf16) + pack(space / "copy.qstore", copy=copy)
    size = pack(space / "m.qstore", bf16=bf16, copy=copy)
    assert 0.99 * alone <= size <= 1.001 * alone
    assert_comes_back(space / "m.qstore", space, bf16=bf16, copy=copy)
    ok("verify", space / "m.qstore", f"bf16={bf16}", f"copy={copy}")

# SPDX-License-Identifier: Apache-2.0
"""Engines load variants of an archive, and compute what they do from the unpacked directory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from made import HERE, ROOT

pytestmark = pytest.mark.engine

sys.path.insert(0, str(ROOT / "benchmarks" / "driver"))

BUILD = Path(os.environ.get("QSTORE_BUILD", ROOT / "build"))
QSTORE = BUILD / "bin" / "qstore"
MIB = 1 << 20


@pytest.fixture(scope="module")
def models(untrained, tmp_path_factory):
    """A folder with a Llama in BF16 and FP8, and their archive."""
    folder = tmp_path_factory.mktemp("engines")
    (folder / "bf16").symlink_to(untrained / "bf16")
    quantize = [QSTORE, "quantize", "--to", "fp8-channel", untrained / "bf16", "-o", folder / "fp8"]
    pack = [QSTORE, "pack", "-o", folder / "m.qstore", f"bf16={untrained / 'bf16'}"]
    for command in (quantize, [*pack, f"fp8={folder / 'fp8'}"]):
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def vllm(engines, programs, space):
    """Runs it in one process or, when told, with processes of its own."""

    def run(model, load_format="auto", *more, extra=None, processes=False, code=0):
        program = [engines, HERE / "engine_vllm.py", model, load_format, json.dumps(extra or {})]
        environment = programs | {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "1" if processes else "0",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "QSTORE_CACHE": str(space / "cache"),
        }
        done = subprocess.run(
            list(map(str, [*program, *more])),
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == (code == 0), said[-6000:]
        told = json.loads(done.stdout.splitlines()[-1]) if code == 0 else None
        return SimpleNamespace(told=told, said=said, environment=environment)

    return run


@pytest.mark.parametrize("variant", ["bf16", "fp8"])
def test_vllm_in_one_process(vllm, models, space, variant):
    mine = vllm(models / "m.qstore", "qstore", extra={"variant": variant})
    theirs = vllm(models / variant)
    assert mine.told["tokens"] == theirs.told["tokens"] and mine.told["text"] == theirs.told["text"]
    assert "Loading weights took" in mine.said
    # What vLLM found in place of the archive is small, and is kept.
    (head,) = (space / "cache" / "heads").iterdir()
    assert not list(head.glob("*.safetensors")) and (head / "config.json").exists()


def test_vllm_with_processes_of_its_own(vllm, models):
    mine = vllm(models / "m.qstore", "qstore", extra={"variant": "bf16"}, processes=True)
    assert mine.told["tokens"] == vllm(models / "bf16").told["tokens"]


def test_vllm_ranks_decode_their_rows(vllm, models, figure):
    """Of tensors that are cut along rows; those cut along columns every rank reads whole."""
    mine = vllm(models / "m.qstore", "qstore", 2, extra={"variant": "bf16"}, processes=True)
    theirs = vllm(models / "bf16", "auto", 2, processes=True)
    assert mine.told["tokens"] == theirs.told["tokens"]
    read = [int(n) for n in re.findall(r"Loading weights took \S+ seconds, (\d+) bytes", mine.said)]
    alone = vllm(models / "m.qstore", "qstore", extra={"variant": "bf16"})
    (whole,) = re.findall(r"Loading weights took \S+ seconds, (\d+) bytes", alone.said)
    assert len(read) == 2
    figure(f"vLLM, two ranks: {[round(n / int(whole), 2) for n in read]} of one rank's bytes")
    assert all(n < 0.9 * int(whole) for n in read)


def test_vllm_says_what_is_wrong(vllm, models, space):
    for extra, said in (
        ({"variant": "int4"}, "there are: "),
        ({}, "name a variant"),
        ({"varaint": "bf16"}, "has \\['varaint'\\]; it may have variant"),
    ):
        assert re.search(said, vllm(models / "m.qstore", "qstore", extra=extra, code=1).said)
    # A model class that wants other names.
    config = json.loads((models / "bf16" / "config.json").read_text())
    other = space / "other"
    subprocess.run(["cp", "-rL", models / "bf16", other], check=True)
    config |= {"architectures": ["OPTForCausalLM"], "model_type": "opt", "ffn_dim": 768}
    config |= {
        "do_layer_norm_before": True,
        "word_embed_proj_dim": 256,
        "activation_function": "relu",
    }
    (other / "config.json").write_text(json.dumps(config))
    subprocess.run([QSTORE, "pack", "-o", space / "o.qstore", f"bf16={other}"], check=True)
    wrong = vllm(space / "o.qstore", "qstore", code=1).said
    assert re.search(r"variant 'bf16': tensor '[\w.]+' .*: OPTForCausalLM of vLLM: ", wrong)


def test_diffusers(engines, programs, space):
    """A pipeline made here, and its components: the same tensors and images."""
    program = [engines, HERE / "engine_diffusers.py", space]
    done = subprocess.run(program, env=programs, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr

# SPDX-License-Identifier: Apache-2.0
"""qstore-prepare: a model gets into an archive in precisions that real libraries make."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_llama
import torch
import trained_llm
import transformers
from command import contents
from safetensors.torch import load_file
from test_transformers import TOKENS

NOTEBOOK = Path(__file__).resolve().parents[3] / "examples" / "prepare.ipynb"
ORIGIN = "qstore-source.json"


@pytest.fixture
def prepare(installed, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(installed / "site"))

    def run(*arguments, code=0):
        command = [sys.executable, installed / "site" / "bin" / "qstore-prepare", *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny_llama.save_pair(folder)
    (folder / "bf16" / "LICENSE").write_text("of the model")
    return folder / "bf16"


def test_a_directory(qstore, prepare, model, space):
    said = prepare(model, "--variants", "fp16,llm-int8,bf16", "-o", space / "m.qstore")
    assert "bf16 in fp16, llm-int8, bf16" in said
    assert [path.name for path in space.iterdir()] == ["m.qstore"]
    archive = qstore.Archive.open(space / "m.qstore")
    assert sorted(archive.variant_names) == ["bf16", "fp16", "llm-int8"]
    told = {name: json.loads(archive.read_file(name, ORIGIN)) for name in archive.variant_names}
    assert all(one["model"] == "bf16" and one["revision"] is None for one in told.values())
    assert told["llm-int8"]["made_with"]["bitsandbytes"] and not told["bf16"]["made_with"]
    # What the model had is there as it was.
    qstore.unpack(archive, "bf16", space / "bf16")
    (space / "bf16" / ORIGIN).unlink()
    assert contents(space / "bf16") == contents(model)
    # What was made is what the libraries make, with the files that are no weights beside it.
    int8 = transformers.LlamaForCausalLM.from_pretrained(model.parent / "int8", device_map="cpu")
    mine = qstore.transformers.from_pretrained(archive, "llm-int8", device_map="cpu")
    with torch.no_grad():
        assert torch.equal(mine(TOKENS).logits, int8(TOKENS).logits)
    assert archive.read_file("llm-int8", "LICENSE") == b"of the model"
    for file in model.glob("*.safetensors"):
        qstore.unpack(archive, "fp16", space / "fp16", overwrite=True)
        made = load_file(space / "fp16" / file.name)
        for name, tensor in load_file(file).items():
            assert torch.equal(made[name], tensor.to(torch.float16))


def test_copies_that_are_rounded(qstore, prepare, model, space):
    """They are what qstore.quantize makes of the 16-bit variant, and nothing else."""
    prepare(model, "--variants", "fp8-channel,bf16,nf4", "-o", space / "m.qstore")
    archive = qstore.Archive.open(space / "m.qstore")
    assert sorted(archive.variant_names) == ["bf16", "fp8-channel", "nf4"]
    for name in ("fp8-channel", "nf4"):
        qstore.unpack(archive, name, space / name)
        told = json.loads((space / name / ORIGIN).read_text())
        assert list(told["made_with"]) == ["qstore"] and told["variant"] == name
        (space / name / ORIGIN).unlink()
        report = qstore.quantize(model, space / "alone" / name, name)
        assert "model.layers.0.self_attn.q_proj.weight" in report.quantized and not report.cast
        assert contents(space / name) == contents(space / "alone" / name)
    with pytest.raises(qstore.InvalidArgumentError, match="'fp9' is none of llm-int8, .*nvfp4"):
        qstore.quantize(model, space / "fp9", "fp9")


def test_gptq(qstore, prepare, model, space):
    source = space / "model"
    source.mkdir()
    for path in model.iterdir():
        os.symlink(path, source / path.name)
    text = Path(__file__).read_text() * 4
    trained_llm.make_tokenizer([text]).save_pretrained(source)
    (space / "text.txt").write_text(text)
    prepare(
        *(source, "--variants", "bf16,gptq-4bit", "-o", space / "m.qstore"),
        *("--calibration", space / "text.txt", "--samples", "2", "--level", "fast"),
    )
    archive = qstore.Archive.open(space / "m.qstore")
    tensors = {tensor.name for tensor in archive.variant("gptq-4bit").tensors}
    assert "model.layers.0.self_attn.q_proj.qweight" in tensors
    config = qstore.transformers.load_config(archive, "gptq-4bit")
    assert config.quantization_config["bits"] == 4


def test_from_the_hub(qstore, model, space, monkeypatch):
    """The commit that is downloaded is the one that is noted; other formats are left there."""
    import huggingface_hub

    asked = {}

    def download(name, revision, ignore_patterns):
        asked.update(name=name, revision=revision, ignored=ignore_patterns)
        snapshot = space / "snapshots" / ("c" * 40)
        snapshot.parent.mkdir()
        snapshot.symlink_to(model)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    from qstore.prepare import prepare

    steps = []
    done = prepare(
        "owner/name", space / "m.qstore", ["bf16"], revision="v1", level="fast", note=steps.append
    )
    assert asked["name"] == "owner/name" and asked["revision"] == "v1"
    assert "*.bin" in asked["ignored"]
    assert done.model == "owner/name" and done.revision == "c" * 40
    assert steps == ["downloading owner/name at v1", "bf16: as it is", "packing bf16", "verifying"]
    told = json.loads(qstore.Archive.open(space / "m.qstore").read_file("bf16", ORIGIN))
    assert told["model"] == "owner/name" and told["revision"] == "c" * 40


def test_wrong_use(prepare, model, space, pair):
    out = space / "m.qstore"
    for arguments, code, said in (
        ((model, "--variants", "bf16,int3", "-o", out), 2, "want different ones of bf16"),
        ((model, "--variants", "bf16,bf16", "-o", out), 2, "want different"),
        ((model, "--variants", "f32", "-o", out), 2, "cannot be made"),
        ((model, "--revision", "main", "-o", out), 2, "no revisions"),
        ((model.parent / "int8", "--variants", "bf16", "-o", out), 2, "quantized already"),
        ((space, "--variants", "bf16", "-o", out), 2, "no weights"),
        ((space / "none", "-o", out), 1, "no such directory"),
        ((model, "-o", space / "none" / "m.qstore"), 1, "no such directory"),
        ((model,), 2, "required"),
    ):
        assert said in prepare(*arguments, code=code)
    out.write_text("mine")
    assert "exists already" in prepare(model, "-o", out, code=1)
    assert out.read_text() == "mine"
    prepare(model, "--variants", "bf16", "--force", "-o", out)
    assert out.stat().st_size > 1000
    assert [path.name for path in space.iterdir()] == ["m.qstore"]


def test_notebook(qstore, model, space, monkeypatch, capsys):
    """Its cells run in order, on a directory in place of the Hub."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code[0], exchanged = re.subn("MODEL = .*", f"MODEL = {str(model)!r}", code[0])
    assert exchanged == 1
    monkeypatch.chdir(space)
    names = {"__name__": "notebook"}
    for number, cell in enumerate(code):
        exec(compile(cell, f"cell {number} of {NOTEBOOK.name}", "exec"), names)
    (space / "restored" / ORIGIN).unlink()
    assert contents(space / "restored") == contents(model)
    assert "LlamaForCausalLM (1, 8, 2000)" in capsys.readouterr().out
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)

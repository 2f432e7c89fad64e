# SPDX-License-Identifier: Apache-2.0
"""Models from an archive compute what those from the unpacked directory do, bit for bit."""

import math
import os
import shutil
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors
import tiny_llama
import torch
import transformers
from samples import equal

TOKENS = torch.arange(1000, 1032).reshape(2, 16)


@pytest.fixture(scope="module")
def llama(qstore, tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    tiny_llama.save_pair(folder)
    variants = {name: folder / name for name in ("bf16", "int8")}
    qstore.pack(variants, folder / "m.qstore", sync=False)
    return SimpleNamespace(archive=folder / "m.qstore", **variants)


@pytest.fixture(scope="module")
def minilm(qstore, pairs, tmp_path_factory):
    variants = {name: pairs / "minilm" / name for name in ("bf16", "fp16", "bf16-int8")}
    archive = tmp_path_factory.mktemp("minilm") / "m.qstore"
    qstore.pack(variants, archive, level="fast", sync=False)
    return SimpleNamespace(archive=archive, variants=variants)


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch, tmp_path_factory):
    """Neither directories nor the exchanged function outlast a call."""
    original = transformers.modeling_utils.safe_open
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(scratch))
    yield
    assert not list(scratch.glob("qstore*"))
    assert transformers.modeling_utils.safe_open is original


def assert_same_model(mine, theirs, **inputs):
    assert type(mine) is type(theirs)
    states = [model.state_dict() for model in (mine, theirs)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[1].items():
        if not isinstance(tensor, torch.Tensor):
            assert states[0][name] == tensor
            continue
        assert states[0][name].dtype == tensor.dtype, name
        assert equal(states[0][name], tensor), name
    configs = [model.config.to_dict() for model in (mine, theirs)]
    for config in configs:
        config.pop("_name_or_path", None)
    assert configs[0] == configs[1]
    with torch.no_grad():
        results = [model(**inputs) for model in (mine, theirs)]
    assert results[0].keys() == results[1].keys()
    assert equal(results[0][0], results[1][0])


@pytest.mark.parametrize("variant", ["bf16", "int8"])
def test_sharded_llama(qstore, llama, variant):
    mine = qstore.transformers.from_pretrained(llama.archive, variant, device_map="cpu")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        getattr(llama, variant), device_map="cpu"
    )
    assert isinstance(mine, transformers.LlamaForCausalLM)
    assert_same_model(mine, theirs, input_ids=TOKENS)
    assert mine.name_or_path == mine.config.name_or_path == str(llama.archive)
    assert mine.generation_config.to_dict() == theirs.generation_config.to_dict()
    assert mine.generation_config.max_new_tokens == 7
    generated = [model.generate(TOKENS[:1, :4], do_sample=False) for model in (mine, theirs)]
    assert torch.equal(*generated) and generated[0].shape == (1, 11)


@pytest.mark.parametrize("variant", ["bf16", "fp16", "bf16-int8"])
def test_minilm(qstore, minilm, variant):
    source = minilm.variants[variant]
    mine = qstore.transformers.from_pretrained(minilm.archive, variant, device_map="cpu")
    theirs = transformers.AutoModel.from_pretrained(source, device_map="cpu")
    text = ["Two precisions in one archive.", "Bit for bit."]
    tokenizers = (
        qstore.transformers.load_tokenizer(minilm.archive, variant),
        transformers.AutoTokenizer.from_pretrained(source),
    )
    batches = [tokenizer(text, padding=True, return_tensors="pt") for tokenizer in tokenizers]
    assert type(tokenizers[0]) is type(tokenizers[1])
    for name, tensor in batches[1].items():
        assert torch.equal(batches[0][name], tensor)
    assert_same_model(mine, theirs, **batches[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, "auto"])
def test_another_type(qstore, llama, dtype):
    mine = qstore.transformers.from_pretrained(
        llama.archive, "bf16", model_class="AutoModel", dtype=dtype, threads=1
    )
    theirs = transformers.AutoModel.from_pretrained(llama.bf16, dtype=dtype)
    assert_same_model(mine, theirs, input_ids=TOKENS)


def test_quantized_while_loading(qstore, llama):
    options = {
        "device_map": "cpu",
        "quantization_config": transformers.BitsAndBytesConfig(load_in_8bit=True),
    }
    mine = qstore.transformers.from_pretrained(llama.archive, "bf16", **options)
    theirs = transformers.LlamaForCausalLM.from_pretrained(llama.bf16, **options)
    assert_same_model(mine, theirs, input_ids=TOKENS)


def test_a_class_and_its_loading_info(qstore, llama):
    options = {"num_labels": 3, "output_loading_info": True}
    loader = transformers.AutoModelForSequenceClassification
    mine, told = qstore.transformers.from_pretrained(
        llama.archive, "bf16", model_class=loader, **options
    )
    theirs, expected = loader.from_pretrained(llama.bf16, **options)
    assert told == expected and told["missing_keys"]
    assert type(mine) is type(theirs)
    with pytest.raises(qstore.InvalidArgumentError, match="no such class"):
        qstore.transformers.from_pretrained(llama.archive, "bf16", model_class="AutoNothing")


def test_config_and_tokenizer_outlast_the_directory(qstore, llama, minilm, space):
    config = qstore.transformers.load_config(llama.archive, "int8")
    expected = transformers.AutoConfig.from_pretrained(llama.int8)
    assert config.to_diff_dict() == expected.to_diff_dict()
    assert config.name_or_path == str(llama.archive)
    tokenizer = qstore.transformers.load_tokenizer(minilm.archive, "bf16")
    assert tokenizer.name_or_path == str(minilm.archive)
    saved = tokenizer.save_pretrained(space / "mine")
    transformers.AutoTokenizer.from_pretrained(minilm.variants["bf16"]).save_pretrained(
        space / "theirs"
    )
    for name in saved:
        assert Path(name).read_bytes() == (space / "theirs" / Path(name).name).read_bytes()


def test_a_directory_for_other_loaders(qstore, llama):
    with qstore.transformers.directory(llama.archive, "bf16") as folder:
        names = sorted(path.name for path in Path(folder).iterdir())
        assert names == sorted(path.name for path in llama.bf16.iterdir())
        weights = list(Path(folder).glob("*.safetensors"))
        assert all(path.stat().st_size == 0 for path in weights)
        mine = transformers.LlamaModel.from_pretrained(folder)
        # Others see at once that nothing is there, and other directories are read as ever.
        with pytest.raises(safetensors.SafetensorError):
            safetensors.safe_open(weights[0], "pt")
        theirs = transformers.LlamaModel.from_pretrained(llama.bf16)
    assert_same_model(mine, theirs, input_ids=TOKENS)
    assert not Path(folder).exists()


def test_weights_are_not_written(qstore, llama, monkeypatch):
    """Files beside them are; together they stay far below the size of the weights."""
    seen = []
    original = transformers.LlamaForCausalLM.from_pretrained.__func__

    def watch(cls, folder, **options):
        seen.extend(path.stat().st_size for path in Path(folder).iterdir())
        return original(cls, folder, **options)

    monkeypatch.setattr(transformers.LlamaForCausalLM, "from_pretrained", classmethod(watch))
    qstore.transformers.from_pretrained(llama.archive, "bf16")
    assert seen and sum(seen) < 0.02 * sum(path.stat().st_size for path in llama.bf16.iterdir())


def test_two_threads(qstore, llama):
    found = {}

    def work(variant):
        found[variant] = qstore.transformers.from_pretrained(
            llama.archive, variant, device_map="cpu"
        )

    threads = [threading.Thread(target=work, args=(name,)) for name in ("bf16", "int8")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for variant, mine in found.items():
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            getattr(llama, variant), device_map="cpu"
        )
        assert_same_model(mine, theirs, input_ids=TOKENS)
    assert len(found) == 2
    assert torch.get_default_dtype() == torch.float32


def test_errors(qstore, llama, pair, space):
    with pytest.raises(qstore.UnknownNameError, match="there are: int8, bf16"):
        qstore.transformers.from_pretrained(llama.archive, "fp8")
    with pytest.raises(qstore.InvalidArgumentError, match="unpack"):
        qstore.transformers.from_pretrained(llama.archive, "int8", device_map={"": "disk"})
    with pytest.raises(qstore.UnknownNameError, match="config.json"):
        qstore.transformers.from_pretrained(pair.archive, "int8")


def test_damage_is_named(qstore, llama, space):
    data = bytearray(llama.archive.read_bytes())
    archive = qstore.Archive.open(llama.archive)
    own = {variant.name: variant.own_bytes for variant in archive.variants()}
    end = 72 + own["int8"] + own["bf16"]
    data[end - 5000 : end] = os.urandom(5000)
    (space / "m.qstore").write_bytes(data)
    with pytest.raises(qstore.CorruptError, match="weight"):
        qstore.transformers.from_pretrained(space / "m.qstore", "bf16")


PEAK = """
import sys, torch, transformers
import qstore.transformers
how, path, variant = sys.argv[1:]
if how == "archive":
    model = qstore.transformers.from_pretrained(path, variant, device_map="cpu")
else:
    model = transformers.LlamaForCausalLM.from_pretrained(path, device_map="cpu")
with torch.no_grad():  # A file that is mapped takes memory when it is used.
    model(torch.arange(8)[None])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.fixture(scope="module")
def large(qstore, tmp_path_factory):
    """A model of several hundred MiB, both variants in shards, and its archive."""
    folder = tmp_path_factory.mktemp("large")
    size = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 10}
    tiny_llama.save_pair(folder, "100MB", **size)
    qstore.pack(
        {name: folder / name for name in ("bf16", "int8")},
        folder / "m.qstore",
        level="fast",
        sync=False,
    )
    yield folder
    shutil.rmtree(folder)


@pytest.mark.rest  # Of a model of a gigabyte.
@pytest.mark.alone
@pytest.mark.parametrize("variant", ["bf16", "int8"])
def test_peak_memory(run_python, large, figure, variant):
    shards = list((large / variant).glob("*.safetensors"))
    assert len(shards) > 1
    peaks = [math.inf, math.inf]
    for _ in range(3):  # A peak varies by a tenth and more with the timing of threads.
        for i, (how, path) in enumerate(
            (("archive", large / "m.qstore"), ("directory", large / variant))
        ):
            peaks[i] = min(peaks[i], int(run_python(PEAK, how, path, variant).split()[-1]))
        if peaks[0] < 1.1 * peaks[1]:
            break
    size = sum(shard.stat().st_size for shard in shards)
    figure(
        f"peak memory with a model of {size >> 20} MiB, {variant}: "
        f"{peaks[0] >> 10} MiB from an archive, {peaks[1] >> 10} MiB from the directory"
    )
    assert peaks[0] < 1.1 * peaks[1]

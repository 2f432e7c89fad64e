# SPDX-License-Identifier: Apache-2.0
"""GPTQ of whole models: what is written, for which classes, and what is refused."""

import gzip
import importlib
import json
import shutil

import gptq_models
import pytest
import torch
from command import contents
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture(scope="module")
def gptq(qstore):
    return importlib.import_module("qstore.gptq")


@pytest.fixture(scope="module")
def tiny(untrained, tmp_path_factory):
    return gptq_models.save_tiny("Llama", tmp_path_factory.mktemp("tiny") / "m", untrained / "bf16")


@pytest.fixture
def calibration(gptq, untrained):
    return gptq.Calibration(str(untrained / "train.txt"), samples=4, length=32)


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Mistral", "Gemma2", "Phi3"])
def test_layers_run_one_by_one_as_the_model_does(gptq, untrained, space, kind):
    """Whatever a class hands to its layers: masks, positions, scaled embeddings, biases."""
    folder = gptq_models.save_tiny(kind, space / "m", untrained / "bf16")
    decoder_module = importlib.import_module("qstore.gptq.decoder")
    source = importlib.import_module("qstore.gptq.checkpoint").Source(folder)
    decoder = decoder_module.Decoder(source)
    windows = torch.randint(1, 1000, (2, 40), generator=torch.Generator().manual_seed(1))
    entering, calls = decoder.first_inputs(windows)
    states = list(entering)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        expected = model.base_model(windows, output_hidden_states=True).hidden_states
    for index in range(gptq_models.TINY["num_hidden_layers"]):
        torch.testing.assert_close(torch.cat(states), expected[index], rtol=1e-4, atol=1e-4)
        layer = decoder.materialize(index)
        groups = layer.groups(states[0], calls[index])
        assert sorted(sum(groups, [])) == sorted(decoder.linears[index])
        assert max(map(len, groups)) >= (1 if kind == "Phi3" else 3)  # q, k and v have one input.
        states = [layer.forward(state, calls[index]) for state in states]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_checkpoint_is_what_readers_expect(
    gptq, tiny, space, calibration, bits, symmetric, untrained
):
    scheme = gptq.Scheme(bits, group_size=32, symmetric=symmetric, act_order=not symmetric)
    report = gptq.quantize(tiny, space / "out", [scheme], calibration)
    assert tree(space) == ["out", *(f"out/{name}" for name in tree(space / "out"))]
    made = gptq_models.load_tensors(space / "out")
    source = gptq_models.load_tensors(tiny)
    assert len(report.rows) == 3 * 7
    for row in report.rows:
        rows, columns = row["shape"]
        groups = -(-columns // 32)
        expected = {
            "qweight": (torch.int32, (columns * bits // 32, rows)),
            "qzeros": (torch.int32, (groups, rows * bits // 32)),
            "scales": (torch.float16, (groups, rows)),
            "g_idx": (torch.int32, (columns,)),
        }
        for key, (dtype, shape) in expected.items():
            tensor = made.pop(f"{row['name']}.{key}")
            assert (tensor.dtype, tuple(tensor.shape)) == (dtype, shape)
        weight = source.pop(f"{row['name']}.weight")
        assert list(weight.shape) == row["shape"] and row["groups"] == groups
    assert made.keys() == source.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in source.items())
    config = json.loads((space / "out" / "config.json").read_text())["quantization_config"]
    assert config == json.loads((space / "out" / "quantize_config.json").read_text())
    named = {"bits": bits, "group_size": 32, "sym": symmetric, "desc_act": not symmetric}
    named |= {"quant_method": "gptq", "checkpoint_format": "gptq", "lm_head": False}
    assert named.items() <= config.items()


def test_integers_stand_for_the_weights(gptq, tiny, space, calibration):
    gptq.quantize(tiny, space / "out", [gptq.Scheme(8, group_size=32)], calibration)
    state = gptq_models.dequantized(space / "out", 8)
    for name, weight in gptq_models.load_tensors(tiny).items():
        difference = (state[name] - weight.float()).norm() / weight.float().norm()
        assert difference < 0.01, name


def test_shards_and_their_index_stay(gptq, untrained, space, calibration):
    folder = gptq_models.save_tiny(
        "Llama", space / "m", untrained / "bf16", torch.float16, max_shard_size="200KB"
    )
    shards = [path.name for path in sorted(folder.glob("*.safetensors"))]
    assert len(shards) > 2
    gptq.quantize(folder, space / "out", [gptq.Scheme(4, group_size=-1)], calibration)
    assert shards == [path.name for path in sorted((space / "out").glob("*.safetensors"))]
    index = json.loads((space / "out" / "model.safetensors.index.json").read_text())
    found = {}
    for shard in shards:
        found |= dict.fromkeys(load_file(space / "out" / shard), shard)
    assert index["weight_map"] == found
    size = sum(
        tensor.nbytes for shard in shards for tensor in load_file(space / "out" / shard).values()
    )
    assert index["metadata"]["total_size"] == size


def test_several_precisions_come_with_the_source(gptq, tiny, space, calibration):
    schemes = [gptq.Scheme(4, group_size=32), gptq.Scheme(8, group_size=32)]
    report = gptq.quantize(tiny, space / "out", schemes, calibration)
    assert sorted(path.name for path in (space / "out").iterdir()) == ["16bit", "4bit", "8bit"]
    assert contents(space / "out" / "16bit") == contents(tiny)
    assert list(report.directories) == ["16bit", "8bit", "4bit"]
    gptq.quantize(tiny, space / "alone", schemes[:1], calibration)
    assert contents(space / "alone") == contents(space / "out" / "4bit")


def test_synthetic_inputs_need_no_model(gptq, space):
    weights = {f"{i}.weight": torch.randn(64, 96).bfloat16() for i in range(3)}
    (space / "m").mkdir()
    save_file(weights | {"embed.weight": torch.randn(8, 96)}, space / "m" / "a.safetensors")
    report = gptq.quantize(
        space / "m",
        space / "out",
        [gptq.Scheme(8, group_size=32), gptq.Scheme(4, group_size=32)],
        gptq.Calibration("synthetic"),
    )
    assert [row["bits"] for row in report.rows] == [8] * 3 + [4] * 3
    assert "embed.weight" in load_file(space / "out" / "4bit" / "a.safetensors")
    state = gptq_models.dequantized(space / "out" / "8bit", 8)
    for name, weight in weights.items():
        torch.testing.assert_close(state[name], weight.float(), rtol=0, atol=0.15)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json.gz", "a.txt", "a.txt.gz"])
def test_calibration_text_in_every_form(gptq, tiny, space, name):
    lines = [f"def name_{i}(self): return {i}" for i in range(200)]
    if ".json" in name:
        lines = [json.dumps({"text": line, "url": "none"}) for line in lines]
    content = "\n".join(lines).encode()
    (space / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    chosen = gptq.Calibration(str(space / name), samples=2, length=16)
    report = gptq.quantize(tiny, space / "out", [gptq.Scheme(4)], chosen)
    assert all(0 < row["error"] < 1 for row in report.rows)


def refused(qstore, gptq, source, output, calibration, *mentions, kind=None, bits=4):
    before = tree(output.parent)
    with pytest.raises(kind or qstore.InvalidArgumentError) as error:
        gptq.quantize(source, output, [gptq.Scheme(bits)], calibration)
    for text in mentions:
        assert str(text) in str(error.value)
    assert tree(output.parent) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(qstore, gptq, tiny, space, calibration, value):
    shutil.copytree(tiny, space / "m")
    tensors = load_file(tiny / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][2, 3] = value
    save_file(tensors, space / "m" / "model.safetensors")
    mentions = (name, "NaN or infinity", 2 * 64 + 3)
    refused(qstore, gptq, space / "m", space / "out", calibration, *mentions)


@pytest.mark.parametrize("name", ["BertModel", "T5ForConditionalGeneration", "NobodyForCausalLM"])
def test_classes_that_cannot_be_quantized_are_named(qstore, gptq, tiny, space, calibration, name):
    shutil.copytree(tiny, space / "m")
    config = json.loads((tiny / "config.json").read_text())
    (space / "m" / "config.json").write_text(json.dumps(config | {"architectures": [name]}))
    refused(qstore, gptq, space / "m", space / "out", calibration, name)


def test_models_in_other_types_or_quantized_already(
    qstore, gptq, untrained, tiny, space, calibration
):
    wide = gptq_models.save_tiny("Llama", space / "f32", untrained / "bf16", torch.float32)
    refused(qstore, gptq, wide, space / "out", calibration, "F32", "--to bf16", "q_proj")
    gptq.quantize(tiny, space / "low", [gptq.Scheme(4)], calibration)
    refused(qstore, gptq, space / "low", space / "out", calibration, "quantized already")


def test_shapes_that_fill_no_words(qstore, gptq, space):
    (space / "m").mkdir()
    save_file({"a.weight": torch.randn(40, 32).half()}, space / "m" / "a.safetensors")
    synthetic = gptq.Calibration("synthetic")
    mentions = ("a.safetensors", "a.weight", "[40, 32]", "multiples of 32")
    refused(qstore, gptq, space / "m", space / "out", synthetic, *mentions, bits=3)


def test_calibration_that_is_missing_or_too_short(qstore, gptq, tiny, space):
    short = space / "short.txt"
    short.write_text("a few words")
    broken = space / "broken.jsonl"
    broken.write_text('{"text": "fine"}\n{"no": 1}\n')
    not_found = qstore.PathNotFoundError
    for source, kind, *mentions in (
        (short, None, "short.txt", "--samples"),
        (broken, None, "broken.jsonl", "line 2"),
        ("nothing.txt", not_found, "nothing.txt"),
        ("c4", not_found, "--calibration FILE"),
    ):
        chosen = gptq.Calibration(str(source), samples=4, length=32)
        refused(qstore, gptq, tiny, space / "out", chosen, *mentions, kind=kind)
    chosen = gptq.Calibration(str(short), length=4096)
    refused(qstore, gptq, tiny, space / "out", chosen, "4096", "128")


def test_outputs_that_exist_stay_unless_they_are_to_be_replaced(
    qstore, gptq, tiny, space, calibration
):
    (space / "out").mkdir()
    (space / "out" / "mine.txt").write_text("mine")
    exists = qstore.AlreadyExistsError
    refused(qstore, gptq, tiny, space / "out", calibration, "--force", kind=exists)
    refused(qstore, gptq, tiny, tiny, calibration, "the output is the source")
    gptq.quantize(tiny, space / "out", [gptq.Scheme(4)], calibration, overwrite=True)
    assert (space / "out" / "config.json").exists()
    assert not (space / "out" / "mine.txt").exists()


def test_every_matrix_sees_those_before_it_quantized(gptq, tiny, untrained, space, calibration):
    """What goes into each matrix of the finished model gives the integers that it has."""
    scheme = gptq.Scheme(3, group_size=32)
    gptq.quantize(tiny, space / "out", [scheme], calibration)
    solver = importlib.import_module("qstore.gptq.solver")
    text = importlib.import_module("qstore.gptq.calibration")
    model = gptq_models.load_model(space / "out", tiny, 3)
    hessians = {}

    def see(name, module):
        hessians[name] = solver.Hessian(module.in_features)
        module.register_forward_pre_hook(lambda _, inputs: hessians[name].add(inputs[0]))

    for name, module in model.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            see(f"model.layers.{name}", module)
    windows = text.windows(calibration, AutoTokenizer.from_pretrained(tiny), 128)
    with torch.no_grad():
        for window in windows.split(1):
            model(window)
    source, made = gptq_models.load_tensors(tiny), gptq_models.load_tensors(space / "out")
    for name, hessian in hessians.items():
        factor = solver.factorize(hessian.matrix, scheme)
        expected = solver.quantize_matrix(source[f"{name}.weight"], factor, scheme).integers
        found = gptq_models.unpack(made[f"{name}.qweight"], 3)
        assert (found == expected).float().mean() > 0.98, name

# SPDX-License-Identifier: Apache-2.0
"""What `qstore quantize` makes of a model, beside what the tools make that define the formats."""

import json

import pytest
from command import ok, ok_json, raw_size, run
from peak_memory import peak_and_seconds
from test_server_formats import FIRST

# TARGET of `qstore quantize`: NAME of make_twins.py.
TARGETS = {
    "fp8-block": "fp8-block", "fp8-channel": "fp8-channel", "fp8-tensor": "fp8-tensor",
    "fp8-fine-grained": "fp8-fine-grained", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "int8": "w8a8",
    "int4": "w4a16", "nf4": "nf4",
}  # fmt: skip
EACH = [
    pytest.param(target, marks=() if name in FIRST else pytest.mark.rest)
    for target, name in TARGETS.items()
]
PRESETS = {
    "fp8-block": "FP8_BLOCK", "fp8-channel": "FP8_DYNAMIC", "fp8-tensor": "FP8",
    "nvfp4": "NVFP4A16", "mxfp4": "MXFP4A16", "int8": "W8A8", "int4": "W4A16",
}  # fmt: skip
SHAPES = [(256, 384), (130, 256), (7, 640), (200, 300), (3, 20), (1, 128)]


@pytest.fixture(scope="module")
def bf16(pairs):
    return pairs / "minilm" / "bf16"


@pytest.fixture(scope="module")
def made(bf16, tmp_path_factory):
    """A folder with a copy for each target, all by one command."""
    folder = tmp_path_factory.mktemp("made") / "all"
    ok("quantize", "--to", ",".join(TARGETS), bf16, "-o", folder)
    return folder


def tensors_of(file):
    """Type, shape and bytes of each tensor."""
    data = file.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        first, end = (begin + offset for offset in entry["data_offsets"])
        found[name] = (entry["dtype"], entry["shape"], data[first:end])
    return found


@pytest.mark.parametrize("target", EACH)
def test_copies_are_those_of_the_tool(bf16, made, figure, target, request):
    """Every tensor, those beside the quantized ones included."""
    twins = request.getfixturevalue("twins" if TARGETS[target] in FIRST else "more_twins")
    ours = tensors_of(made / target / "model.safetensors")
    theirs = tensors_of(twins / TARGETS[target] / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    before = tensors_of(bf16 / "model.safetensors")
    new = [name for name in ours if ours[name] != before.get(name)]
    assert len(new) >= 2 * 37
    figure(f"{target:16} {len(new)} tensors, all as {TARGETS[target]} of the tool has them")


@pytest.mark.parametrize("dtype", ("bfloat16", "float16", "float32"))
@pytest.mark.parametrize(
    "size", (0.05, *(pytest.param(s, marks=pytest.mark.rest) for s in (3, 1e-6)))
)
def test_other_types_sizes_and_shapes(space, dtype, size):
    """What the tool leaves alone is refused, unless it is excluded."""
    import make_twins
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(1)
    weights = {
        f"m{i}.weight": (torch.randn(shape, generator=generator) * size).to(getattr(torch, dtype))
        for i, shape in enumerate(SHAPES)
    } | {"zero.weight": torch.zeros(128, 256, dtype=getattr(torch, dtype))}
    weights["m0.weight"][3] = 0
    save_file(weights, space / "m.safetensors")
    for target, name in TARGETS.items():
        if target == "mxfp4" and dtype != "bfloat16":
            continue
        expected = {}
        left = []
        for key, weight in weights.items():
            parts = make_twins.TWINS[name](weight)
            if parts.get("weight") is weight:
                left.append(key)
            module = key.removesuffix("weight")
            expected |= {module + k: v.contiguous() for k, v in parts.items() if v is not None}
        assert len(left) <= len(weights) - 2
        command = ("quantize", "--to", target, space / "m.safetensors", "-o", space / target)
        if left:
            refused = run(*command)
            assert refused.returncode == 1 and "multiple of" in refused.stderr
        ok(*command, *(f"--exclude={key}" for key in left))
        save_file(expected, space / "theirs.safetensors")
        ours = tensors_of(space / target / "m.safetensors")
        theirs = tensors_of(space / "theirs.safetensors")
        assert ours.keys() == theirs.keys()
        assert [key for key in ours if ours[key] != theirs[key]] == [], target


@pytest.mark.parametrize("target", PRESETS)
def test_configs_are_those_of_compressed_tensors(made, target):
    from compressed_tensors.compressors.format import infer_module_format
    from compressed_tensors.quantization import QuantizationConfig
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
    from torch.nn import Linear

    config = json.loads((made / target / "config.json").read_text())["quantization_config"]
    scheme = preset_name_to_scheme(PRESETS[target], ["Linear"])
    form = infer_module_format(Linear, scheme)
    scheme.format = getattr(form, "value", form)
    if target == "fp8-tensor":  # Nothing measures the scales of its activations.
        scheme.input_activations.dynamic = True
        scheme.input_activations.observer = None
    expected = QuantizationConfig(
        config_groups={"group_0": scheme},
        quantization_status="compressed",
        ignore=["lm_head"],
        format=scheme.format,
    )
    assert QuantizationConfig.model_validate(config).model_dump() == expected.model_dump()


def test_configs_are_those_of_transformers(made):
    from transformers import BitsAndBytesConfig, FineGrainedFP8Config

    def written(target):
        return json.loads((made / target / "config.json").read_text())["quantization_config"]

    def read(kind, target):
        return json.loads(json.dumps(kind.from_dict(written(target)).to_dict()))

    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    assert written("nf4") == json.loads(json.dumps(nf4.to_dict()))
    fp8 = json.loads(json.dumps(FineGrainedFP8Config().to_dict()))
    assert read(FineGrainedFP8Config, "fp8-fine-grained") == fp8


@pytest.mark.parametrize("target", EACH)
def test_transformers_opens_them(bf16, made, figure, target):
    import torch
    from transformers import AutoModel

    def last_states(folder):
        model, told = AutoModel.from_pretrained(
            folder, dtype=torch.bfloat16, device_map="cpu", output_loading_info=True
        )
        assert not any(told.values()), told
        words = torch.arange(1000, 1032).reshape(1, -1)
        with torch.no_grad():
            return model(input_ids=words).last_hidden_state.float().flatten()

    alike = torch.nn.functional.cosine_similarity(last_states(bf16), last_states(made / target), 0)
    figure(f"{target:16} last hidden states: cosine {alike:.4f} with those of BF16")
    assert alike > 0.8  # Wrongly read weights give about 0.


@pytest.mark.alone
def test_memory_does_not_grow_with_the_model(space, figure):
    ok("synth", "-o", space / "model", "--shape", "4096x4096", "--count", "8")
    size = raw_size(space / "model")
    for target in ("fp8-block", "fp8-tensor", "nvfp4"):
        peak, _ = peak_and_seconds(
            *("quantize", "--threads", "2", "--no-sync", "--to", target),
            *(space / "model", "-o", space / target),
        )
        figure(f"{target:16} of {size >> 20} MiB: {peak >> 20} MiB of memory")
        assert peak < 64 << 20


def test_json_of_a_list_names_each(bf16, space):
    report = ok_json("quantize", "--to", "int4,bf16", bf16, "-o", space / "out", "--dry-run")
    named = [(each["target"], each["directory"], each["quantized"]) for each in report["targets"]]
    folder = str(space / "out")
    assert named == [("int4", f"{folder}/int4", 37), ("bf16", f"{folder}/bf16", 0)]
    assert not (space / "out").exists()
    for wrong in ("int4,fp9", "fp9", "int4,gptq-4bit", ""):
        done = run("quantize", "--to", wrong, bf16, "-o", space / "out")
        assert done.returncode == 2 and "--to" in done.stderr, done.stderr

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a copy of a Llama quantized by AWQ (Lin et al. 2023), in the files of AutoAWQ.

usage: make_awq.py TRAINED FOLDER     of what trained_llm.py wrote; writes FOLDER/awq

Factors of inputs and limits of groups are searched on activations of text that the model learned
from, by the steps of the paper in the arithmetic of AutoAWQ, which runs on GPUs only: the model is
cast to F16, 4 bits with zero points, groups of 128.
"""

import json
import sys
from pathlib import Path

import torch
import trained_llm
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaForCausalLM

BITS, GROUP, TOP = 4, 128, 15
STEPS = 20  # Of either search.
SAMPLES, LENGTH = 16, 128
MOST_SHRINK = 0.5
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # Outputs of a word, from the lowest bits on.


def scales_of(weight):
    """Scales and zero points [outputs, groups], F16."""
    groups = weight.reshape(weight.shape[0], -1, GROUP)
    most, least = groups.amax(2), groups.amin(2)
    scales = (most - least).clamp(min=1e-5) / TOP
    return scales, (-torch.round(least / scales)).clamp(0, TOP)


def codes_of(weight, scales, zeros):
    groups = weight.reshape(weight.shape[0], -1, GROUP)
    codes = torch.round(groups / scales[:, :, None]) + zeros[:, :, None]
    return codes.clamp(0, TOP)


def rounded(weight):
    scales, zeros = scales_of(weight)
    codes = codes_of(weight, scales, zeros)
    return ((codes - zeros[:, :, None]) * scales[:, :, None]).reshape(weight.shape)


def product(inputs, weight):
    return inputs.float() @ weight.float().T


def search_factors(inputs, weights):
    """Factors F16 of the inputs that `weights` share, with which their outputs change least."""
    activity = inputs.float().abs().mean(0).half()
    best, least = None, float("inf")
    for step in range(STEPS):
        factors = activity.float().pow(step / STEPS).clamp(min=1e-4)
        factors = (factors / (factors.max() * factors.min()).sqrt()).half()
        loss = 0.0
        for weight in weights:
            copy = rounded(weight * factors) / factors
            loss += (product(inputs, weight) - product(inputs, copy)).square().mean().item()
        if loss < least:
            best, least = factors, loss
    return best


def search_limits(inputs, weight):
    """The weight with each group limited to the size with which its products change least."""
    groups = weight.reshape(weight.shape[0], -1, GROUP)
    parts = inputs.reshape(len(inputs), -1, GROUP).float()
    before = torch.einsum("tgi,ogi->tog", parts, groups.float())
    peak = groups.abs().amax(2, keepdim=True)
    best, least = peak.clone(), torch.full(peak.shape[:2], float("inf"))
    for step in range(int(MOST_SHRINK * STEPS)):
        limit = peak * (1 - step / STEPS)
        limited = groups.clamp(-limit, limit)
        copy = rounded(limited.reshape(weight.shape)).reshape(groups.shape)
        loss = (torch.einsum("tgi,ogi->tog", parts, copy.float()) - before).square().mean(0)
        better = loss < least
        least = torch.where(better, loss, least)
        best = torch.where(better[:, :, None], limit, best)
    return groups.clamp(-best, best).reshape(weight.shape)


def packed(values):
    """[rows, outputs] in words [rows, outputs / 8]."""
    words = values.to(torch.int64).reshape(values.shape[0], -1, 8)[:, :, ORDER]
    shifts = torch.arange(8) * BITS
    return (words << shifts).sum(2).to(torch.uint32).view(torch.int32)


def tensors_of(weight):
    scales, zeros = scales_of(weight)
    # The tool rounds once more, what it has made of codes.
    copy = rounded(weight)
    biased = copy.reshape(weight.shape[0], -1, GROUP) + (zeros * scales)[:, :, None]
    codes = torch.round(biased / scales[:, :, None]).reshape(weight.shape)
    return {
        "qweight": packed(codes.T.contiguous()),
        "qzeros": packed(zeros.T.contiguous()),
        "scales": scales.T.contiguous(),
    }


@torch.no_grad()
def activations(model, windows):
    """Inputs [tokens, inputs] of each linear layer."""
    seen, hooks = {}, []

    def keep(name):
        def hook(_module, inputs, _output):
            seen[name] = inputs[0].flatten(0, 1)

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            hooks.append(module.register_forward_hook(keep(name)))
    model(input_ids=windows)
    for hook in hooks:
        hook.remove()
    return seen


def quantize_layer(layer, inputs):
    """Scales what follows one another, limits groups, and returns the tensors by module."""
    attention, mlp = layer.self_attn, layer.mlp
    pairs = [
        (layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj], "q_proj"),
        (layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj], "gate_proj"),
        (mlp.up_proj, [mlp.down_proj], "down_proj"),
    ]
    if attention.v_proj.weight.shape == attention.o_proj.weight.shape:
        pairs.insert(1, (attention.v_proj, [attention.o_proj], "o_proj"))
    for before, after, name in pairs:
        (place,) = (key for key in inputs if key.endswith(name))
        factors = search_factors(inputs[place], [module.weight.data for module in after])
        before.weight.data.T.div_(factors)
        for module in after:
            module.weight.data.mul_(factors)
        for key in inputs:
            if key.endswith(tuple(part for part in LAYERS if getattr_in(layer, part) in after)):
                inputs[key] = inputs[key] / factors
    tensors = {}
    for key, value in inputs.items():
        part = key.rsplit(".", 1)[-1]
        module = getattr_in(layer, part)
        if part not in ("q_proj", "k_proj"):
            module.weight.data = search_limits(value[:: len(value) // 256], module.weight.data)
        tensors[key] = tensors_of(module.weight.data)
    return tensors


LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def getattr_in(layer, part):
    return getattr(layer.mlp if part in LAYERS[4:] else layer.self_attn, part)


@torch.no_grad()
def main():
    trained, folder = Path(sys.argv[1]), Path(sys.argv[2]) / "awq"
    model = LlamaForCausalLM.from_pretrained(trained / "bf16", dtype=torch.float16)
    tokenizer = AutoTokenizer.from_pretrained(trained / "bf16")
    text = (trained / "train.txt").read_text(encoding="utf-8")[:2_000_000]
    stream = trained_llm.token_stream(tokenizer, [text])[: SAMPLES * LENGTH]
    seen = activations(model.float(), stream.reshape(SAMPLES, LENGTH))
    model.half()
    quantized = {}
    for number, layer in enumerate(model.model.layers):
        place = f"model.layers.{number}."
        own = {name: value.half() for name, value in seen.items() if name.startswith(place)}
        quantized |= quantize_layer(layer, own)
    kept = {k: v.contiguous() for k, v in model.state_dict().items()}
    for name, tensors in quantized.items():
        del kept[f"{name}.weight"]
        kept |= {f"{name}.{part}": tensor for part, tensor in tensors.items()}
    folder.mkdir(parents=True)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"quant_method": "awq", "bits": BITS, "group_size": GROUP, "zero_point": True}
    settings = model.config.to_dict() | {"quantization_config": config | {"version": "gemm"}}
    (folder / "config.json").write_text(json.dumps(settings, indent=1, default=str))


if __name__ == "__main__":
    main()

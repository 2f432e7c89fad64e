#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes BF16 copies of models that are released in few bits, as their libraries dequantize them.

usage: make_native.py TWINS FOLDER     writes FOLDER/NAME for TWINS/NAME, as make_twins.py made it

FOLDER/experts has matrices of TWINS/mxfp4 as experts, by the names of gpt-oss; FOLDER/experts-bf16
has what transformers makes of these.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.format import infer_module_format
from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
from safetensors.torch import load_file, save_file
from transformers import FineGrainedFP8Config
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors


def fine_grained(parts):
    if "weight_scale_inv" not in parts:
        return parts["weight"]
    operation = Fp8Dequantize(SimpleNamespace(quantization_config=FineGrainedFP8Config()))
    return operation._dequantize_one(parts["weight"], parts["weight_scale_inv"])


def compressed(preset):
    scheme = preset_name_to_scheme(preset, ["Linear"])
    form = infer_module_format(torch.nn.Linear, scheme)
    compressor = BaseCompressor.get_value_from_registry(getattr(form, "value", form))

    def dequantized(parts):
        if "weight_packed" not in parts:
            return parts["weight"]
        return compressor.decompress(dict(parts), scheme)["weight"]

    return dequantized


NATIVE = {
    "fp8-fine-grained": fine_grained,
    "nvfp4": compressed("NVFP4A16"),
    "mxfp4": compressed("MXFP4A16"),
}


def save(tensors, folder):
    folder.mkdir(parents=True)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})


def save_experts(twins, folder):
    """Layers of one shape become the experts of a matrix."""
    tensors = load_file(Path(twins) / "mxfp4" / "model.safetensors")
    native, plain = {}, {}
    for name, part in {"gate_up_proj": "intermediate.dense", "down_proj": "output.dense"}.items():
        layers = [f"encoder.layer.{n}.{part}.weight" for n in range(6)]
        scales = torch.stack([tensors[f"{layer}_scale"] for layer in layers])
        blocks = torch.stack([tensors[f"{layer}_packed"] for layer in layers])
        blocks = blocks.reshape(*scales.shape, 16)
        module = f"model.layers.0.mlp.experts.{name}"
        native |= {f"{module}_blocks": blocks, f"{module}_scales": scales}
        plain[module] = convert_moe_packed_tensors(blocks, scales)
    save(native, Path(folder) / "experts")
    save(plain, Path(folder) / "experts-bf16")


def main(twins, folder):
    save_experts(twins, folder)
    for name, dequantized in NATIVE.items():
        modules = {}
        for key, tensor in load_file(Path(twins) / name / "model.safetensors").items():
            module, _, part = key.rpartition(".")
            modules.setdefault(module, {})[part] = tensor
        model = {}
        for module, parts in modules.items():
            if any(part.startswith("weight_") for part in parts):
                weight = dequantized(parts).to(torch.bfloat16)
                parts = {k: v for k, v in parts.items() if not k.startswith("weight")}
                parts["weight"] = weight
            model |= {f"{module}.{k}".lstrip("."): v for k, v in parts.items()}
        save(model, Path(folder) / name)


if __name__ == "__main__":
    main(*sys.argv[1:])

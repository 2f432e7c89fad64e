#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes copies by ModelOpt. Runs where requirements-calibrated.txt is installed.

usage: make_modelopt.py BF16 MXFP4 FOLDER     two model folders; FOLDER must not exist

FOLDER/nvfp4   NVFP4 of BF16, with the global scale of each matrix
FOLDER/cast    NVFP4 cast from MXFP4 (compressed-tensors)
FOLDER/fp8     FP8 of BF16, with a scale for each matrix
"""

import sys
from pathlib import Path

import torch
from modelopt.torch.export.shard_cast_utils import mxfp4_kmax, quantize_mxfp4_to_nvfp4_lossless
from modelopt.torch.quantization.qtensor import FP8QTensor, NVFP4QTensor
from safetensors.torch import load_file, save_file

E2M1_MAX, E4M3_MAX, BLOCK = 6.0, 448.0, 16


def nvfp4(weight):
    unit = (weight.abs().max().float() / (E2M1_MAX * E4M3_MAX)).reshape(())
    codes, scales, _ = NVFP4QTensor.quantize(weight, BLOCK, None, unit, try_tensorrt=False)
    return {
        "weight": codes._quantized_data,
        "weight_scale": scales,
        "weight_scale_2": unit,
    }


def fp8(weight):
    scale = weight.abs().max().float() / E4M3_MAX
    codes, _ = FP8QTensor.quantize(weight, scale)
    return {"weight": codes._quantized_data, "weight_scale": scale}


def cast(packed, scales):
    codes, scales, unit, _, _ = quantize_mxfp4_to_nvfp4_lossless(
        packed, scales, mxfp4_kmax(scales), "cpu"
    )
    return {"weight": codes, "weight_scale": scales, "weight_scale_2": unit}


def save(tensors, folder):
    folder.mkdir(parents=True)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def main(bf16, mxfp4, folder):
    low = load_file(Path(mxfp4) / "model.safetensors")
    high = load_file(Path(bf16) / "model.safetensors")
    modules = [name.removesuffix("_packed") for name in low if name.endswith(".weight_packed")]
    copies = {name: {} for name in ("nvfp4", "cast", "fp8")}
    for weight in modules:
        made = {
            "nvfp4": nvfp4(high[weight]),
            "cast": cast(low[f"{weight}_packed"], low[f"{weight}_scale"]),
            "fp8": fp8(high[weight]),
        }
        for name, parts in made.items():
            prefix = weight.removesuffix("weight")
            copies[name] |= {prefix + part: tensor for part, tensor in parts.items()}
    for name, tensors in copies.items():
        rest = {k: v for k, v in high.items() if k not in modules}
        save(rest | tensors, Path(folder) / name)


if __name__ == "__main__":
    torch.manual_seed(0)
    main(*sys.argv[1:])

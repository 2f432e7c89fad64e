#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes FP8 copies of a BF16 model by compressed-tensors: one scale for each row, and one for each
matrix, as its presets FP8_DYNAMIC and FP8 have it.

usage: make_fp8.py MODEL FOLDER     writes FOLDER/channel and FOLDER/tensor
"""

import sys
from pathlib import Path

from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
from compressed_tensors.quantization.utils.helpers import calculate_qparams
from safetensors.torch import load_file, save_file

PRESETS = {"channel": "FP8_DYNAMIC", "tensor": "FP8"}


def quantized(weight, preset):
    scheme = preset_name_to_scheme(preset, ["Linear"])
    by_row = preset == PRESETS["channel"]
    least = weight.amin(1, keepdim=True) if by_row else weight.min().reshape(1)
    most = weight.amax(1, keepdim=True) if by_row else weight.max().reshape(1)
    scale, _ = calculate_qparams(least, most, scheme.weights)
    compressor = BaseCompressor.get_value_from_registry("float-quantized")
    return compressor.compress({"weight": weight, "weight_scale": scale}, scheme)


def is_linear(name, tensor):
    return name.endswith(".weight") and tensor.dim() == 2 and "embedding" not in name


def main(arguments):
    source, folder = map(Path, arguments)
    tensors = load_file(source / "model.safetensors")
    for name, preset in PRESETS.items():
        copy = {}
        for key, tensor in tensors.items():
            if not is_linear(key, tensor):
                copy[key] = tensor
                continue
            module = key.removesuffix("weight")
            for part, content in quantized(tensor, preset).items():
                if content is not None:
                    copy[module + part] = content.contiguous()
        (folder / name).mkdir(parents=True)
        save_file(copy, folder / name / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main(sys.argv[1:])

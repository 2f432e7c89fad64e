#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes copies of a BF16 model in formats that servers load, by the libraries that define them and
without calibration.

usage: make_twins.py MODEL NAME[,NAME…] FOLDER     writes FOLDER/NAME for each of these of TWINS
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import bitsandbytes as bnb
import mlx.core as mx
import numpy as np
import optimum.quanto
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.format import infer_module_format
from compressed_tensors.quantization.quant_args import QuantizationArgs
from compressed_tensors.quantization.quant_scheme import QuantizationScheme, preset_name_to_scheme
from compressed_tensors.quantization.utils.helpers import calculate_qparams, generate_gparam
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
from transformers import FineGrainedFP8Config
from transformers.integrations.finegrained_fp8 import Fp8Quantize

LEAST_SIDE = 64  # Of a matrix that is quantized.


def llm_int8(weight):
    codes, scales, _ = bnb.functional.int8_vectorwise_quant(weight.to(torch.float16))
    return {"weight": codes, "SCB": scales, "weight_format": torch.zeros((), dtype=torch.uint8)}


def four_bits(quant_type, double):
    def quantized(weight):
        rows, columns = weight.shape
        options = {"quant_type": quant_type, "compress_statistics": double}
        layer = bnb.nn.Linear4bit(columns, rows, bias=False, **options)
        layer.weight = bnb.nn.Params4bit(weight.clone(), requires_grad=False, **options)
        return layer.to("cpu").state_dict()

    return quantized


def strategy_of(arguments):
    return getattr(arguments.strategy, "value", arguments.strategy)


def extremes(weight, arguments):
    """The least and the greatest weight of each group."""
    strategy = strategy_of(arguments)
    if strategy == "tensor":
        return weight.min().reshape(1), weight.max().reshape(1)
    if strategy == "channel":
        return weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    if strategy == "block":
        height, width = arguments.block_structure
        rows, columns = -(-weight.shape[0] // height), -(-weight.shape[1] // width)
        padded = weight.new_zeros(rows * height, columns * width)
        padded[: weight.shape[0], : weight.shape[1]] = weight
        blocks = padded.reshape(rows, height, columns, width)
        return blocks.amin((1, 3)), blocks.amax((1, 3))
    groups = weight.reshape(weight.shape[0], -1, arguments.group_size)
    return groups.amin(2), groups.amax(2)


def with_zeros(**arguments):
    """Codes of eight bits with zero points, of which there is no preset."""
    weights = QuantizationArgs(num_bits=8, type="int", symmetric=False, **arguments)
    activations = None
    if arguments["strategy"] == "channel":
        activations = QuantizationArgs(num_bits=8, type="int", strategy="token", dynamic=True)
    return QuantizationScheme(targets=["Linear"], weights=weights, input_activations=activations)


def compressed(scheme):
    """As compressed-tensors has it, by a preset's name or a scheme. A tensor is left alone where
    that does not fit it."""
    if isinstance(scheme, str):
        scheme = preset_name_to_scheme(scheme, ["Linear"])
    form = infer_module_format(torch.nn.Linear, scheme)
    compressor = BaseCompressor.get_value_from_registry(getattr(form, "value", form))

    def quantized(weight):
        size = scheme.weights.group_size
        if size and size > 0 and weight.shape[1] % size:
            return {"weight": weight}
        parts = {"weight": weight}
        if strategy_of(scheme.weights) == "tensor_group":
            parts["weight_global_scale"] = generate_gparam(weight.min(), weight.max())
        least, most = extremes(weight, scheme.weights)
        scale, zero = calculate_qparams(
            least, most, scheme.weights, global_scale=parts.get("weight_global_scale")
        )
        parts["weight_scale"] = scale
        if not scheme.weights.symmetric:
            parts["weight_zero_point"] = zero
        return compressor.compress(parts, scheme)

    return quantized


def fine_grained(weight):
    """As the FP8 of transformers (and DeepSeek's layout) has it: blocks of 128 by 128."""
    quantizer = Fp8Quantize(SimpleNamespace(quantization_config=FineGrainedFP8Config()))
    return {k.removeprefix("x."): v for k, v in quantizer._quantize_one("x.weight", weight).items()}


def torchao(config):
    """As its flattening for safetensors names the parts."""

    def quantized(weight):
        model = torch.nn.Sequential(torch.nn.Linear(*weight.shape[::-1], bias=False))
        model[0].weight = torch.nn.Parameter(weight.clone())
        quantize_(model, config)
        flat, _ = flatten_tensor_state_dict(model.state_dict())
        return {name.removeprefix("0."): tensor for name, tensor in flat.items()}

    return quantized


def quanto(kind):
    def quantized(weight):
        model = torch.nn.Sequential(torch.nn.Linear(*weight.shape[::-1], bias=False))
        model[0].weight = torch.nn.Parameter(weight.clone())
        optimum.quanto.quantize(model, weights=kind)
        optimum.quanto.freeze(model)
        return {k.removeprefix("0."): v for k, v in model.state_dict().items()}

    return quantized


def mlx(bits, group_size=64):
    """Rows that are no multiple of the group are left alone."""

    def quantized(weight):
        if weight.shape[1] % group_size:
            return {"weight": weight}
        array = mx.array(weight.float().numpy()).astype(mx.bfloat16)
        words, scales, biases = mx.quantize(array, group_size=group_size, bits=bits)
        parts = {"scales": scales, "biases": biases}
        back = {k: torch.from_numpy(np.array(v.astype(mx.float32))) for k, v in parts.items()}
        back = {k: v.to(torch.bfloat16) for k, v in back.items()}
        return {"weight": torch.from_numpy(np.array(words))} | back

    return quantized


TWINS = {
    "llm-int8": llm_int8,
    "nf4": four_bits("nf4", False),
    "nf4-double": four_bits("nf4", True),
    "fp4": four_bits("fp4", False),
    "fp8-tensor": compressed("FP8"),
    "fp8-channel": compressed("FP8_DYNAMIC"),
    "fp8-block": compressed("FP8_BLOCK"),
    "fp8-fine-grained": fine_grained,
    "w8a8": compressed("W8A8"),
    "w4a16": compressed("W4A16"),
    "w4a16-asym": compressed("W4A16_ASYM"),
    "w8a16": compressed("W8A16"),
    "w8a8-asym": compressed(with_zeros(strategy="channel")),
    "w8a16-asym": compressed(with_zeros(strategy="group", group_size=128)),
    "nvfp4": compressed("NVFP4A16"),
    "mxfp8": compressed("MXFP8A16"),
    "mxfp4": compressed("MXFP4A16"),
    "torchao-int8": torchao(Int8WeightOnlyConfig(version=2)),
    "torchao-fp8": torchao(Float8WeightOnlyConfig()),
    "quanto-int8": quanto(optimum.quanto.qint8),
    "quanto-fp8": quanto(optimum.quanto.qfloat8_e4m3fn),
} | {f"mlx-{bits}": mlx(bits) for bits in (2, 3, 4, 5, 6, 8)}


def is_linear(name, tensor):
    return (
        name.endswith(".weight")
        and tensor.dim() == 2
        and "embedding" not in name
        and min(tensor.shape) >= LEAST_SIDE
    )


def main(arguments):
    source, folder = Path(arguments[0]), Path(arguments[2])
    tensors = load_file(source / "model.safetensors")
    for name in arguments[1].split(","):
        copy = {}
        for key, tensor in tensors.items():
            if not is_linear(key, tensor):
                copy[key] = tensor
                continue
            module = key.removesuffix("weight")
            for part, content in TWINS[name](tensor).items():
                if content is not None:
                    copy[module + part] = content.contiguous().clone()
        (folder / name).mkdir(parents=True)
        save_file(copy, folder / name / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main(sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""Copies of small models in formats that round weights to a grid, by docs/format-grids.md."""

import sys
from pathlib import Path

import numpy as np
from golden_models import Tensor, bf16

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reference"))
import grid_rules  # noqa: E402
from grid_params import Groups  # noqa: E402

# Of the layout: the first of two codes in the low bits, in the high ones, or both turned.
LOW_FIRST, HIGH_FIRST, OFFSET = range(3)


def rounded(weights, number, groups):
    """Codes, scales as patterns, zero points or biases, and the global scale."""
    rule = grid_rules.RULES[number]
    values = grid_rules.weights_of(bf16(weights).reshape(-1), "BF16", rule)
    of = groups.of(np.arange(values.size))
    extremes = grid_rules.extremes_of(values, of)
    one = np.float32(1)
    most = np.abs(values).max()
    global_scale = {10: np.float32(448 * 6) / most, 17: most / np.float32(448 * 6)}.get(number, one)
    scales, zeros = grid_rules.scales_of(rule, "BF16", extremes, global_scale)
    factors = grid_rules.factors_of(rule, "BF16", scales, global_scale, extremes)
    codes = rule.codes(grid_rules.scaled(rule, "BF16", values, factors[of], zeros[of]))
    return codes & ((1 << rule.bits) - 1), scales, zeros, global_scale


def nibbles(codes, layout):
    if layout == OFFSET:
        codes = codes ^ 8
    first, second = (codes[1::2], codes[::2]) if layout == HIGH_FIRST else (codes[::2], codes[1::2])
    return (first | second << 4).astype(np.uint8)


def by_rows(weights):
    return Groups(1, weights.shape[1], weights.shape[1])


def of_all(weights):
    return Groups(*weights.shape, weights.shape[1])


def in_blocks(weights):
    return Groups(128, min(128, weights.shape[1]), weights.shape[1])


def fp8(weights, groups, shape):
    codes, scales, _, _ = rounded(weights, 5, groups)
    return {
        "weight": Tensor("F8_E4M3", weights.shape, codes.astype(np.uint8)),
        "weight_scale": Tensor("BF16", shape, scales.astype("<u2")),
    }


def fp8_f32(weights, number):
    """FP8 by row with scales of 32 bits."""
    codes, scales, _, _ = rounded(weights, number, by_rows(weights))
    return {
        "weight": Tensor("F8_E4M3", weights.shape, codes.astype(np.uint8)),
        "weight_scale": Tensor("F32", [len(scales), 1], scales.astype("<u4")),
    }


def torchao_int8(weights):
    codes, scales, _, _ = rounded(weights, 13, by_rows(weights))
    return {
        "_weight_qdata": Tensor("I8", weights.shape, codes.astype(np.uint8)),
        "_weight_scale": Tensor("F32", [len(scales), 1], scales.astype("<u4")),
    }


def quanto_int8(weights):
    codes, scales, _, _ = rounded(weights, 12, by_rows(weights))
    return {
        "weight._data": Tensor("I8", weights.shape, codes.astype(np.uint8)),
        "weight._scale": Tensor("BF16", [len(scales), 1], scales.astype("<u2")),
    }


def mlx(weights, bits):
    number = {2: 18, 3: 19, 4: 20, 5: 21, 6: 22, 8: 23}[bits]
    rows, columns = weights.shape
    codes, scales, biases, _ = rounded(weights, number, Groups(1, 64, columns))
    fields = codes[:, None] >> np.arange(bits) & 1
    packed = np.packbits(fields.astype(np.uint8).reshape(-1), bitorder="little")
    shape = [rows, columns // 64]
    return {
        "weight": Tensor("U32", [rows, columns * bits // 32], packed),
        "scales": Tensor("BF16", shape, scales.astype("<u2")),
        "biases": Tensor("BF16", shape, bf16(biases)),
    }


def modelopt_nvfp4(weights):
    rows, columns = weights.shape
    codes, scales, _, global_scale = rounded(weights, 17, Groups(1, 16, columns))
    return {
        "weight": Tensor("U8", [rows, columns // 2], nibbles(codes, LOW_FIRST)),
        "weight_scale": Tensor("F8_E4M3", [rows, columns // 16], scales.astype(np.uint8)),
        "weight_scale_2": Tensor("F32", [], np.array([global_scale], "<f4")),
    }


def mxfp8(weights):
    rows, columns = weights.shape
    codes, scales, _, _ = rounded(weights, 24, Groups(1, 32, columns))
    return {
        "weight": Tensor("F8_E4M3", weights.shape, codes.astype(np.uint8)),
        "weight_scale": Tensor("U8", [rows, columns // 32], scales.astype(np.uint8)),
    }


def fine_grained(weights):
    groups = in_blocks(weights)
    codes, scales, _, _ = rounded(weights, 6, groups)
    shape = [-(-weights.shape[0] // 128), groups.per_row]
    return {
        "weight": Tensor("F8_E4M3", weights.shape, codes.astype(np.uint8)),
        "weight_scale_inv": Tensor("F32", shape, scales.astype("<u4")),
    }


def int8(weights):
    codes, scales, _, _ = rounded(weights, 7, by_rows(weights))
    return {
        "weight": Tensor("I8", weights.shape, codes.astype(np.uint8)),
        "weight_scale": Tensor("BF16", [len(scales), 1], scales.astype("<u2")),
    }


def int4(weights, width, has_zeros):
    rows, columns = weights.shape
    per_row = columns // width
    codes, scales, zeros, _ = rounded(weights, 9 if has_zeros else 8, Groups(1, width, columns))
    packed = nibbles(codes, OFFSET)
    twin = {
        "weight_packed": Tensor("I32", [rows, columns // 8], packed),
        "weight_scale": Tensor("BF16", [rows, per_row], scales.astype("<u2")),
    }
    if has_zeros:
        fields = (zeros + 8).reshape(rows // 8, 8, per_row)
        words = (fields << (4 * np.arange(8)[:, None])).sum(axis=1)
        twin["weight_zero_point"] = Tensor("I32", words.shape, words.astype("<u4"))
    return twin


def int8_with_zeros(weights, width=None):
    """Zero points in words, in groups of `width`; else in bytes, one a row."""
    rows, columns = weights.shape
    number, groups = (26, by_rows(weights)) if width is None else (25, Groups(1, width, columns))
    codes, scales, zeros, _ = rounded(weights, number, groups)
    shape = [rows, groups.per_row]
    if width is None:
        return {
            "weight": Tensor("I8", weights.shape, codes.astype(np.uint8)),
            "weight_scale": Tensor("BF16", shape, scales.astype("<u2")),
            "weight_zero_point": Tensor("I8", shape, zeros.astype(np.int8)),
        }
    fields = (zeros + 128).reshape(rows // 4, 4, groups.per_row)
    words = (fields << (8 * np.arange(4)[:, None])).sum(axis=1)
    return {
        "weight_packed": Tensor("I32", [rows, columns // 4], (codes ^ 128).astype(np.uint8)),
        "weight_scale": Tensor("BF16", shape, scales.astype("<u2")),
        "weight_zero_point": Tensor("I32", words.shape, words.astype("<u4")),
    }


def moved(random, codes, share, low, high):
    """Some codes are chosen otherwise, as by a tool that calibrates."""
    moves = random.choice([-1, 0, 1], codes.shape, p=[share / 2, 1 - share, share / 2])
    signed = np.where(codes > high, codes - (high - low + 1), codes)
    return np.clip(signed + moves, low, high)


def near_int4(random, weights, width, has_zeros, order=None):
    """int4 of which some codes are moved; `order` tells which inputs share groups."""
    rows, columns = weights.shape
    order = np.arange(columns) if order is None else order
    codes, scales, zeros, _ = rounded(
        weights[:, order], 9 if has_zeros else 8, Groups(1, width, columns)
    )
    codes = moved(random, codes, 0.1, -8, 7).reshape(rows, columns)
    own = np.empty_like(codes)
    own[:, order] = codes
    twin = int4(weights, width, has_zeros)
    twin["weight_packed"].data = nibbles(own.reshape(-1) & 15, OFFSET).tobytes()
    twin["weight_scale"].data = scales.astype("<u2").tobytes()
    if (order != np.arange(columns)).any():
        groups = np.empty(columns, "<u4")
        groups[order] = np.arange(columns) // width
        twin["weight_g_idx"] = Tensor("I32", [columns], groups)
    return twin


def near_int8(random, weights):
    twin = int8(weights)
    codes = np.frombuffer(twin["weight"].data, np.uint8).astype(np.int64)
    twin["weight"].data = moved(random, codes, 0.02, -128, 127).astype(np.int8).tobytes()
    return twin


def awq(weights, group):
    """The layout of AutoAWQ, in F16."""
    values = weights.astype(np.float16)
    outputs, inputs = values.shape
    groups = values.reshape(outputs, -1, group)
    size = np.maximum(groups.max(2) - groups.min(2), np.float16(1e-5))
    scales = (size / np.float16(15)).astype(np.float16)
    zeros = np.clip(-np.rint(groups.min(2) / scales), 0, 15)
    codes = np.clip(np.rint(groups / scales[:, :, None]) + zeros[:, :, None], 0, 15)

    def words(integers):
        fields = integers.astype(np.int64).reshape(len(integers), -1, 8)
        places = fields[:, :, [0, 2, 4, 6, 1, 3, 5, 7]] << (4 * np.arange(8))
        return places.sum(axis=2).astype("<u4")

    return {
        "qweight": Tensor("I32", [inputs, outputs // 8], words(codes.reshape(outputs, inputs).T)),
        "qzeros": Tensor("I32", [inputs // group, outputs // 8], words(zeros.T)),
        "scales": Tensor("F16", [inputs // group, outputs], scales.T),
    }


def four_bits(weights, name):
    codes, scales, _, _ = rounded(weights, {"nf4": 3, "fp4": 4}[name], Groups(1, 64, weights.size))
    packed = nibbles(codes, HIGH_FIRST)
    return {
        "weight": Tensor("U8", [packed.size, 1], packed),
        "weight.absmax": Tensor("F32", [scales.size], scales.astype("<u4")),
        f"weight.quant_state.bitsandbytes__{name}": Tensor("U8", [9], b'{"a":"b"}'),
    }


def nested(weights):
    """NF4 with double quantization; the map is made up."""
    twin = four_bits(weights, "nf4")
    absmax = np.frombuffer(twin["weight.absmax"].data, "<f4")
    offset = absmax.mean(dtype=np.float64).astype(np.float32)
    of = np.arange(absmax.size) // 256
    outer = np.array([np.abs(absmax - offset)[of == i].max() for i in range(of[-1] + 1)], "<f4")
    numbers = np.linspace(-1, 1, 256, dtype="<f4")
    steps = (numbers[:-1] + numbers[1:]) / np.float32(2)
    codes = np.searchsorted(steps, (absmax - offset) * (np.float32(1) / outer[of]))
    state = b'{"nested_blocksize": 256, "nested_offset": %.17g}' % offset
    return {
        "weight": twin["weight"],
        "weight.absmax": Tensor("U8", codes.shape, codes.astype(np.uint8)),
        "weight.nested_absmax": Tensor("F32", outer.shape, outer),
        "weight.nested_quant_map": Tensor("F32", [256], numbers),
        "weight.quant_state.bitsandbytes__nf4": Tensor("U8", [len(state)], state),
    }


def nvfp4(weights):
    rows, columns = weights.shape
    codes, scales, _, global_scale = rounded(weights, 10, Groups(1, 16, columns))
    return {
        "weight_packed": Tensor("U8", [rows, columns // 2], nibbles(codes, LOW_FIRST)),
        "weight_scale": Tensor("F8_E4M3", [rows, columns // 16], scales.astype(np.uint8)),
        "weight_global_scale": Tensor("F32", [1], np.array([global_scale], "<f4")),
    }


def mxfp4(weights):
    rows, columns = weights.shape
    codes, scales, _, _ = rounded(weights, 11, Groups(1, 32, columns))
    return {
        "weight_packed": Tensor("U8", [rows, columns // 2], nibbles(codes, LOW_FIRST)),
        "weight_scale": Tensor("U8", [rows, columns // 32], scales.astype(np.uint8)),
    }


def value_of(codes, rule, factors):
    numbers = [grid_rules.number_of(grid_rules.RULES[rule], code) for code in range(256)]
    return np.array(numbers, np.float32)[codes] * factors


def native_fp8(weights):
    """FP8 as models are released in, and BF16 that is its exact dequantization."""
    twin = fine_grained(weights)
    codes = np.frombuffer(twin["weight"].data, np.uint8)
    scales = np.frombuffer(twin["weight_scale_inv"].data, "<f4")
    factors = scales[in_blocks(weights).of(np.arange(codes.size))]
    return twin, Tensor("BF16", weights.shape, bf16(value_of(codes, 6, factors)))


def native_mxfp4(weights):
    twin = mxfp4(weights)
    packed = np.frombuffer(twin["weight_packed"].data, np.uint8)
    codes = np.stack([packed & 15, packed >> 4], 1).reshape(-1)
    exponents = np.frombuffer(twin["weight_scale"].data, np.uint8).astype(np.float32) - 127
    factors = np.exp2(exponents).astype(np.float32)
    groups = Groups(1, 32, weights.shape[1]).of(np.arange(codes.size))
    return twin, Tensor("BF16", weights.shape, bf16(value_of(codes, 11, factors[groups])))


def experts(random, count, inputs, outputs):
    """Experts by the names of gpt-oss, and BF16 with inputs and outputs exchanged."""
    codes = random.integers(0, 16, (count, outputs, inputs))
    scales = random.integers(110, 130, (count, outputs, inputs // 32)).astype(np.uint8)
    factors = np.exp2(scales.astype(np.float32) - 127).repeat(32, axis=2)
    values = value_of(codes, 11, factors.astype(np.float32))
    native = {
        "experts_blocks": Tensor("U8", [*scales.shape, 16], nibbles(codes.reshape(-1), LOW_FIRST)),
        "experts_scales": Tensor("U8", scales.shape, scales),
    }
    return native, Tensor("BF16", [count, inputs, outputs], bf16(values.transpose(0, 2, 1)))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes inputs of chunk_round_trip_fuzz whose parents explain the chunk, as chunk_fuzz.h has them.

usage: make_chunk_corpus.py      those that exist are never touched
"""

import struct
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus" / "chunk_round_trip"
sys.path.insert(0, str(HERE.parent / "golden"))
import golden_grids as grids  # noqa: E402
import golden_models as models  # noqa: E402

sys.path.insert(0, str(HERE.parent / "reference"))
from ggml_made import make_blocks  # noqa: E402
from records import BLOCKS  # noqa: E402

BALANCED = 1
U8 = 0  # The type that a case asks for first; schemes here choose their own.
GPTQ, GPTQ_INTEGERS, CODES, SCALES, WEIGHTS, VALUES = 3, 4, 5, 6, 7, 8
GPTQ_CODES, AWQ_CODES, NEAR, EXPERTS, CAST, GGML, DELTA = 10, 11, 12, 13, 14, 15, 16
FIRST_BLOCKS = 8  # As a case asks for types: block types come behind plain ones.
BITS = {4: 0, 8: 1, 2: 2, 3: 3}
F16_SCALES = 0


def numbers(*values):
    return struct.pack(f"<{len(values)}I", *values)


def small_numbers(data):
    """Content that the target takes number by number: of few words, each a row of its own."""
    return numbers(*(word % 5 for word in np.frombuffer(data, "<u4")))


def sides(twin):
    zeros = twin["qzeros"].data
    zeros = small_numbers(zeros) if len(zeros) <= 512 else zeros
    return twin["scales"].data + zeros


def gptq_floats(random, bits):
    value = models.weights(random, 32, 64)
    twin = models.gptq_twin(random, value, bits, 32, order=None, less_one=True, groups=False)
    front = numbers(BALANCED, U8, GPTQ, 1, 0, BITS[bits], F16_SCALES, 0, 0, 0)
    raw = models.tensor("BF16", value).data[: 2 * 64 * 29]
    return front + twin["qweight"].data + sides(twin) + raw


def gptq_integers(random):
    value = models.weights(random, 32, 64)
    kinds = {"order": None, "less_one": True, "groups": False}
    low, high = (models.gptq_twin(random, value, bits, 32, **kinds) for bits in (4, 8))
    front = numbers(BALANCED, U8, GPTQ_INTEGERS, 1, 0, BITS[4], F16_SCALES, 0, 0)
    front += numbers(BITS[8], F16_SCALES, 0)
    words, raw = low["qweight"].data, high["qweight"].data
    return front + words[: len(words) // 2] + sides(low) + sides(high) + raw[: len(raw) // 2]


def grid(random, scheme, rule, flags, kinds):
    """16 rows of 64 weights and their twin, of which the parts named are parents and child."""
    columns, width = 64, {10: 16, 11: 32}.get(rule, 64)
    value = models.weights(random, 16, columns)
    twin = {
        3: lambda v: grids.four_bits(v, "nf4"),
        5: lambda v: grids.fp8(v, grids.by_rows(v), [16, 1]),
        9: lambda v: grids.int4(v, 64, True),
        10: grids.nvfp4,
        11: grids.mxfp4,
    }[rule](value)
    codes, *others = (t.data for t in twin.values())
    parts = {"weights": models.tensor("BF16", value).data, "codes": codes}
    parts |= {"scales": others[0], "last": others[-1]}
    layout = {3: 1, 9: 2}.get(rule, 0)
    # Groups of a row each, 2 times 8 rows, in one chunk; codes are words where they are of int4.
    front = numbers(BALANCED, U8, scheme, 0, rule - 1, layout, flags, 1, columns // 8 - 1, 0)
    front += numbers(width - 1, 1, 1 if rule == 9 else 0)
    return front + b"".join(parts[kind] for kind in kinds)


def by_input(random, scheme):
    """32 outputs of 64 inputs in two groups, the first 32 of the inputs being a chunk."""
    value = models.weights(random, 32, 64)
    weights = models.tensor("BF16", value).data
    if scheme == AWQ_CODES:
        twin = grids.awq(value * np.linspace(0.5, 2, 64, dtype=np.float32), 32)
        front = numbers(BALANCED, U8, scheme, 1, 0, 0, 0, F16_SCALES, 0)
    else:
        kinds = {"order": None, "less_one": True, "groups": False}
        twin = models.gptq_twin(random, value, 4, 32, **kinds)
        front = numbers(BALANCED, U8, scheme, 1, 0, BITS[4], 0, 0, F16_SCALES, 0)
    raw = twin["qweight"].data
    return front + weights + sides(twin) + raw[: len(raw) // 2]


def near(random, has_zeros):
    """16 rows of 64 weights in words of int4, the first half a chunk."""
    value = models.weights(random, 16, 64)
    twin = grids.near_int4(random, value, 64, has_zeros)
    front = numbers(BALANCED, U8, NEAR, 1 if has_zeros else 0, 0, 1, 1, 7, 63, 0, 0, 0, 0)
    zeros = twin["weight_zero_point"].data if has_zeros else b""
    raw = twin["weight_packed"].data
    parents = models.tensor("BF16", value).data[: 2 * 8 * 64] + twin["weight_scale"].data + zeros
    return front + parents + raw[: len(raw) // 2]


def experts(random):
    """2 experts of 64 inputs and 8 outputs, cut within a row."""
    native, plain = grids.experts(random, 2, 64, 8)
    front = numbers(BALANCED, U8, EXPERTS, 1, 1, 7, 499, 1)
    return front + b"".join(t.data for t in native.values()) + plain.data[1000:2000]


def cast_codes(random):
    """300 bytes of codes, in chunks of 200."""
    codes = random.integers(0, 256, 200).astype(np.uint8)
    low, high = codes & 15, codes >> 4
    kept = np.where(low == 8, 0, low) | np.where(high == 8, 0, high) << 4
    return numbers(BALANCED, U8, CAST, 0, 149, 199, 0) + codes.tobytes() + bytes(kept.tolist())


def cast_scales(random):
    """300 scales in chunks of 201, the second of which begins within a block of MXFP4."""
    scales = random.integers(110, 126, 50).astype(np.uint8)
    kept = (scales.repeat(2)[1:] - 127 + 9 + 7) << 3
    front = numbers(BALANCED, U8, CAST, 1, 149, 200, 1, 49)
    unit = np.float32(2.0**-9).tobytes()
    return front + scales.tobytes() + unit + kept.astype(np.uint8).tobytes()


def ggml(random, name, parent, is_made, parts=0, matrices=1, half=0, turned=False, calls=0):
    """4 rows of 256 weights for each matrix, in one chunk; `parts` have importance each, or all of
    them, divided by `calls`."""
    weights = models.weights(random, 4 * matrices, 256)
    content = models.tensor(parent, weights)
    values = models.bf16_values(models.bf16(weights)) if parent == "BF16" else weights
    importance, sides = None, b""
    if parts:
        importance = random.lognormal(0, 1, 256).astype(np.float32)
        sides = importance.tobytes() * parts + np.ones(parts, np.float32).tobytes()
    if calls:
        importance = random.lognormal(0, 1, 256).astype(np.float32)
        sides = importance.tobytes() + numbers(calls)
        importance /= np.float32(calls)
    if half:
        values = values.reshape(-1, 2, half, 256).swapaxes(1, 2).reshape(-1, 256)
    kind = FIRST_BLOCKS + list(BLOCKS).index(name)
    front = numbers(BALANCED, kind, GGML, ("BF16", "F16", "F32").index(parent), 0, int(is_made))
    front += numbers(int(parts > 0 or calls > 0)) if is_made else b""
    if turned:
        content = models.tensor(parent, np.ascontiguousarray(weights.T))
    front += numbers(2 if turned else 1, 0, matrices - 1, *([half] if matrices == 1 else []))
    front += numbers(4 * matrices - 1, 0, 3, *([parts - 1] if parts else [2] if calls else []))
    return front + content.data + sides + make_blocks(name, values, importance).tobytes()


def delta(random, kind, rows):
    """12 rows of 100 weights in one chunk, given as many or other ones of the tensor tuned."""
    base = models.weights(random, rows, 100)
    value = models.weights(random, 12, 100)
    shared = min(rows, 12)
    moved = (0.0002 * random.standard_normal((shared, 100))).astype(np.float32)
    value[:shared] = base[:shared] + moved
    dtype = ("BF16", "F16", "F32").index(kind)
    front = numbers(BALANCED, U8, DELTA, dtype, 99, 11, 11, 0)
    front += numbers(0) if rows == 12 else numbers(1, rows - 1, 3)
    given = models.tensor(kind, base[:shared]).data
    return front + given + models.tensor(kind, value).data


CASES = {
    "delta_bf16": lambda random: delta(random, "BF16", 12),
    "delta_f16_grown": lambda random: delta(random, "F16", 9),
    "delta_f32_less": lambda random: delta(random, "F32", 12),
    "q8_0_bf16": lambda random: ggml(random, "Q8_0", "BF16", True),
    "q8_0_bf16_heads": lambda random: ggml(random, "Q8_0", "BF16", True, half=2),
    "q4_k_bf16": lambda random: ggml(random, "Q4_K", "BF16", False),
    "q4_k_bf16_transposed": lambda random: ggml(random, "Q4_K", "BF16", False, turned=True),
    "q8_0_f32_transposed": lambda random: ggml(random, "Q8_0", "F32", True, turned=True),
    "q4_k_importance": lambda random: ggml(random, "Q4_K", "BF16", True, parts=1),
    "q4_k_calls": lambda random: ggml(random, "Q4_K", "BF16", True, calls=3),
    "iq4_nl_f32": lambda random: ggml(random, "IQ4_NL", "F32", False),
    "q6_k_matrices": lambda random: ggml(random, "Q6_K", "BF16", True, matrices=3),
    "bf16_gptq_4": lambda random: gptq_floats(random, 4),
    "bf16_gptq_8": lambda random: gptq_floats(random, 8),
    "gptq_8_given_4": gptq_integers,
    "fp8_bf16": lambda random: grid(random, CODES, 5, 1, ("weights", "scales", "codes")),
    "fp8_bf16_alone": lambda random: grid(random, CODES, 5, 0, ("weights", "codes")),
    "nf4_bf16": lambda random: grid(random, CODES, 3, 0, ("weights", "codes")),
    "int4_bf16": lambda random: grid(random, CODES, 9, 3, ("weights", "scales", "last", "codes")),
    "nvfp4_bf16": lambda random: grid(random, CODES, 10, 0, ("weights", "last", "codes")),
    "nvfp4_scales": lambda random: grid(random, SCALES, 10, 1, ("weights", "last", "scales")),
    "int4_zeros": lambda random: grid(random, SCALES, 9, 2, ("weights", "last")),
    "bf16_fp8": lambda random: grid(random, WEIGHTS, 5, 1, ("codes", "scales", "weights")),
    "gptq_4_bf16": lambda random: by_input(random, GPTQ_CODES),
    "awq_bf16": lambda random: by_input(random, AWQ_CODES),
    "near_bf16": lambda random: near(random, False),
    "near_zeros_bf16": lambda random: near(random, True),
    "experts": experts,
    "cast_codes": cast_codes,
    "cast_scales": cast_scales,
    "mxfp4_values": lambda random: grid(random, VALUES, 11, 1, ("codes", "scales", "weights")),
}


def main():
    for name, make in CASES.items():
        if not (CORPUS / name).exists():
            (CORPUS / name).write_bytes(make(np.random.Generator(np.random.PCG64(20))))


if __name__ == "__main__":
    main()

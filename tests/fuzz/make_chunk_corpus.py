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
import golden_models as models  # noqa: E402

BALANCED = 1
U8 = 0  # The type that a case asks for first; schemes here choose their own.
GPTQ, GPTQ_INTEGERS, FP8, FP8_CODES = 3, 4, 5, 6
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


def fp8(random, scheme, by_row):
    rows, columns = 12, 100
    value = models.weights(random, rows, columns)
    twin = models.fp8_twin(value, by_row)
    weights = models.tensor("BF16", value).data
    codes, scales = twin["weight"].data, twin["weight_scale"].data
    front = numbers(BALANCED, U8, scheme, columns - 1, rows, 0, 1 if by_row else 0)
    parent, raw = (codes, weights) if scheme == FP8 else (weights, codes)
    return front + parent + scales + raw


CASES = {
    "bf16_gptq_4": lambda random: gptq_floats(random, 4),
    "bf16_gptq_8": lambda random: gptq_floats(random, 8),
    "gptq_8_given_4": gptq_integers,
    "bf16_fp8_rows": lambda random: fp8(random, FP8, True),
    "bf16_fp8_matrix": lambda random: fp8(random, FP8, False),
    "fp8_bf16_rows": lambda random: fp8(random, FP8_CODES, True),
    "fp8_bf16_matrix": lambda random: fp8(random, FP8_CODES, False),
}


def main():
    for name, make in CASES.items():
        if not (CORPUS / name).exists():
            (CORPUS / name).write_bytes(make(np.random.Generator(np.random.PCG64(20))))


if __name__ == "__main__":
    main()

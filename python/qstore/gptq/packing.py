# SPDX-License-Identifier: Apache-2.0
"""Integers of 2, 3, 4 or 8 bits in words of 32, as GPTQ checkpoints hold them.

Source: AutoGPTQ and GPTQModel, `pack` of their linear layers. The integers along the packed
dimension are one stream of bits, the lowest first; it is cut into words of 32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qstore.errors import InvalidArgumentError


def values_per_run(bits: int) -> int:
    """How many integers fill whole words: the packed dimension is a multiple of it."""
    return 32 if bits == 3 else 32 // bits


def pack_rows(integers: Tensor, bits: int) -> Tensor:
    """Packs uint8 [rows, columns] along the rows: int32 [rows * bits / 32, columns].

    Raises InvalidArgumentError when the rows do not fill whole words.
    """
    rows, columns = integers.shape
    run = values_per_run(bits)
    if rows % run:
        raise InvalidArgumentError(f"{rows} is no multiple of {run}, as {bits} bits need")
    words = run * bits // 32
    runs = integers.view(rows // run, run, columns)
    packed = torch.zeros(rows // run, words, columns, dtype=torch.int64)
    for i in range(run):
        word, shift = divmod(i * bits, 32)
        value = runs[:, i].long() << shift
        packed[:, word] |= value & 0xFFFFFFFF
        if shift + bits > 32:
            packed[:, word + 1] |= value >> 32
    return _to_int32(packed).view(rows // run * words, columns)


def unpack_rows(packed: Tensor, bits: int) -> Tensor:
    """The uint8 [rows, columns] that `pack_rows` was given."""
    run = values_per_run(bits)
    words = run * bits // 32
    runs = (packed.long() & 0xFFFFFFFF).view(-1, words, packed.shape[1])
    integers = torch.empty(runs.shape[0], run, packed.shape[1], dtype=torch.uint8)
    for i in range(run):
        word, shift = divmod(i * bits, 32)
        value = runs[:, word] >> shift
        if shift + bits > 32:
            value = value | (runs[:, word + 1] << (32 - shift))
        integers[:, i] = (value & (2**bits - 1)).to(torch.uint8)
    return integers.view(-1, packed.shape[1])


def pack_zeros(zeros: Tensor, bits: int) -> Tensor:
    """Packs uint8 zeros [groups, out], none of them 0, to int32 [groups, out * bits / 32].

    Version 1 of the format: what is stored is one less.
    """
    return pack_rows((zeros - 1).T.contiguous(), bits).T.contiguous()


def unpack_zeros(packed: Tensor, bits: int) -> Tensor:
    """The uint8 [groups, out] that `pack_zeros` was given."""
    return unpack_rows(packed.T.contiguous(), bits).T.contiguous() + 1


def _to_int32(words: Tensor) -> Tensor:
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)

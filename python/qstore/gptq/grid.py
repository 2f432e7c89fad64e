# SPDX-License-Identifier: Apache-2.0
"""Scales and zeros of groups of weights, and rounding to them.

Source: the quantizer of Frantar et al. 2022 as AutoGPTQ and GPTQModel have it. Scales are rounded
to F16, as they are stored, before anything is rounded with them, so that what is compensated is the
error of the checkpoint itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from qstore.gptq.options import Scheme

SMALLEST_SCALE = 2.0**-24  # The smallest positive F16.
LARGEST_SCALE = 65504.0


class Grid(NamedTuple):
    """One group: F32 scales [out] that F16 holds exactly, F32 zeros [out] that are integers."""

    scale: Tensor
    zero: Tensor


def find_grid(weights: Tensor, scheme: Scheme) -> Grid:
    """The grid that spans F32 weights [channels, out], each of the `out` rows by itself.

    Symmetric: from -max|w| to max|w|, with the middle integer as zero. Else: from the smallest to
    the largest weight, 0 always included. The integer 0 is never a zero, since version 1 of the
    format stores zeros less one, and its readers disagree about -1.
    """
    low = weights.amin(0).clamp(max=0)
    high = weights.amax(0).clamp(min=0)
    if scheme.symmetric:
        reach = torch.maximum(-low, high)
        zero = torch.full_like(reach, (scheme.largest + 1) // 2)
        return Grid(_storable(2 * reach / scheme.largest), zero)
    scale = _storable((high - low) / scheme.largest)
    zero = torch.round(-low / scale).clamp(0, scheme.largest)
    above = zero == 0
    scale = torch.where(above, _storable(high / (scheme.largest - 1)), scale)
    return Grid(scale, zero.masked_fill(above, 1))


def _storable(scale: Tensor) -> Tensor:
    scale = scale.clamp(SMALLEST_SCALE, LARGEST_SCALE)
    return scale.half().float()


def round_to(weights: Tensor, grid: Grid, largest: int) -> Tensor:
    """F32 integers 0..largest of the shape of `weights`, whose last dimension is `out`."""
    return torch.round(weights / grid.scale).add_(grid.zero).clamp_(0, largest)


def value_of(integers: Tensor, grid: Grid) -> Tensor:
    """The F32 weights that these integers stand for."""
    return (integers - grid.zero) * grid.scale

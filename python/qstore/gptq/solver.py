# SPDX-License-Identifier: Apache-2.0
"""GPTQ: rounds a matrix channel by channel, each error made good by the channels behind it.

Source: Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization for
Generative Pre-trained Transformers", 2022, algorithm 1. Matrices are kept transposed, [in, out], so
that a channel is one run of memory and the integers come out as checkpoints store them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qstore.errors import InvalidArgumentError
from qstore.gptq.grid import Grid, find_grid, round_to, value_of
from qstore.gptq.options import Scheme

BLOCK = 128
DAMP_STEPS = 8  # Each twice the one before.


class Hessian:
    """The mean of x xᵀ over the inputs x of a linear layer: F32 [in, in]."""

    def __init__(self, columns: int):
        self.matrix = torch.zeros(columns, columns)
        self.count = 0

    def add(self, inputs: Tensor) -> None:
        """Inputs of any leading dimensions, the last being `in`."""
        rows = inputs.reshape(-1, inputs.shape[-1]).float()
        total = self.count + rows.shape[0]
        self.matrix *= self.count / total
        self.matrix.addmm_(rows.T, rows, alpha=1 / total)
        self.count = total


@dataclass(frozen=True)
class Quantized:
    """uint8 integers [in, out], F16 scales and uint8 zeros [groups, out], int32 group index [in].

    `error` is |W X - Q X| / |W X| over the calibration inputs, the damping included.
    """

    integers: Tensor
    scales: Tensor
    zeros: Tensor
    group_index: Tensor
    error: float

    def weights(self) -> Tensor:
        """F32 [out, in]: what a reader of the checkpoint computes."""
        index = self.group_index.long()
        steps = self.integers.float() - self.zeros[index].float()
        return (steps * self.scales[index].float()).T.contiguous()


@dataclass(frozen=True)
class Factor:
    """What the channels of one input need, in the order in which they are rounded.

    `upper` is U of H⁻¹ = UᵀU, H being `hessian` with its damping.
    """

    order: Tensor
    hessian: Tensor
    upper: Tensor
    dead: Tensor


def factorize(hessian: Tensor, scheme: Scheme) -> Factor:
    """Of the F32 Hessian [in, in], which may serve several matrices of the same input.

    Channels that were never active have no say: their weights are taken as 0.
    Raises InvalidArgumentError when no damping makes it positive definite.
    """
    diagonal = hessian.diagonal()
    if not torch.isfinite(diagonal).all():
        raise InvalidArgumentError("the calibration inputs are not finite")
    dead = diagonal == 0
    order = torch.arange(len(diagonal))
    if scheme.act_order:
        order = torch.argsort(diagonal, descending=True, stable=True)
    ordered = hessian[order][:, order]
    ordered.diagonal()[dead[order]] = 1
    damp = scheme.damp * ordered.diagonal().mean()
    for step in range(DAMP_STEPS):
        damped = ordered.clone()
        damped.diagonal().add_(damp * 2**step)
        upper = _inverse_factor(damped)
        if upper is not None:
            return Factor(order, damped, upper, dead)
    raise InvalidArgumentError("the Hessian is not positive definite; give a larger damp")


def _inverse_factor(matrix: Tensor) -> Tensor | None:
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return None
    upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
    return None if failed or not torch.isfinite(upper).all() else upper


def quantize_matrix(weight: Tensor, factor: Factor, scheme: Scheme) -> Quantized:
    """Rounds a finite float weight [out, in]."""
    original = weight.float().T.contiguous()
    original[factor.dead] = 0
    rest = original[factor.order]
    energy = (rest * (factor.hessian @ rest)).sum().item()
    solver = _Solver(rest, original, factor, scheme)
    loss = solver.run()
    integers = torch.empty(original.shape, dtype=torch.uint8)
    integers[factor.order] = solver.integers
    return Quantized(
        integers,
        torch.stack([grid.scale for grid in solver.grids]).half(),
        torch.stack([grid.zero for grid in solver.grids]).to(torch.uint8),
        solver.group_index(),
        math.sqrt(loss / energy) if energy > 0 else 0.0,
    )


class _Solver:
    """The channels of `rest` [in, out] from first to last; `original` in the order of the file."""

    def __init__(self, rest: Tensor, original: Tensor, factor: Factor, scheme: Scheme):
        self.rest = rest
        self.factor = factor
        self.scheme = scheme
        self.size = len(rest) if scheme.group_size == -1 else scheme.group_size
        self.integers = torch.empty(rest.shape, dtype=torch.uint8)
        self.grids: list[Grid] = []
        if scheme.static_groups:
            self.grids = [find_grid(group, scheme) for group in original.split(self.size)]

    def group_index(self) -> Tensor:
        """int32 [in], in the order of the file."""
        groups = torch.arange(len(self.rest), dtype=torch.int32) // self.size
        if self.scheme.static_groups:
            return groups
        index = torch.empty_like(groups)
        index[self.factor.order] = groups
        return index

    def run(self) -> float:
        """Rounds everything; returns the sum of the squared errors in the norm of the Hessian."""
        loss = 0.0
        for start in range(0, len(self.rest), BLOCK):
            end = min(start + BLOCK, len(self.rest))
            errors = self._round_block(start, end)
            loss += errors.double().square().sum().item()
            self.rest[end:].addmm_(self.factor.upper[start:end, end:].T, errors, alpha=-1)
        return loss

    def _round_block(self, start: int, end: int) -> Tensor:
        """Rounds some channels; their errors F32 [channels, out], each over its diagonal."""
        block = self.rest[start:end]
        upper = self.factor.upper[start:end, start:end]
        errors = torch.empty_like(block)
        for i, diagonal in enumerate(upper.diagonal().tolist()):
            grid = self._grid(start + i)
            rounded = round_to(block[i], grid, self.scheme.largest)
            self.integers[start + i] = rounded.to(torch.uint8)
            torch.sub(block[i], value_of(rounded, grid), out=errors[i])
            errors[i] /= diagonal
            if i + 1 < len(block):
                block[i + 1 :].addr_(upper[i, i + 1 :], errors[i], alpha=-1)
        return errors

    def _grid(self, position: int) -> Grid:
        if self.scheme.static_groups:
            return self.grids[int(self.factor.order[position]) // self.size]
        if position % self.size == 0:
            self.grids.append(find_grid(self.rest[position : position + self.size], self.scheme))
        return self.grids[position // self.size]

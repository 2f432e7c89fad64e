# SPDX-License-Identifier: Apache-2.0
"""Layers as GPTQ checkpoints hold them, but rounded to nearest, which takes no time."""

import numpy as np
import torch


def pack_inputs(integers, bits):
    """Integers [in, out] to words [in * bits / 32, out], the lowest input in the lowest bits."""
    inputs, outputs = integers.shape
    planes = (integers[:, None, :].astype(np.uint8) >> np.arange(bits)[None, :, None]) & 1
    planes = planes.reshape(inputs * bits // 32, 32, outputs).astype(np.uint32)
    words = (planes << np.arange(32, dtype=np.uint32)[None, :, None]).sum(1, dtype=np.uint32)
    return torch.from_numpy(words.view(np.int32).copy())


def quantize(weight, bits, group_size, error=0.0, seed=0):
    """A level of a weight [out, in]: integers [in, out] as numpy and its tensors by suffix.

    `error` shifts weights before they are rounded, in steps, as the feedback of GPTQ does.
    """
    w = weight.float().numpy().T
    inputs, outputs = w.shape
    groups = inputs // group_size
    half = 1 << (bits - 1)
    by_group = w.reshape(groups, group_size, outputs)
    scales = (2 * np.abs(by_group).max(1) / (2 * half - 1)).astype(np.float16)
    steps = w / np.repeat(scales, group_size, 0).astype(np.float32)
    steps += np.random.default_rng(seed).normal(0, error, w.shape) if error else 0
    integers = np.clip(np.rint(steps) + half, 0, 2 * half - 1).astype(np.uint8)
    zeros = np.full((outputs, groups), half - 1, np.uint8)
    tensors = {
        "qweight": pack_inputs(integers, bits),
        "qzeros": pack_inputs(zeros, bits).T.contiguous(),
        "scales": torch.from_numpy(scales).contiguous(),
        "g_idx": torch.arange(inputs, dtype=torch.int32) // group_size,
    }
    return integers, scales, tensors

# SPDX-License-Identifier: Apache-2.0
"""Small models made from a seed, with the twin that the LLM.int8() rule gives."""

import numpy as np
import torch
from safetensors.torch import save_file


def llm_weights(rows, columns, seed, dtype=torch.bfloat16):
    """N(0,1) · 0.02 · exp(0.25·N(0,1)) a row · exp(0.1·N(0,1)) a column."""
    random = np.random.default_rng(seed)
    w = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
    w *= np.exp(0.25 * random.standard_normal((rows, 1))).astype(np.float32)
    w *= np.exp(0.1 * random.standard_normal((1, columns))).astype(np.float32)
    return torch.from_numpy(w).to(dtype)


def related_weights(rows, columns, seed, dtype=torch.bfloat16):
    """Rows that mostly follow from few others: level max models them, and loads them slowly."""
    random = np.random.default_rng(seed)
    few = random.standard_normal((rows, 16), dtype=np.float32)
    w = few @ random.standard_normal((16, columns), dtype=np.float32)
    w += np.float32(0.2) * random.standard_normal((rows, columns), dtype=np.float32)
    return torch.from_numpy(w * np.float32(0.01)).to(dtype)


def int8_twin(weights):
    """q and SCB of each row; a row is everything behind the first dimension."""
    if weights.numel() == 0:
        return weights.to(torch.int8), torch.zeros(weights.shape[0])
    rows = weights.to(torch.float16).reshape(weights.shape[0], -1).float()
    absmax = rows.abs().amax(1)
    q = torch.nan_to_num(torch.round(rows * (127 / absmax)[:, None]), 0, 0, 0)
    return q.to(torch.int8).reshape(weights.shape), absmax


def twin_of(tensors):
    """The LLM.int8() checkpoint of a model: every `.weight` of two or more dimensions quantized."""
    low = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.dim() >= 2:
            module = name.removesuffix(".weight")
            low[name], low[f"{module}.SCB"] = int8_twin(tensor)
            low[f"{module}.weight_format"] = torch.zeros((), dtype=torch.uint8)
        else:
            low[name] = tensor
    return low


def save(tensors, folder):
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def save_pair(tensors, folder, low=None):
    high = save(tensors, folder / "high")
    return high, save(low if low is not None else twin_of(tensors), folder / "low")

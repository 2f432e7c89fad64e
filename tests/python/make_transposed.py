#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a GPT-2, whose checkpoints have matrices transposed, and its files for llama.cpp.

usage: make_transposed.py MODEL FOLDER    MODEL is all-MiniLM-L6-v2 in BF16, whose weights these are

FOLDER/hf/          a GPT2LMHeadModel by save_pretrained, BF16
FOLDER/NAME.gguf    of it, for each of TYPES; Q4_K-weighted.gguf by the importance of imatrix.gguf
"""

import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from make_ladders import CHUNKS, add_blocks, write_importance
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

WIDTH = 768
TRANSPOSED = {
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
OTHERS = {"ln_1": "attn_norm", "ln_2": "ffn_norm"}
TOP = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
TYPES = ("BF16", "F16", "Q8_0", "Q4_K")


def make_model(source):
    """Matrices of the source one after another, cut into those of a GPT-2, as rows of outputs."""
    matrices = [t.reshape(-1) for name, t in source.items() if "encoder" in name and t.dim() == 2]
    stream, at = torch.cat(matrices), 0
    config = GPT2Config(n_layer=1, n_embd=WIDTH, n_head=12, vocab_size=1000, n_positions=64)
    config.n_inner = 2 * WIDTH
    model = GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if parameter.dim() != 2:
            continue
        weights = stream[at : at + parameter.numel()].float()
        at += parameter.numel()
        is_transposed = any(f"{part}.weight" in name for part in TRANSPOSED)
        shape = parameter.shape[::-1] if is_transposed else parameter.shape
        weights = weights.reshape(shape)
        parameter.data = (weights.T if is_transposed else weights).contiguous()
    return model.to(torch.bfloat16)


def tensors_of(folder):
    """By the names of GGUF, as llama.cpp's converter turns them."""
    found = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        *path, kind = name.removeprefix("transformer.").split(".")
        weights = tensor.float().numpy()
        if path[0] != "h":
            found[f"{TOP[path[0]]}.{kind}"] = weights
            continue
        part = ".".join(path[2:])
        if part in TRANSPOSED and kind == "weight":
            weights = weights.T
        found[f"blk.{path[1]}.{(TRANSPOSED | OTHERS)[part]}.{kind}"] = np.ascontiguousarray(weights)
    return found


def write(path, tensors, kind, importance=None):
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_name(path.stem)
    writer.add_block_count(1)
    for name, weights in tensors.items():
        if weights.ndim == 1 or name.startswith("position"):
            writer.add_tensor(name, weights)
        elif kind == Type.F16:
            writer.add_tensor(name, weights.astype(np.float16))
        else:
            add_blocks(writer, name, weights, kind, importance)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(arguments):
    source, folder = Path(arguments[0]), Path(arguments[1])
    make_model(load_file(source / "model.safetensors")).save_pretrained(folder / "hf")
    tensors = tensors_of(folder / "hf")
    for kind in TYPES:
        write(folder / f"{kind}.gguf", tensors, Type[kind])
    random = np.random.default_rng(3)
    importance = {
        name: (random.lognormal(0, 1, weights.shape[1]) * CHUNKS).astype(np.float32)
        for name, weights in tensors.items()
        if weights.ndim == 2 and "embd" not in name
    }
    write_importance(folder / "imatrix.gguf", importance)
    write(folder / "Q4_K-weighted.gguf", tensors, Type.Q4_K, importance)


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the files that one model is released in for llama.cpp, their blocks by ggml itself.

usage: make_ladders.py MODEL FOLDER    MODEL is all-MiniLM-L6-v2 in BF16, whose weights these are

FOLDER/hf/                 a model named like a Llama, BF16
FOLDER/tuned/              the same after some steps of training, as it were
FOLDER/{bf16,f16}.gguf     of it
FOLDER/NAME.gguf           for each of TYPES; tuned-Q4_K.gguf of the other one; vocabulary.gguf
FOLDER/weighted/NAME.gguf  of those that heed importance, with it: imatrix.gguf
"""

import sys
from pathlib import Path

import gguf
import libgguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import load_file, save_file

LAYERS = 1
COLUMNS = 768  # A multiple of 256, as blocks of K types have so many weights.
HEADS = 3
TOKENS = 2000
MATRICES = {
    "self_attn.q_proj": ("attn_q", "attention.self.query"),
    "self_attn.k_proj": ("attn_k", "attention.self.key"),
    "self_attn.v_proj": ("attn_v", "attention.self.value"),
    "self_attn.o_proj": ("attn_output", "attention.output.dense"),
    "mlp.up_proj": ("ffn_up", "intermediate.dense"),
    "mlp.down_proj": ("ffn_down", "output.dense"),
}
NORMS = {
    "input_layernorm": ("attn_norm", "attention.output.LayerNorm"),
    "post_attention_layernorm": ("ffn_norm", "output.LayerNorm"),
}
WEIGHTED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q3_K", "Q2_K", "IQ4_NL")
TYPES = (*WEIGHTED, "IQ4_XS", "Q8_0", "MXFP4")
CHUNKS = 17  # Of text that importance was measured on.


def make_model(source):
    """By the names of checkpoints, and of GGUF."""
    model, names = {}, {}
    for layer in range(LAYERS):
        for title, (short, own) in {**MATRICES, **NORMS}.items():
            weights = source[f"encoder.layer.{layer}.{own}.weight"]
            name = f"model.layers.{layer}.{title}.weight"
            model[name] = weights.reshape(-1, COLUMNS) if weights.dim() == 2 else weights
            names[name] = f"blk.{layer}.{short}.weight"
    embeddings = source["embeddings.word_embeddings.weight"]
    model["model.embed_tokens.weight"] = embeddings[: 2 * TOKENS].reshape(-1, COLUMNS)
    names["model.embed_tokens.weight"] = "token_embd.weight"
    return {name: tensor.contiguous() for name, tensor in model.items()}, names


def permuted(weights):
    """Rows of heads, as rotations are applied to pairs of neighbours there."""
    rows = len(weights)
    return weights.reshape(HEADS, 2, rows // HEADS // 2, -1).swapaxes(1, 2).reshape(rows, -1)


def write(path, model, names, kind, importance=None):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    tokens = [f"token{number}" for number in range(TOKENS)]
    writer.add_token_list(tokens)
    writer.add_token_merges([f"{a} {b}" for a, b in zip(tokens, tokens[1:], strict=False)])
    for title, tensor in model.items():
        name = names[title]
        weights = tensor.float().numpy()
        if ".attn_q." in name or ".attn_k." in name:
            weights = permuted(weights)
        if weights.ndim == 1:
            writer.add_tensor(name, weights)
        elif kind == Type.F16:
            writer.add_tensor(name, weights.astype(np.float16))
        else:
            add_blocks(writer, name, np.ascontiguousarray(weights), kind, importance)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_blocks(writer, name, weights, kind, importance):
    rows, columns = weights.shape
    if kind == Type.BF16:
        blocks = (weights.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    else:
        options = {}
        if importance is not None and name in importance:
            options["imatrix"] = importance[name] / np.float32(CHUNKS)
        raw = libgguf.quantize_rows_raw(int(kind), weights, rows, columns, **options)
        blocks = np.frombuffer(raw, np.uint8).reshape(rows, -1)
    writer.add_tensor(name, blocks, raw_dtype=kind)


def write_importance(path, importance):
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["text"])
    writer.add_uint32("imatrix.chunk_count", CHUNKS)
    for name, sums in importance.items():
        writer.add_tensor(f"{name}.in_sum2", sums.reshape(1, -1))
        writer.add_tensor(f"{name}.counts", np.full((1, 1), CHUNKS, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tuned_of(model):
    """Weights that moved by some of their last bits."""
    torch.manual_seed(2)
    moved = {}
    for name, tensor in model.items():
        step = torch.randn(tensor.shape) * 0.002 * tensor.float().std()
        moved[name] = (tensor.float() + step).to(torch.bfloat16)
    return moved


def main(arguments):
    source, folder = Path(arguments[0]), Path(arguments[1])
    model, names = make_model(load_file(source / "model.safetensors"))
    tuned = tuned_of(model)
    for name, tensors in (("hf", model), ("tuned", tuned)):
        (folder / name).mkdir(parents=True)
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
    (folder / "weighted").mkdir()
    random = np.random.default_rng(3)
    importance = {
        name: (random.lognormal(0, 1, COLUMNS) * CHUNKS).astype(np.float32)
        for title, name in names.items()
        if model[title].dim() == 2 and "embd" not in name
    }
    write_importance(folder / "weighted" / "imatrix.gguf", importance)
    for kind in ("BF16", "F16", *TYPES):
        write(folder / f"{kind}.gguf", model, names, Type[kind])
    for kind in WEIGHTED:
        write(folder / "weighted" / f"{kind}.gguf", model, names, Type[kind], importance)
    write(folder / "tuned-Q4_K.gguf", tuned, names, Type.Q4_K)
    write(folder / "vocabulary.gguf", {}, names, Type.F16)


if __name__ == "__main__":
    main(sys.argv[1:])

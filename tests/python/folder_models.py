# SPDX-License-Identifier: Apache-2.0
"""Small GGUF models written by the package gguf: 16-bit weights, and quants of them."""

import gguf
import models
import numpy as np
from gguf import GGMLQuantizationType as Type

VOCABULARY = [f"token {i * 7919}" for i in range(4000)] + ["Größe", "", "\n"]


def weights(blocks=2, width=512):
    """Tensors by their names in a Llama, rounded to BF16, as float32. Of the matrices one is large,
    and some have experts."""
    made = {"token_embd.weight": (8192, width), "output_norm.weight": (width,)}
    for b in range(blocks):
        made[f"blk.{b}.attn_norm.weight"] = (width,)
        made[f"blk.{b}.attn_output.weight"] = (width, width)
        made[f"blk.{b}.ffn_down_exps.weight"] = (4, width, 2 * width)
    tensors = {}
    for seed, (name, shape) in enumerate(made.items()):
        rows = int(np.prod(shape[:-1]))
        tensors[name] = models.llm_weights(rows, shape[-1], seed).float().numpy().reshape(shape)
    return tensors


def write(path, tensors, kind, **options):
    """Matrices as blocks of that type; what has one dimension as F32. Returns what was written: by
    name the type, and the blocks as uint8 [..., row bytes]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_array("tokenizer.ggml.tokens", VOCABULARY)
    writer.add_array("tokenizer.ggml.scores", [-0.5 * i for i in range(len(VOCABULARY))])
    writer.add_int64("test.negative", -5)
    written = {}
    for name, tensor in tensors.items():
        used = Type.F32 if tensor.ndim == 1 else kind
        blocks = gguf.quants.quantize(tensor, used)
        writer.add_tensor(name, blocks, raw_dtype=used)
        written[name] = used, blocks.view(np.uint8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written

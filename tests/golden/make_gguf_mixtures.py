#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes gguf_mixtures.txt: the types that llama-quantize gives to tensors of some models.

usage: make_gguf_mixtures.py

llama-cpp-python, which has llama.cpp in it, quantizes each model with small tensors. The file:

  type LETTER NAME                                    a type, by its name in include/qstore/dtype.h
  model NAME ARCHITECTURE LAYERS EXPERTS HEADS KV_HEADS
  tensor NAME DIMENSIONS                              of the model above, the outermost first; F32
  types TARGET OPTIONS LETTERS                        the type of each tensor, or - for an error

OPTIONS are letters of runs that have the same result: - without options, i importance is given, p
pure, l output.weight is left alone, o the type of output.weight is Q8_0, e that of the embedding is
Q4_0.
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from llama_cpp import llama_cpp as raw

TARGETS = [
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q8_0",
    "Q2_K",
    "Q2_K_S",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "IQ4_NL",
    "IQ4_XS",
    "MXFP4_MOE",
    "TQ1_0",
    "TQ2_0",
    "F16",
    "BF16",
]
OTHERS = ("Q4_K_M", "MXFP4_MOE", "F16")  # With further options.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

NEVER = [
    "blk.0.ffn_gate_inp.weight",
    "blk.0.altup_x.weight",
    "blk.0.laurel_l.weight",
    "per_layer_model_proj.weight",
    "position_embd.weight",
    "token_types.weight",
    "blk.0.ssm_conv1d.weight",
    "blk.0.shortconv.conv.weight",
    "blk.0.indexer.k_proj.weight",
    "blk.0.indexer.q_proj.weight",
    "blk.0.time_mix_first.weight",
    "blk.0.time_mix_w0.weight",
    "blk.0.time_mix_w1.weight",
    "blk.0.time_mix_w2.weight",
    "blk.0.time_mix_v0.weight",
    "blk.0.time_mix_v1.weight",
    "blk.0.time_mix_v2.weight",
    "blk.0.time_mix_a0.weight",
    "blk.0.time_mix_a1.weight",
    "blk.0.time_mix_a2.weight",
    "blk.0.time_mix_g1.weight",
    "blk.0.time_mix_g2.weight",
    "blk.0.time_mix_decay_w1.weight",
    "blk.0.time_mix_decay_w2.weight",
    "blk.0.time_mix_lerp_fused.weight",
    "blk.0.attn_rel_b.weight",
    "v.position_embd.weight",
    "v.sam.pos_embd.weight",
    "v.sam.neck.0.weight",
    "v.sam.net_2.weight",
    "v.blk.0.rel_pos.weight",
    "v.patch_embd.weight",
    "v.patch_merger.weight",
    "a.rvq.codebook.weight",
    "mm.a.code_embd.weight",
    "blk.1.attn_q_norm.weight",
    "blk.1.attn_q.bias",
    "blk.0.ffn_gate_tid2eid.weight",
]


def attention(layer):
    return [f"blk.{layer}.attn_{part}.weight" for part in ("q", "k", "v", "output")]


def dense(layer):
    return [f"blk.{layer}.ffn_{part}.weight" for part in ("gate", "up", "down")]


def rows(names, shape=(2, 256)):
    return {name: shape for name in names}


def layers_of(count, *parts):
    names = [name for layer in range(count) for part in parts for name in part(layer)]
    return rows(["token_embd.weight", "output.weight", *names])


def qkv(layer):
    parts = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
    return [f"blk.{layer}.{part}.weight" for part in parts]


def experts(layer, count):
    return {f"blk.{layer}.ffn_{part}_exps.weight": (count, 2, 256) for part in ("up", "down")}


def without(tensors, name):
    return {key: shape for key, shape in tensors.items() if key != name}


def models():
    """Of each: name, architecture, layers, experts, heads, heads of keys, tensors."""
    yield "dense", "llama", 17, 0, 4, 4, layers_of(17, attention, dense)
    yield "tied", "llama", 9, 0, 8, 2, without(layers_of(9, attention, dense), "output.weight")
    eight = layers_of(9, attention)
    for layer in range(9):
        eight |= experts(layer, 8)
    yield "eight", "llama", 9, 8, 8, 2, eight
    four = layers_of(8, attention)
    for layer in range(8):
        four |= experts(layer, 4)
    yield "four", "llama", 8, 4, 4, 2, four
    split = rows([f"blk.{layer}.ffn_down.{e}.weight" for layer in range(8) for e in range(2)])
    yield "split", "llama", 8, 2, 4, 4, layers_of(2, attention) | split
    yield "falcon", "falcon", 33, 0, 4, 1, layers_of(33, qkv)
    large = rows(
        [f"blk.{i}.{part}.weight" for i in range(0, 80, 7) for part in ("attn_v", "ffn_down")]
    )
    yield "70b", "llama", 80, 0, 8, 4, large
    yield "65b", "llama", 80, 0, 8, 8, large
    yield "qwen-70b", "qwen2", 80, 0, 8, 4, large
    odd = [f"blk.0.{part}.weight" for part in ("attn_v", "ffn_down", "attn_q", "attn_output")]
    yield "of-32", "llama", 4, 0, 4, 4, rows(["token_embd.weight", "output.weight", *odd], (2, 96))
    thin = rows(odd, (2, 48)) | {"blk.0.ffn_up_exps.weight": (2, 2, 48)}
    yield "of-16", "llama", 4, 0, 4, 4, thin
    special = {"abcde": (2, 256), "flat.weight": (1, 256), "one.weight": (1, 2, 256)}
    special |= {"per_layer_token_embd.weight": (2, 256), "token_embd.weight": (2, 256)}
    yield "names", "llama", 2, 0, 4, 4, rows([*NEVER, "output.weight"]) | special
    order = [
        "blk.10.attn_v.weight",
        "blk.9.attn_v.weight",
        "blk.9x.attn_v.weight",
        "b.attn_v.weight",
    ]
    yield "order", "llama", 11, 0, 4, 4, rows([*order, "zz.attn_v.weight", "blk.x.attn_v.weight"])


def write(path, architecture, layers, experts_count, heads, kv_heads, tensors):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_block_count(layers)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(256)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    if experts_count:
        writer.add_expert_count(experts_count)
        writer.add_expert_used_count(1)
    writer.add_tokenizer_model("none")
    for name, shape in tensors.items():
        writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def importance(tensors, keep):
    """An entry of ones for each tensor, as llama.cpp wants them; `keep` keeps them alive."""
    entries = (raw.llama_model_imatrix_data * (len(tensors) + 1))()
    for entry, (name, shape) in zip(entries, tensors.items(), strict=False):
        ones = np.ones(shape[-1] * (shape[0] if len(shape) == 3 else 1), np.float32)
        keep += [ones, name.encode()]
        entry.name = keep[-1]
        entry.data = ones.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = ones.size
    return entries


def quantized(source, target, options, tensors):
    """The types that come out, or None."""
    made = source.with_name("made.gguf")
    number = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + target)
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = number
    params.nthread = 1
    params.pure = "p" in options
    params.quantize_output_tensor = "l" not in options
    if "o" in options:
        params.output_tensor_type = int(gguf.GGMLQuantizationType.Q8_0)
    if "e" in options:
        params.token_embedding_type = int(gguf.GGMLQuantizationType.Q4_0)
    keep = []
    if "i" in options:
        keep.append(importance(tensors, keep))
        params.imatrix = keep[-1]
    failed = llama_cpp.llama_model_quantize(
        os.fsencode(source), os.fsencode(made), ctypes.byref(params)
    )
    if failed:
        return None
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(made).tensors}


def runs():
    for target in TARGETS:
        if target != "Q2_K_S":  # Fails without importance, whatever its mixture.
            yield target, "-"
        yield target, "i"
    for target in OTHERS:
        for options in "ploe":
            yield target, options


def main(argv):
    if len(argv) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    letters, lines = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, *facts, tensors in models():
            source = Path(folder) / "model.gguf"
            write(source, *facts, tensors)
            lines.append(f"model {name} {' '.join(map(str, facts))}")
            results = [(*run, quantized(source, *run, tensors)) for run in runs()]
            order = list(next(types for _, _, types in results if types))
            shapes = {tensor: "x".join(map(str, tensors[tensor])) for tensor in order}
            lines += [f"tensor {tensor} {shapes[tensor]}" for tensor in order]
            words = {}
            for target, option, types in results:
                word = "-" if types is None else ""
                for tensor in order if types else ():
                    word += letters.setdefault(types[tensor], LETTERS[len(letters)])
                words[target, word] = words.get((target, word), "") + option
            lines += [f"types {target} {same} {word}" for (target, word), same in words.items()]
    head = [f"type {letter} {name}" for name, letter in letters.items()]
    file = Path(__file__).resolve().parent / "gguf_mixtures.txt"
    file.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

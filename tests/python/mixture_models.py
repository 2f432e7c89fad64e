# SPDX-License-Identifier: Apache-2.0
"""Small GGUF models, importance for them, and what llama.cpp makes of both."""

import ctypes
import os

import gguf
import numpy as np

CHUNKS = 5
DATASET = "text.txt"
TARGETS = [
    "q4_0",
    "q4_1",
    "q5_0",
    "q5_1",
    "q8_0",
    "q2_k",
    "q3_k_s",
    "q3_k_m",
    "q3_k_l",
    "q4_k_s",
    "q4_k_m",
    "q5_k_s",
    "q5_k_m",
    "q6_k",
    "iq4_nl",
    "iq4_xs",
    "mxfp4_moe",
    "tq1_0",
    "tq2_0",
    "f16",
    "f32",
]


def shapes_of(layers, width, experts, tied):
    shapes = {"token_embd.weight": (64, width), "output_norm.weight": (width,)}
    if not tied:
        shapes["output.weight"] = (64, width)
    for layer in range(layers):
        block = f"blk.{layer}"
        shapes[f"{block}.attn_norm.weight"] = (width,)
        for part, rows in (("q", width), ("k", 64), ("v", 64), ("output", width)):
            shapes[f"{block}.attn_{part}.weight"] = (rows, width)
        for part, shape in (("gate", (96, width)), ("up", (96, width)), ("down", (width, 96))):
            name = f"{block}.ffn_{part}"
            shapes[f"{name}_exps.weight" if experts else f"{name}.weight"] = (
                (experts, *shape) if experts else shape
            )
    return shapes


def make_model(path, *, layers=4, width=256, experts=0, tied=False):
    """A Llama in BF16 with random weights, some of them outliers."""
    random = np.random.default_rng(layers + width)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_context_length(64)
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(96)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    writer.add_tokenizer_model("none")
    writer.add_token_list([f"token{i}" for i in range(64)])
    writer.add_bool("test.flag", True)
    for name, shape in shapes_of(layers, width, experts, tied).items():
        weights = random.standard_normal(shape).astype(np.float32)
        weights *= np.where(random.random(shape) < 0.01, 20, 0.05).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, weights)
            continue
        patterns = (weights.view(np.uint32) >> 16).astype(np.uint16)
        bf16 = gguf.GGMLQuantizationType.BF16
        writer.add_tensor(name, patterns.view(np.uint8), raw_dtype=bf16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make_importance(path, model):
    """A file as llama-imatrix writes it, and what it says: NAME to a row for each matrix."""
    random = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_array("imatrix.datasets", [DATASET])
    writer.add_uint32("imatrix.chunk_count", CHUNKS)
    writer.add_uint32("imatrix.chunk_size", 64)
    means = {}
    for tensor in gguf.GGUFReader(model).tensors:
        shape = [int(side) for side in tensor.shape]
        if len(shape) == 1 or "embd" in tensor.name:
            continue
        sums = random.lognormal(0, 1, (shape[2] if len(shape) == 3 else 1, shape[0]))
        counts = np.full((len(sums), 1), 64 * CHUNKS, np.float32)
        counts[1:2] = 0  # An expert that no text came to.
        means[tensor.name] = np.where(
            counts > 0, sums.astype(np.float32) / np.maximum(counts, 1), np.float32(1)
        )
        writer.add_tensor(f"{tensor.name}.in_sum2", sums.astype(np.float32))
        writer.add_tensor(f"{tensor.name}.counts", counts)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return means


def set_importance(params, path, means, library):
    """As llama-quantize does. Returns what must outlive the call."""
    entries = (library.llama_model_imatrix_data * (len(means) + 1))()
    keep = [entries]
    for entry, (name, values) in zip(entries, means.items(), strict=False):
        values = np.ascontiguousarray(values, np.float32)
        keep += [values, name.encode()]
        entry.name = keep[-1]
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = values.size
    facts = {
        "file": str(path),
        "dataset": DATASET,
        "entries_count": len(means),
        "chunks_count": CHUNKS,
    }
    overrides = (library.llama_model_kv_override * (len(facts) + 1))()
    for override, (key, value) in zip(overrides, facts.items(), strict=False):
        override.key = f"quantize.imatrix.{key}".encode()
        if isinstance(value, str):
            override.tag = library.LLAMA_KV_OVERRIDE_TYPE_STR
            override.value.val_str = value.encode()[:127]
        else:
            override.tag = library.LLAMA_KV_OVERRIDE_TYPE_INT
            override.value.val_i64 = value
    params.imatrix = entries
    params.kv_overrides = overrides
    return [*keep, overrides]


def llama_quantize(model, target, path, importance=None, means=None):
    """The same by llama-cpp-python."""
    from llama_cpp import llama_cpp as library  # noqa: PLC0415

    name = "ALL_F32" if target == "f32" else f"MOSTLY_{target.upper()}"
    params = library.llama_model_quantize_default_params()
    params.ftype = getattr(library, f"LLAMA_FTYPE_{name}")
    params.nthread = 2
    keep = set_importance(params, importance, means, library) if importance else []
    failed = library.llama_model_quantize(
        os.fsencode(model), os.fsencode(path), ctypes.byref(params)
    )
    assert not failed, target
    del keep
    return path

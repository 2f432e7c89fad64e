#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a ladder of GGUF files of a BF16 model, all their blocks by ggml's code (package libgguf).

usage: make_ggufs.py [--types q8_0,q4_k,…] [--importance] MODEL FOLDER

FOLDER/TYPE.gguf        every matrix of that type, or of what llama.cpp falls back to; q4_k_m mixes
FOLDER/imatrix.gguf     with --importance: what the columns were rounded by

Llamas have names, order of rows, values and vocabulary as llama.cpp's converter makes them, so
that it loads them; BERTs have its names. Other models become blk.N.ffn_up.
"""

import argparse
import json
import re
from pathlib import Path

import gguf
import libgguf
import numpy as np
from gguf import GGMLQuantizationType as Type

TYPES = (
    "bf16", "f16", "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k_m", "q4_k", "q4_1", "q4_0",
    "iq4_nl", "iq4_xs", "mxfp4", "q3_k", "q2_k",
)  # fmt: skip
# For rows that do not divide into blocks of 256.
FALLBACKS = {
    Type.Q6_K: Type.Q8_0,
    Type.Q5_K: Type.Q5_1,
    Type.Q4_K: Type.Q5_0,
    Type.IQ4_XS: Type.IQ4_NL,
    Type.Q3_K: Type.Q4_0,
    Type.Q2_K: Type.Q4_0,
}
FILE_TYPES = {"q4_k": "Q4_K_S", "q5_k": "Q5_K_S", "q3_k": "Q3_K_S", "mxfp4": "MXFP4_MOE"}
LLAMA = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
BERT = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
WHOLE = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
# An imatrix has counts: its sums are that many times the importance.
CHUNKS = 17


def read_bf16(path):
    """Name to uint16 of every tensor in BF16, in the order of the file."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] == "BF16":
            first, last = entry["data_offsets"]
            values = np.frombuffer(content[begin + first : begin + last], np.uint16)
            found[name] = values.reshape(entry["shape"])
    return found


def name_of(name):
    """What the converter calls it, or None for what it leaves out."""
    module, _, kind = name.rpartition(".")
    if module in WHOLE:
        return f"{WHOLE[module]}.{kind}"
    layer = re.search(r"(?:^|\.)layers?\.(\d+)\.(.+)$", module)
    if layer is None:
        return None
    part = {**LLAMA, **BERT}.get(layer[2], "ffn_up")
    return f"blk.{layer[1]}.{part}.{kind}"


def in_halves(rows, heads):
    """Rows of each head as llama.cpp rotates them: those of the two halves in turn."""
    split = rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Model:
    def __init__(self, folder, importance):
        self.folder = folder
        path = folder / "config.json"
        self.config = json.loads(path.read_text()) if path.is_file() else {}
        self.kind = "bert" if self.config.get("model_type") == "bert" else "llama"
        self.tensors = self.read()
        self.importance = {}
        if importance:
            random = np.random.default_rng(3)
            self.importance = {
                name: (random.lognormal(0, 1, bits.shape[1]) * CHUNKS).astype(np.float32)
                for name, bits in self.tensors.items()
                if bits.ndim == 2 and name.startswith("blk.")
            }

    def read(self):
        heads = self.config.get("num_attention_heads")
        rotated = {"attn_q": heads, "attn_k": self.config.get("num_key_value_heads", heads)}
        found = {}
        for title, bits in read_bf16(self.folder / "model.safetensors").items():
            name = name_of(title)
            part = name.split(".")[-2] if name else None
            if self.kind == "llama" and part in rotated:
                bits = in_halves(bits, rotated[part])
            if name:
                found[name] = np.ascontiguousarray(bits)
        return found

    def type_of(self, name, wanted):
        if wanted != "q4_k_m":
            return Type[wanted.upper()]
        if name == "output.weight":
            return Type.Q6_K
        more = any(f".{part}." in name for part in ("attn_v", "ffn_down"))
        return Type.Q6_K if more and self.has_more_bits(int(name.split(".")[1])) else Type.Q4_K

    def has_more_bits(self, layer):
        """Whether llama.cpp's mixes with _M give this layer more."""
        count = self.config["num_hidden_layers"]
        eighth = count // 8
        return layer < eighth or layer >= 7 * count // 8 or (layer - eighth) % 3 == 2

    def add_values(self, writer, wanted):
        writer.add_name(self.folder.name)
        file_type = FILE_TYPES.get(wanted, wanted.upper())
        writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{file_type}"])
        config = self.config
        if "num_attention_heads" not in config:
            return
        heads = config["num_attention_heads"]
        writer.add_context_length(config["max_position_embeddings"])
        writer.add_block_count(config["num_hidden_layers"])
        writer.add_embedding_length(config["hidden_size"])
        writer.add_feed_forward_length(config["intermediate_size"])
        writer.add_head_count(heads)
        writer.add_vocab_size(config["vocab_size"])
        if self.kind == "llama":
            writer.add_head_count_kv(config["num_key_value_heads"])
            writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
            writer.add_rope_dimension_count(config["hidden_size"] // heads)
            writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
        else:
            writer.add_layer_norm_eps(config["layer_norm_eps"])
        self.add_vocabulary(writer)

    def add_vocabulary(self, writer):
        tokenizer = json.loads((self.folder / "tokenizer.json").read_text(encoding="utf-8"))
        numbers = tokenizer["model"]["vocab"]
        special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
        tokens = sorted(numbers, key=numbers.get)
        kinds = [
            gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL
            for token in tokens
        ]
        writer.add_tokenizer_model("gpt2" if self.kind == "llama" else "bert")
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        if self.kind == "llama":
            merges = tokenizer["model"]["merges"]
            writer.add_tokenizer_pre("default")
            writer.add_token_merges(
                [pair if isinstance(pair, str) else " ".join(pair) for pair in merges]
            )
            writer.add_bos_token_id(self.config["bos_token_id"])
            writer.add_eos_token_id(self.config["eos_token_id"])

    def add_tensor(self, writer, name, bits, wanted):
        if bits.ndim != 2:
            writer.add_tensor(name, to_f32(bits))
            return
        kind = self.type_of(name, wanted)
        if bits.shape[1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = FALLBACKS[kind]
        if kind == Type.BF16:
            writer.add_tensor(name, bits.view(np.uint8), raw_dtype=kind)
        elif kind == Type.F16:
            writer.add_tensor(name, to_f32(bits).astype(np.float16))
        else:
            # In ggml too, Q8_0 is rounded without.
            sums = None if kind == Type.Q8_0 else self.importance.get(name)
            importance = None if sums is None else sums / np.float32(CHUNKS)
            blocks = libgguf.quantize_rows_raw(int(kind), to_f32(bits), *bits.shape, importance)
            rows = np.frombuffer(blocks, np.uint8).reshape(len(bits), -1)
            writer.add_tensor(name, rows, raw_dtype=kind)

    def write(self, path, wanted):
        writer = gguf.GGUFWriter(path, self.kind)
        self.add_values(writer, wanted)
        for name, bits in self.tensors.items():
            self.add_tensor(writer, name, bits, wanted)
        finish(writer)

    def write_importance(self, path):
        """As llama-imatrix does."""
        writer = gguf.GGUFWriter(path, "imatrix")
        writer.add_type("imatrix")
        writer.add_array("imatrix.datasets", ["calibration.txt"])
        writer.add_uint32("imatrix.chunk_count", CHUNKS)
        writer.add_uint32("imatrix.chunk_size", 1)
        for name, sums in self.importance.items():
            writer.add_tensor(f"{name}.in_sum2", sums.reshape(1, -1))
            writer.add_tensor(f"{name}.counts", np.full((1, 1), CHUNKS, np.float32))
        finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", default=",".join(TYPES), help="with commas between")
    parser.add_argument("--importance", action="store_true", help="round by a made-up imatrix")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="a new folder")
    arguments = parser.parse_args()
    model = Model(arguments.model, arguments.importance)
    arguments.folder.mkdir(parents=True)
    for wanted in arguments.types.split(","):
        model.write(arguments.folder / f"{wanted}.gguf", wanted)
    if arguments.importance:
        model.write_importance(arguments.folder / "imatrix.gguf")


if __name__ == "__main__":
    main()

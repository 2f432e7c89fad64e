# SPDX-License-Identifier: Apache-2.0
"""Small models of the Llama architecture with random weights, saved by transformers in shards."""

import torch
import transformers

CONFIG = {
    "hidden_size": 256,
    "intermediate_size": 640,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 2000,
    "max_position_embeddings": 128,
}


def save_pair(folder, shard="2MB", **changes):
    """folder/bf16 and folder/int8, what bitsandbytes makes of it; several files each."""
    torch.manual_seed(5)
    config = transformers.LlamaConfig(**CONFIG | changes)
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.generation_config.max_new_tokens = 7
    model.save_pretrained(folder / "bf16", max_shard_size=shard)
    del model
    low = transformers.AutoModelForCausalLM.from_pretrained(
        folder / "bf16",
        device_map="cpu",
        quantization_config=transformers.BitsAndBytesConfig(load_in_8bit=True),
    )
    low.save_pretrained(folder / "int8", max_shard_size=shard)
    assert len(list((folder / "int8").glob("*.safetensors"))) > 1

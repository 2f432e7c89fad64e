# SPDX-License-Identifier: Apache-2.0
"""Small decoders for the tests of GPTQ, and a reader of its checkpoints written apart."""

import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

TINY = {
    "vocab_size": 1024,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "sliding_window": 16,
}


def save_tiny(kind, folder, tokenizer, dtype=torch.bfloat16, **options):
    """A decoder of random weights, of the class kindForCausalLM."""
    torch.manual_seed(11)
    config = getattr(transformers, f"{kind}Config")(**TINY, tie_word_embeddings=False)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(4)  # Far enough from 0 for layers to matter.
    model.save_pretrained(folder, **options)
    for path in tokenizer.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


def unpack(words, bits):
    """Integers along the rows of int32 words: one stream of bits, the lowest first."""
    stream = words.numpy().astype("<u4").T.copy().view(np.uint8)
    each = np.unpackbits(stream, axis=1, bitorder="little").reshape(words.shape[1], -1, bits)
    return torch.from_numpy((each * (1 << np.arange(bits))).sum(2).T.copy())


def load_tensors(folder):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def dequantized(folder, bits):
    """The state of a GPTQ checkpoint of version 1, F32, as its formula gives it."""
    tensors = load_tensors(folder)
    state = {}
    for name, tensor in tensors.items():
        module, _, key = name.rpartition(".")
        if key == "qweight":
            index = tensors[f"{module}.g_idx"].long()
            zeros = unpack(tensors[f"{module}.qzeros"].T, bits).T[index] + 1
            scales = tensors[f"{module}.scales"][index].float()
            state[f"{module}.weight"] = ((unpack(tensor, bits) - zeros) * scales).T.float()
        elif key not in ("qzeros", "scales", "g_idx"):
            state[name] = tensor.float()
    return state


def load_model(folder, source, bits):
    """The model of a GPTQ checkpoint in F32, computing with what its integers stand for.

    transformers itself wants one more library for that, which asks for another torch.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    model.load_state_dict(dequantized(folder, bits))
    return model.eval()

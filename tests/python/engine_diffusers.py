#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a tiny pipeline of diffusers, packs it in two precisions, and compares what loads from the
archive with what loads from the directories.

usage: engine_diffusers.py FOLDER
"""

import re
import shutil
import sys
from pathlib import Path

import diffusers
import qstore
import qstore.diffusers
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

FOLDER = Path(sys.argv[1])


def make(folder):
    """A Stable Diffusion of some hundred kilobytes."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=8,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
    )
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            hidden_size=32,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=2,
            vocab_size=300,
            max_position_embeddings=77,
            bos_token_id=298,
            eos_token_id=299,
        )
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "f32", max_shard_size="200KB")
    pipeline.to(torch.bfloat16).save_pretrained(folder / "bf16", max_shard_size="200KB")


def tokenizer():
    letters = sorted(ByteLevel.alphabet())[:149]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>"]
    vocabulary = {token: i for i, token in enumerate([*tokens, "<|endoftext|>"])}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def image(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    options = {"num_inference_steps": 2, "output_type": "pt", "height": 32, "width": 32}
    return pipeline("a cat", generator=generator, **options).images


def same_model(mine, theirs):
    states = mine.state_dict(), theirs.state_dict()
    assert type(mine) is type(theirs) and states[0].keys() == states[1].keys()
    for name, tensor in states[1].items():
        assert tensor.dtype == states[0][name].dtype and torch.equal(tensor, states[0][name]), name


def raises(kind, said, call):
    try:
        call()
    except kind as error:
        assert re.search(said, str(error)), error
    else:
        raise AssertionError(f"no {kind.__name__}: {said}")


def main():
    make(FOLDER)
    archive = FOLDER / "m.qstore"
    qstore.pack({name: FOLDER / name for name in ("f32", "bf16")}, archive)
    for variant, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        mine = qstore.diffusers.from_pretrained(archive, variant, torch_dtype=dtype)
        theirs = diffusers.DiffusionPipeline.from_pretrained(FOLDER / variant, torch_dtype=dtype)
        assert type(mine) is type(theirs)
        for name in ("unet", "vae", "text_encoder"):
            same_model(getattr(mine, name), getattr(theirs, name))
            part = qstore.diffusers.load_component(archive, variant, name, torch_dtype=dtype)
            same_model(part, getattr(theirs, name))
        assert torch.equal(image(mine), image(theirs))
    # A component of one variant in the pipeline of another.
    unet = qstore.diffusers.load_component(archive, "bf16", "unet", torch_dtype=torch.float32)
    mixed = qstore.diffusers.from_pretrained(archive, "f32", unet=unet)
    assert mixed.unet is unet
    assert qstore.diffusers.load_component(archive, "f32", "tokenizer")("a cat").input_ids
    # A component alone.
    qstore.pack({"unet": FOLDER / "bf16" / "unet"}, FOLDER / "unet.qstore")
    alone = qstore.diffusers.load_component(FOLDER / "unet.qstore", torch_dtype=torch.float32)
    same_model(alone, unet)
    raises(
        qstore.UnknownNameError,
        "'lora'; there are: .*unet",
        lambda: qstore.diffusers.load_component(archive, "f32", "lora"),
    )
    raises(
        qstore.InvalidArgumentError,
        "is a pipeline",
        lambda: qstore.diffusers.load_component(archive, "f32"),
    )
    shutil.copy(archive, FOLDER / "damaged.qstore")
    with (FOLDER / "damaged.qstore").open("r+b") as file:
        file.seek((FOLDER / "damaged.qstore").stat().st_size // 2)
        file.write(bytes(range(256)) * 400)
    raises(
        qstore.CorruptError,
        "weight|bias",
        lambda: [
            qstore.diffusers.from_pretrained(FOLDER / "damaged.qstore", name)
            for name in ("f32", "bf16")
        ],
    )
    # Nothing stays exchanged.
    module = sys.modules["diffusers.models.model_loading_utils"]
    assert module.load_state_dict.__module__ == module.__name__


if __name__ == "__main__":
    main()

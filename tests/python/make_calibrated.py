#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes copies of a Llama by tools that calibrate. Runs where requirements-calibrated.txt is
installed.

usage: make_calibrated.py TRAINED FOLDER     of what trained_llm.py wrote; FOLDER must not exist

FOLDER/{gptq,smoothquant}   by llm-compressor: GPTQ in 4 bits, SmoothQuant and GPTQ in 8
FOLDER/autoround            by AutoRound in 4 bits
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from auto_round import AutoRound
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.smoothquant import SmoothQuantModifier
from transformers import AutoTokenizer, LlamaForCausalLM

SAMPLES, LENGTH = 64, 128
ITERATIONS = 10  # Of AutoRound: 200 take a day here, and move more codes.
RECIPES = {
    "gptq": lambda: [GPTQModifier(ignore=["lm_head"], scheme="W4A16", targets=["Linear"])],
    "smoothquant": lambda: [
        SmoothQuantModifier(smoothing_strength=0.8),
        GPTQModifier(ignore=["lm_head"], scheme="W8A8", targets=["Linear"]),
    ],
}


def main(trained, folder):
    trained, folder = Path(trained), Path(folder)
    torch.Tensor.pin_memory = lambda self, *_: self  # There is no accelerator.
    tokenizer = AutoTokenizer.from_pretrained(trained / "bf16")
    text = (trained / "train.txt").read_text(encoding="utf-8")[:1_000_000]
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    rows = [ids[LENGTH * i :][:LENGTH] for i in range(SAMPLES)]

    def model():
        return LlamaForCausalLM.from_pretrained(trained / "bf16", dtype=torch.bfloat16)

    folder.mkdir(parents=True)
    data = Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * LENGTH] * SAMPLES})
    for name, recipe in RECIPES.items():
        oneshot(
            model=model(),
            tokenizer=tokenizer,
            dataset=data,
            recipe=recipe(),
            max_seq_length=LENGTH,
            num_calibration_samples=SAMPLES,
            output_dir=str(folder / name),
        )
    batches = [{"input_ids": torch.tensor(rows[i : i + 8])} for i in range(0, SAMPLES, 8)]
    options = {"iters": ITERATIONS, "nsamples": 32, "seqlen": LENGTH, "batch_size": 8}
    tool = AutoRound(
        model(), tokenizer, scheme="W4A16", dataset=batches, device_map="cpu", **options
    )
    tool.quantize_and_save(str(folder / "made"), format="auto_round")
    (made,) = (folder / "made").iterdir()
    made.rename(folder / "autoround")
    (folder / "made").rmdir()


if __name__ == "__main__":
    main(*sys.argv[1:])

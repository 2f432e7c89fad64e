#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small Llama on the sources of Python's standard library, and saves it in 16 bits.

usage: trained_llm.py -o FOLDER [--steps N]     0 steps leave random weights

FOLDER/{bf16,fp16}   LlamaForCausalLM with its tokenizer, by save_pretrained
FOLDER/{train,held-out}.txt   the text it learned from, and text that it has not seen

No package carries a decoder in 16 bits, and every Python installation carries this text. The same
interpreter, libraries and number of threads give the same weights; three minutes on two cores.
"""

import argparse
import math
import os
import sysconfig
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 20240607
VOCABULARY = 1024
END = "<|endoftext|>"
STEPS = 1000
BATCH, LENGTH = 4, 128
PEAK_RATE, WARMUP = 4e-3, 40
HELD_OUT_EVERY = 16
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Not everywhere, since distributions put them into packages of their own; or tables, not text.
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "lib2to3", "turtledemo", "ensurepip"}
LEFT_OUT |= {"site-packages", "dist-packages", "encodings", "pydoc_data"}


def standard_library():
    """The texts of all modules, in the order of their names."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = (path.relative_to(root) for path in sorted(root.rglob("*.py")))
    texts = (
        (root / file).read_text(encoding="utf-8", errors="replace")
        for file in files
        if not LEFT_OUT & set(file.parts)
    )
    return [text for text in texts if text.strip()]


def split(texts):
    """What is learned from, and every sixteenth module, which is held out."""
    held_out = texts[::HELD_OUT_EVERY]
    train = [text for i, text in enumerate(texts) if i % HELD_OUT_EVERY]
    return train, held_out


def make_tokenizer(texts):
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, VOCABULARY, special_tokens=[END], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=2048,
    )


def make_model():
    """3.7 million weights; grouped queries, and an output head of its own, as large models have."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config)


def token_stream(tokenizer, texts):
    """int64 [tokens]: all texts, one behind the other."""
    ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return torch.tensor([token for text in ids for token in [*text, tokenizer.eos_token_id]])


def rate(step, steps):
    if step < WARMUP:
        return PEAK_RATE * (step + 1) / WARMUP
    progress = (step - WARMUP) / (steps - WARMUP)
    return PEAK_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(model, stream, steps, report):
    """Next-token prediction over random windows of `stream`, in F32."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95))
    windows = torch.Generator().manual_seed(SEED)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        starts = torch.randint(0, len(stream) - LENGTH, (BATCH,), generator=windows)
        batch = torch.stack([stream[start : start + LENGTH] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        report(step, loss.item())
    model.eval()


def make(folder, steps=STEPS, report=lambda step, loss: None):
    """Writes what this module promises into `folder`, which must not exist."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    torch.manual_seed(SEED)
    seen, held_out = split(standard_library())
    (folder / "train.txt").write_text("\n".join(seen), encoding="utf-8")
    (folder / "held-out.txt").write_text("\n".join(held_out), encoding="utf-8")
    tokenizer = make_tokenizer(seen)
    model = make_model()
    if steps > 0:
        train(model, token_stream(tokenizer, seen), steps, report)
    for name, dtype in DTYPES.items():
        copy = LlamaForCausalLM(model.config)
        copy.load_state_dict(model.state_dict())
        copy.to(dtype).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def windows_of(folder, count=64, length=256):
    """int64 [count, length]: stretches of the held-out text, evenly spread."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "bf16")
    stream = token_stream(tokenizer, [(folder / "held-out.txt").read_text(encoding="utf-8")])
    starts = torch.linspace(0, len(stream) - length, count).long()
    return torch.stack([stream[start : start + length] for start in starts])


@torch.no_grad()
def loss_of(model, windows):
    """Mean bits for each token of `windows`."""
    losses = [model(input_ids=batch, labels=batch).loss.float() for batch in windows.split(8)]
    return torch.stack(losses).mean().item() / math.log(2)


def unigram_entropy(windows):
    """Bits for each token that a model costs which knows their frequencies alone."""
    frequencies = torch.bincount(windows.flatten()).double()
    frequencies = frequencies[frequencies > 0] / frequencies.sum()
    return -(frequencies * frequencies.log2()).sum().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training (%(default)s)")
    arguments = parser.parse_args()

    def report(step, loss):
        if step % 50 == 0 or step == arguments.steps - 1:
            print(
                f"step {step:4} of {arguments.steps}: {loss / math.log(2):.3f} bits a token",
                flush=True,
            )

    make(arguments.output, arguments.steps, report)
    if arguments.steps == 0:
        return
    model = LlamaForCausalLM.from_pretrained(arguments.output / "bf16")
    windows = windows_of(arguments.output)
    print(f"held out: {loss_of(model, windows):.3f}, unigram: {unigram_entropy(windows):.3f}")


if __name__ == "__main__":
    main()

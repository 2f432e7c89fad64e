# SPDX-License-Identifier: Apache-2.0
"""Tunes real models, each beside its base, and saves them in BF16.

usage: make_tunes.py LLAMA MINILM FOLDER

LLAMA is what trained_llm.py makes, MINILM an F32 model of make_pairs.py.

FOLDER/{llama,minilm}/base       the model that was there
FOLDER/{llama,minilm}/full-1e-5  all weights trained on other text, and so on with other rates
FOLDER/{llama,minilm}/full-1e-4
FOLDER/{llama,minilm}/lora       matrices of rank 8 trained beside the weights, and added to them
FOLDER/{llama,minilm}/frozen     the lower half of the layers and the embedding left as they were
FOLDER/{llama,minilm}/grown      sixteen rows added to the embedding, all weights trained
FOLDER/llama/continued           trained on the same text as before
"""

import math
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import trained_llm
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

STEPS = 30
RANK = 8
GROWN = 16


class LowRank(nn.Module):
    """A linear layer whose weights stay, and the product of two narrow matrices beside it."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.down = nn.Parameter(torch.empty(RANK, linear.in_features))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.up = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, x):
        return self.linear(x) + 2 * (x @ self.down.T) @ self.up.T

    @torch.no_grad()
    def merged(self):
        self.linear.weight += 2 * self.up @ self.down
        return self.linear


def replace(model, kind, make):
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


def loss_of(model, batch):
    """Next tokens of a decoder; of an encoder, two halves of a text pulled together."""
    if hasattr(model, "lm_head"):
        return model(input_ids=batch, labels=batch).loss
    first, second = batch.chunk(2, dim=1)
    means = [model(input_ids=half).last_hidden_state.mean(1) for half in (first, second)]
    left, right = map(nn.functional.normalize, means)
    return nn.functional.cross_entropy(20 * left @ right.T, torch.arange(len(batch)))


def train(model, stream, rate, steps=STEPS):
    """AdamW over random windows, with a warm-up and a cosine, as tunes mostly are."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=rate, weight_decay=0.01)
    windows = torch.Generator().manual_seed(1)
    model.train()
    for step in range(steps):
        warm = min(1, (step + 1) / 6) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * warm
        starts = torch.randint(0, len(stream) - 128, (8,), generator=windows)
        loss_of(model, torch.stack([stream[s : s + 128] for s in starts])).backward()
        nn.utils.clip_grad_norm_(wanted, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


def tune(model, stream, name):
    """Trains the model as `name` says; returns what is to be saved."""
    if name == "lora":
        for parameter in model.parameters():
            parameter.requires_grad = False
        replace(model, nn.Linear, LowRank)
        train(model, stream, 2e-4)
        replace(model, LowRank, LowRank.merged)
        return model
    if name == "frozen":
        layers = model.get_decoder().layers if hasattr(model, "lm_head") else model.encoder.layer
        still = [model.get_input_embeddings(), *layers[: len(layers) // 2]]
        for module in still:
            module.requires_grad_(False)
    if name == "grown":
        model.resize_token_embeddings(model.config.vocab_size + GROWN)
    train(model, stream, 1e-4 if name in ("full-1e-4", "frozen") else 1e-5)
    return model


def make(kind, source, streams, folder, names):
    # What is trained are the weights of 16 bits: nobody has others of a model that was released.
    kind.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(folder / "base")
    for name in names:
        torch.manual_seed(2)
        model = kind.from_pretrained(folder / "base", dtype=torch.float32)
        tuned = tune(model, streams[name == "continued"], name)
        tuned.to(torch.bfloat16).save_pretrained(folder / name)


NAMES = ("full-1e-5", "full-1e-4", "lora", "frozen", "grown")


def main(llama, minilm, folder):
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(llama / "bf16")
    texts = [[(llama / file).read_text(encoding="utf-8")] for file in ("held-out.txt", "train.txt")]
    streams = [trained_llm.token_stream(tokenizer, [text[0][:2_000_000]]) for text in texts]
    make(AutoModelForCausalLM, llama / "bf16", streams, folder / "llama", [*NAMES, "continued"])
    # The words of the one model's text are numbers below the other one's vocabulary.
    make(AutoModel, minilm, [1000 + stream for stream in streams], folder / "minilm", NAMES)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

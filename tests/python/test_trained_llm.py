# SPDX-License-Identifier: Apache-2.0
"""The trained model has learned, and is complete in both types."""

import pytest
import torch
import trained_llm
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = pytest.mark.rest  # Training takes three minutes.


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_it_predicts_text_that_it_has_not_seen(trained, figure, dtype):
    model = AutoModelForCausalLM.from_pretrained(trained / dtype)
    assert model.dtype == trained_llm.DTYPES[dtype]
    windows = trained_llm.windows_of(trained)
    loss = trained_llm.loss_of(model.float(), windows)
    unigram = trained_llm.unigram_entropy(windows)
    figure(f"trained Llama, {dtype}: {loss:.2f} bits a token held out, unigram {unigram:.2f}")
    assert loss < 0.85 * unigram


def test_both_types_are_casts_of_one_model(trained):
    bf16 = load_file(trained / "bf16" / "model.safetensors")
    fp16 = load_file(trained / "fp16" / "model.safetensors")
    assert bf16.keys() == fp16.keys()
    assert sum(tensor.numel() for tensor in bf16.values()) > 3_500_000
    for name, tensor in bf16.items():
        assert tensor.dtype == torch.bfloat16 and fp16[name].dtype == torch.float16
        torch.testing.assert_close(fp16[name].float(), tensor.float(), rtol=2**-8, atol=2**-20)


def test_the_tokenizer_gives_text_back(trained):
    tokenizer = AutoTokenizer.from_pretrained(trained / "bf16")
    text = (trained / "held-out.txt").read_text(encoding="utf-8")[:20_000]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    assert len(ids) < 0.8 * len(text)

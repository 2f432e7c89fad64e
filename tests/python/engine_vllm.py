#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Continues token ids greedily by vLLM, and prints what came and how long weights took, as JSON.

usage: engine_vllm.py MODEL LOAD_FORMAT EXTRA_CONFIG [TENSOR_PARALLEL_SIZE [OUT_OF_CACHE]]

With OUT_OF_CACHE these files, with commas between, leave the system's cache before weights load.
"""

import json
import os
import sys
import time


def time_loads():
    """Has every loader note how long its weights took: [seconds, …]."""
    from vllm.model_executor.model_loader import base_loader, default_loader, register_model_loader

    seconds = []
    for loader in loaders(base_loader, default_loader, register_model_loader):
        original = loader.load_weights

        def load_weights(self, *arguments, original=original):
            for path in OUT_OF_CACHE:
                drop(path)
            begin = time.perf_counter()
            original(self, *arguments)
            seconds.append(time.perf_counter() - begin)

        loader.load_weights = load_weights
    return seconds


def loaders(base_loader, default_loader, _):
    from qstore._vllm_loader import Loader

    return Loader, default_loader.DefaultModelLoader


def drop(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main():
    model, load_format, extra, *rest = sys.argv[1:]
    from vllm import LLM, SamplingParams

    seconds = time_loads() if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0" else []
    engine = LLM(
        model=model,
        load_format=load_format,
        model_loader_extra_config=json.loads(extra),
        tensor_parallel_size=int(rest[0]) if rest else 1,
        enforce_eager=True,
        max_model_len=128,
        max_num_seqs=4,
        dtype="bfloat16",
    )
    sampling = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
    prompts = [{"prompt_token_ids": ids} for ids in ([5, 6, 7, 8], list(range(40, 72)))]
    results = engine.generate(prompts, sampling, use_tqdm=False)
    text = engine.generate("def main(", sampling, use_tqdm=False)[0].outputs[0].text
    tokens = [list(result.outputs[0].token_ids) for result in results]
    print(json.dumps({"tokens": tokens, "text": text, "seconds": seconds}))


OUT_OF_CACHE = sys.argv[5].split(",") if len(sys.argv) > 5 else []

if __name__ == "__main__":
    main()

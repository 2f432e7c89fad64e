#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Continues a text by llama.cpp (package xllamacpp), and prints what it found likely, as JSON.

usage: llama_engine.py MODEL.gguf PROMPT
"""

import json
import sys

import xllamacpp


def main():
    path, prompt = sys.argv[1:]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = 256
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    request = {"prompt": prompt, "max_tokens": 16, "temperature": 0, "seed": 1, "logprobs": 10}
    reply = server.handle_completions(request)
    print(json.dumps(reply if isinstance(reply, dict) else json.loads(reply)))


if __name__ == "__main__":
    main()

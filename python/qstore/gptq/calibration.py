# SPDX-License-Identifier: Apache-2.0
"""Windows of tokens from a text file or from a data set of the hub, and inputs without either."""

from __future__ import annotations

import gzip
import io
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qstore.errors import InvalidArgumentError, PathNotFoundError
from qstore.gptq.options import Calibration

C4 = ("allenai/c4", "en/c4-validation.00000-of-00008.json.gz")
PIECE = 1 << 16  # Characters of a long text that are drawn together.
FACTORS = 64


def windows(calibration: Calibration, tokenizer: Any, longest: int) -> Tensor:
    """int64 [samples, length]: texts drawn at random by the seed, an end of text between them.

    Raises PathNotFoundError (no such file, data set not to be had) and InvalidArgumentError (not
    enough text).
    """
    length = calibration.length or min(2048, longest)
    if length > longest:
        raise InvalidArgumentError(f"windows of {length} tokens; the model takes {longest}")
    path = find(calibration.source)
    texts = list(read_texts(path))
    random.Random(calibration.seed).shuffle(texts)
    wanted = calibration.samples * length
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokens: list[int] = []
    for text in texts:
        tokens += tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] + end
        if len(tokens) >= wanted:
            return torch.tensor(tokens[:wanted]).view(calibration.samples, length)
    raise InvalidArgumentError(
        f"{path}: {len(tokens)} tokens, but {calibration.samples} samples of {length} are {wanted};"
        " give a longer text or less of --samples and --seqlen"
    )


def find(source: str) -> Path:
    """The file that `source` names, fetched when it is a data set."""
    path = Path(source)
    if path.is_file():
        return path
    repository, _, file = source.partition(":")
    if source == "c4":
        repository, file = C4
    elif not file or repository.count("/") != 1:
        raise PathNotFoundError(
            f"{source}: neither a text file, nor c4, nor OWNER/NAME:FILE of a data set"
        )
    return fetch(repository, file)


def fetch(repository: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)  # It tells of every attempt; the last one's error is enough.
    try:
        return Path(hf_hub_download(repository, file, repo_type="dataset"))
    except Exception as error:  # Whatever the network, the hub or the disk raise.
        reason = " ".join(str(error).split())[:200]
        raise PathNotFoundError(
            f"the calibration data {repository}:{file} is not to be had ({reason}); "
            "give a text with --calibration FILE"
        ) from None
    finally:
        logger.setLevel(level)


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a .json or .jsonl file, one object with a "text" a line; or pieces of a text
    file. Either may be compressed, as .gz."""
    opener = gzip.open if path.suffix == ".gz" else open
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    try:
        with opener(path, "rb") as raw:
            lines = io.TextIOWrapper(raw, encoding="utf-8", errors="replace")
            yield from objects(lines, path) if kind in (".json", ".jsonl") else pieces(lines)
    except (OSError, EOFError) as error:
        raise InvalidArgumentError(f"{path}: {error}") from None


def objects(lines: Iterator[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise InvalidArgumentError(f'{path}: line {number} is no object with a "text"')
        yield text


def pieces(lines: Iterator[str]) -> Iterator[str]:
    piece: list[str] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE:
            yield "".join(piece)
            piece, size = [], 0
    if piece:
        yield "".join(piece)


def correlated_inputs(columns: int, seed: int) -> Tensor:
    """F32 [columns, columns]: rows are inputs of a layer, as no model made them.

    Independent noise, plus a few directions that all channels share, as activations of language
    models have them; the channels differ in size by a lognormal factor.
    """
    generator = torch.Generator().manual_seed(seed ^ columns)
    factors = min(FACTORS, columns)
    decay = torch.arange(1, factors + 1) ** -0.5
    mix = torch.randn(factors, columns, generator=generator) * decay[:, None]
    inputs = torch.randn(columns, columns, generator=generator)
    inputs.addmm_(torch.randn(columns, factors, generator=generator), mix)
    return inputs.mul_(torch.exp(0.5 * torch.randn(columns, generator=generator)))

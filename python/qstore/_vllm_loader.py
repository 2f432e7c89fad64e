# SPDX-License-Identifier: Apache-2.0
"""What vLLM loads weights by: imported by `qstore.vllm.register`, in a process of vLLM."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import torch
from vllm.logger import init_logger
from vllm.model_executor.model_loader.base_loader import BaseModelLoader

from qstore._archive import Archive
from qstore._frameworks import find_framework
from qstore._json import parse_object
from qstore._lazy_tensors import LazyTensor
from qstore._prefetch import PrefetchLoader
from qstore._reader import Reader
from qstore.errors import InvalidArgumentError, MismatchError, QStoreError
from qstore.vllm import Options

logger = init_logger("vllm.qstore")

_INDEX = "model.safetensors.index.json"
# Bytes of a tensor: smaller ones are decoded at once, as models look at the content of scales.
_LAZY = 1 << 20
_SHOWN = 5  # Names in a message.


class Loader(BaseModelLoader):  # type: ignore[misc]
    """Gives a model of vLLM the tensors of a variant, in the order of the archive.

    Large ones are decoded when the model's code uses them. Of one that it cuts along its first axis
    only those rows are, of one that it leaves to another rank nothing. What is copied to memory of
    the CPU is decoded into it.
    """

    def __init__(self, load_config: Any) -> None:
        super().__init__(load_config)
        self._options = Options.of(load_config.model_loader_extra_config)

    def download_model(self, model_config: Any) -> None:
        """Says early what would go wrong."""
        self._open(model_config)

    def load_weights(self, model: Any, model_config: Any) -> None:
        """Raises MismatchError where the model does not take the names that the variant has, and
        what `qstore.safe_open` does."""
        begin = time.perf_counter()
        archive = self._open(model_config)
        reader = self._reader(archive)
        giver = Giver(reader, _names(reader))
        if list(getattr(model, "secondary_weights", None) or ()):
            raise InvalidArgumentError(
                f"{archive.path}: {type(model).__name__} wants weights of a second model too:"
                " unpack the variant for that"
            )
        try:
            loaded = model.load_weights(giver.tensors())
        except QStoreError:
            raise
        except (KeyError, ValueError, AttributeError, AssertionError, RuntimeError) as error:
            raise MismatchError(f"{giver.at()}: {type(model).__name__} of vLLM: {error}") from error
        if loaded is not None and model_config.quantization is None:
            _check_complete(giver, model, loaded)
        logger.info(
            "Loading weights took %.3f seconds, %d bytes of %s",
            time.perf_counter() - begin,
            archive.bytes_read,
            archive.path,
        )

    def _open(self, model_config: Any) -> Archive:
        where = self._options.archive
        return self._options.open(model_config.model if where is None else where)

    def _reader(self, archive: Archive) -> Reader:
        number = archive.find_variant(self._options.variant)
        threads = self._options.threads
        ranks = _ranks()
        if threads == 0 and ranks > 1:
            threads = max(1, len(os.sched_getaffinity(0)) // ranks)
        return Reader(archive, number, find_framework("pt", "cpu"), threads)


class Giver:
    """Gives the tensors of a variant one after the other, and knows which one was the last."""

    def __init__(self, reader: Reader, names: list[str]) -> None:
        self.reader, self.names = reader, names
        self.last: str | None = None

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        reader, prefetch = self.reader, None
        if not reader.archive._is_file:
            # Of what several ranks cut it is not known which rows come here.
            ahead = [name for name in self.names if _ranks() == 1 or not self._is_lazy(name)]
            prefetch = PrefetchLoader(reader, ahead, reader.threads)
        for name in self.names:
            self.last = name
            if self._is_lazy(name):
                yield name, LazyTensor(reader, name, prefetch)
                continue
            yield name, prefetch.take(name) if prefetch else reader.read(reader.find(name))
        self.last = None

    def _is_lazy(self, name: str) -> bool:
        entry = self.reader.entries[name]
        return entry.byte_size >= _LAZY and bool(entry.shape)

    def at(self) -> str:
        """Where an error came up."""
        reader = self.reader
        where = f"{reader.archive.path}: variant {reader.archive.variant_names[reader.variant]!r}"
        if self.last is None:
            return where
        entry = reader.entries[self.last]
        return f"{where}: tensor {self.last!r} ({entry.dtype} {list(entry.shape)})"


def _names(reader: Reader) -> list[str]:
    """The tensors to load, in the order of the archive: those that the index of the checkpoint
    names, where it has one, as a checkpoint may hold its weights twice in two layouts."""
    archive, number = reader.archive, reader.variant
    names = list(reader.entries)
    for i, (path, _, _, container, *_) in enumerate(archive._native.files(number)):
        if container == "gguf":
            reason = "is GGUF: get the file (qstore get) and give that to vLLM"
            raise InvalidArgumentError(f"{archive.path}: {path}: {reason}")
        if path == _INDEX:
            index = parse_object(archive._native.read_file(number, i), f"{archive.path}: {path}")
            weights = index.get("weight_map")
            if isinstance(weights, dict):
                names = [name for name in names if name in weights]
    return reader.in_order(names)


def _ranks() -> int:
    """How many processes share the model."""
    is_ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_ready else 1


def _check_complete(giver: Giver, model: torch.nn.Module, loaded: set[str]) -> None:
    missing = sorted({name for name, _ in model.named_parameters()} - loaded)
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        raise MismatchError(
            f"{giver.at()} leaves {len(missing)} parameters of {type(model).__name__} of vLLM as"
            f" they were: {shown}; it has {', '.join(giver.names[:_SHOWN])}, …"
        )

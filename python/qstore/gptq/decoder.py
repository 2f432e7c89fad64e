# SPDX-License-Identifier: Apache-2.0
"""A decoder of transformers that is never in memory as a whole: one layer at a time runs in F32."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from qstore.errors import InvalidArgumentError
from qstore.gptq.checkpoint import Source

Call = tuple[tuple[Any, ...], dict[str, Any]]  # Arguments behind the hidden states.


class _Enough(Exception):  # noqa: N818
    """Leaves a forward pass that has shown what was wanted."""


class Decoder:
    """The model of a directory, its weights left there.

    Raises InvalidArgumentError, naming the model class, when this is no decoder-only model of
    transformers whose layers are a list of modules with linear layers of the checkpoint.
    """

    def __init__(self, source: Source):
        self.source = source
        self.config, self.model = _skeleton(source)
        self.body: Any = self.model.base_model
        self.name, self.layers = self._find_layers()
        # Of each layer, the modules that are quantized, as the checkpoint names them.
        self.linears = [
            [
                f"{self.name}.{index}.{name}"
                for name, module in layer.named_modules()
                if isinstance(module, nn.Linear)
            ]
            for index, layer in enumerate(self.layers)
        ]
        self.longest = getattr(self.config, "max_position_embeddings", None) or 2048

    def _find_layers(self) -> tuple[str, nn.ModuleList]:
        wanted = self.config.num_hidden_layers
        for name, module in self.model.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == wanted:
                linears = [child for child in module.modules() if isinstance(child, nn.Linear)]
                if linears:
                    self._check_names(name, module)
                    return name, module
        raise unsupported(self.model, "it has no list of layers made of linear layers")

    def _check_names(self, name: str, layers: nn.ModuleList) -> None:
        for parameter, value in layers.named_parameters():
            full = f"{name}.{parameter}"
            if full not in self.source.place:
                raise unsupported(self.model, f"its checkpoint has no tensor {full}")
            if self.source.shape(full) != tuple(value.shape):
                raise InvalidArgumentError(
                    f"{self.source.directory}: {full} has the shape {self.source.shape(full)}, "
                    f"but {type(self.model).__name__} wants {tuple(value.shape)}"
                )

    @torch.no_grad()
    def first_inputs(self, windows: Tensor) -> tuple[Iterator[Tensor], list[Call]]:
        """The F32 hidden states [1, length, hidden] that enter the first layer, for each window of
        int64 [samples, length]; and what every layer is called with besides."""
        with self._materialized_outside():
            calls = self._record_calls(windows[:1])
        return self._embed(windows), calls

    @torch.no_grad()
    def _embed(self, windows: Tensor) -> Iterator[Tensor]:
        with self._materialized_outside():
            for window in windows.split(1):
                with self._first_layer_catching() as caught:
                    self._run(window)
                yield caught[0]

    @contextmanager
    def _materialized_outside(self) -> Iterator[None]:
        """What lies before the layers gets its weights for a while."""
        held = [
            (module, name, parameter)
            for module in self.body.modules()
            if module not in set(self.layers.modules())
            for name, parameter in module.named_parameters(recurse=False)
        ]
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        try:
            for module, name, parameter in held:
                value = self.source.tensor(names[id(parameter)]).float()
                setattr(module, name, nn.Parameter(value, requires_grad=False))
            yield
        finally:
            for module, name, parameter in held:
                setattr(module, name, parameter)

    def _run(self, window: Tensor) -> None:
        try:
            self.body(input_ids=window, use_cache=False)
        except _Enough:
            return

    def _record_calls(self, window: Tensor) -> list[Call]:
        calls: list[Call] = []

        def record(hidden: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
            calls.append((arguments, keywords))
            if len(calls) == len(self.layers):
                raise _Enough
            return hidden

        with _forwards([(layer, record) for layer in self.layers]):
            self._run(window)
        if len(calls) != len(self.layers):
            raise unsupported(self.model, "it does not run its layers one after the other")
        return calls

    @contextmanager
    def _first_layer_catching(self) -> Iterator[list[Tensor]]:
        caught: list[Tensor] = []

        def catch(hidden: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
            caught.append(hidden.float())
            raise _Enough

        with _forwards([(self.layers[0], catch)]):
            yield caught

    def materialize(self, index: int) -> Layer:
        """One layer with its weights in F32. Its memory goes when the caller drops it."""
        prefix = f"{self.name}.{index}"
        layer = self.layers[index]
        stored = [*layer.named_parameters(), *layer.named_buffers()]
        for name, value in stored:
            full = f"{prefix}.{name}"
            if full not in self.source.place:
                continue
            owner = layer.get_submodule(name.rpartition(".")[0])
            read = self.source.tensor(full)
            if isinstance(value, nn.Parameter):
                read = nn.Parameter(read.float(), requires_grad=False)
            setattr(owner, name.rpartition(".")[2], read)
        self.layers[index] = nn.Identity()
        return Layer(layer, prefix)


class Layer:
    """One layer of a decoder, running."""

    def __init__(self, module: nn.Module, prefix: str):
        self.module = module
        self.linears = {
            f"{prefix}.{name}": child
            for name, child in module.named_modules()
            if isinstance(child, nn.Linear)
        }

    @torch.no_grad()
    def forward(self, hidden: Tensor, call: Call) -> Tensor:
        output = self.module(hidden, *call[0], **call[1])
        first: Tensor = output[0] if isinstance(output, tuple) else output
        return first

    @torch.no_grad()
    def groups(self, hidden: Tensor, call: Call) -> list[list[str]]:
        """The linear layers in the order of their calls; those with one input are together."""
        seen: list[tuple[Tensor, list[str]]] = []  # Holds inputs, so that no two share memory.

        def see(name: str) -> Callable[..., None]:
            def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                (entering,) = inputs
                if seen and _same(seen[-1][0], entering):
                    seen[-1][1].append(name)
                else:
                    seen.append((entering, [name]))

            return hook

        hooks = [
            module.register_forward_pre_hook(see(name)) for name, module in self.linears.items()
        ]
        self.forward(hidden, call)
        for hook in hooks:
            hook.remove()
        return [names for _, names in seen]

    @torch.no_grad()
    def feed(self, hidden: Tensor, call: Call, name: str, take: Callable[[Tensor], None]) -> None:
        """Runs until the linear layer `name`, whose input goes to `take`."""

        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            take(inputs[0])
            raise _Enough

        handle = self.linears[name].register_forward_pre_hook(hook)
        try:
            self.forward(hidden, call)
        except _Enough:
            return
        finally:
            handle.remove()


def unsupported(model: nn.Module | str, reason: str) -> InvalidArgumentError:
    name = model if isinstance(model, str) else type(model).__name__
    return InvalidArgumentError(f"the model class {name} cannot be quantized by GPTQ: {reason}")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape


def _skeleton(source: Source) -> tuple[Any, nn.Module]:
    """The configuration, and the model with no memory for its weights."""
    import transformers
    from accelerate import init_empty_weights

    names = source.config.get("architectures") or ["(none in config.json)"]
    if "quantization_config" in source.config:
        raise InvalidArgumentError(f"{source.directory}: this model is quantized already")
    kind = getattr(transformers, str(names[0]), None)
    if not str(names[0]).endswith("ForCausalLM"):
        raise unsupported(names[0], "it is no decoder of language (...ForCausalLM)")
    if kind is None:
        raise unsupported(names[0], f"transformers {transformers.__version__} does not know it")
    config = transformers.AutoConfig.from_pretrained(source.directory)
    config.use_cache = False
    with init_empty_weights(include_buffers=False), _quiet():
        model = kind._from_config(config, dtype=torch.float32)
    return config, model.eval()


@contextmanager
def _forwards(replacements: list[tuple[nn.Module, Callable[..., Tensor]]]) -> Iterator[None]:
    """Other forward functions for a while; whatever else a module has stays visible."""
    for module, function in replacements:
        module.forward = function
    try:
        yield
    finally:
        for module, _ in replacements:
            del module.forward


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers says about models without weights."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        logger.setLevel(level)

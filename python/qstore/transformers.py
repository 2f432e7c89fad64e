# SPDX-License-Identifier: Apache-2.0
"""Models, configs and tokenizers of transformers, straight from an archive.

    model = qstore.transformers.from_pretrained("m.qstore", "int8", device_map="cpu")
    tokenizer = qstore.transformers.load_tokenizer("m.qstore", "int8")
    model = qstore.transformers.from_pretrained("owner/name", "int8", revision="v1")

Weights are never written to disk: each tensor is decoded when transformers asks for it, on the
threads that it loads with. Files other than weights go to a temporary directory meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import transformers

from qstore._archive import Archive, Location, open_model
from qstore._json import parse_object
from qstore._virtual_files import variant_directory
from qstore.errors import InvalidArgumentError, QStoreError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "directory",
    "find_class",
    "from_pretrained",
    "load_config",
    "load_processor",
    "load_tokenizer",
]

# transformers sets torch's default dtype while it makes a model, and of two threads at once one
# puts back what the other had set: the process would go on with a dtype of neither's choice.
_making = threading.Lock()


Model = TypeVar("Model")


@overload
def from_pretrained(
    path: Location,
    variant: str | None = None,
    *model_args: Any,
    model_class: type[Model],
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Model: ...
@overload
def from_pretrained(
    path: Location,
    variant: str | None = None,
    *model_args: Any,
    model_class: str | None = None,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> PreTrainedModel: ...
def from_pretrained(
    path: Location,
    variant: str | None = None,
    *model_args: Any,
    model_class: type | str | None = None,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The model that `model_class.from_pretrained` gives for the unpacked directory of a variant.

    `model_class` is a class with `from_pretrained`, or the name of one in transformers, such as
    "AutoModelForCausalLM". Without it, the class is the first of the config's `architectures`, or
    AutoModel when transformers has none of that name. `threads` decode each tensor (0: all
    processors). `path` and `storage_options` are those of `qstore.Archive`. All other arguments go
    to `from_pretrained`: `device_map`, `dtype`, `quantization_config`, and so on.

    `path` may also be a repository of the Hugging Face Hub, "owner/name", that holds one archive.
    Only the bytes of the variant travel, of the commit that `revision` is now. `token`, `cache_dir`
    and `local_files_only` are as transformers has them.

    Holds as much memory as loading the directory does. Thread-safe: calls wait for one another.
    Raises UnknownNameError (listing the variants), CorruptError (naming the tensor), and what
    `qstore.Archive` and transformers raise. Offloading to disk is refused: InvalidArgumentError.
    """
    if _offloads_to_disk(options.get("device_map")):
        raise InvalidArgumentError(
            "device_map: weights cannot stay on disk in an archive; unpack the variant for that"
        )
    archive = open_model(path, storage_options, options)
    errors: list[QStoreError] = []
    with variant_directory(archive, variant, threads, errors) as folder:
        loader: Any = model_class
        if model_class is None or isinstance(model_class, str):
            loader = _class_of(archive, variant, model_class, options.get("subfolder", ""))
        try:
            with _making:
                result = loader.from_pretrained(os.fspath(folder), *model_args, **options)
        except Exception as error:
            if errors and error is not errors[0]:
                raise errors[0] from error
            raise
    if errors:
        raise errors[0]
    _rename(result[0] if isinstance(result, tuple) else result, folder, archive)
    return result


def load_config(path: Location, variant: str | None = None, **options: Any) -> PreTrainedConfig:
    """What `AutoConfig.from_pretrained` gives for the unpacked directory of a variant.

    Raises what `from_pretrained` does.
    """
    config: PreTrainedConfig = _load(transformers.AutoConfig, path, variant, options)
    return config


def load_tokenizer(
    path: Location, variant: str | None = None, **options: Any
) -> PreTrainedTokenizerBase:
    """What `AutoTokenizer.from_pretrained` gives for the unpacked directory of a variant.

    Raises what `from_pretrained` does.
    """
    made: PreTrainedTokenizerBase = _load(transformers.AutoTokenizer, path, variant, options)
    return made


def load_processor(path: Location, variant: str | None = None, **options: Any) -> Any:
    """What `AutoProcessor.from_pretrained` gives for the unpacked directory of a variant.

    Raises what `from_pretrained` does.
    """
    return _load(transformers.AutoProcessor, path, variant, options)


@contextmanager
def directory(
    path: Location,
    variant: str | None = None,
    *,
    threads: int = 0,
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """A directory that transformers in this process loads the variant from, while it is open.

    For what takes a directory: `pipeline`, several models of one archive, libraries on top of
    transformers. It holds all files but weights; those are there in name only, and only what
    transformers loads by its `from_pretrained` sees their content. Raises what `qstore.Archive`
    does, and UnknownNameError.
    """
    archive = open_model(path, storage_options, {})
    with variant_directory(archive, variant, threads, []) as folder:
        yield os.fspath(folder)


def _load(loader: Any, path: Location, variant: str | None, options: dict[str, Any]) -> Any:
    archive = open_model(path, options.pop("storage_options", None), options)
    with variant_directory(archive, variant, 0, []) as folder:
        result = loader.from_pretrained(os.fspath(folder), **options)
    _rename(result, folder, archive)
    return result


def _offloads_to_disk(device_map: Any) -> bool:
    return device_map == "disk" or isinstance(device_map, dict) and "disk" in device_map.values()


def find_class(config: Mapping[str, Any]) -> Any:
    """The first class of transformers that a config.json names, or AutoModel."""
    named = config.get("architectures")
    for architecture in named if isinstance(named, list) else ():
        found = getattr(transformers, architecture, None) if isinstance(architecture, str) else None
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    return transformers.AutoModel


def _class_of(archive: Archive, variant: str | None, name: str | None, subfolder: str) -> Any:
    if name is None:
        path = f"{subfolder}/config.json" if subfolder else "config.json"
        return find_class(parse_object(archive.read_file(variant, path), f"{archive.path}: {path}"))
    found = getattr(transformers, name, None)
    if not hasattr(found, "from_pretrained"):
        raise InvalidArgumentError(f"model_class {name!r}: transformers has no such class")
    return found


def _rename(loaded: Any, folder: Path, archive: Archive) -> None:
    """Names the archive where transformers noted the directory, which is gone."""
    for owner in (
        loaded,
        getattr(loaded, "config", None),
        getattr(loaded, "generation_config", None),
    ):
        for attribute in ("name_or_path", "_name_or_path"):
            if getattr(owner, attribute, None) == os.fspath(folder):
                setattr(owner, attribute, archive.path)
    arguments = getattr(loaded, "init_kwargs", {})
    if arguments.get("name_or_path") == os.fspath(folder):
        arguments["name_or_path"] = archive.path

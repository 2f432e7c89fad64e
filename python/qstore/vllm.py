# SPDX-License-Identifier: Apache-2.0
"""vLLM serves a variant of an archive.

    vllm serve m.qstore --load-format qstore --model-loader-extra-config '{"variant": "fp8"}'

vLLM calls `register` in each of its processes, by the entry point "vllm.general_plugins" of this
package. Nothing of vLLM is imported before. Config, tokenizer and the other small files become a
directory in the cache of `qstore.get`. vLLM looks for them there, in place of the archive. Weights
never come to a disk.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from qstore._archive import Archive, open_model
from qstore.errors import InternalError, InvalidArgumentError

__all__ = ["LOAD_FORMAT", "Options", "register"]

LOAD_FORMAT = "qstore"


class Options(NamedTuple):
    """What model_loader_extra_config may say."""

    variant: str | None = None  # May be left out when there is only one.
    threads: int = 0  # That decode in each process; 0: its share of the processors.
    storage_options: Mapping[str, Any] | None = None  # As of `qstore.Archive`.
    max_memory: int | None = None  # As of `qstore.Archive`.
    archive: str | None = None  # Where it is, when `model` is a directory with a config.

    @classmethod
    def of(cls, told: Any) -> Options:
        """Raises InvalidArgumentError for what is not one of these."""
        told = told or {}
        if not isinstance(told, Mapping) or (unknown := told.keys() - set(cls._fields)):
            known = ", ".join(cls._fields)
            what = f"has {sorted(unknown)}" if isinstance(told, Mapping) else f"is {told!r}"
            raise InvalidArgumentError(f"model_loader_extra_config {what}; it may have {known}")
        return cls(**told)

    def open(self, path: str, revision: str | None = None) -> Archive:
        """The archive at a path or URL, or of a repository of the Hub."""
        storage = dict(self.storage_options or {})
        if revision is not None:
            storage["revision"] = revision
        return open_model(path, storage, {}, self.max_memory)


def register() -> None:
    """Makes "qstore" a load format of vLLM in this process. May be called more than once.

    Raises InternalError where this version of vLLM takes its arguments in unknown ways.
    """
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader import register_model_loader

    from qstore._vllm_loader import Loader

    original = getattr(EngineArgs, "create_engine_config", None)
    if not callable(original):
        raise InternalError("this version of vLLM makes its configuration in unknown ways")
    if hasattr(original, "of_qstore"):
        return
    register_model_loader(LOAD_FORMAT)(Loader)

    @functools.wraps(original)
    def create_engine_config(self: Any, *arguments: Any, **options: Any) -> Any:
        if self.load_format == LOAD_FORMAT:
            prepare_arguments(self)
        return original(self, *arguments, **options)

    create_engine_config.of_qstore = True  # type: ignore[attr-defined]
    EngineArgs.create_engine_config = create_engine_config


def prepare_arguments(arguments: Any) -> None:
    """Has vLLM find config and tokenizer of the archive that `model` names.

    Raises what `qstore.Archive` does, UnknownNameError and InvalidArgumentError.
    """
    from qstore._heads import head_of

    model = arguments.model
    options = Options.of(arguments.model_loader_extra_config)
    if options.archive is not None or os.path.isdir(model):
        if options.archive is None:
            raise InvalidArgumentError(f"{model}: is a directory, not an archive")
        return
    archive = options.open(model, getattr(arguments, "revision", None))
    variant = archive.variant_names[archive.find_variant(options.variant)]
    folder = os.fspath(head_of(archive, variant))
    where, storage_options, _ = archive._how
    told = options._replace(variant=variant, archive=str(where), storage_options=storage_options)
    arguments.model_loader_extra_config = {
        key: value for key, value in told._asdict().items() if value is not None
    }
    arguments.model = folder
    if arguments.tokenizer in (None, model):
        arguments.tokenizer = folder
    if not arguments.served_model_name:
        arguments.served_model_name = model
    arguments.revision = None  # The archive is at its commit.

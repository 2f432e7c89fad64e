# SPDX-License-Identifier: Apache-2.0
"""What an archive holds: variants, their files and tensors, and how these are stored."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from qstore import _qstore, _sources
from qstore.errors import InvalidArgumentError, PathNotFoundError, UnknownNameError

MAX_MEMORY = 640 << 20  # kDefaultMaxMemory of <qstore/archive.h>.
NO_LIMIT = (1 << 64) - 1


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()


class File(NamedTuple):
    """A file of a variant. `xxhsum -H2` prints the same `digest`, `sha256sum` the same `sha256`."""

    path: str
    size: int
    digest: str
    container: str  # "safetensors", "gguf", "imatrix", or "" for bytes without known structure.
    is_directory: bool  # Without files, and without content.
    is_executable: bool
    sha256: str | None  # Where it was packed with sha256=True, but for directories.


class Tensor(NamedTuple):
    """A tensor and how it is stored. References are (variant, tensor), or None."""

    name: str
    dtype: str  # As safetensors or ggml has it: "BF16", "I8", "F8_E4M3", "Q4_K".
    shape: tuple[int, ...]  # In weights; those of block types, as "Q4_K", are read as bytes.
    byte_size: int
    file: str
    stored_bytes: int  # Of its payloads, those of parents not included.
    scheme: str  # How it follows from its parents, or "none".
    codecs: tuple[str, ...]
    parents: tuple[tuple[str, str], ...]  # Variant and name, the main one first.
    same_as: tuple[str, str] | None  # An earlier tensor of equal content, stored once.
    params: bytes  # Of the scheme, as the page of the format about it lays them out.


class Variant(NamedTuple):
    """One precision of the model."""

    name: str
    source_bytes: int  # Of its files.
    own_bytes: int  # What it adds: payloads that no earlier variant uses.
    load_bytes: int  # What opening the archive and loading the variant read.
    tensor_bytes: int  # Content of its tensors.
    files: tuple[File, ...]
    tensors: tuple[Tensor, ...]


class Inspection(NamedTuple):
    """What `inspect` tells of an archive."""

    path: str
    format_version: int
    source_bytes: int
    stored_bytes: int
    variants: tuple[Variant, ...]
    dead_bytes: int = 0  # Of stored_bytes: what `qstore.compact` would take away.


class Archive:
    """An open archive. Thread-safe. It can be pickled, and used after a fork.

    `max_memory` is how many bytes the index and each call that reads may take, more or less. The
    tensors that a call makes do not count. None is 640 MiB. A call that needs more raises
    LimitError, which names the tensor.

    `path` is a path, or a URL: "https://…" of a server that serves ranges, or "file:///…". With
    huggingface_hub installed it may be "hf://owner/name[@revision]/m.qstore", and with fsspec any
    URL that fsspec knows, as "s3://bucket/m.qstore". Of a URL only those bytes travel that a call
    needs, in a few large requests at once.

    `storage_options` are for URLs. Those over HTTP are:

    - `headers`: a mapping, sent to that server only.
    - `timeout`: seconds for which a server may be silent, 30.
    - `retries`: how often a read is tried again after errors that may pass, 5.
    - `least_rate`: bytes a second, 4096. An answer of n bytes may take `timeout` + n / `least_rate`
      seconds. 0 is for any time.
    - `deadline`: seconds that a read may take with its retries, 10 * `timeout` + n / `least_rate`.
    - `unsafe_redirects`: follow redirects from https to http, and from a public address to a
      private, link-local or loopback one. False.

    Those of the Hub are the same, and `revision`, `token`, `cache_dir`, `local_files_only` and
    `endpoint`, as huggingface_hub has them. Over other protocols they are those of the file system
    of fsspec.

    Threads and processes do not disturb one another's reads. The file stays open until the last
    object that reads from it is gone. KeyboardInterrupt ends all reads of a URL that are running;
    other threads then get CancelledError from the same object.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
        *,
        max_memory: int | None = None,
    ) -> None:
        """Reads header and index.

        Raises PathNotFoundError, IoError, CorruptError, UnsupportedVersionError,
        UnsupportedFeatureError, LimitError, InvalidArgumentError (a directory, a wrong URL or
        option), SourceChangedError; ImportError when a URL needs what is not installed.
        """
        limit = MAX_MEMORY if max_memory is None else max_memory
        found = _sources.find(path, storage_options or {})
        #: The absolute path, or the URL without what may be secret; of the Hub with its commit.
        self.path: str
        if found.file is None:
            self._native = _sources.open_remote(found.url, found.options, limit)
            self.path = found.name or self._native.path
        elif found.options:
            raise InvalidArgumentError(f"{path!r}: storage_options are for URLs")
        else:
            self._native = _open_file(found.file, limit)
            self.path = found.name or os.path.abspath(os.fsdecode(found.file))
        self._is_file = found.file is not None
        again = self.path if found.name is None and self._is_file else found.path
        self._how = (again, found.again or None, max_memory)
        self._variants = self._native.variants()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
        *,
        max_memory: int | None = None,
    ) -> Archive:
        """The same as calling the class."""
        return cls(path, storage_options, max_memory=max_memory)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _reopen, (type(self), *self._how)

    def __repr__(self) -> str:
        return f"<qstore.Archive {self.path!r}: {', '.join(self.variant_names)}>"

    @property
    def format_version(self) -> int:
        return self._native.format_version

    @property
    def stored_bytes(self) -> int:
        """Size of the archive."""
        return self._native.stored_bytes

    @property
    def dead_bytes(self) -> int:
        """Bytes of the archive that no variant needs: `qstore.compact` frees what `drop` left."""
        return self._native.dead_bytes

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file since it was opened, header and index included."""
        return self._native.bytes_read

    @property
    def variant_names(self) -> list[str]:
        """In the order they are stored: parents come before their children."""
        return [entry[0] for entry in self._variants]

    def find_variant(self, name: str | None) -> int:
        """The number of a variant; of None, when there is just one.

        Raises UnknownNameError, listing the variants that there are.
        """
        names = self.variant_names
        if name is None and len(names) == 1:
            return 0
        if name in names:
            return names.index(name)
        what = "name a variant" if name is None else f"no variant is named {name!r}"
        known = f"; there are: {', '.join(names)}"
        meant = "" if name is None else did_you_mean(name, names)
        raise UnknownNameError(f"{self.path}: {what}{known}{meant}")

    def variant(self, name: str | None = None) -> Variant:
        """One variant with its files and tensors. Raises UnknownNameError."""
        number = self.find_variant(name)
        own, load, tensor_bytes, _ = self._native.sizes(number)
        files = self.files(name)
        tensors = tuple(
            Tensor(title, dtype, shape, size, files[file].path, *self._coding(coding))
            for (title, dtype, shape, size, file), coding in zip(
                self._native.tensors(number), self._native.codings(number), strict=True
            )
        )
        title, source_bytes = self._variants[number][:2]
        return Variant(title, source_bytes, own, load, tensor_bytes, files, tensors)

    def variants(self) -> tuple[Variant, ...]:
        """All variants with their files and tensors."""
        return tuple(self.variant(name) for name in self.variant_names)

    def files(self, variant: str | None = None) -> tuple[File, ...]:
        """The files of a variant, by path. Raises UnknownNameError."""
        return tuple(
            File(path, size, digest.hex(), container, folder, program, _hex(sha256))
            for path, size, digest, container, folder, program, sha256 in self._native.files(
                self.find_variant(variant)
            )
        )

    def read_file(self, variant: str | None, path: str) -> bytes:
        """The content of a file of a variant, as it was packed.

        Raises UnknownNameError, CorruptError, IoError.
        """
        number = self.find_variant(variant)
        for i, file in enumerate(self._native.files(number)):
            if file[0] == path:
                return self._native.read_file(number, i)
        name = self._variants[number][0]
        meant = did_you_mean(path, [file[0] for file in self._native.files(number)])
        raise UnknownNameError(f"{self.path}: variant {name!r} has no file {path!r}{meant}")

    def _coding(self, coding: _qstore.Coding) -> tuple[Any, ...]:
        stored, scheme, codecs, parents, same_as, params = coding
        names = tuple(self._name(number) for number in parents)
        same = None if same_as is None else self._name(same_as)
        return stored, scheme, codecs, names, same, params

    def _name(self, tensor: int) -> tuple[str, str]:
        for number, (name, _, _, _, first, count) in enumerate(self._variants):
            if first <= tensor < first + count:
                return name, self._native.tensor_name(number, tensor - first)
        raise AssertionError("a tensor of no variant")


def encode(path: str | os.PathLike[str]) -> bytes:
    """The path as the system wants it. A null would end it early, at another file's name."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise InvalidArgumentError(f"{path!r}: a path cannot hold a null character")
    return name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to add to a message about a name that is not known."""
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


def _open_file(path: str | os.PathLike[str], limit: int) -> _qstore.Archive:
    try:
        return _qstore.Archive.open(encode(path), limit)
    except PathNotFoundError as error:
        # What other libraries take for a repository of the Hub is a path here.
        if not isinstance(path, str) or not re.fullmatch(r"[\w-]+/[\w.-]+", path):
            raise
        hint = f"if {path!r} is a repository of the Hugging Face Hub, name a file in it"
        raise PathNotFoundError(f"{error}; {hint}: 'hf://{path}/FILE.qstore'") from None


Location = str | os.PathLike[str] | Archive


def open_archive(
    path: Location,
    storage_options: Mapping[str, Any] | None = None,
    max_memory: int | None = None,
) -> Archive:
    """An archive that is open already, or the one at a path or URL."""
    if not isinstance(path, Archive):
        return Archive(path, storage_options, max_memory=max_memory)
    for name, option in (("storage_options", storage_options), ("max_memory", max_memory)):
        if option:
            raise InvalidArgumentError(f"{path.path}: is open: {name} come too late")
    return path


def open_model(
    path: Location,
    storage_options: Mapping[str, Any] | None,
    options: dict[str, Any],
    max_memory: int | None = None,
) -> Archive:
    """As open_archive; "owner/name", where there is no such file, is an archive on the Hub.

    Of the Hub, what `options` say of revision, token and cache is taken out of them.
    """
    if isinstance(path, str) and _sources.is_repository(path) and not os.path.exists(path):
        path = f"hf://{path}"
    if not _sources.is_hub(path):
        return open_archive(path, storage_options, max_memory)
    from qstore import _hub

    own = {name: options.pop(name) for name in _hub.OPTIONS if name in options}
    return open_archive(path, {**(storage_options or {}), **own}, max_memory)


def byte_limit(max_bytes: int | None) -> int:
    return NO_LIMIT if max_bytes is None else max_bytes


def _reopen(
    kind: type[Archive],
    path: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None,
    max_memory: int | None,
) -> Archive:
    return kind(path, storage_options, max_memory=max_memory)


def inspect(
    path: Location,
    storage_options: Mapping[str, Any] | None = None,
    *,
    max_memory: int | None = None,
) -> Inspection:
    """What an archive holds, and how each tensor is coded. Raises what `Archive` does."""
    archive = open_archive(path, storage_options, max_memory)
    variants = archive.variants()
    source_bytes = sum(variant.source_bytes for variant in variants)
    sizes = source_bytes, archive.stored_bytes
    return Inspection(archive.path, archive.format_version, *sizes, variants, archive.dead_bytes)

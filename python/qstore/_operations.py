# SPDX-License-Identifier: Apache-2.0
"""Packing, unpacking, verifying and quantizing.

All of them release the GIL, and may run several at once with different outputs. They stop within a
fraction of a second on KeyboardInterrupt or when the progress callback raises. Then what they had
written is removed.

`progress(done, total)` is called in bytes of the models' files, on the calling thread, at most some
twenty times a second. The last call comes when all is done, too late to undo it by raising.
`progress=True` shows a bar of tqdm. A class like tqdm shows a bar of that class.

`threads` of 0 means all processors. `memory` is a soft limit in bytes. `max_memory` is that of
`qstore.Archive`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qstore import _qstore
from qstore._archive import Archive, Location, byte_limit, did_you_mean, encode, open_archive
from qstore._progress import Progress, reported
from qstore.errors import InvalidArgumentError, PathNotFoundError, UnknownNameError

Path = str | os.PathLike[str]

TARGETS = tuple(_qstore.quantize_targets())
RESTS = {"keep": 0, "bf16": 1, "fp16": 2}
LEVELS = {"fast": 1, "balanced": 2, "max": 3}
MEMORY = 512 << 20


class PackReport(NamedTuple):
    source_bytes: int  # Of all files of all variants.
    stored_bytes: int  # Of the archive.


class UnpackReport(NamedTuple):
    files: int
    bytes: int  # Of these files.


class VerifyReport(NamedTuple):
    files: int  # Of all variants.
    bytes: int  # Of these files.
    compared_bytes: int


class QuantizeReport(NamedTuple):
    quantized: tuple[str, ...]  # Tensors that have few bits now.
    cast: tuple[str, ...]  # Tensors that have another type of floats now.
    kept: int  # Tensors that are as they were.
    bytes: int  # Of all files written.


def pack(
    variants: Mapping[str, Path],
    out: Path,
    *,
    each: Path | Sequence[Path] = (),
    level: str = "balanced",
    parents: Mapping[str, str] | None = None,
    direct: str | Sequence[str] = (),
    sha256: bool = False,
    threads: int = 0,
    memory: int = MEMORY,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress = None,
) -> PackReport:
    """Stores {name: directory or file} in one archive at `out`, which appears when complete.

    A model may be split over several numbered GGUF files. Then one of these stands for all.

    `each` is a folder, or several. Every model in it becomes a variant too: a GGUF file by its name
    without ".gguf", and a subfolder with files of models by its name. All other files of the folder
    become one variant with the name of the folder. See the guide on GGUF models.

    `level` is "fast", "balanced" or "max". `parents` is {child: parent}: tensors of the variant
    `child` may follow from those of `parent` only. Without it the choice is made by measurement.
    Variants named in `direct` load from their own bytes. With `sha256` each file's SHA-256 is
    stored too, see `Archive.files`. `sync` waits until the archive is on the disk.

    Raises InvalidArgumentError, PathNotFoundError, AlreadyExistsError, IoError,
    SourceChangedError, LimitError.
    """
    if level not in LEVELS:
        raise InvalidArgumentError(f"level {level!r} is none of {', '.join(LEVELS)}")
    sources = encode_sources(variants)
    with reported(progress, "pack") as tell:
        done = _qstore.pack(
            sources,
            encode_folders(each),
            encode(out),
            LEVELS[level],
            list((parents or {}).items()),
            [direct] if isinstance(direct, str) else list(direct),
            sha256,
            threads,
            memory,
            overwrite,
            sync,
            tell,
        )
    return PackReport(*done)


def unpack(
    archive: Location,
    variant: str | None,
    directory: Path,
    *,
    tensors: str = "",
    file: str = "",
    files: Sequence[str] = (),
    threads: int = 0,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress = None,
    max_memory: int | None = None,
    max_bytes: int | None = None,
) -> UnpackReport:
    """Writes every file of a variant below `directory`, equal byte for byte to what was packed.

    With `tensors`, a pattern as of fnmatch, only the matching tensors are written, to one new file
    model.safetensors. With `file` only the file of that path is written, with
    `files` only those of these paths, one after the other.

    Raises UnknownNameError, AlreadyExistsError (the directory is not empty and `overwrite` is not
    set), InvalidArgumentError, CorruptError, IoError, and what `Archive` raises. LimitError comes
    before anything is written: the files have more than `max_bytes`, or take more than
    `max_memory` to decode.
    """
    opened = open_archive(archive, max_memory=max_memory)
    limit = byte_limit(max_bytes)
    name = opened.variant_names[opened.find_variant(variant)]
    where = encode(directory)
    if files:
        _check_files(opened, name, files, file or tensors)
        done = UnpackReport(0, 0)
        for path in files:
            one = unpack(
                opened,
                name,
                directory,
                file=path,
                threads=threads,
                overwrite=overwrite or done.files > 0,
                sync=sync,
                progress=progress,
                max_bytes=None if max_bytes is None else max_bytes - done.bytes,
            )
            done = UnpackReport(done.files + one.files, done.bytes + one.bytes)
        return done
    try:
        with reported(progress, "unpack") as tell:
            written = _qstore.unpack(
                *(opened._native, name, where, tensors, encode(file), threads, limit),
                *(overwrite, sync, tell),
            )
    except PathNotFoundError as error:
        if not tensors and not file:
            raise
        raise UnknownNameError(*error.args) from None
    return UnpackReport(*written)


def _check_files(archive: Archive, variant: str, files: Sequence[str], other: str) -> None:
    """Raises before anything is written what the last of the files would raise."""
    if isinstance(files, str) or other:
        raise InvalidArgumentError(
            "files: is a list of paths, and neither file nor tensors with it"
        )
    known = [entry.path for entry in archive.files(variant)]
    for path in files:
        if path not in known:
            meant = did_you_mean(path, known)
            raise UnknownNameError(
                f"{archive.path}: variant {variant!r} has no file {path!r}{meant}"
            )


def verify(
    archive: Location,
    originals: Mapping[str, Path] | None = None,
    *,
    each: Path | Sequence[Path] = (),
    threads: int = 0,
    progress: Progress = None,
    max_memory: int | None = None,
    max_bytes: int | None = None,
) -> VerifyReport:
    """Decodes the whole archive, and compares the digest of every file.

    Then it compares every variant named in `originals` with the files at its path, and those of
    `each` (as `pack` has it) with theirs.

    Raises CorruptError (the first damage), MismatchError (the first file that is missing, added or
    different), UnknownNameError, PathNotFoundError, IoError, LimitError (as `unpack`), and what
    `Archive` raises.
    """
    opened = open_archive(archive, max_memory=max_memory)
    limit = byte_limit(max_bytes)
    for name in originals or ():
        opened.find_variant(name)
    with reported(progress, "verify") as tell:
        sources = encode_sources(originals or {})
        done = _qstore.verify(opened._native, sources, encode_folders(each), threads, limit, tell)
    return VerifyReport(*done)


def quantize(
    source: Path,
    directory: Path,
    to: str,
    *,
    rest: str = "keep",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    threads: int = 0,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress = None,
) -> QuantizeReport:
    """Makes another precision of a model directory or file, as `qstore quantize` does.

    `to` is one of these:

    - "bf16", "fp16": cast all floats
    - "llm-int8", "nf4": follow bitsandbytes
    - "fp8-fine-grained": follows transformers
    - "fp8-block", "fp8-channel", "fp8-tensor", "nvfp4", "mxfp4", "int8", "int4": follow
      compressed-tensors

    With those that quantize, `rest` says what becomes of other floats: "keep", "bf16" or "fp16".
    Patterns `include` and `exclude` change which matrices are quantized. Files and metadata stay as
    they are.

    Raises InvalidArgumentError (a model that is quantized already, NaN or infinity, a matrix that
    does not fit, an unknown name), CorruptError, AlreadyExistsError, PathNotFoundError, IoError,
    SourceChangedError.
    """
    for given, known in ((to, TARGETS), (rest, RESTS)):
        if given not in known:
            raise InvalidArgumentError(f"{given!r} is none of {', '.join(known)}")
    names = (list(include), list(exclude))
    paths = (encode(source), encode(directory))
    with reported(progress, "quantize") as tell:
        done = _qstore.quantize(*paths, to, RESTS[rest], *names, overwrite, sync, threads, tell)
    quantized, cast, kept, size = done
    return QuantizeReport(tuple(quantized), tuple(cast), kept, size)


def encode_sources(variants: Mapping[str, Path]) -> list[tuple[str, bytes]]:
    """Paths as the library takes them. Raises InvalidArgumentError for what is no mapping."""
    if not isinstance(variants, Mapping):
        raise InvalidArgumentError(
            f"variants are a mapping {{name: path}}, not a {type(variants).__name__}"
        )
    return [(name, encode(path)) for name, path in variants.items()]


def encode_folders(each: Path | Sequence[Path]) -> list[bytes]:
    """Paths of one folder, or of several, as the library takes them."""
    paths = [each] if isinstance(each, str | os.PathLike) else each
    return [encode(path) for path in paths]

# SPDX-License-Identifier: Apache-2.0
"""Reading one variant of an archive as safetensors.safe_open reads a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, overload

from qstore._archive import Archive, Location, byte_limit, did_you_mean, open_archive
from qstore._frameworks import Framework, find_framework
from qstore._json import Header, header_size, parse_header
from qstore._prefetch import PrefetchLoader
from qstore._progress import Progress, reported
from qstore._read_ahead import ReadAhead
from qstore._slices import Rows, TensorSlice
from qstore.errors import ClosedError, LimitError, UnknownNameError

if TYPE_CHECKING:
    import numpy
    import torch

    NumpyArray = numpy.ndarray[Any, Any]

T = TypeVar("T")
Torch = Literal["pt", "torch", "pytorch"]
Numpy = Literal["np", "numpy"]


class TensorEntry(NamedTuple):
    number: int  # In the variant.
    dtype: str
    shape: tuple[int, ...]
    byte_size: int
    file: int  # In the variant.


class Reader:
    """The tensors of a variant, or of one of its files, read into those of a framework.

    Thread-safe.
    """

    def __init__(
        self,
        archive: Archive,
        variant: int,
        framework: Framework,
        threads: int,
        file: int | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self.archive = archive
        self.variant = variant
        self.framework = framework
        self.threads = threads
        self.file = file
        self.max_bytes = max_bytes
        self.entries: dict[str, TensorEntry] = {}
        for number, (name, dtype, shape, size, of) in enumerate(archive._native.tensors(variant)):
            entry = TensorEntry(number, dtype, shape, size, of)
            if file is None or entry.file == file:
                # Of several tensors of one name the first file's counts.
                self.entries.setdefault(name, entry)

    def find(self, name: str) -> TensorEntry:
        entry = self.entries.get(name)
        if entry is None:
            variant = self.archive.variant_names[self.variant]
            raise UnknownNameError(
                f"{self.archive.path}: variant {variant!r} has no tensor named {name!r}"
                f"{did_you_mean(name, self.entries)}"
            )
        return entry

    def check(self, size: int) -> None:
        """Raises LimitError when that is more than may be given out at once."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise LimitError(
                f"{self.archive.path}: a tensor of {size} bytes is more than the "
                f"{self.max_bytes} allowed (max_bytes)"
            )

    def read(self, entry: TensorEntry) -> Any:
        self.check(entry.byte_size)
        tensor, memory = self.framework.empty(entry.dtype, entry.shape)
        if entry.byte_size:
            native = self.archive._native
            native.read(self.variant, entry.number, memory, 0, None, 1, self.threads)
        return tensor

    def read_rows(self, entry: TensorEntry, rows: Rows) -> Any:
        self.check(
            entry.byte_size // (entry.shape[0] or 1) * len(range(rows.begin, rows.end, rows.step))
        )
        tensor, memory = self.framework.empty(entry.dtype, rows.shape(entry.shape))
        if len(memory):
            self.archive._native.read(
                self.variant, entry.number, memory, rows.begin, rows.end, rows.step, self.threads
            )
        return tensor

    def read_all(self, progress: Progress) -> dict[str, Any]:
        """All tensors, decoded at once into one piece of memory that they share."""
        framework, native = self.framework, self.archive._native
        loaded = native.allocate(self.variant, byte_limit(self.max_bytes))
        contents = loaded.contents()
        tensors = {}
        # Before they are read: decoding leaves nothing of this code in the processor's caches.
        for name, entry in self.entries.items():
            if entry.byte_size:
                tensors[name] = framework.wrap(contents[entry.number], entry.dtype, entry.shape)
            else:
                tensors[name], _ = framework.empty(entry.dtype, entry.shape)
        try:
            with reported(progress, "load") as tell:
                native.load(loaded, self.threads, tell)
        except BaseException:
            # A traceback holds this frame, and must not hold the memory of a model with it.
            tensors.clear()
            del loaded, contents
            raise
        return {name: framework.finish(tensor) for name, tensor in tensors.items()}

    def headers(self) -> list[Header]:
        """What the headers of the variant's safetensors files say, by file.

        Raises CorruptError and LimitError, naming the file.
        """
        native = self.archive._native
        variant = self.archive.variant_names[self.variant]
        headers = []
        for number, (path, file_size, _, container, *_) in enumerate(native.files(self.variant)):
            if container == "safetensors" and self.file in (None, number):
                where = f"{self.archive.path}: file {path!r} of variant {variant!r}"
                length = native.read_file(self.variant, number, 0, min(8, file_size))
                end = 8 + header_size(length, file_size, where)
                headers.append(parse_header(native.read_file(self.variant, number, 8, end), where))
        return headers

    def in_order(self, names: Iterable[str]) -> list[str]:
        """These tensors, in the order in which the archive stores them."""
        places: dict[str, int] = {}
        for header in self.headers():
            for name in sorted(header.offsets, key=header.offsets.__getitem__):
                places.setdefault(name, len(places))
        last = len(places)
        return sorted(names, key=lambda name: (places.get(name, last), self.entries[name].number))


class safe_open(Generic[T]):
    """Reads tensors of one variant of an archive, with the methods of safetensors.safe_open.

    `path` is a path, a URL, or an archive that is open. `storage_options` and `max_memory` are
    those of `qstore.Archive`. `variant` may be left out when there is only one. `framework` is "pt"
    (torch), "np" (NumPy), or "jax-dlpack": objects that JAX and others take over by `from_dlpack`
    without a copy. `device` is where tensors of torch go. `threads` of 0 means all processors. A
    call that would give out more than `max_bytes` raises LimitError.

    Thread-safe. Reading releases the GIL. Pickling keeps the arguments, and unpickling opens the
    archive again. A handle may be used after a fork. Closing it leaves tensors and slices valid.

    Raises UnknownNameError (listing the variants), InvalidArgumentError (framework, device), and
    what `qstore.Archive` raises; ImportError when the framework is not installed.
    """

    _ahead: ReadAhead | None = None

    @overload
    def __init__(
        self: safe_open[torch.Tensor],
        path: Location,
        variant: str | None = None,
        framework: Torch = "pt",
        device: Any = "cpu",
        *,
        threads: int = 0,
        storage_options: Mapping[str, Any] | None = None,
        max_memory: int | None = None,
        max_bytes: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: safe_open[NumpyArray],
        path: Location,
        variant: str | None,
        framework: Numpy,
        device: Any = "cpu",
        *,
        threads: int = 0,
        storage_options: Mapping[str, Any] | None = None,
        max_memory: int | None = None,
        max_bytes: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: safe_open[NumpyArray],
        path: Location,
        variant: str | None = None,
        *,
        framework: Numpy,
        device: Any = "cpu",
        threads: int = 0,
        storage_options: Mapping[str, Any] | None = None,
        max_memory: int | None = None,
        max_bytes: int | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: safe_open[Any],
        path: Location,
        variant: str | None = None,
        framework: str = ...,
        device: Any = "cpu",
        *,
        threads: int = 0,
        storage_options: Mapping[str, Any] | None = None,
        max_memory: int | None = None,
        max_bytes: int | None = None,
    ) -> None: ...
    def __init__(
        self,
        path: Location,
        variant: str | None = None,
        framework: str = "pt",
        device: Any = "cpu",
        *,
        threads: int = 0,
        storage_options: Mapping[str, Any] | None = None,
        max_memory: int | None = None,
        max_bytes: int | None = None,
    ) -> None:
        adapter = find_framework(framework, device)
        archive = open_archive(path, storage_options, max_memory)
        number = archive.find_variant(variant)
        name = archive.variant_names[number]
        self._arguments = (archive, name, framework, device, threads, max_bytes)
        self._reader: Reader | None = Reader(archive, number, adapter, threads, max_bytes=max_bytes)

    @property
    def variant(self) -> str:
        """The name of the variant."""
        return self._arguments[1]

    @property
    def bytes_read(self) -> int:
        """Bytes read from the archive so far: header, index, and what was read ahead included."""
        return self._open().archive.bytes_read

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self._open().entries)

    def offset_keys(self) -> list[str]:
        """The names of the tensors, as they lie in the variant's safetensors files.

        Raises CorruptError for a file whose header safetensors does not allow.
        """
        names: dict[str, None] = {}
        for header in self._open().headers():
            names |= dict.fromkeys(sorted(header.offsets, key=header.offsets.__getitem__))
        return list(names)

    def metadata(self) -> dict[str, str] | None:
        """The `__metadata__` of the variant's safetensors files, or None when none has any.

        Where files of a model differ, the first one's value counts. Raises CorruptError for a file
        whose header safetensors does not allow.
        """
        found: dict[str, str] = {}
        for header in reversed(self._open().headers()):
            found |= header.metadata
        return found or None

    def get_tensor(self, name: str) -> T:
        """A tensor, decoded straight into its own memory.

        Ask for tensors in the order of `keys`: then the next one of 1 to 64 MiB is decoded
        meanwhile. That is not so when `threads` is 1 or the archive is behind a URL. Tensors of
        block types, as "Q4_K", are uint8, as the package gguf has them. Their last dimension is the
        bytes of a row. Raises UnknownNameError, CorruptError (naming tensor and chunk), IoError,
        and InvalidArgumentError when the framework has no such type.
        """
        reader = self._open()
        entry = reader.find(name)
        tensor: T = reader.framework.finish((self._ahead_of(reader) or reader).read(entry))
        return tensor

    def get_tensors(self, *, progress: Progress = None) -> dict[str, T]:
        """All tensors, by name: the fastest way to load.

        They share one piece of memory, which lives as long as one of them. `progress` is that of
        `qstore.pack`, in bytes of tensors. What it raises, and KeyboardInterrupt, stop the load.
        Raises what `get_tensor` raises, and LimitError.
        """
        return self._open().read_all(progress)

    def get_slice(self, name: str) -> TensorSlice[T]:
        """A view that reads the part of the tensor it is indexed with. Raises UnknownNameError."""
        reader = self._open()
        return TensorSlice(reader, reader.find(name))

    def prefetch(
        self,
        plan: Mapping[str, Any] | Iterable[str] | None = None,
        *,
        device: Any = None,
        threads: int = 0,
    ) -> PrefetchLoader:
        """Begins to read tensors in the background, as safetensors has it, for any framework and
        device. The handle is as before, and may begin several.

        `plan` maps names to slices of the first axis, or other indices as `get_slice` takes them
        (None: the whole tensor), or lists names; None is all tensors. They are read in the order of
        the archive, several in one call: up to 128 MiB ahead of the caller, or four tensors that
        are larger. `device` and `threads` are those of the handle when left out.
        Raises UnknownNameError, InvalidSliceError, what torch raises for an index, and LimitError.
        """
        reader = self._open()
        if device is not None:
            framework = find_framework(self._arguments[2], device)
            reader = Reader(
                reader.archive,
                reader.variant,
                framework,
                reader.threads,
                reader.file,
                reader.max_bytes,
            )
        return PrefetchLoader(reader, plan, threads or reader.threads)

    def close(self) -> None:
        """Ends the use of this handle. What other threads are reading is still finished."""
        self._reader = self._ahead = None

    def __enter__(self) -> safe_open[T]:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        self._open()
        return _reopen, self._arguments

    def __repr__(self) -> str:
        state = "closed" if self._reader is None else "open"
        return f"<qstore.safe_open {self._arguments[0].path!r} {self.variant!r}: {state}>"

    def _ahead_of(self, reader: Reader) -> ReadAhead | None:
        """What reads ahead, from the first tensor on that is asked for. Of two that threads make at
        once one goes again, and what it may have begun is dropped."""
        ahead = self._ahead
        if ahead is None and reader.threads != 1 and reader.archive._is_file:
            ahead = ReadAhead(reader)
            if self._reader is reader:  # It may be closed meanwhile.
                self._ahead = ahead
        return ahead

    def _open(self) -> Reader:
        reader = self._reader
        if reader is None:
            raise ClosedError("the handle is closed")
        return reader


def _reopen(
    archive: Archive,
    variant: str,
    framework: str,
    device: Any,
    threads: int,
    max_bytes: int | None = None,
) -> safe_open[Any]:
    return safe_open(archive, variant, framework, device, threads=threads, max_bytes=max_bytes)

# SPDX-License-Identifier: Apache-2.0
"""Parts of tensors, by the rules of safetensors.

With torch an index means what it means to a tensor of torch. With NumPy it may hold integers,
slices with a positive step and bounds inside the tensor and not negative, and one Ellipsis.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from qstore._frameworks import in_memory
from qstore.errors import InvalidSliceError

if TYPE_CHECKING:
    from qstore._reader import Reader, TensorEntry


T = TypeVar("T")


class Rows(NamedTuple):
    """Every `step`-th of the rows [begin, end), and what is then taken of the tensor they make."""

    begin: int
    end: int
    step: int
    is_one: bool  # Of one row, whose axis goes away.
    rest: Any

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.is_one:
            return shape[1:]
        return (len(range(self.begin, self.end, self.step)), *shape[1:])


class TensorSlice(Generic[T]):
    """A tensor that is read when it is indexed. Thread-safe; usable after its handle is closed.

    Rows of the first axis that are not asked for are not read, as far as chunks allow. An index is
    one of the tensor in memory: of block types, as "Q4_K", its last axis counts bytes of blocks.
    """

    def __init__(self, reader: Reader, entry: TensorEntry) -> None:
        self._reader = reader
        self._entry = entry

    def get_shape(self) -> list[int]:
        """The shape of the whole tensor; of block types in weights."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The name of the type as safetensors or ggml has it, for example "BF16", "Q4_K"."""
        return self._entry.dtype

    def __getitem__(self, index: Any) -> T:
        """The elements, as a tensor of the handle's framework with memory of its own.

        Raises InvalidSliceError or, with torch, what torch raises; CorruptError and IoError.
        """
        reader, entry = self._reader, self._entry
        shape = in_memory(entry.dtype, entry.shape)
        if not reader.framework.is_torch:
            index = check_numpy_index(index, shape)
        reader.framework.check_index(index, entry.dtype, shape)
        # A row of a list is one weight, of which a block has many.
        is_list = shape != entry.shape and len(shape) == 1
        rows = None if is_list else leading_rows(index, shape)
        if rows is None:
            tensor = reader.read(entry)
            whole: T = reader.framework.finish(reader.framework.select(tensor, index))
            return whole
        tensor = reader.read_rows(entry, rows)
        if not is_everything(rows.rest):
            tensor = reader.framework.select(tensor, rows.rest)
        part: T = reader.framework.finish(tensor)
        return part


def leading_rows(index: Any, shape: tuple[int, ...]) -> Rows | None:
    """What the index says of the first axis; None when the whole tensor is to be read.

    REQUIRES: the framework accepts the index.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    if not shape or not all(_is_basic(item) for item in items):
        return None
    if sum(item is Ellipsis for item in items) == 1:
        given = sum(item is not None and item is not Ellipsis for item in items)
        if given == len(shape):
            items = [item for item in items if item is not Ellipsis]
    front = next((i for i, item in enumerate(items) if item is not None), len(items))
    if front == len(items) or items[front] is Ellipsis:
        return None
    first, before, after = items[front], items[:front], items[front + 1 :]
    if not isinstance(first, slice):
        row = operator.index(first)
        row += shape[0] if row < 0 else 0
        return Rows(row, row + 1, 1, True, (*before, *after))
    begin, end, step = first.indices(shape[0])
    count = len(range(begin, end, step))
    # The end of the last row taken: beyond it nothing needs to be read.
    end = begin + (count - 1) * step + 1 if count else begin
    return Rows(begin, end, step if count > 1 else 1, False, (*before, slice(None), *after))


def check_numpy_index(index: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The index as a tuple of integers that are not negative and slices.

    Raises InvalidSliceError where safetensors has an error, which NumPy need not have.
    """
    if isinstance(index, list):
        if index:
            raise InvalidSliceError("an index may not be a list")
        index = (slice(0, 0),)
    items = list(index) if isinstance(index, tuple) else [index]
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise InvalidSliceError("an index may have one Ellipsis only")
    if places:
        missing = max(len(shape) - len(items) + 1, 0)
        items[places[0] : places[0] + 1] = [slice(None)] * missing
    if len(items) > len(shape):
        raise InvalidSliceError(f"{len(items)} indices for a tensor of shape {list(shape)}")
    return tuple(
        _check_slice(item, axis, shape[axis])
        if isinstance(item, slice)
        else _check_integer(item, axis, shape[axis])
        for axis, item in enumerate(items)
    )


def _check_slice(item: slice, axis: int, size: int) -> slice:
    try:
        begin = 0 if item.start is None else operator.index(item.start)
        end = size if item.stop is None else operator.index(item.stop)
        step = 1 if item.step is None else operator.index(item.step)
    except TypeError as error:
        raise InvalidSliceError(f"axis {axis}: {error}") from None
    if step <= 0:
        raise InvalidSliceError(f"axis {axis}: the step of a slice must be positive, not {step}")
    if not 0 <= begin <= end <= size or begin == size:
        raise InvalidSliceError(f"axis {axis} of size {size} has no slice {begin}:{end}")
    return slice(begin, end, step)


def _check_integer(item: Any, axis: int, size: int) -> int:
    try:
        index = operator.index(item)
    except TypeError:
        kind = type(item).__name__
        raise InvalidSliceError(f"axis {axis}: no integer, slice or Ellipsis but {kind}") from None
    if not -size <= index < size:
        raise InvalidSliceError(f"axis {axis} of size {size} has no index {index}")
    return index + size if index < 0 else index


def _is_basic(item: Any) -> bool:
    """Whether an element of an index is one that leaves no doubt which rows it means."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return True
    return type(item) is int or type(item).__module__ == "numpy" and not hasattr(item, "__len__")


def is_everything(index: tuple[Any, ...]) -> bool:
    """Whether the rest of an index takes all that is there."""
    return all(item is Ellipsis or item == slice(None) for item in index)

# SPDX-License-Identifier: Apache-2.0
"""Tensors of torch whose content is decoded when it is used, and rows of which are cut before.

For engines that hand each weight to code of the model, which takes the part that this process
needs. Only its rows are decoded. What is copied to memory of the CPU is decoded straight into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from qstore._frameworks import in_memory
from qstore._slices import Rows

if TYPE_CHECKING:
    from qstore._prefetch import PrefetchLoader
    from qstore._reader import Reader

aten = torch.ops.aten


class LazyTensor(torch.Tensor):
    """A tensor of a variant, or adjacent rows of it, on the CPU. Not thread-safe.

    What torch does with it, but for cutting rows of the first axis and copying it, is done with its
    content, which it then keeps. Raises what `safe_open.get_tensor` does where content is needed.
    """

    _reader: Reader
    _prefetch: PrefetchLoader | None
    _name: str
    _rows: Rows
    _content: torch.Tensor | None

    @staticmethod
    def __new__(
        cls,
        reader: Reader,
        name: str,
        prefetch: PrefetchLoader | None = None,
        rows: Rows | None = None,
    ) -> LazyTensor:
        """REQUIRES: `reader` is of torch, and the tensor has an axis."""
        entry = reader.find(name)
        shape = in_memory(entry.dtype, entry.shape)
        rows = Rows(0, shape[0], 1, False, ()) if rows is None else rows
        dtype = reader.framework.dtype(entry.dtype)
        make: Any = torch.Tensor._make_wrapper_subclass
        made: LazyTensor = make(cls, rows.shape(shape), dtype=dtype, device="cpu")
        made._reader, made._prefetch, made._name = reader, prefetch, name
        made._rows, made._content = rows, None
        return made

    # Only what reaches the dispatcher concerns it.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        first = arguments[0]
        if isinstance(first, LazyTensor) and first._content is None:
            part = first._part(function, arguments[1:])
            if part is not None:
                return part
        is_copy = function is aten.copy_.default and not isinstance(first, LazyTensor)
        if is_copy and (first.is_meta or arguments[1]._fill(first)):
            return first  # Who only counts, on the device meta, needs no content.

        def content(value: Any) -> Any:
            return value.content() if isinstance(value, LazyTensor) else value

        return function(*tree_map(content, arguments), **tree_map(content, options or {}))

    def __repr__(self, *, tensor_contents: object = None) -> str:  # type: ignore[override]
        return f"<LazyTensor {self._name!r} {list(self.shape)} {self.dtype}>"

    def content(self) -> torch.Tensor:
        """The tensor, decoded now or before."""
        if self._content is None:
            whole = self._planned()
            if whole is None:
                self._content = self._reader.read_rows(self._reader.find(self._name), self._rows)
            else:
                rows = whole[self._rows.begin : self._rows.end]
                self._content = rows[0] if self._rows.is_one else rows
        assert self._content is not None
        return self._content

    def _planned(self) -> Any:
        """The whole tensor, where it was read ahead, for the first part of it."""
        prefetch, self._prefetch = self._prefetch, None
        return prefetch.take(self._name) if prefetch and self._name in prefetch else None

    def _part(self, function: Any, rest: tuple[Any, ...]) -> LazyTensor | None:
        """The same tensor, or rows of it, not decoded; None when that is not what is asked for."""
        begin, end, _, is_one, _ = self._rows
        if function in (aten.detach.default, aten.alias.default):
            return self._cut(self._rows)
        if is_one:
            return None
        if function is aten.slice.Tensor:
            defaults: tuple[Any, ...] = (0, None, None, 1)
            axis, first, last, step = (*rest, *defaults[len(rest) :])
            first, last, _ = slice(first, last).indices(end - begin)
            if axis == 0 and step == 1 and first < last:
                return self._cut(Rows(begin + first, begin + last, 1, False, ()))
        if function is aten.select.int and rest[0] == 0:
            row = rest[1] + (end if rest[1] < 0 else begin)
            if begin <= row < end:
                return self._cut(Rows(row, row + 1, 1, True, ()))
        return None

    def _cut(self, rows: Rows) -> LazyTensor:
        return LazyTensor(self._reader, self._name, self._prefetch, rows)

    def _fill(self, out: torch.Tensor) -> bool:
        """Decodes into the memory of another tensor, where that has the same type and order."""
        entry = self._reader.find(self._name)
        if self._content is not None or self._prefetch is not None or entry.dtype == "F4":
            return False
        is_alike = out.dtype == self.dtype and out.shape == self.shape and out.is_contiguous()
        if not is_alike or out.device.type != "cpu" or out.layout != torch.strided:
            return False
        memory = out.detach().view(-1).view(torch.uint8)
        if len(memory):
            native, (begin, end, *_) = self._reader.archive._native, self._rows
            native.read(
                self._reader.variant, entry.number, memory, begin, end, 1, self._reader.threads
            )
        return True

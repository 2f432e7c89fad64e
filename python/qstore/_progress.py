# SPDX-License-Identifier: Apache-2.0
"""What a caller may give to be told of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qstore.errors import InvalidArgumentError

# progress(done, total), True for a bar of tqdm, or a class that makes such bars.
Progress = Callable[[int, int], object] | type | bool | None


@contextmanager
def reported(progress: Progress, title: str) -> Iterator[Callable[[int, int], object] | None]:
    """The function to be called with bytes done and bytes in all; None when nobody listens.

    Raises InvalidArgumentError when tqdm is wanted and not installed.
    """
    if progress is None or progress is False:
        yield None
    elif progress is True or isinstance(progress, type):
        make = _tqdm() if progress is True else progress
        with make(desc=title, unit="B", unit_scale=True, unit_divisor=1024) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show
    else:
        yield progress


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise InvalidArgumentError("progress=True wants tqdm, which is not installed") from None
    return tqdm

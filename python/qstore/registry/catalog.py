# SPDX-License-Identifier: Apache-2.0
"""Where a registry writes down what it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

from qstore.registry.records import Head, Listing
from qstore.registry.state import State

T = TypeVar("T")


class Catalog(ABC):
    """A State that several processes share, and listings of commits beside it. Thread-safe.

    At any moment, also after a crash, the catalog is what it was before a change or after it.
    Listings that no commit names any more are taken away by `collect`.
    """

    @abstractmethod
    def state(self) -> State:
        """What it says now, not to be changed. Raises IoError, CorruptError."""

    @abstractmethod
    def change(self, step: Callable[[State], T], listings: Iterable[Listing] = ()) -> T:
        """Has `step` change the state, and keeps the outcome and these listings.

        One change follows another. `step` may be called several times, each time with a state that
        nobody else holds; when it raises, nothing has changed. Raises IoError, CorruptError."""

    @abstractmethod
    def listing(self, head: Head) -> Listing:
        """The files of a commit. Raises UnknownNameError when it is gone, IoError, CorruptError."""

    @abstractmethod
    def collect(self) -> int:
        """Takes away listings that no commit names. Returns how many. Raises IoError."""

    @abstractmethod
    def check(self) -> list[str]:
        """What is wrong with how it is stored, listings included, a sentence each."""

    def close(self) -> None:  # noqa: B027
        """Ends what it has open."""

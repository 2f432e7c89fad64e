# SPDX-License-Identifier: Apache-2.0
"""How many bytes an archive saves, and what saves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from qstore._archive import Archive
from qstore.registry.records import ArchiveRecord, Part
from qstore.registry.state import State

# Of tensors: those that an earlier one equals, those that follow from other precisions, and those
# that are coded by themselves. Then headers and other files, with the index of the archive.
EQUAL, DERIVED, ALONE, OTHER = KINDS = ("equal", "derived", "alone", "other")
TITLES = {
    EQUAL: "tensors stored already",
    DERIVED: "tensors that follow from other ones",
    ALONE: "tensors coded by themselves",
    OTHER: "other files, headers, indexes",
}


class Totals(NamedTuple):
    """Of a registry, or of some of its archives."""

    served: int  # Bytes of the files of all commits, each commit counted by itself.
    packed: int  # Bytes of the files that are in archives.
    stored: int  # Bytes of the archives.
    parts: Mapping[str, Part]  # Of `packed` and `stored`, by what saved them.

    @property
    def saved(self) -> float:
        """The part of `served` that nobody needs to store, from 0 to 1; less than 0 for a loss."""
        return 1 - self.stored / self.served if self.served else 0.0


def measure(archive: Archive) -> dict[str, Part]:
    """What the tensors of an archive take, by kind."""
    found = {name: [0, 0] for name in KINDS}
    for variant in archive.variants():
        for tensor in variant.tensors:
            kind = EQUAL if tensor.same_as else DERIVED if tensor.parents else ALONE
            found[kind][0] += tensor.byte_size
            found[kind][1] += 0 if tensor.same_as else tensor.stored_bytes
    source = sum(file.size for name in archive.variant_names for file in archive.files(name))
    found[OTHER][0] = source - sum(part[0] for part in found.values())
    found[OTHER][1] = archive.stored_bytes - sum(part[1] for part in found.values())
    return {name: Part(*part) for name, part in found.items()}


def total(state: State, digests: Iterable[str] | None = None) -> Totals:
    """Of these archives and the commits in them, or of all. What is going or about to come does not
    count."""
    wanted = state.needed() if digests is None else set(digests)
    records = [state.archives[digest] for digest in wanted if digest in state.archives]
    heads = [
        head
        for repo in state.repos.values()
        for head in repo.commits.values()
        if wanted.issuperset(head.archives)
    ]
    return Totals(
        sum(head.size for head in heads),
        sum(record.source for record in records),
        sum(record.size for record in records),
        {name: _sum(records, name) for name in KINDS},
    )


def _sum(records: Iterable[ArchiveRecord], name: str) -> Part:
    parts = [record.saved.get(name, Part(0, 0)) for record in records]
    return Part(sum(part.source for part in parts), sum(part.stored for part in parts))

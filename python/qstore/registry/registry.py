# SPDX-License-Identifier: Apache-2.0
"""A registry: archives named by their content, and repositories of files that are in them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from qstore import _operations
from qstore._archive import Archive
from qstore._progress import Progress
from qstore.errors import AlreadyExistsError, IoError, QStoreError
from qstore.registry import adding, state
from qstore.registry.catalog import Catalog
from qstore.registry.places import Place, open_place
from qstore.registry.records import (
    ArchiveRecord,
    FileEntry,
    Head,
    Listing,
    make_head,
    make_listing,
)
from qstore.registry.savings import measure
from qstore.registry.staging import collect_staging, staging

DAY = 86400.0
GRACE = DAY  # How long an archive that nothing needs is kept by default.
_RESERVED = DAY  # How long bringing an archive may take.


class Added(NamedTuple):
    """What `Registry.add` did. `commits` are (repository, revision, commit)."""

    commits: tuple[tuple[str, str, str], ...]
    archive: str
    source_bytes: int  # Of all files that were packed.
    stored_bytes: int  # Of the archive; of which nothing is new when it was there already.
    was_there: bool


class Collected(NamedTuple):
    """What `Registry.collect` took away."""

    commits: Mapping[str, list[str]]
    archives: tuple[str, ...]
    freed_bytes: int
    staging: int  # Directories that killed processes had left.


class Registry:
    """Thread-safe, and safe beside other processes that use the registry at the same time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.catalog: Catalog = place.catalog
        self.store = place.store

    @classmethod
    def open(cls, where: str | os.PathLike[str], *, create: bool = False) -> Registry:
        """The registry in a directory. Raises PathNotFoundError, AlreadyExistsError (`create`, and
        something is there), IoError, CorruptError."""
        return cls(open_place(os.fspath(where), create))

    def close(self) -> None:
        self.catalog.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self,
        sources: Iterable[adding.Source],
        *,
        level: str = "balanced",
        parents: Mapping[str, str] | None = None,
        verify: bool = True,
        expected: Mapping[str, str | None] | None = None,
        threads: int = 0,
        progress: Progress = None,
    ) -> Added:
        """Packs directories and files in one archive, and has repositories serve what is in it.

        Sources of one repository and revision are one commit. With `verify` the archive is decoded
        and compared with the sources before the registry has it. `expected` says which commit
        `main` of a repository must still be, None that the repository must be new. Until all is
        done nobody sees anything; what a killed process left `collect` takes away.
        Raises MovedError, MismatchError (two different files at one path), and what `qstore.pack`,
        `qstore.verify` and the catalog do."""
        wanted = list(sources)
        state.check_expected(self.catalog.state(), expected or {})
        with staging(self._place.staging) as scratch:
            placed = adding.lay_out(wanted, scratch)
            paths = {name: place.path for name, place in placed.items()}
            made = scratch / "m.qstore"
            _operations.pack(
                *(paths, made),
                level=level,
                parents=parents,
                sha256=True,
                threads=threads,
                progress=progress,
            )
            if verify:
                _operations.verify(made, paths, threads=threads, progress=progress)
            return self._publish(made, wanted, placed, expected)

    def _publish(
        self,
        made: Path,
        sources: list[adding.Source],
        placed: Mapping[str, adding.Placed],
        expected: Mapping[str, str | None] | None,
    ) -> Added:
        digest = adding.sha256_of(made)
        archive = Archive(made)
        listings = _listings(archive, digest, placed)
        record = _record(archive)
        now = time.time()
        there = digest in self.catalog.state().archives
        self.catalog.change(lambda s: state.reserve(s, digest, record, now + _RESERVED))
        # Whoever is killed from here on leaves an archive that is not needed, or all of it.
        self.store.place(made, digest)
        heads: dict[str, dict[str, Head]] = {}
        refs: dict[str, dict[str, str]] = {}
        for (repo, revision), listing in listings.items():
            heads.setdefault(repo, {})[listing.commit] = make_head(listing, now)
            names = {name for source in sources for name in _names(source, repo, revision)}
            refs.setdefault(repo, {}).update(dict.fromkeys(names, listing.commit))
        change = partial(state.publish, heads=heads, refs=refs, now=now, expected=expected)
        try:
            self.catalog.change(change, listings.values())
        except QStoreError:
            self.catalog.change(lambda s: state.release(s, digest, now))
            raise
        commits = tuple((*key, listing.commit) for key, listing in listings.items())
        return Added(commits, digest, record.source, record.size, there)

    def listing(self, repo: str, revision: str | None = None) -> Listing:
        """The files of a revision, or of a commit. Raises UnknownNameError."""
        found = self.catalog.state()
        commit = found.resolve(repo, revision)
        return self.catalog.listing(found.repos[repo].commits[commit])

    def get(
        self,
        repo: str,
        revision: str | None,
        out: str | os.PathLike[str],
        *,
        threads: int = 0,
        progress: Progress = None,
    ) -> Listing:
        """Restores the files of a revision in a new directory, which appears when it is complete.
        Raises AlreadyExistsError, UnknownNameError, and what `qstore.unpack` does."""
        listing = self.listing(repo, revision)
        target = Path(os.path.abspath(out))
        if target.exists():
            raise AlreadyExistsError(f"{target}: exists already")
        with tempfile.TemporaryDirectory(
            prefix=".qstore-", suffix=".tmp", dir=target.parent
        ) as scratch:
            made = Path(scratch) / "files"
            made.mkdir()
            for archive, variant in sorted({(f.archive, f.variant) for f in listing.files}):
                opened = self.store.open(archive)
                part = Path(scratch) / "part"
                _operations.unpack(opened, variant, part, threads=threads, progress=progress)
                for file in listing.files:
                    if (file.archive, file.variant) == (archive, variant):
                        _move(part / file.source, made / file.path)
                shutil.rmtree(part)
            os.rename(made, target)
        return listing

    def remove(self, repo: str, revision: str | None = None) -> list[str]:
        """Takes a revision, or a whole repository, out of the catalog. Returns the commits that are
        gone. Their archives stay until `collect` finds that nothing needs them.
        Raises UnknownNameError."""
        return self.catalog.change(lambda s: state.remove(s, repo, revision, time.time()))

    def collect(self, *, keep: int | None = None, grace: float = GRACE) -> Collected:
        """Takes away what nothing needs: archives that no commit has needed for `grace` seconds,
        and what killed processes left. With `keep`, first the commits that no revision names, but
        for the newest of each repository. May be killed at any time. Raises IoError."""
        now = time.time()
        gone: dict[str, list[str]] = {}
        if keep is not None:
            gone = self.catalog.change(lambda s: state.retire(s, keep, now))
        going = self.catalog.change(lambda s: state.condemn(s, grace, now))
        sizes = self.store.sizes()
        for digest in going:
            self.store.remove(digest)
            self.catalog.change(partial(state.forget, digest=digest))
        self.catalog.collect()
        freed = sum(sizes.get(digest, 0) for digest in going)
        return Collected(gone, tuple(going), freed, collect_staging(self._place.staging))

    def verify(
        self,
        *,
        quick: bool = False,
        threads: int = 0,
        note: Callable[[str], object] = lambda step: None,
    ) -> list[str]:
        """What is wrong with the registry, a sentence each. Every commit must be in archives that
        are there, whose indexes have its files, of the same sizes and digests; every base too.
        Unless `quick`, each archive is decoded, and its SHA-256 compared with its name."""
        wrong = self.catalog.check()
        found = self.catalog.state()
        sizes = self.store.sizes()
        if unknown := set(sizes) - set(self.catalog.state().archives):
            # But for those that were being removed a moment ago.
            unknown &= set(self.store.sizes())
        wrong += [f"archive {digest}: the catalog does not know it" for digest in sorted(unknown)]
        opened: dict[str, Archive] = {}
        for digest in sorted(found.with_bases(found.needed())):
            note(f"archive {digest}")
            try:
                opened[digest] = self._checked(digest, found.archives.get(digest), sizes)
                if not quick:
                    self._decode(digest, opened[digest], threads)
            except QStoreError as error:
                wrong.append(f"archive {digest}: {error}")
        for name, repo in found.repos.items():
            for commit, head in repo.commits.items():
                try:
                    wrong += _differences(self.catalog.listing(head), commit, opened)
                except QStoreError as error:
                    wrong.append(f"{name}: commit {commit}: {error}")
        return wrong

    def _checked(
        self, digest: str, record: ArchiveRecord | None, sizes: Mapping[str, int]
    ) -> Archive:
        if record is None or record.is_going:
            raise IoError("a commit needs it, and the catalog does not have it")
        if digest not in sizes:
            raise IoError("a commit needs it, and there is no such file")
        if sizes[digest] != record.size:
            raise IoError(f"has {sizes[digest]} bytes, the catalog says {record.size}")
        return self.store.open(digest)

    def _decode(self, digest: str, archive: Archive, threads: int) -> None:
        found = self.store.digest(digest)
        if found != digest:
            raise IoError(f"its SHA-256 is {found}")
        _operations.verify(archive, threads=threads)


def _record(archive: Archive) -> ArchiveRecord:
    saved = measure(archive)
    source = sum(part.source for part in saved.values())
    return ArchiveRecord(archive.stored_bytes, (), time.time(), source, saved)


def _listings(
    archive: Archive, digest: str, placed: Mapping[str, adding.Placed]
) -> dict[tuple[str, str], Listing]:
    """By repository and revision."""
    groups: dict[tuple[str, str], list[list[FileEntry]]] = {}
    for name, place in placed.items():
        for target, folder in place.served:
            files = adding.entries(archive, digest, name, folder)
            groups.setdefault((target.repo, target.revision), []).append(files)
    return {
        (repo, revision): make_listing(adding.merge(found, f"{repo}@{revision}"))
        for (repo, revision), found in groups.items()
    }


def _names(source: adding.Source, repo: str, revision: str) -> tuple[str, ...]:
    """All names of a commit, when the source is part of it."""
    target = source.target
    is_it = (target.repo, target.revision) == (repo, revision)
    return (revision, *source.also) if is_it else ()


def _differences(listing: Listing, commit: str, opened: Mapping[str, Archive]) -> list[str]:
    wrong = []
    if listing.commit != commit or make_listing(listing.files).commit != commit:
        wrong.append(f"commit {commit}: its files make another one")
    for file in listing.files:
        archive = opened.get(file.archive)
        if archive is None:
            continue  # Which has been told of the archive.
        try:
            there = {found.path: found for found in archive.files(file.variant)}[file.source]
            if (there.size, there.sha256) != (file.size, file.sha256):
                wrong.append(f"commit {commit}: {file.path}: the archive has another file there")
        except KeyError:
            wrong.append(f"commit {commit}: {file.path}: the archive does not have it")
    return wrong


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(source, target)

# SPDX-License-Identifier: Apache-2.0
"""What a catalog says at a moment, and every change that is made to it.

A change takes a State and leaves another one; a catalog sees to it that all of it counts, or
nothing. An archive is kept as long as a commit needs it, or an archive that is kept has it as base,
or somebody has reserved it. So whatever happens between two changes, each commit can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from qstore.errors import AlreadyExistsError, InvalidArgumentError, IoError, UnknownNameError
from qstore.registry.names import MAIN, is_commit
from qstore.registry.records import ArchiveRecord, Head, Repo


class UnknownRevisionError(UnknownNameError):
    """A repository that is there has no such revision."""


class MovedError(AlreadyExistsError):
    """A revision is another commit than the one that was expected."""


@dataclass
class State:
    """Records are never changed, only exchanged."""

    archives: dict[str, ArchiveRecord] = field(default_factory=dict)
    repos: dict[str, Repo] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.archives), dict(self.repos))

    def repo(self, name: str) -> Repo:
        """Raises UnknownNameError."""
        found = self.repos.get(name)
        if found is None:
            raise UnknownNameError(f"{name}: there is no such repository")
        return found

    def resolve(self, name: str, revision: str | None) -> str:
        """The commit that a revision is. Raises UnknownNameError, UnknownRevisionError."""
        repo = self.repo(name)
        wanted = revision or MAIN
        commit = repo.refs.get(wanted, wanted if wanted in repo.commits else None)
        if commit is None:
            there = ", ".join(sorted(repo.refs)) or "none with a name"
            raise UnknownRevisionError(f"{name}: no revision {wanted!r}; there are: {there}")
        return commit

    def needed(self) -> set[str]:
        """Archives that commits are in, and the bases of these."""
        heads = (head for repo in self.repos.values() for head in repo.commits.values())
        return self.with_bases(digest for head in heads for digest in head.archives)

    def with_bases(self, digests: Iterable[str]) -> set[str]:
        found: set[str] = set()
        ahead = list(digests)
        while ahead:
            digest = ahead.pop()
            if digest in found:
                continue
            found.add(digest)
            record = self.archives.get(digest)
            ahead += record.bases if record else ()
        return found


def reserve(state: State, digest: str, record: ArchiveRecord, until: float) -> None:
    """Says that an archive is about to come, before its file is there.

    Raises IoError (it is being removed at the moment), UnknownNameError (a base is not there)."""
    for base in record.bases:
        found = state.archives.get(base)
        if found is None or found.is_going:
            raise UnknownNameError(f"base {base}: the registry does not have this archive")
    there = state.archives.get(digest)
    if there is None:
        state.archives[digest] = record._replace(reserved=until)
        return
    if there.is_going:
        raise IoError(f"archive {digest} is being removed: collect garbage, and try again")
    state.archives[digest] = there._replace(reserved=max(until, there.reserved or 0.0))


def release(state: State, digest: str, now: float) -> None:
    """Takes back that an archive is about to come."""
    if record := state.archives.get(digest):
        state.archives[digest] = record._replace(reserved=None)
    note_unneeded(state, now)


def check_expected(state: State, expected: Mapping[str, str | None]) -> None:
    """Raises MovedError, unless `main` of each repository is the commit said, None being none."""
    for name, commit in expected.items():
        found = state.repos.get(name, Repo()).refs.get(MAIN)
        if found != commit:
            raise MovedError(f"{name}: {MAIN} is {found or 'not there'}, not {commit or 'new'}")


def publish(
    state: State,
    heads: Mapping[str, Mapping[str, Head]],
    refs: Mapping[str, Mapping[str, str]],
    now: float,
    expected: Mapping[str, str | None] | None = None,
) -> None:
    """Adds commits and moves revisions, by repository. `expected` says which commit `main` of a
    repository must be so far, None that there is none.

    Raises MovedError; IoError (an archive that they need was removed meanwhile)."""
    check_expected(state, expected or {})
    for name, added in heads.items():
        repo = state.repos.get(name, Repo())
        for head in added.values():
            for digest in head.archives:
                record = state.archives.get(digest)
                if record is None or record.is_going:
                    raise IoError(f"archive {digest} was removed while it was added: add it again")
                state.archives[digest] = record._replace(reserved=None, unneeded=None)
        # What is there already stays where it is, so that its archive need not change.
        commits = {**added, **repo.commits}
        state.repos[name] = Repo({**repo.refs, **refs.get(name, {})}, commits)
    note_unneeded(state, now)


def remove(state: State, name: str, revision: str | None, now: float) -> list[str]:
    """Takes away a revision, and its commit unless another one names it; None is all of the
    repository. Returns the commits that are gone. Raises UnknownNameError."""
    repo = state.repo(name)
    if revision is None:
        del state.repos[name]
        note_unneeded(state, now)
        return list(repo.commits)
    commit = state.resolve(name, revision)
    if is_commit(revision):
        refs = {ref: to for ref, to in repo.refs.items() if to != commit}
    else:
        refs = {ref: to for ref, to in repo.refs.items() if ref != revision}
    gone = [] if commit in refs.values() else [commit]
    _exchange(state, name, refs, gone)
    note_unneeded(state, now)
    return gone


def retire(state: State, keep: int, now: float) -> dict[str, list[str]]:
    """Takes away commits that no revision names, but for the `keep` newest of each repository.
    Returns them by repository."""
    if keep < 0:
        raise InvalidArgumentError(f"keep {keep}: want a number of commits")
    gone = {}
    for name, repo in list(state.repos.items()):
        if lost := _unnamed(repo)[keep:]:
            gone[name] = lost
            _exchange(state, name, repo.refs, lost)
    note_unneeded(state, now)
    return gone


def condemn(state: State, grace: float, now: float) -> list[str]:
    """Marks archives that nobody has needed for `grace` seconds as going; from then on nobody can
    have them. Returns all that are going, children before their bases."""
    note_unneeded(state, now)
    kept = state.with_bases(
        digest
        for digest, record in state.archives.items()
        if not record.is_going and not _is_over(record, grace, now)
    )
    for digest, record in state.archives.items():
        if digest not in kept:
            state.archives[digest] = record._replace(is_going=True)
    return _children_first(state)


def forget(state: State, digest: str) -> None:
    """The file of an archive that was going is gone."""
    if (record := state.archives.get(digest)) and record.is_going:
        del state.archives[digest]


def note_unneeded(state: State, now: float) -> None:
    needed = state.needed()
    for digest, record in state.archives.items():
        since = None if digest in needed else record.unneeded or now
        if since != record.unneeded:
            state.archives[digest] = record._replace(unneeded=since)


def _unnamed(repo: Repo) -> list[str]:
    """The newest first."""
    found = [commit for commit in repo.commits if commit not in repo.refs.values()]
    return sorted(found, key=lambda commit: (-repo.commits[commit].created, commit))


def _is_over(record: ArchiveRecord, grace: float, now: float) -> bool:
    if record.reserved is not None and record.reserved >= now:
        return False
    return record.unneeded is not None and record.unneeded + grace <= now


def _children_first(state: State) -> list[str]:
    going = {digest for digest, record in state.archives.items() if record.is_going}
    ordered: list[str] = []
    while going:
        bases = {base for digest in going for base in state.archives[digest].bases}
        free = sorted(going - bases) or sorted(going)  # Of a circle, which nobody can have, all.
        ordered += free
        going -= set(free)
    return ordered


def _exchange(state: State, name: str, refs: Mapping[str, str], gone: Iterable[str]) -> None:
    """A repository without any commit is none."""
    lost = set(gone)
    commits = {id: head for id, head in state.repos[name].commits.items() if id not in lost}
    if commits:
        state.repos[name] = Repo(dict(refs), commits)
    else:
        del state.repos[name]

# SPDX-License-Identifier: Apache-2.0
"""A catalog in a SQLite database, for a registry in a directory of one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from qstore.errors import CorruptError, IoError, PathNotFoundError, UnknownNameError
from qstore.registry.catalog import Catalog, T
from qstore.registry.records import (
    Head,
    Listing,
    Repo,
    decode_archive,
    decode_head,
    decode_listing,
    encode_archive,
    encode_head,
)
from qstore.registry.state import State

_WAIT = 60.0  # Seconds for another writer, whose changes take milliseconds.
_SCHEMA = """
CREATE TABLE archives (digest TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE commits (repo TEXT, id TEXT, head TEXT NOT NULL, PRIMARY KEY (repo, id)) WITHOUT ROWID;
CREATE TABLE refs (repo TEXT, name TEXT, id TEXT NOT NULL, PRIMARY KEY (repo, name)) WITHOUT ROWID;
CREATE TABLE listings (digest TEXT PRIMARY KEY, content BLOB NOT NULL);
PRAGMA user_version = 1;
"""

Row = tuple[str, ...]


class SqliteCatalog(Catalog):
    """One writer at a time, who waits for others; readers wait for nobody."""

    def __init__(self, path: str, create: bool = False) -> None:
        """Raises PathNotFoundError, IoError, CorruptError (not a catalog of this version)."""
        self._path = path
        self._lock = threading.RLock()
        self._seen: tuple[int, State] | None = None
        if not create and not os.path.exists(path):
            raise PathNotFoundError(f"{path}: there is no such catalog")
        with self._told():
            self._base = sqlite3.connect(
                path, timeout=_WAIT, isolation_level=None, check_same_thread=False
            )
            self._base.execute("PRAGMA journal_mode = WAL")
            # A change that is told to be done outlives a loss of power.
            self._base.execute("PRAGMA synchronous = FULL")
            if create:
                self._base.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version != 1:
            raise CorruptError(f"{path}: version {version} of the catalog, this program knows 1")

    def state(self) -> State:
        with self._lock, self._told():
            version = self._version()
            if self._seen is None or self._seen[0] != version:
                with self._transaction("DEFERRED"):
                    # The first read begins the transaction, so that this is the version of all.
                    state = self._load()
                self._seen = version, state
            return self._seen[1]

    def change(self, step: Callable[[State], T], listings: Iterable[Listing] = ()) -> T:
        with self._lock, self._told():
            with self._transaction("IMMEDIATE"):
                before = self._load()
                after = before.copy()
                result = step(after)
                for listing in listings:
                    content = listing.encode()
                    row = sha256(content).hexdigest(), content
                    self._base.execute("INSERT OR IGNORE INTO listings VALUES (?, ?)", row)
                self._write("archives", _archive_rows(before), _archive_rows(after), 1)
                self._write("commits", _commit_rows(before), _commit_rows(after), 2)
                self._write("refs", _ref_rows(before), _ref_rows(after), 2)
            self._seen = None
            return result

    def listing(self, head: Head) -> Listing:
        with self._lock, self._told():
            query = "SELECT content FROM listings WHERE digest = ?"
            row = self._base.execute(query, (head.listing,)).fetchone()
        if row is None:
            raise UnknownNameError(f"{self._path}: listing {head.listing} is not there")
        return decode_listing(row[0], f"{self._path}: listing {head.listing}")

    def collect(self) -> int:
        with self._lock, self._told(), self._transaction("IMMEDIATE"):
            state = self._load()
            heads = (head for repo in state.repos.values() for head in repo.commits.values())
            wanted = {head.listing for head in heads}
            there = {row[0] for row in self._base.execute("SELECT digest FROM listings")}
            lost = [(digest,) for digest in there - wanted]
            self._base.executemany("DELETE FROM listings WHERE digest = ?", lost)
            return len(lost)

    def check(self) -> list[str]:
        with self._lock, self._told():
            rows = self._base.execute("PRAGMA integrity_check").fetchall()
            wrong = [f"{self._path}: {row[0]}" for row in rows if row[0] != "ok"]
            for digest, content in self._base.execute("SELECT digest, content FROM listings"):
                if sha256(content).hexdigest() != digest:
                    wrong.append(f"{self._path}: listing {digest} has other content")
        return wrong

    def close(self) -> None:
        with self._lock:
            self._base.close()

    def _version(self) -> int:
        """Another one after each change by another connection."""
        (version,) = self._base.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _load(self) -> State:
        state = State()
        for digest, record in self._base.execute("SELECT digest, record FROM archives"):
            state.archives[digest] = decode_archive(
                record.encode(), f"{self._path}: archive {digest}"
            )
        refs: dict[str, dict[str, str]] = {}
        for name, ref, commit in self._base.execute("SELECT repo, name, id FROM refs"):
            refs.setdefault(name, {})[ref] = commit
        commits: dict[str, dict[str, Head]] = {}
        for name, commit, head in self._base.execute("SELECT repo, id, head FROM commits"):
            where = f"{self._path}: commit {commit} of {name}"
            commits.setdefault(name, {})[commit] = decode_head(head.encode(), where)
        for name, found in commits.items():
            state.repos[name] = Repo(refs.get(name, {}), found)
        return state

    def _write(self, table: str, before: set[Row], after: set[Row], keys: int) -> None:
        columns = [row[1] for row in self._base.execute(f"PRAGMA table_info({table})")]
        match = " AND ".join(f"{column} = ?" for column in columns[:keys])
        gone = [row[:keys] for row in before - after]
        self._base.executemany(f"DELETE FROM {table} WHERE {match}", gone)
        places = ", ".join("?" * len(columns))
        self._base.executemany(f"INSERT INTO {table} VALUES ({places})", after - before)

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._base.execute(f"BEGIN {kind}")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # Locked, read-only, a full disk.
            raise IoError(f"{self._path}: {error}") from error
        except sqlite3.Error as error:
            raise CorruptError(f"{self._path}: {error}") from error


def _archive_rows(state: State) -> set[Row]:
    return {(digest, encode_archive(record).decode()) for digest, record in state.archives.items()}


def _commit_rows(state: State) -> set[Row]:
    return {
        (name, commit, encode_head(head).decode())
        for name, repo in state.repos.items()
        for commit, head in repo.commits.items()
    }


def _ref_rows(state: State) -> set[Row]:
    return {
        (n, ref, commit) for n, repo in state.repos.items() for ref, commit in repo.refs.items()
    }

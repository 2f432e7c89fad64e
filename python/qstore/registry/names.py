# SPDX-License-Identifier: Apache-2.0
"""Names of repositories, revisions and paths in them, and what they may be made of."""

from __future__ import annotations

import re
from typing import NamedTuple

from qstore.errors import InvalidArgumentError

MAIN = "main"  # The revision that is meant where none is named.

_MOST = 96  # Characters of a repository's name, as clients of the Hub allow.
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NOT_OF_VARIANTS = re.compile(r"[^A-Za-z0-9._+-]", re.ASCII)


class Target(NamedTuple):
    """Where files of a variant are served: a repository, a folder of it ("" is all of it), and the
    name of a revision."""

    repo: str
    folder: str
    revision: str


def check_repo(name: str) -> str:
    """The name, when it is ORGANIZATION/MODEL as clients of the Hub take it.

    Raises InvalidArgumentError."""
    parts = name.split("/")
    if len(parts) != 2 or not all(_PART.fullmatch(part) for part in parts):
        raise InvalidArgumentError(
            f"repository {name!r}: want ORGANIZATION/MODEL of letters, digits, '.', '_' and '-'"
        )
    if len(name) > _MOST or ".." in name or "--" in name or name.endswith(".git"):
        rule = f"at most {_MOST} characters, no '..', no '--', no '.git' at the end"
        raise InvalidArgumentError(f"repository {name!r}: {rule}")
    return name


def check_revision(name: str) -> str:
    """The name, when a revision may have it. Raises InvalidArgumentError."""
    if not _REVISION.fullmatch(name) or ".." in name:
        raise InvalidArgumentError(
            f"revision {name!r}: want letters, digits, '.', '_' and '-', and no '..'"
        )
    return name


def check_path(path: str) -> str:
    """The path of a file in a repository, when it is one. Raises InvalidArgumentError."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise InvalidArgumentError(f"path {path!r}: want names with '/' between, none '..'")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"path {path!r}: is no text in UTF-8") from None
    return path


def is_commit(text: str) -> bool:
    """Whether it may be the id of a commit: 40 hexadecimal digits."""
    return _COMMIT.fullmatch(text) is not None


def check_digest(text: str) -> str:
    """The SHA-256 of an archive in hexadecimal. Raises InvalidArgumentError."""
    if not _DIGEST.fullmatch(text):
        raise InvalidArgumentError(f"{text!r} is no SHA-256 in hexadecimal")
    return text


def parse_target(text: str) -> Target:
    """`ORGANIZATION/MODEL[/FOLDER][@REVISION]`. Raises InvalidArgumentError."""
    where, at, revision = text.partition("@")
    organization, _, rest = where.partition("/")
    model, slash, folder = rest.partition("/")
    repo = check_repo(f"{organization}/{model}")
    if at and is_commit(revision):
        raise InvalidArgumentError(f"{text!r}: ids of commits follow from files, name a revision")
    if slash:
        check_path(folder)
    return Target(repo, folder, check_revision(revision) if at else MAIN)


def parse_repo(text: str) -> tuple[str, str | None]:
    """`ORGANIZATION/MODEL[@REVISION]`, a commit's id among these. Raises InvalidArgumentError."""
    name, at, revision = text.partition("@")
    return check_repo(name), check_revision(revision) if at else None


def variant_name(target: Target) -> str:
    """What the variant is called in the archive: what is last in the target's name."""
    last = (target.folder or target.repo).rpartition("/")[2]
    return _NOT_OF_VARIANTS.sub("_", last).lstrip(".-") or "model"

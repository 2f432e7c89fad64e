# SPDX-License-Identifier: Apache-2.0
"""Archives in repositories of the Hugging Face Hub.

A name is resolved once, to a commit. From then on the archive is a file of that commit: in the
Hub's cache of this machine, else at the server. Of that the library reads ranges, as of any server.
Addresses, tokens, cache and errors are those of huggingface_hub, which is imported when a name of
the Hub is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from qstore import _qstore
from qstore.errors import InvalidArgumentError, IoError, NotFoundError, PathNotFoundError

SCHEME = "hf://"
OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "endpoint")
SUFFIX = ".qstore"

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
_URL = re.compile(r"([\w.-]+/[\w.-]+)(?:@(refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(.*))?")

T = TypeVar("T")


class Place(NamedTuple):
    """What a name says: a repository, and of which revision which file."""

    kind: str  # "model", "dataset" or "space".
    repository: str  # "owner/name".
    revision: str | None  # A branch, tag or commit; None: the main branch.
    path: str  # Empty: the only archive there is.

    def __str__(self) -> str:
        kind = "" if self.kind == "model" else f"{self.kind}s/"
        revision = "" if self.revision is None else f"@{quote(self.revision, safe='')}"
        path = f"/{self.path}" if self.path else ""
        return f"{SCHEME}{kind}{self.repository}{revision}{path}"


class Found(NamedTuple):
    """An archive of one commit: a file of this machine, or a URL and what is sent with requests."""

    place: Place
    file: Path | None
    url: str
    headers: dict[str, str]


def parse(url: str) -> Place:
    """What "hf://[datasets/|spaces/]owner/name[@revision][/path]" names.

    Raises InvalidArgumentError.
    """
    body = url[len(SCHEME) :]
    kind, _, rest = body.partition("/")
    if kind in _KINDS:
        body = rest
    match = _URL.fullmatch(body)
    if match is None:
        raise InvalidArgumentError(f"{url}: want {SCHEME}owner/name[@revision]/file{SUFFIX}")
    repository, revision, path = match.groups()
    revision = None if revision is None else unquote(revision)
    return Place(_KINDS.get(kind, "model"), repository, revision, path or "")


def find(url: str, options: Mapping[str, Any]) -> Found:
    """The archive that a URL names, at the commit that its revision is now.

    `options` are of OPTIONS. In the offline mode of huggingface_hub, with `local_files_only`, and
    when the server cannot be reached, it is looked for in the cache only.
    Raises InvalidArgumentError, PathNotFoundError (no such repository, revision or file, or none
    that this token may see), IoError; ImportError without huggingface_hub.
    """
    place = parse(url)
    if revision := options.get("revision"):
        if place.revision not in (None, revision):
            raise InvalidArgumentError(f"{url}: but the revision asked for is {revision!r}")
        place = place._replace(revision=revision)
    hub = _import(url)
    offline = bool(options.get("local_files_only")) or hub.constants.HF_HUB_OFFLINE
    cache = Path(options.get("cache_dir") or hub.constants.HF_HUB_CACHE)
    if offline:
        return _cached(hub, place, cache, "the Hub is not asked (offline mode)")
    try:
        found = _told(place, lambda: _ask(hub, place, options))
    except NotFoundError:
        raise
    except IoError as error:
        try:
            return _cached(hub, place, cache, str(error))
        except PathNotFoundError:
            raise error from None
    file = _file_of(hub, found.place, cache)
    return found if file is None else found._replace(file=file)


def _import(what: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError:
        raise ImportError(
            f"{what}: install huggingface_hub, or qstore[hub]", name="huggingface_hub"
        ) from None
    return huggingface_hub


def _ask(hub: Any, place: Place, options: Mapping[str, Any]) -> Found:
    endpoint = options.get("endpoint") or hub.constants.ENDPOINT
    token = options.get("token")
    if not place.path:
        api = hub.HfApi(endpoint=endpoint, token=token, library_name="qstore")
        info = api.repo_info(place.repository, repo_type=place.kind, revision=place.revision)
        names = [file.rfilename for file in info.siblings or ()]
        place = place._replace(revision=info.sha, path=_only(place, names))
    url = _address(hub, place, endpoint)
    headers = hub.utils.build_hf_headers(
        token=token, library_name="qstore", library_version=_qstore.__version__
    )
    told = hub.get_hf_file_metadata(url, token=token)
    if not told.commit_hash:
        raise IoError(f"{place}: {endpoint} does not tell its commit: no server of the Hub's kind")
    place = place._replace(revision=told.commit_hash)
    return Found(place, None, _address(hub, place, endpoint), headers)


def _address(hub: Any, place: Place, endpoint: str) -> str:
    url: str = hub.hf_hub_url(
        place.repository,
        place.path,
        repo_type=place.kind,
        revision=place.revision,
        endpoint=endpoint,
    )
    return url


def _only(place: Place, names: list[str]) -> str:
    """The only archive of a repository."""
    archives = sorted(name for name in names if name.endswith(SUFFIX))
    if len(archives) == 1:
        return archives[0]
    if not archives:
        raise PathNotFoundError(f"{place}: holds no archive (*{SUFFIX})")
    among = ", ".join(str(place._replace(path=name)) for name in archives)
    raise InvalidArgumentError(f"{place}: holds several archives; name one of: {among}")


def _told(place: Place, call: Callable[[], T]) -> T:
    """What huggingface_hub gives, with its errors as ours."""
    from huggingface_hub import errors

    try:
        return call()
    except errors.GatedRepoError as error:
        reason = "is gated: accept its terms on the Hub, and log in (hf auth login) or set HF_TOKEN"
        raise PathNotFoundError(f"{place}: {reason}") from error
    except errors.RepositoryNotFoundError as error:
        reason = "there is no such repository, or none that this token may see"
        raise PathNotFoundError(f"{place}: {reason}") from error
    except errors.RevisionNotFoundError as error:
        raise PathNotFoundError(f"{place}: there is no such revision") from error
    except errors.EntryNotFoundError as error:
        raise PathNotFoundError(f"{place}: there is no such file") from error
    except errors.HFValidationError as error:
        raise InvalidArgumentError(f"{place}: {error}") from error
    except (InvalidArgumentError, IoError, NotFoundError):
        raise
    except Exception as error:  # Of the HTTP client below it, which differs between versions.
        text = str(error).partition("\n")[0] or type(error).__name__
        raise IoError(f"{place}: the Hub does not answer: {text}") from error


def _cached(hub: Any, place: Place, cache: Path, why: str) -> Found:
    """An archive in the cache, as huggingface_hub lays it out: by commit, with a file for each
    branch and tag that names its commit."""
    revision = place.revision or "main"
    home = cache / hub.file_download.repo_folder_name(
        repo_id=place.repository, repo_type=place.kind
    )
    branch = home / "refs" / revision
    commit = branch.read_text().strip() if branch.is_file() else revision
    snapshot = home / "snapshots" / commit
    pinned = place._replace(revision=commit)
    if not place.path and snapshot.is_dir():
        files = snapshot.rglob(f"*{SUFFIX}")
        names = [os.fspath(file.relative_to(snapshot)) for file in files]
        if names:
            pinned = pinned._replace(path=_only(place, names))
    file = _file_of(hub, pinned, cache) if pinned.path else None
    if file is None:
        advice = f"hf download {place.repository} {place.path or '*' + SUFFIX}"
        raise PathNotFoundError(f"{place}: {why}, and is not in {cache}: once run {advice}")
    return Found(pinned, file, "", {})


def _file_of(hub: Any, place: Place, cache: Path) -> Path | None:
    """The whole file in the cache, of a place with its commit."""
    path = hub.try_to_load_from_cache(
        place.repository,
        place.path,
        cache_dir=cache,
        revision=place.revision,
        repo_type=place.kind,
    )
    return Path(path) if isinstance(path, str) else None


def push(archive: Path, repository: str, private: bool | None, message: str) -> str:
    """Commits an archive to a repository of models, which is made when there is none. Returns the
    URL of the commit. Raises what `find` does."""
    place = Place("model", repository, None, archive.name)
    hub = _import(str(place))

    def upload() -> str:
        api = hub.HfApi(library_name="qstore", library_version=_qstore.__version__)
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.upload_file(
            path_or_fileobj=os.fspath(archive),
            path_in_repo=archive.name,
            repo_id=repository,
            commit_message=message,
        )
        return str(done.commit_url)

    return _told(place, upload)

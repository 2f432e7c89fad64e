# SPDX-License-Identifier: Apache-2.0
"""What the Hub's API tells of repositories and files, as its clients read it.

Every file is told as one that Git LFS keeps, whose SHA-256 clients then know before they load it.
Fields as in huggingface_hub 2.4 (Apache-2.0), hf_api.py: ModelInfo, RepoFile, RepoFolder, GitRefs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from qstore.registry.records import FileEntry, Head, Listing, Repo

Json = dict[str, Any]


def model(name: str, commit: str, head: Head, listing: Listing | None, blobs: bool = False) -> Json:
    """A repository at a commit; `blobs` tells of each file what the tree does."""
    told: Json = {
        "_id": hashlib.sha256(name.encode()).hexdigest()[:24],
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "sha": commit,
        "lastModified": date(head.created),
        "createdAt": date(head.created),
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "usedStorage": head.size,
    }
    if listing is not None:
        told["siblings"] = [_sibling(file, blobs) for file in listing.files]
    return told


def tree(listing: Listing, folder: str, recursive: bool, last: Json | None) -> list[Json] | None:
    """What is in a folder of a commit ("" is all), None when there is no such folder. `last` is
    told of each entry as its last commit."""
    prefix = f"{folder}/" if folder else ""
    files = [file for file in listing.files if file.path.startswith(prefix)]
    if not files and folder:
        return None
    folders: dict[str, None] = {}
    told = []
    for file in files:
        inner = file.path[len(prefix) :].split("/")
        for depth in range(1, len(inner) if recursive else min(len(inner), 2)):
            folders[prefix + "/".join(inner[:depth])] = None
        if recursive or len(inner) == 1:
            told.append(_file(file))
    entries = [*map(_folder, folders), *told]
    return [entry | {"lastCommit": last} for entry in entries] if last else entries


def paths(listing: Listing, wanted: Iterable[str]) -> list[Json]:
    """Of these paths those that there are."""
    told = []
    for path in dict.fromkeys(wanted):
        file = listing.find(path)
        if file is not None:
            told.append(_file(file))
        elif any(file.path.startswith(f"{path}/") for file in listing.files):
            told.append(_folder(path))
    return told


def refs(repo: Repo) -> Json:
    """Names of revisions as branches."""
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
        for name, commit in sorted(repo.refs.items())
    ]
    return {"branches": branches, "tags": [], "converts": [], "pullRequests": []}


def commit(id: str, head: Head) -> Json:
    title = f"{head.files} files"
    return {"id": id, "title": title, "message": "", "date": date(head.created), "authors": []}


def date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _sibling(file: FileEntry, blobs: bool) -> Json:
    told: Json = {"rfilename": file.path}
    if blobs:
        entry = _file(file)
        lfs = {"sha256": file.sha256, **entry["lfs"]}
        told |= {"size": file.size, "blobId": entry["oid"], "lfs": lfs}
    return told


def _file(file: FileEntry) -> Json:
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    ).encode()
    blob = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False)
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(pointer)}
    entry = {"type": "file", "path": file.path, "size": file.size}
    return {**entry, "oid": blob.hexdigest(), "lfs": lfs}


def _folder(path: str) -> Json:
    oid = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "path": path, "size": 0, "oid": oid}

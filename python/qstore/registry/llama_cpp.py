# SPDX-License-Identifier: Apache-2.0
"""What llama.cpp asks for to find a GGUF file: GET /v2/REPOSITORY/manifests/TAG.

The tag is a quantization such as "Q4_K_M", or "latest". Fields as common/arg.cpp of llama.cpp (MIT)
reads them.
"""

from __future__ import annotations

import re
from typing import Any

from qstore.registry.records import FileEntry, Listing

# What "latest" means, the first that there is.
_USUAL = ("Q4_K_M", "Q4_0", "Q8_0")
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


def manifest(listing: Listing, tag: str) -> dict[str, Any] | None:
    """None when the repository has no such file."""
    files = [
        file
        for file in listing.files
        if file.path.endswith(".gguf") and not _LATER_PART.search(file.path)
    ]
    models = [file for file in files if "mmproj" not in file.path.lower()]
    found = _find(models, _USUAL if tag == "latest" else (tag,))
    if found is None and tag == "latest" and models:
        found = models[0]
    if found is None:
        return None
    told = {"ggufFile": _told(found)}
    others = [file for file in files if "mmproj" in file.path.lower()]
    return told | ({"mmprojFile": _told(others[0])} if others else {})


def _find(files: list[FileEntry], tags: tuple[str, ...]) -> FileEntry | None:
    for tag in tags:
        word = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(tag)}(?![A-Za-z0-9_])", re.IGNORECASE)
        for file in files:
            if word.search(file.path):
                return file
    return None


def _told(file: FileEntry) -> dict[str, Any]:
    lfs = {"sha256": file.sha256, "size": file.size}
    return {"rfilename": file.path, "size": file.size, "lfs": lfs}

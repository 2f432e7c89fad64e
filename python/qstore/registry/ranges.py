# SPDX-License-Identifier: Apache-2.0
"""Ranges of bytes as RFC 9110 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.ASCII)


class Stretch(NamedTuple):
    """Bytes [begin, end) of a file."""

    begin: int
    end: int


class BeyondEnd(Exception):
    """A range without any byte of the file."""


def wanted(headers: Mapping[str, str], size: int, etag: str) -> Stretch | None:
    """The stretch that a request asks for, None for the whole file.

    Several ranges at once are not served: as the standard allows, such a request gets all, and so
    does one whose If-Range names other content. Raises BeyondEnd."""
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    if first:
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None  # No range at all.
        begin = int(first)
    elif last:
        begin, end = max(0, size - int(last)), size
    else:
        return None
    if begin >= end:
        raise BeyondEnd
    return Stretch(begin, end)


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names the content."""
    known = headers.get("if-none-match", "")
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return etag in tags or known.strip() == "*"

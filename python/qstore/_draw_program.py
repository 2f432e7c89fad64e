# SPDX-License-Identifier: Apache-2.0
"""The program `qstore-draw`, which draws what the command writes as JSON.

qstore-draw archive -o page.html < inspect.json     what `inspect --json --tensors` prints
qstore-draw archive --picture -o m.svg < inspect.json    its first picture alone
qstore-draw archive --open < inspect.json           in a browser
qstore-draw analysis -o report.html < summary.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

_INSTALL = "pip install 'qstore[plots]'"


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("qstore-draw", description="Draws JSON of the command.")
    parser.add_argument("what", choices=("archive", "analysis"))
    parser.add_argument("json", nargs="?", help="file to read; standard input without it")
    parser.add_argument("-o", "--output", help="file to write; - or none: standard output")
    parser.add_argument("--picture", action="store_true", help="of an archive: one SVG, no page")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    parser.add_argument("--open", action="store_true", help="open it in a browser, print its path")
    return parser.parse_args(words)


def _draw(arguments: argparse.Namespace, document: Any) -> str:
    from qstore._plots import analysis, archive  # Matplotlib takes its time.

    if arguments.what == "analysis":
        return analysis.render(document)
    return archive.picture(document) + "\n" if arguments.picture else archive.render(document)


def _place_of(document: Any) -> Path:
    """Where the page of this archive goes when nobody says: the same each time."""
    name = str(document.get("archive", "analysis"))
    stem = re.sub(r"[^\w.-]", "_", name.rsplit("/", 1)[-1], flags=re.ASCII)[:80]
    key = hashlib.sha256(name.encode()).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(cache) / "qstore-pages"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{stem}-{key}.html"


def _write(text: str, path: Path) -> None:
    """All or nothing, as the command writes."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".qstore-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _open(path: Path) -> None:
    """In the browser that $BROWSER names, or that of the desktop where there is one."""
    if any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")):
        webbrowser.open(path.resolve().as_uri())


def _run(arguments: argparse.Namespace) -> None:
    with open(arguments.json or 0, encoding="utf-8") as file:
        document = json.load(file)
    text = _draw(arguments, document)
    if arguments.open:
        path = Path(arguments.output or _place_of(document))
    elif arguments.output in (None, "-"):
        sys.stdout.write(text)
        return
    else:
        path = Path(arguments.output)
    _write(text, path)
    if arguments.open:
        print(json.dumps({"path": str(path)}) if arguments.as_json else path)
        _open(path)


def main(words: list[str] | None = None) -> int:
    arguments = _parse(words)
    try:
        _run(arguments)
    except ImportError as error:
        print(f"qstore: {error}; drawing needs: {_INSTALL}", file=sys.stderr)
    except KeyError as error:
        print(f"qstore: the JSON is not that of an {arguments.what}: no {error}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"qstore: {error}", file=sys.stderr)
    else:
        return 0
    return 1

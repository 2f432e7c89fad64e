# SPDX-License-Identifier: Apache-2.0
"""Opens pages in a browser without a window."""

import shutil
import subprocess
import zlib

# Ubuntu 22.04 has none among its packages; there the page is looked at as text.
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


def browse(*arguments):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    done = subprocess.run(
        [BROWSER, *flags, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in done.stderr
    return done.stdout


def changes_in(path):
    """Bytes of a PNG that differ from what their neighbours predict: none on an empty page."""
    data = path.read_bytes()
    at, packed = 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    pixels = zlib.decompress(packed)
    return len(pixels) - pixels.count(0)

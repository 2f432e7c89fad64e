#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that sentences users read are short.

Looks at Markdown pages: paragraphs, list items and cells of tables, but not at code. A sentence of
more than 30 words is an offence.

usage: check_prose.py [FILE...]  prints one line per offence, exits 1 when there are any
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/how-it-works.md",
    "docs/what-it-knows.md",
    "docs/glossary.md",
    "docs/faq.md",
    "docs/performance.md",
    "docs/guides/*.md",
)
MOST_WORDS = 30

FENCE = re.compile(r"^\s*(```|~~~)")
LIST_ITEM = re.compile(r"^\s*([-*+]|\d+\.)\s+")
RULE_OF_TABLE = re.compile(r"^\|[\s:|-]+\|$")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`]*[A-Z0-9`])")
WORD = re.compile(r"[A-Za-z0-9][^\s]*")


def blocks(text):
    """Paragraphs, items and cells as (line, text), code blocks left out."""
    in_code = False
    begin, lines = 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        is_fence = FENCE.match(line) is not None
        starts = is_fence or not line.strip() or line.startswith(("#", "|", "<", "    ```"))
        if (starts or LIST_ITEM.match(line)) and lines:
            yield begin, " ".join(lines)
            lines = []
        if is_fence:
            in_code = not in_code
        elif in_code or not line.strip() or RULE_OF_TABLE.match(line):
            continue
        elif line.startswith("|"):
            yield from ((number, cell) for cell in line.strip("|").split("|"))
        elif line.startswith("#"):
            yield number, line.lstrip("# ")
        else:
            if not lines:
                begin = number
            lines.append(LIST_ITEM.sub("", line).strip())


def sentences(text):
    text = LINK.sub(r"\1", CODE.sub("Code", text))
    return SENTENCE_END.split(text)


def offences(path):
    text = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), path.read_text())
    for line, block in blocks(text):
        for sentence in sentences(block):
            words = len(WORD.findall(sentence))
            if words > MOST_WORDS:
                start = " ".join(sentence.split()[:6])
                yield f"{path}:{line}: a sentence of {words} words: {start} …"


def main(argv):
    paths = [Path(name) for name in argv[1:]]
    if not paths:
        paths = [path for page in PAGES for path in sorted(ROOT.glob(page))]
    found = [offence for path in paths for offence in offences(path)]
    print("\n".join(found) if found else f"prose: {len(paths)} pages of short sentences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

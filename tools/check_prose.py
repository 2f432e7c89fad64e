#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that sentences users read are short.

Looks at Markdown pages (paragraphs, list items and cells of tables, not code), at the comments
of public headers, and at docstrings of Python. A sentence of more than 30 words is an offence.

usage: check_prose.py [FILE...]  prints one line per offence, exits 1 when there are any
"""

import ast
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "*.md",
    "docs/**/*.md",
    "src/**/*.md",
    "python/qstore/**/*.py",
)
MOST_WORDS = 30

FENCE = re.compile(r"^\s*(```|~~~)")
LIST_ITEM = re.compile(r"^\s*([-*+]|\d+\.)\s+")
RULE_OF_TABLE = re.compile(r"^\s*\|[\s:|-]+\|$")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`]*[A-Z0-9`])")
WORD = re.compile(r"[A-Za-z0-9][^\s]*")
LINE_OF_COMMENT = re.compile(r"^\s*//[/!]? ?(.*)")
COMMENT_BEHIND = re.compile(r"\S.*?///< ?(.*)")
MORE_BEHIND = re.compile(r"^\s*///< ?(.*)")


def blocks(text, first=1):
    """Paragraphs, items and cells as (line, text), code blocks left out."""
    in_code = False
    begin, lines = 0, []
    for number, line in enumerate([*text.splitlines(), ""], first):
        is_fence = FENCE.match(line) is not None
        is_table = line.lstrip().startswith("|")
        starts = is_fence or is_table or not line.strip() or line.startswith(("#", "<", "    ```"))
        if (starts or LIST_ITEM.match(line)) and lines:
            yield begin, " ".join(lines)
            lines = []
        if is_fence:
            in_code = not in_code
        elif in_code or not line.strip() or RULE_OF_TABLE.match(line):
            continue
        elif is_table:
            yield from ((number, cell) for cell in line.strip().strip("|").split("|"))
        elif line.startswith("#"):
            yield number, line.lstrip("# ")
        else:
            if not lines:
                begin = number
            lines.append(LIST_ITEM.sub("", line).strip())


def sentences(text):
    text = LINK.sub(r"\1", CODE.sub("Code", text))
    return SENTENCE_END.split(text)


def of_page(text):
    return blocks(COMMENT.sub(lambda m: "\n" * m[0].count("\n"), text))


def of_header(text):
    """The comments: runs of lines that are nothing else, and those behind what they tell of."""
    begin, run = 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        behind = MORE_BEHIND.match(line) if run else None
        alone = behind or LINE_OF_COMMENT.match(line)
        if not alone and run:
            yield from blocks("\n".join(run), begin)
            run = []
        if alone or (behind := COMMENT_BEHIND.search(line)):
            begin = begin if run else number
            run.append((behind or alone)[1])


def of_module(text):
    """Docstrings of the module and of what is public in it."""

    def visit(node):
        documented = getattr(node, "body", None)
        first = documented[0] if documented else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            content = first.value.value
            if isinstance(content, str):
                yield from blocks(inspect.cleandoc(content), first.lineno)
        for child in documented or ():
            is_named = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if is_named and (not child.name.startswith("_") or child.name == "__init__"):
                yield from visit(child)

    return visit(ast.parse(text))


KINDS = {".h": of_header, ".py": of_module}


def offences(path):
    for line, block in KINDS.get(path.suffix, of_page)(path.read_text()):
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
    print("\n".join(found) if found else f"prose: {len(paths)} files of short sentences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

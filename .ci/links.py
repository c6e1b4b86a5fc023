#!/usr/bin/env python3
"""Checks that every relative link in the documents leads to a file, every anchor to a heading, and
every path in backquotes to a file or a directory."""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
# `src/store/mod.rs`, and `store::tests::model`, which is a module of tests in src/store/tests/.
PATH = re.compile(r"`((?:src|tests|docs|\.ci)/[\w./-]+)`")
TEST_MODULE = re.compile(r"`store::tests::(\w+)")


def prose(path):
    """Returns the text of a document without its code blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path):
    """Returns the anchors that code forges derive from a document's headings."""
    found = set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


def broken_links(document):
    """Returns the broken links of a document."""
    # Text in backquotes is not a link.
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(document))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists():
            yield f"{link}: no such file"
        elif not target.is_relative_to(ROOT):
            yield f"{link}: outside the repository"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{link}: no such heading"
    for path in PATH.findall(prose(document)):
        if not (ROOT / path).exists():
            yield f"{path}: no such file"
    for module in TEST_MODULE.findall(prose(document)):
        tests = ROOT / "src/store/tests"
        if not (tests / f"{module}.rs").exists() and not (tests / module).is_dir():
            yield f"store::tests::{module}: no such module"


def documents():
    """Returns the documents of the repository, except those of packages and builds."""
    for directory, subdirectories, files in os.walk(ROOT):
        subdirectories[:] = sorted(set(subdirectories) - {".git", "node_modules", "target"})
        yield from (pathlib.Path(directory, name) for name in sorted(files) if name.endswith(".md"))


def main():
    checked = list(documents())
    found = [f"{it.relative_to(ROOT)}: {problem}" for it in checked for problem in broken_links(it)]
    print(*found, f"{len(checked)} documents, {len(found)} broken links", sep="\n")
    return bool(found) or not checked


sys.exit(main())

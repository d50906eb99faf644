"""What `orgguard init` writes into other people's repositories: no scan takes it for a name.

A line counts as ours only in a file that init writes, and only when it is one of ours to the letter
(indentation aside). `data/written.txt` lists both; a test keeps it equal to what init writes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from orgguard_mcp.model import Artifact, Surface

FILE = Path(__file__).with_name("data") / "written.txt"


def without_ours(artifact: Artifact) -> Artifact:
    """*artifact* without the lines that init writes there; of a path of ours nothing is left."""
    if artifact.path not in _ours()[0]:
        return artifact
    if artifact.surface is Surface.PATH:
        return replace(artifact, lines=())
    lines = tuple((n, text) for n, text in artifact.lines if text.strip() not in _ours()[1])
    return replace(artifact, lines=lines)


def listed(paths: set[str], lines: set[str]) -> str:
    """The text of `FILE`: the paths, an empty line, the lines."""
    return "\n".join([*sorted(paths), "", *sorted(line for line in lines if line), ""])


@cache
def _ours() -> tuple[frozenset[str], frozenset[str]]:
    paths, _, lines = FILE.read_text("utf-8").partition("\n\n")
    return frozenset(paths.split("\n")), frozenset(lines.split("\n"))

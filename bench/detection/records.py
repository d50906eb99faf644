"""What the scripts hand to each other; pickles need these to be in a module of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

from orgguard_mcp.detect.gather import Candidate

Line = tuple[int, str]


class Case(NamedTuple):
    """One change: the benchmark's row, what it adds, and `facts`, what the base holds by key."""

    row: dict[str, Any]
    files: list[tuple[str, list[Line]]]
    paths: list[str]
    message: list[Line]
    pull_request: list[Line]
    branch: str
    base: str
    facts: dict[str, tuple[int, ...]]


class Row(NamedTuple):
    """A candidate: its facts, the indexes of the names that it shows, and itself."""

    facts: frozenset[str]
    shows: list[int]
    candidate: Candidate


class Reading(NamedTuple):
    """A case or a leak: what it is, the names that it brings in, and its candidates."""

    id: str
    kind: str
    repo: str
    template: str
    names: list[dict[str, Any]]
    rows: list[Row]

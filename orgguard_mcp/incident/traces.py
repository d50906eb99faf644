"""A name that is out: the places that hold it, and what could not be looked into. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from orgguard_mcp.names import Name


class Place(StrEnum):
    """The surfaces on which a name may stand."""

    BRANCH = "branch name"
    TAG = "tag name"
    TAG_MESSAGE = "tag message"
    COMMIT_MESSAGE = "commit message"
    IDENTITY = "author or committer"
    TIP = "file at a tip"
    PATH = "path in history"
    CONTENT = "content in history"
    OBJECT = "object in no commit"
    REFLOG = "reflog entry"
    INDEX = "index"
    WORKTREE = "working tree"
    BUILD = "build output"


class Public(StrEnum):
    """Whether others can read it."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Trace:
    """One place that holds the name.

    `what` is a path or reference, `oid` the commit or other object (empty outside the store),
    `when` its time in seconds, `refs` what reaches it: references, reflogs, or nothing.
    """

    place: Place
    public: Public
    what: str = ""
    oid: str = ""
    when: int = 0
    refs: tuple[str, ...] = ()


class Unseen(NamedTuple):
    """Something that was not looked into, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Incident:
    """Where a name stands. `hosts` are the remotes with their hosts, `files` the names at the top
    of what the references hold; `looked` counts what was read. `complete` is false where this clone
    lacks a part of the history; `ordinary` tells that the name is also an ordinary word.
    """

    name: Name
    traces: tuple[Trace, ...]
    unseen: tuple[Unseen, ...]
    hosts: dict[str, str]
    files: frozenset[str]
    looked: dict[str, int]
    complete: bool
    ordinary: bool

    def at(self, *places: Place) -> list[Trace]:
        """The traces on *places*."""
        return [trace for trace in self.traces if trace.place in places]

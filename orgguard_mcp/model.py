"""The nouns that the modules exchange: frozen, without behaviour beyond what derives from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from orgguard_mcp.names import Name, NameKey


class Effect(StrEnum):
    """What a door does with a name."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Basis(StrEnum):
    """What an effect rests on."""

    RESERVED = "reserved"
    ESTABLISHED = "established"
    CONSENTED = "consented"
    PENDING = "pending"
    REFUSED = "refused"
    PROTECTED = "protected"
    COMMON_WORD = "common word"
    UNKNOWN = "unknown"


EFFECTS: dict[Basis, Effect] = {
    Basis.RESERVED: Effect.ALLOW,
    Basis.ESTABLISHED: Effect.ALLOW,
    Basis.CONSENTED: Effect.ALLOW,
    Basis.PENDING: Effect.ASK,
    Basis.COMMON_WORD: Effect.ASK,
    Basis.UNKNOWN: Effect.ASK,
    Basis.REFUSED: Effect.DENY,
    Basis.PROTECTED: Effect.DENY,
}
"""The one table from basis to effect."""


class Trust(StrEnum):
    """How sure it is that a human decided, from the least to the most: an answer through the
    agent's own client, one typed in a terminal, one signed with an approver's key.
    """

    CLIENT = "client"
    TERMINAL = "terminal"
    SIGNED = "signed"

    def reaches(self, other: Trust) -> bool:
        """Whether this is at least *other*."""
        order = list(Trust)
        return order.index(self) >= order.index(other)


class FileClass(StrEnum):
    """What a file of the base is, as far as it matters to what it can establish."""

    CODE = "code"
    DOCS = "docs"
    CONFIG = "config"
    TEST = "test"
    LOCKFILE = "lockfile"
    VENDORED = "vendored"
    GENERATED = "generated"
    AGENT_RULES = "agent rules"

    @property
    def establishes(self) -> bool:
        """Whether a name in such a file counts as established."""
        return self in {FileClass.CODE, FileClass.DOCS, FileClass.CONFIG, FileClass.TEST}


@dataclass(frozen=True, slots=True)
class Base:
    """The commit whose tree establishes names, and how it was chosen.

    `commit` is empty in a repository without a commit: then nothing is established. `tip` is the
    newest commit of the branch that the base lies on: the rules (policy, approvers, protected
    names) are read there, so that nobody escapes them by starting from an old commit.
    """

    commit: str
    reason: str
    ref: str = ""
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place in the base that holds a name; line 0 is the path itself."""

    path: str
    line: int
    file_class: FileClass

    def __str__(self) -> str:
        """``path:line``, or the path alone where its own name is the evidence."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the index saw of one key.

    `established` is the index's judgement and `why` its reason, a clause that reads on after
    "because". `files` counts the files that hold the key, by class.
    """

    established: bool
    why: str
    evidence: tuple[Evidence, ...] = ()
    files: dict[FileClass, int] = field(default_factory=dict)


class Held(NamedTuple):
    """What the base holds of a key: in how many files it stands (of those, how many may establish),
    how many use it as a name, read it as one, define a type of it, and how many paths have it.

    Files are counted up to `HELD_ENOUGH`.
    """

    files: int = 0
    establishing: int = 0
    named: int = 0
    proper: int = 0
    defined: int = 0
    places: int = 0


HELD_ENOUGH = 10
"""Files of one key after which counting them stops."""

NOTHING: Final = Held()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one name, and what follows.

    `trust` is how sure it is that a human consented, where one did.
    """

    name: Name
    basis: Basis
    why: str
    base: Base
    evidence: tuple[Evidence, ...] = ()
    files: dict[FileClass, int] = field(default_factory=dict)
    request_id: str = ""
    reason: str = ""
    trust: Trust | None = None

    @property
    def effect(self) -> Effect:
        """The effect, by the one table."""
        return EFFECTS[self.basis]


class Answer(StrEnum):
    """What a decision does."""

    GRANT = "grant"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name would be written: the file and the branch, as far as they are known. The path is
    empty where there is no file, as in a commit's message.
    """

    path: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a grant holds: everywhere in the repository, in the files of `paths` alone, or in the
    change on `branch` alone.
    """

    paths: tuple[str, ...] = ()
    branch: str = ""

    def covers(self, place: Place) -> bool:
        """Whether a name may be written at *place*; what is not known of it is not covered."""
        if self.branch:
            return place.branch == self.branch
        return not self.paths or place.path in self.paths

    def __str__(self) -> str:
        """The scope in words."""
        if self.branch:
            return f"in the change on branch {self.branch}"
        return "in " + ", ".join(self.paths) if self.paths else "in this repository"


@dataclass(frozen=True, slots=True)
class Asker:
    """The client that asked: what it calls itself, and its process (0: not known)."""

    label: str = ""
    pid: int = 0
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One place where an agent wants to write a name; every word of it is the agent's.

    `worktree` and `branch` are where the asking server runs: empty when that is not known.
    """

    where: str
    excerpt: str
    purpose: str
    asker: Asker
    asked_at: float
    worktree: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """An open or decided question: one name, every place that was asked for."""

    id: str
    name: Name
    base: Base
    created_at: float
    expires_at: float
    asks: tuple[Ask, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The files asked for, without line numbers, in order, each once."""
        return tuple(dict.fromkeys(path for ask in self.asks if (path := path_of(ask.where))))


@dataclass(frozen=True, slots=True)
class Decision:
    """A human's answer to a request: append-only, so a change of mind is another decision."""

    request_id: str
    key: NameKey
    answer: Answer
    scope: Scope
    reason: str
    channel: str
    decided_by: str
    decided_at: float


class Surface(StrEnum):
    """Where text of a change lands."""

    CODE = "code"
    COMMENT = "comment"
    STRING = "string"
    DOCS = "docs"
    DATA = "data"
    PATH = "path"
    COMMIT_MESSAGE = "commit-message"
    BRANCH = "branch"
    TAG = "tag"
    PR_TITLE = "pr-title"
    PR_BODY = "pr-body"

    __hash__ = str.__hash__  # an enum's own takes five times as long

    @property
    def in_file(self) -> bool:
        """Whether a place on this surface is a line of a file, which a code host can annotate."""
        return self in _IN_FILE


_IN_FILE = frozenset({Surface.CODE, Surface.COMMENT, Surface.STRING, Surface.DOCS, Surface.DATA})


@dataclass(frozen=True, slots=True)
class Artifact:
    """A piece of what a change publishes: lines of one place that the base does not have there.

    `path` is the file's path; for a commit message the commit's id; empty for branch, tag and
    pull request. `lines` are (number from 1, text without its line end). Of a file, `surface` is
    code, docs or data: what of it is comment or string is the detector's to say.
    """

    surface: Surface
    path: str
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not scanned, and why; `absent` when it was not there to scan at all."""

    what: str
    reason: str
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of one surface was scanned (`scanned` artifacts), and what of it was not."""

    surface: Surface
    scanned: int
    skipped: tuple[Skipped, ...] = ()


class Level(StrEnum):
    """At which level of strictness a finding is reported."""

    REGULAR = "regular"
    PEDANTIC = "pedantic"


class Confidence(StrEnum):
    """How sure the detector is that a candidate names an organisation."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Location:
    """One place of a finding.

    `line` and `column` count from 1, in characters; `line` is 0 where a surface has no lines (path,
    branch, tag). `text` is the whole line, `length` the finding's extent in it.
    """

    surface: Surface
    path: str
    line: int
    column: int
    length: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A candidate whose effect is not allow: one name, every place where the change has it.

    `score` in 0..1 orders findings; `why` is a clause on what made it a candidate.
    """

    verdict: Verdict
    score: float
    confidence: Confidence
    level: Level
    why: str
    locations: tuple[Location, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one scan saw. `suppressed` counts candidates below the reporting level; `consented`
    names that a human allowed. `head` is empty where no commit was scanned (staged, working tree).
    `notes` are sentences that the reader must know; no name is in them. `unchecked` says what had
    to be checked and could not: then the scan is no pass, whatever it found.
    """

    base: Base
    head: str
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    suppressed: int = 0
    consented: int = 0
    notes: tuple[str, ...] = ()
    unchecked: str = ""


def path_of(where: str) -> str:
    """The file that *where* names: ``src/a.py`` of ``src/a.py:7`` or ``src/a.py:7:3``."""
    place = re.sub(r"(?<=.)(?::\s*\d+){1,2}\s*$", "", where, flags=re.DOTALL)
    return place.strip().removeprefix("./")

"""What a reviewer's session and the shared server say to each other.

Each call is a POST of a JSON object to `/r/REPOSITORY/docket/CALL`, and its answer JSON, too. What
goes to and fro are the dataclasses of `docket`; pydantic reads and writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from orgguard_mcp.docket import Question, Queue, Settled
from orgguard_mcp.model import Answer, Decision, Scope
from orgguard_mcp.notary import Yes

CHANGES_SECONDS = 25.0
"""How long `changes` waits for one, at most."""

MAX_GRANTS = 200
"""That are attached in one call."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a reviewer's session has to know of a repository, to sign for it: what it goes by in
    grants, who may sign by its base, for how many days, and whether through ssh-agent.
    """

    repository: str
    approvers: str
    grant_days: float
    signing_agent: bool


@dataclass(frozen=True, slots=True)
class Nothing:
    """A call without a word."""


@dataclass(frozen=True, slots=True)
class Since:
    """What the caller saw last."""

    version: int


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Whose questions are wanted; empty for somebody whom the base does not list."""

    person: str


@dataclass(frozen=True, slots=True)
class About:
    """Which request is meant."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to a request, with the signed grant where it is an approver's yes."""

    request_id: str
    answer: Answer
    scope: Scope = field(default_factory=Scope)
    reason: str = ""
    grant: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """Grants for what was allowed before: each with its request and scope."""

    grants: tuple[Said, ...]


CALLS: dict[str, tuple[Any, Any]] = {
    "facts": (Nothing, Facts),
    "verify": (Nothing, Nothing),
    "head": (Nothing, str),
    "changes": (Since, int),
    "queue": (Reviewer, Queue),
    "question": (About, Question),
    "outcome": (About, Decision | None),
    "settle": (Said, Settled),
    "unsigned": (Reviewer, list[Yes]),
    "attach": (Signed, Nothing),
}
"""Each call's words, and its answer's."""

WORDS = {call: TypeAdapter(words) for call, (words, _) in CALLS.items()}
ANSWERS = {call: TypeAdapter(answer) for call, (_, answer) in CALLS.items()}

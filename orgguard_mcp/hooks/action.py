"""What every agent's hook comes down to: an action to judge, and an answer to give."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orgguard_mcp.errors import OrgGuardError
    from orgguard_mcp.model import Artifact

ALLOWED, DENIED = 0, 2
"""The exit codes. Any other lets the act through in most clients, so there is none."""


class Moment(StrEnum):
    """When the agent asks: before an act, after it, or at the end of a session."""

    BEFORE = "before"
    AFTER = "after"
    END = "end"


CLAUDE_EVENTS = {
    "PreToolUse": Moment.BEFORE,
    "PostToolUse": Moment.AFTER,
    "PostToolUseFailure": Moment.AFTER,
    "Stop": Moment.END,
    "SubagentStop": Moment.END,
}
"""Claude Code's events, which other agents have taken over."""


@dataclass(frozen=True, slots=True)
class Action:
    """One step of an agent.

    `artifacts` are what it would add: their paths are absolute, or empty for text that lies in no
    file. `command` is a shell's text. Relative paths in it start at `directory`.
    """

    moment: Moment
    tool: str
    directory: str
    artifacts: tuple[Artifact, ...] = ()
    command: str = ""


class Answer(NamedTuple):
    """What the hook prints on standard output and standard error, and its exit code."""

    out: str = ""
    err: str = ""
    code: int = ALLOWED


def plain(moment: Moment, reason: str) -> Answer:
    """The answer that most agents understand at every *moment*: silence, or exit code 2 with the
    *reason* beside.
    """
    del moment
    return Answer("", f"{reason}\n", DENIED) if reason else Answer()


def failure(error: OrgGuardError) -> str:
    """The reason to stop an agent when nothing could be checked."""
    from orgguard_mcp.display import visible

    said = ". ".join(filter(None, (error.message, error.cause, error.hint)))
    return f"OrgGuard stopped this: {visible(said, 1000)}."

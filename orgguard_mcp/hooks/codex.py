"""Codex: like Claude Code, but edits come as patches, and a hook that the user has not trusted is
skipped in silence.
"""

from __future__ import annotations

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Action, Answer, Moment, plain

MOMENTS = {
    "PreToolUse": Moment.BEFORE,
    "PostToolUse": Moment.AFTER,
    "Stop": Moment.END,
    "SubagentStop": Moment.END,
}


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of Codex."""
    return payload.action(said, MOMENTS)


def answer(moment: Moment, reason: str) -> Answer:
    """Exit code 2 with the reason, at every moment."""
    del moment
    return plain(reason)

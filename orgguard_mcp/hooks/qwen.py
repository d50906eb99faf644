"""Qwen Code: the events of Claude Code with the tools of Gemini CLI."""

from __future__ import annotations

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Action, Answer, Moment, plain

MOMENTS = {
    "PreToolUse": Moment.BEFORE,
    "PostToolUse": Moment.AFTER,
    "PostToolUseFailure": Moment.AFTER,
    "Stop": Moment.END,
    "SubagentStop": Moment.END,
}


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of Qwen Code."""
    return payload.action(said, MOMENTS)


def answer(moment: Moment, reason: str) -> Answer:
    """Exit code 2 with the reason, at every moment."""
    del moment
    return plain(reason)

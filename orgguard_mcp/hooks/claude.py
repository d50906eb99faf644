"""Claude Code: exit code 2 stops a tool, and its reason reaches the model; after a tool and at a
stop the same code hands the reason on.
"""

from __future__ import annotations

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Action, Answer, Moment, plain

MOMENTS = {
    "PreToolUse": Moment.BEFORE,
    "PostToolUse": Moment.AFTER,
    "PostToolUseFailure": Moment.AFTER,
    "Stop": Moment.END,
    "SubagentStop": Moment.END,
    "BeforeTool": Moment.BEFORE,  # other clients run its hooks, under their own events
    "AfterTool": Moment.AFTER,
    "AfterAgent": Moment.END,
}


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of Claude Code."""
    return payload.action(said, MOMENTS)


def answer(moment: Moment, reason: str) -> Answer:
    """Exit code 2 with the reason, at every moment."""
    del moment
    return plain(reason)

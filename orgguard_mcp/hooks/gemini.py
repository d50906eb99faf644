"""Gemini CLI: reads JSON from standard output, else from standard error, whatever the exit code. So
there is none: silence and a sentence are not JSON.
"""

from __future__ import annotations

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Action, Answer, Moment, plain

MOMENTS = {
    "BeforeTool": Moment.BEFORE,
    "AfterTool": Moment.AFTER,
    "AfterAgent": Moment.END,
}


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of Gemini CLI."""
    return payload.action(said, MOMENTS)


def answer(moment: Moment, reason: str) -> Answer:
    """Exit code 2 with the reason, at every moment."""
    del moment
    return plain(reason)

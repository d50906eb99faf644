"""opencode: its plugin (`opencode.js`) calls the hook with each tool's arguments and throws on exit
code 2.
"""

from __future__ import annotations

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Action, Answer, Moment, plain

MOMENTS = {
    "tool.execute.before": Moment.BEFORE,
    "tool.execute.after": Moment.AFTER,
}


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of opencode."""
    return payload.action(said, MOMENTS)


def answer(moment: Moment, reason: str) -> Answer:
    """Exit code 2 with the reason, at every moment."""
    del moment
    return plain(reason)

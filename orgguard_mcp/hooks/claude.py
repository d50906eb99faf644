"""Claude Code: exit code 2 stops a tool, and its reason reaches the model; after a tool and at a
stop the same code hands the reason on.
"""

from __future__ import annotations

from functools import partial

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import CLAUDE_EVENTS, Moment, plain

MOMENTS = {
    **CLAUDE_EVENTS,
    "BeforeTool": Moment.BEFORE,  # other clients run its hooks, under their own events
    "AfterTool": Moment.AFTER,
    "AfterAgent": Moment.END,
}

read = partial(payload.action, moments=MOMENTS)
answer = plain

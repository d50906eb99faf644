"""opencode: its plugin (`opencode.js`) calls the hook with each tool's arguments and throws on exit
code 2.
"""

from __future__ import annotations

from functools import partial

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Moment, plain

MOMENTS = {
    "tool.execute.before": Moment.BEFORE,
    "tool.execute.after": Moment.AFTER,
}

read = partial(payload.action, moments=MOMENTS)
answer = plain

"""Gemini CLI: reads JSON from standard output, else from standard error, whatever the exit code. So
there is none: silence and a sentence are not JSON.
"""

from __future__ import annotations

from functools import partial

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Moment, plain

MOMENTS = {
    "BeforeTool": Moment.BEFORE,
    "AfterTool": Moment.AFTER,
    "AfterAgent": Moment.END,
}

read = partial(payload.action, moments=MOMENTS)
answer = plain

"""Codex: like Claude Code, but edits come as patches, and a hook that the user has not trusted is
skipped in silence.
"""

from __future__ import annotations

from functools import partial

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import Moment, plain

MOMENTS = {
    "PreToolUse": Moment.BEFORE,
    "PostToolUse": Moment.AFTER,
    "Stop": Moment.END,
    "SubagentStop": Moment.END,
}

read = partial(payload.action, moments=MOMENTS)
answer = plain

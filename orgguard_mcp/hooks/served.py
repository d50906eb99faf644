"""The hook that the server answers: a client calls one of its tools with a payload's fields.

What is asked goes to `orgguard hook` in a process of its own, so that both judge alike, and a
failure of one is none of the other's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import anyio

from orgguard_mcp.hooks.action import ALLOWED, DENIED

TOOL = "claude_hook"
"""The tool's name. It is called, and never listed: no model needs to know of it."""

_COMMAND = (sys.executable, "-P", "-m", "orgguard_mcp", "hook", "claude")
"""`-P`: the server runs in the repository, whose modules are not to be imported."""

_FIELDS = ("hook_event_name", "tool_name", "tool_input", "cwd")

_UNSAID = "OrgGuard stopped this: names were not checked, and the hook does not say why."
_UNGIVEN = (
    "OrgGuard stopped this: the setting of its hook passes no `{}`. docs/hooks.md has it whole."
)


async def answer(payload: Mapping[str, Any]) -> str:
    """Claude Code's JSON for *payload*: `{}` lets the act go on.

    It is never empty, which would let the act go on as well.
    """
    if missing := next((field for field in _FIELDS if not payload.get(field)), ""):
        return _block(_UNGIVEN.format(missing))
    reason = await _objection(json.dumps(payload).encode())
    return _block(reason) if reason else "{}"


async def _objection(payload: bytes) -> str:
    """Why the act is not to be; empty when it may."""
    reason = _UNSAID
    try:
        done = await anyio.run_process(_COMMAND, input=payload, check=False)
        if done.returncode == ALLOWED:
            reason = ""
        elif done.returncode == DENIED:
            reason = done.stderr.decode(errors="replace").strip() or _UNSAID
    except* (OSError, anyio.BrokenResourceError):  # it did not start, or ended before it had read
        pass
    return reason


def _block(reason: str) -> str:
    return json.dumps({"decision": "block", "reason": reason})

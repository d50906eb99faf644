"""Cursor: exit code 2 stops an act, and what is on standard error becomes its message. After an act
and at a stop only JSON is heard, with exit code 0. Silence fails where `failClosed` is set.
"""

from __future__ import annotations

import json

from orgguard_mcp.hooks import payload, tools
from orgguard_mcp.hooks.action import Action, Answer, Moment, plain

MOMENTS = {
    "preToolUse": Moment.BEFORE,
    "beforeShellExecution": Moment.BEFORE,
    "beforeMCPExecution": Moment.BEFORE,
    "postToolUse": Moment.AFTER,
    "afterShellExecution": Moment.AFTER,
    "afterMCPExecution": Moment.AFTER,
    "stop": Moment.END,
    "subagentStop": Moment.END,
}

MAX_CONTEXT = 10_000
"""Characters of context that Cursor takes."""


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of Cursor."""
    event = payload.text(said, "hook_event_name")
    if event not in MOMENTS:
        raise payload.unknown(event)
    moment, where = MOMENTS[event], payload.directory(said)
    if moment is Moment.END:
        return None if said.get("loop_count") else payload.ending(said)
    if event.endswith("ShellExecution"):
        return tools.action(moment, "Shell", said, where)
    tool = payload.text(said, "tool_name")
    if event.endswith("MCPExecution"):
        tool = f"MCP:{tool}"
    return tools.action(moment, tool, payload.given(said, "tool_input"), where)


def answer(moment: Moment, reason: str) -> Answer:
    """An empty object to allow; a reason in the way that the moment hears."""
    if not reason:
        return Answer("{}\n")
    if moment is Moment.BEFORE:
        return plain(moment, reason)
    key = "followup_message" if moment is Moment.END else "additional_context"
    return Answer(json.dumps({key: reason[:MAX_CONTEXT]}) + "\n")

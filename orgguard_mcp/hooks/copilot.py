"""Copilot, as CLI, cloud agent and in VS Code. Before a tool exit code 2 denies in all of them: the
CLI takes the reason from JSON on standard output, VS Code from standard error. After it and at a
stop they hear JSON with exit code 0, each under its own keys.
"""

from __future__ import annotations

import json

from orgguard_mcp.hooks import payload, tools
from orgguard_mcp.hooks.action import CLAUDE_EVENTS, DENIED, Action, Answer, Moment

MOMENTS = CLAUDE_EVENTS


def read(said: payload.Payload) -> Action | None:
    """The action in the payload of Copilot: the CLI names no event, but its fields tell."""
    if payload.text(said, "hook_event_name", "hookEventName"):
        return payload.action(said, MOMENTS)
    if tool := payload.text(said, "toolName"):
        done = "toolResult" in said or "error" in said
        moment = Moment.AFTER if done else Moment.BEFORE
        return tools.action(
            moment, tool, payload.given(said, "toolArgs"), payload.directory(said)
        )  # fmt: skip
    if "stopReason" not in said:
        raise payload.unknown("")
    again = said.get("stop_hook_active") or said.get("stopHookActive")
    return None if again else payload.ending(said)


def answer(moment: Moment, reason: str) -> Answer:
    """Silence to allow; a reason in the way that the moment hears."""
    if not reason:
        return Answer()
    if moment is Moment.BEFORE:
        denial = {"permissionDecision": "deny", "permissionDecisionReason": reason}
        return Answer(json.dumps(denial) + "\n", f"{reason}\n", DENIED)
    event = "Stop" if moment is Moment.END else "PostToolUse"
    nested = {"hookEventName": event, "decision": "block", "reason": reason}
    told = {"decision": "block", "reason": reason, "hookSpecificOutput": nested}
    if moment is Moment.AFTER:
        told["additionalContext"] = reason
    return Answer(json.dumps(told) + "\n")

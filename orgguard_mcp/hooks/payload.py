"""Reading payloads: the fields that agents share, under the names that each gives them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from orgguard_mcp.errors import UsageError
from orgguard_mcp.hooks import tools
from orgguard_mcp.hooks.action import Action, Moment

Payload = Mapping[str, Any]


def parse(data: bytes) -> Payload:
    """The JSON object in *data*; `UsageError` when there is none."""
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable("it is no JSON") from error
    if not isinstance(payload, dict):
        raise _unreadable("it is no JSON object")
    return payload


def text(payload: Payload, *keys: str) -> str:
    """The first of *keys* that holds text."""
    found = (payload.get(key) for key in keys)
    return next((value for value in found if isinstance(value, str) and value), "")


def given(payload: Payload, *keys: str) -> Payload:
    """A tool's input under the first of *keys* that is there; some send it as JSON in a string."""
    value: object = next((payload[key] for key in keys if key in payload), {})
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:  # free text, such as a patch
            value = {"input": value}
    return value if isinstance(value, dict) else {"input": value}


def directory(payload: Payload) -> str:
    """Where the agent works."""
    roots = payload.get("workspace_roots")
    first = roots[0] if isinstance(roots, list) and roots and isinstance(roots[0], str) else ""
    return text(payload, "cwd", "directory") or first or os.getcwd()  # noqa: PTH109  # imports late


def action(payload: Payload, moments: Mapping[str, Moment]) -> Action | None:
    """The action in a payload of the kind that Claude Code began; None when it needs no judging.

    Raises `UsageError` for an event that is none of *moments*.
    """
    event = text(payload, "hook_event_name", "hookEventName")
    if event not in moments:
        raise unknown(event)
    if moments[event] is Moment.END:
        again = payload.get("stop_hook_active") or payload.get("stopHookActive")
        return None if again else ending(payload)
    tool = text(payload, "tool_name")
    return tools.action(moments[event], tool, given(payload, "tool_input"), directory(payload))


def ending(payload: Payload) -> Action:
    """The end of a session."""
    return Action(Moment.END, "", directory(payload))


def unknown(event: str) -> UsageError:
    """The error of an event that no hook was written for."""
    return UsageError(
        "the agent's call was not checked: its hook event is not known",
        cause=f"the event is `{event[:40]}`" if event else "the payload names no event",
        hint="docs/hooks.md lists each agent's events",
    )


def _unreadable(cause: str) -> UsageError:
    return UsageError(
        "the agent's call was not checked: the hook's payload cannot be read",
        cause=cause,
        hint="`orgguard hook` reads the agent's JSON on standard input",
    )

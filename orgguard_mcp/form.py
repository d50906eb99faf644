"""The form that a client may show beside the terminal: schema, text, and what an answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orgguard_mcp.display import code_points, visible
from orgguard_mcp.model import Answer, Request

_ALLOW, _DENY = "allow", "deny"
_MEANING = {_ALLOW: Answer.GRANT, _DENY: Answer.REFUSE}

SCHEMA: dict[str, Any] = {
    # By hand: pydantic's top-level `title` makes Codex cancel without showing anything. The first
    # choice, which some clients select beforehand, refuses.
    "type": "object",
    "properties": {
        "decision": {
            "type": "string",
            "title": "May this name be written?",
            "enum": [_DENY, _ALLOW],
        }
    },
    "required": ["decision"],
}


def meaning(content: Mapping[str, object] | None) -> Answer | None:
    """What an accepted form says; None for anything but one of the two words. Some clients accept
    empty forms of their own accord: that is nobody's answer.
    """
    return _MEANING.get(str((content or {}).get("decision")))


def question(request: Request) -> str:
    """The form's text: what is known first, then the agent's own words, escaped and marked."""
    last = request.asks[-1]
    lines = (
        f'May the name "{visible(request.name.surface)}" be written in this public repository?'
        " The repository does not establish it.",
        code_points(request.name.surface),
        "The agent's own words (not verified):",
        f"  where: {visible(last.where)}",
        f"  excerpt: {visible(last.excerpt)}" if last.excerpt else "",
        f"  purpose: {visible(last.purpose)}" if last.purpose else "",
    )
    return "\n".join(line for line in lines if line)

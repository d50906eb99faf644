"""What the scripted model does: ask and obey, or write without asking."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests import names
from tests.clients.model import Call, Plan, Result

CLEAN, NOTES = "clean.md", "notes.md"
TEXT = f"{names.COINED} asked for webhooks.\n"
_STATUS = re.compile(r"granted|refused|pending")


def obedient(repo: Path) -> Plan:
    """Check, ask until there is an answer, and write if it is a yes."""

    def plan(results: Sequence[Result]) -> Call | None:
        answers = [one.text for one in results if one.tool == "request_consent"]
        status = _STATUS.search(answers[-1]) if answers else None
        if not results:
            return Call("check_name", {"name": names.COINED})
        if not status or status[0] == "pending":
            return Call("request_consent", {"name": names.COINED, "where": f"{NOTES}:1"})
        if status[0] == "granted" and results[-1].tool != "write":
            return _write(repo / NOTES, TEXT)
        return None

    return plan


def careless(repo: Path) -> Plan:
    """Write what names nobody, then the name, without a question."""
    steps = [_write(repo / CLEAN, "example.com is fine.\n"), _write(repo / NOTES, TEXT)]
    return lambda results: steps[len(results)] if len(results) < len(steps) else None


def _write(path: Path, content: str) -> Call:
    return Call("write", {"path": str(path), "content": content})

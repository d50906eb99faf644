"""Verdicts as text: pure functions, one a format, in one dict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from orgguard_mcp.display import visible
from orgguard_mcp.model import Verdict
from orgguard_mcp.report.view import readable_path
from orgguard_mcp.report.words import base_line


def as_json(verdicts: Sequence[Verdict]) -> str:
    """One JSON object a line and name."""
    return "".join(json.dumps(row(verdict)) + "\n" for verdict in verdicts)


def row(verdict: Verdict) -> dict[str, object]:
    """*verdict* as the plain data that every machine-readable door shows."""
    return {
        "name": verdict.name.surface,
        "key": verdict.name.key,
        "effect": verdict.effect.value,
        "basis": verdict.basis.value,
        "why": verdict.why,
        "evidence": [
            {"path": readable_path(place.path), "line": place.line, "class": place.file_class.value}
            for place in verdict.evidence
        ],
        "files": {kind.value: count for kind, count in verdict.files.items()},
        "base": verdict.base.commit,
        "base_reason": verdict.base.reason,
    }


def as_text(verdicts: Sequence[Verdict]) -> str:
    """For a reader at a terminal: the effect first, then why, then where."""
    lines: list[str] = []
    for verdict in verdicts:
        name = visible(verdict.name.surface)
        lines.append(
            f"{verdict.effect.value:<5}  {name}: {verdict.basis.value}, {visible(verdict.why, 400)}"
        )
        lines += [
            f"         {visible(str(place))} ({place.file_class.value})"
            for place in verdict.evidence
        ]
    if verdicts:
        lines += ["", f"base {base_line(verdicts[0].base)}"]
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Verdict]], str]] = {"human": as_text, "json": as_json}

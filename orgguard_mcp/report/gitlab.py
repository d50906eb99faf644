"""A report as GitLab's code quality artifact: one JSON array, one entry a name.

An entry needs a file and a line. Findings without one are left out, since any path put there would
be a lie: the door that writes this format prints the report for readers beside it.
"""

from __future__ import annotations

import json

from orgguard_mcp.display import visible
from orgguard_mcp.model import Confidence, Effect
from orgguard_mcp.report import words
from orgguard_mcp.report.view import Entry, Place, View, readable_path

_SEVERITIES = {Confidence.HIGH: "major", Confidence.MEDIUM: "minor", Confidence.LOW: "info"}


def render(view: View) -> str:
    """*view* as the array. GitLab hides entries whose fingerprint it has seen, so each is once."""
    entries: dict[str, dict[str, object]] = {}
    for entry in view.entries:
        if place := entry.attached:
            fingerprint, number = entry.fingerprint, 1
            while fingerprint in entries:
                number += 1
                fingerprint = f"{entry.fingerprint}-{number}"
            entries[fingerprint] = _entry(entry, place, fingerprint)
    return json.dumps(list(entries.values()), indent=2) + "\n"


def _entry(entry: Entry, place: Place, fingerprint: str) -> dict[str, object]:
    also = f"; also in {places}" if (places := words.also(entry)) else ""
    refused = entry.effect is Effect.DENY
    return {
        "description": visible(f"{words.headline(entry)}{also}", 1000),
        "check_name": f"orgguard/{entry.rule.id}",
        "fingerprint": fingerprint,
        "severity": "critical" if refused else _SEVERITIES[entry.confidence],
        "location": {"path": readable_path(place.file), "lines": {"begin": place.line}},
    }

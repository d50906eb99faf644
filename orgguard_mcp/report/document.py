"""A report as one JSON document."""

from __future__ import annotations

import json

from orgguard_mcp.report.view import Entry, Place, View, readable_path


def render(view: View) -> str:
    """*view* as JSON. Nothing is cut, and a name stands in it only where it is revealed."""
    return json.dumps(_document(view), indent=2) + "\n"


def _document(view: View) -> dict[str, object]:
    return {
        "base": view.base.commit,
        "base_reason": view.base.reason,
        "head": view.head,
        "findings": [_finding(entry) for entry in view.entries],
        "coverage": [
            {
                "surface": covered.surface.value,
                "scanned": covered.scanned,
                "skipped": [
                    {"what": readable_path(skipped.what), "reason": skipped.reason}
                    for skipped in covered.skipped
                ],
            }
            for covered in view.coverage
        ],
        "suppressed": view.suppressed,
        "consented": view.consented,
        "notes": list(view.notes),
        "unchecked": view.unchecked,
    }


def _finding(entry: Entry) -> dict[str, object]:
    name = {} if entry.name is None else {"name": entry.name}
    return {
        **name,
        "fingerprint": entry.fingerprint,
        "basis": entry.basis,
        "effect": entry.effect.value,
        "confidence": entry.confidence.value,
        "level": entry.level.value,
        "why": entry.why,
        "score": entry.score,
        "locations": [_location(place) for place in entry.places],
    }


def _location(place: Place) -> dict[str, object]:
    return {
        "surface": place.surface.value,
        "path": place.path,
        "line": place.line,
        "column": place.column,
    }

"""A report as SARIF 2.1.0, for code scanning.

A code host can show a result only at a line of a file, and rejects one without. So `results` has
the findings with such a line, one result a name; every other finding, and what was not scanned,
stands in `toolExecutionNotifications`: nothing is dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from orgguard_mcp.display import plural, visible
from orgguard_mcp.model import Confidence, Effect
from orgguard_mcp.report import words
from orgguard_mcp.report.rules import RULES, Rule
from orgguard_mcp.report.view import Entry, Place, View, path_bytes

MAX_RESULTS = 25_000
"""What GitHub takes of one run. With `_MAX_PLACES` a full run stays below its 10 MB packed."""

_MAX_PLACES = 20  # of one result; GitHub shows the first
_MAX_NOTICES = 1_000
_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Confidence.HIGH: "error", Confidence.MEDIUM: "warning", Confidence.LOW: "note"}
_ROOT = "%SRCROOT%"


def render(view: View) -> str:
    """*view* as one SARIF document with one run."""
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(view)]}
    return json.dumps(document, indent=2) + "\n"


def _run(view: View) -> dict[str, object]:
    attached = [entry for entry in view.entries if entry.attached]
    return {
        "tool": {"driver": {"name": "OrgGuard", "rules": [_rule(r) for r in RULES.values()]}},
        "columnKind": "unicodeCodePoints",  # as `Location` counts them
        "originalUriBaseIds": {_ROOT: {"description": {"text": "the repository's root"}}},
        "invocations": [
            {
                "executionSuccessful": not view.unchecked,
                "toolExecutionNotifications": _notices(view, attached),
            }
        ],
        "results": [_result(entry) for entry in attached[:MAX_RESULTS]],
        "properties": {
            "base": view.base.commit,
            "baseReason": view.base.reason,
            "head": view.head,
            "consented": view.consented,
            "suppressed": view.suppressed,
        },
    }


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.short},
        "fullDescription": {"text": rule.full},
        "help": {"text": rule.advice},
    }


def _result(entry: Entry) -> dict[str, object]:
    places = [place for place in entry.places if place.file]
    return {
        "ruleId": entry.rule.id,
        "ruleIndex": [rule.id for rule in RULES.values()].index(entry.rule.id),
        "level": _level(entry),
        "message": {"text": _literal(_sentence(entry))},
        "locations": [_location(place) for place in places[:_MAX_PLACES]],
        "partialFingerprints": {"orgguardName/v1": entry.fingerprint},
    }


def _level(entry: Entry) -> str:
    return "error" if entry.effect is Effect.DENY else _LEVELS[entry.confidence]


def _sentence(entry: Entry) -> str:
    also = f" Also in: {places}." if (places := words.also(entry)) else ""
    return f"{words.headline(entry)}.{also} {entry.rule.advice}"


def _location(place: Place) -> dict[str, object]:
    uri = quote(path_bytes(place.file), safe="/")
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri, "uriBaseId": _ROOT},
            "region": {
                "startLine": place.line,
                "startColumn": max(place.column, 1),
                "endColumn": max(place.column, 1) + max(place.length, 0),
            },
        }
    }


def _notices(view: View, attached: list[Entry]) -> list[dict[str, object]]:
    """What `results` cannot hold: findings without a line of a file, and the scan's coverage."""
    elsewhere = [entry for entry in view.entries if not entry.attached]
    told = [(_level(entry), _placed(entry)) for entry in elsewhere[:_MAX_NOTICES]]
    if elsewhere:
        surfaces = dict.fromkeys(p.surface.value for entry in elsewhere for p in entry.places)
        count = plural(len(elsewhere), "finding")
        told.insert(0, ("warning", f"{count} not in results: {', '.join(surfaces)}"))
    if (cut := len(attached) - MAX_RESULTS) > 0:
        told.append(("warning", f"{plural(cut, 'more finding')} left out of results"))
    if (cut := len(elsewhere) - _MAX_NOTICES) > 0:
        told.append(("warning", f"{plural(cut, 'more finding')} without a file left out"))
    told.append(("note", words.totals(view)))
    told += [("note", line) for line in words.ending(view)]
    return [{"level": level, "message": {"text": _literal(text)}} for level, text in told]


def _placed(entry: Entry) -> str:
    places = ", ".join(_unique(map(words.where, entry.places[:_MAX_PLACES])))
    return f"{entry.rule.id}: {words.headline(entry)}: {places}"


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _literal(text: str) -> str:
    """*text* as a SARIF message, in which brackets make links and braces are placeholders."""
    shown = visible(text, 4000).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return shown.replace("{", "{{").replace("}", "}}")

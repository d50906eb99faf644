"""A report for GitHub Actions: annotations on standard output, and a job summary in Markdown.

The runner obeys commands that it reads in a step's output, so the report for readers stands
between `stop-commands` and a token that the scanned text cannot know.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from orgguard_mcp.display import plural, visible
from orgguard_mcp.report import human, words
from orgguard_mcp.report.view import Entry, View

MAX_ANNOTATIONS = 10
"""How many errors of one step GitHub shows."""

MAX_SUMMARY = 1_000_000
"""Bytes of a job summary; GitHub takes 1 MiB and drops a longer one whole."""

_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_SIGNS = re.compile(r"[!-&(-+\-./:<-@\[-`{-~]")  # ASCII's punctuation, less , ; and '
_PROPERTY_ESCAPES = {**_ESCAPES, ":": "%3A", ",": "%2C"}


def render(view: View, token: str = "") -> str:
    """*view* as a step's output. The log has every finding, annotations the gravest ones."""
    token = token or secrets.token_hex(16)
    lines = [f"::stop-commands::{token}", human.render(view).rstrip("\n"), f"::{token}::"]
    lines += [_annotation(entry) for entry in view.entries[:MAX_ANNOTATIONS]]
    if view.unchecked:
        lines.append(_command("error", {"title": "orgguard"}, view.unchecked))
    if (more := len(view.entries) - MAX_ANNOTATIONS) > 0:
        said = f"{plural(more, 'more finding')} without annotation: see the log or the job summary"
        lines.append(_command("warning", {"title": "orgguard"}, said))
    return "\n".join(lines) + "\n"


def _annotation(entry: Entry) -> str:
    properties: dict[str, str | int] = {}
    place = entry.attached
    # A path with control characters cannot be written raw, and written otherwise names no file.
    if place and visible(place.path, 10 * len(place.path)) == place.file:
        start = max(place.column, 1)
        properties = {"file": place.file, "line": place.line, "col": start}
        properties["endColumn"] = start + max(place.length, 1)
    else:
        place = entry.main
    spot = f" in {words.where(place)}" if place and not properties else ""
    also = f" Also in: {places}." if (places := words.also(entry)) else ""
    said = f"{words.headline(entry)}{spot}.{also} {entry.rule.advice}"
    return _command("error", {**properties, "title": f"orgguard({entry.rule.id})"}, said)


def _command(command: str, properties: dict[str, str | int], message: str) -> str:
    given = ",".join(
        f"{name}={_escaped(str(value), _PROPERTY_ESCAPES)}" for name, value in properties.items()
    )
    return f"::{command} {given}::{_escaped(visible(message, 4000), _ESCAPES)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(char, char) for char in text)


# --- the job summary ------------------------------------------------------------------------------


def summary(view: View) -> str:
    """*view* as Markdown for `$GITHUB_STEP_SUMMARY`. Lists, not a table: a cell cannot hold every
    code span, and whatever somebody else wrote stands in one.
    """
    end = ["", *(f"- {_prose(line)}" for line in _end(view))]
    heading = f"### OrgGuard: {_prose(words.totals(view))}"
    room = MAX_SUMMARY - _size([heading, *end]) - 200
    lines = [heading, ""]
    for shown, entry in enumerate(view.entries):
        item = _item(entry)
        room -= _size(item)
        if room < 0:
            lines.append(f"- and {plural(len(view.entries) - shown, 'more finding')}")
            break
        lines += item
    return "\n".join([*lines, *end]) + "\n"


def _end(view: View) -> list[str]:
    hidden = [words.HIDDEN] if view.hidden and view.entries else []
    return [*hidden, *words.ending(view)]


def _item(entry: Entry) -> list[str]:
    said = f"{_code(_bare_subject(entry))} {_prose(entry.rule.says)}"
    places = list(dict.fromkeys(words.where(place) for place in entry.places))
    lines = [f"- **{entry.rule.id}**: {said}, confidence {entry.confidence}"]
    lines += [f"  - {_code(place)}" for place in places[:10]]
    if (more := len(places) - 10) > 0:
        lines.append(f"  - and {plural(more, 'more place')}")
    return [*lines, f"  - {_prose(entry.why)}", f"  - {_prose(entry.rule.help)}"]


def _bare_subject(entry: Entry) -> str:
    return entry.fingerprint if entry.name is None else entry.name


def _code(text: str) -> str:
    """*text* as a code span, in which nothing is markup, whatever backticks it has."""
    shown = visible(text, 400)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence, pad = "`" * (longest + 1), " " if "`" in shown or not shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _prose(text: str) -> str:
    """*text* with a backslash before every sign that Markdown or HTML could take for markup."""
    return _SIGNS.sub(r"\\\g<0>", visible(text.strip(), 2000))


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)

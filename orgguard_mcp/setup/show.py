"""The plan as its reader sees it: what was found, what will change, and the changes as a diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from orgguard_mcp.display import visible
from orgguard_mcp.setup.clients import CI, CLIENTS
from orgguard_mcp.setup.plan import Change, Found, Plan

_WIDTH = 500
"""Characters of a line shown at most."""


def found(clients: Sequence[Found], ci: Sequence[Found]) -> list[str]:
    """What the repository and the machine use, a line each."""
    rows = [(one.title, one.sign or "", "installed" if one.installed else "") for one in clients]
    rows += [(one.title, one.sign, "") for one in ci]
    return ["Found", *(_table(rows) or ["  no agent that OrgGuard knows"]), ""]


def files(plan: Plan) -> list[str]:
    """What happens to each file, a line each."""
    shown = [*plan.files, *plan.elsewhere]
    rows = [(_verb(one), visible(one.path), _purpose(one)) for one in shown]
    rows += [("skipped", visible(path), visible(why)) for path, why in plan.problems]
    return ["Plan", *_table(rows), ""]


def diffs(plan: Plan, *, context: int) -> list[str]:
    """The changes as unified diffs, with *context* lines around each; then what stays another's."""
    lines: list[str] = []
    for one in [*plan.changes, *plan.elsewhere]:
        lines += [*_diff(one.path, one.before, one.after, context), ""]
    for one in plan.files:
        if one.kept:
            lines.append(f"Left alone in {one.path}; `--force` would write:")
            lines += [*_diff(one.path, one.after, one.wanted, context), ""]
    return lines


def next_steps(clients: Iterable[str], plan: Plan, by_hand: Iterable[str]) -> list[str]:
    """What is left to the user, of git's hooks *by_hand*."""
    rows = [(CLIENTS[name].title, CLIENTS[name].then) for name in clients]
    rows.append(("everybody else", "installs the commands once: uv tool install orgguard-mcp"))
    rows.append(("then", "run `orgguard doctor`, and commit the files"))
    written = {one.path for one in plan.changes}
    rows[-1:-1] = [
        (title, then) for title, _, targets, then in CI.values() if written & set(targets[0].paths)
    ]
    rows += [("git hooks", visible(line, _WIDTH)) for line in by_hand]
    return ["Next", *_table(rows), "", "`orgguard init --undo` takes all of it back."]


def _verb(change: Change) -> str:
    if not change.changes:
        return "left alone" if change.kept else "as is"
    if change.before is None:
        return "new"
    return "remove" if change.after is None else "change"


def _purpose(change: Change) -> str:
    purpose = ", ".join(dict.fromkeys(change.what))
    if change.kept:
        purpose += f"; another one is there, and stays: {visible(', '.join(change.kept))}"
    return purpose


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """*rows* in aligned columns, indented."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _diff(path: str, before: bytes | None, after: bytes | None, context: int) -> list[str]:
    old, new = _lines(before), _lines(after)
    was, is_now = ("/dev/null" if data is None else visible(path) for data in (before, after))
    shown = difflib.unified_diff(old, new, was, is_now, n=context, lineterm="")
    return [line if line.startswith(("---", "+++")) else _safe(line) for line in shown]


def _lines(data: bytes | None) -> list[str]:
    """The lines of *data*; of a last one without an end the reader is told."""
    lines = (data or b"").decode("utf-8", "backslashreplace").split("\n")
    last = lines.pop()
    return [*lines, last + "  (no line break at the end)"] if last else lines


def _safe(line: str) -> str:
    """*line* harmless for a terminal; tabs and the line breaks of Windows are no surprise."""
    return visible(line.removesuffix("\r").expandtabs(4), _WIDTH)

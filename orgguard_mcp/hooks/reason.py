"""What the agent is told: which names, where, and what to do next.

The agent wrote the names itself and has to ask about them, so it hears them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orgguard_mcp import advice
from orgguard_mcp.display import plural, visible
from orgguard_mcp.hooks.action import Moment
from orgguard_mcp.model import Basis, Effect, Finding, Location, Surface

MAX_NAMES = 10
MAX_PLACES = 3

_HEADINGS = {
    Moment.BEFORE: "OrgGuard stopped this: nothing was done.",
    Moment.AFTER: "OrgGuard found names in the working tree that have no consent.",
    Moment.END: "OrgGuard: before you finish, names were written that have no consent.",
}
_TAKE_OUT = "Take these names out of where they stand, without a placeholder in their place."
_ASK = f"Do not write such a name, nor a placeholder for it. {advice.ASK}"
_WAIT = (
    "A human has been asked about what is pending: carry on with work that does not need the name,"
    f" then {advice.ASK_AGAIN}"
)
_REWORD = f"Or do without it. {advice.REWORD} That needs no name and no consent."
_REFUSED = (
    f"What was refused or is protected must not be written. {advice.REWORD} Put no placeholder in"
    " the name's place."
)


def against(findings: Sequence[Finding], moment: Moment) -> str:
    """Why the agent may not go on with *findings*; empty without any."""
    if not findings:
        return ""
    lines = [_HEADINGS[moment], *map(_line, findings[:MAX_NAMES])]
    if len(findings) > MAX_NAMES:
        lines.append(f"  … and {plural(len(findings) - MAX_NAMES, 'more name')}")
    steps = list(_steps(findings))
    return "\n".join([*lines, *([] if moment is Moment.BEFORE else [_TAKE_OUT]), *steps])


def _line(finding: Finding) -> str:
    verdict = finding.verdict
    where = list(dict.fromkeys(map(_place, finding.locations)))
    more = f" and {plural(len(where) - MAX_PLACES, 'more place')}" if where[MAX_PLACES:] else ""
    said = f'. The human says: "{visible(verdict.reason, 500)}"' if verdict.reason else ""
    return (
        f'  "{visible(verdict.name.surface)}" {_in(where[:MAX_PLACES])}{more}:'
        f" {verdict.basis}, {visible(verdict.why, 400)}{said}"
    )


def _in(where: Iterable[str]) -> str:
    return "in " + ", ".join(where)


def _place(at: Location) -> str:
    if at.path and (at.surface.in_file or at.surface is Surface.PATH):
        return visible(f"{at.path}:{at.line}" if at.line else at.path)
    if at.path:
        return f"{_UNPATHED.get(at.surface, at.surface.value)} {visible(at.path)}"
    return _UNPATHED.get(at.surface, "what you sent")


_UNPATHED = {
    Surface.COMMIT_MESSAGE: "the message",
    Surface.BRANCH: "the branch's name",
    Surface.TAG: "a tag",
    Surface.PR_BODY: "the text",
}


def _steps(findings: Iterable[Finding]) -> Iterable[str]:
    """What to do next, by what the findings rest on."""
    bases = {finding.verdict.basis for finding in findings}
    effects = {finding.verdict.effect for finding in findings}
    if bases & {Basis.UNKNOWN, Basis.COMMON_WORD}:
        yield _ASK
    if Basis.PENDING in bases:
        yield _WAIT
    if Effect.DENY in effects:
        yield _REFUSED
    if Effect.ASK in effects:
        yield _REWORD

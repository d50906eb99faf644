"""What an agent is told: results of both tools as data and as the sentences that a model reads.

Some clients pass on only the structured content, others only the text, so what must be read is in
both. Sentences come with the next step; a refusal never suggests a substitute, since a placeholder
is what the rule forbids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from orgguard_mcp import advice
from orgguard_mcp.display import visible
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.grants import DIRECTORY, Grant
from orgguard_mcp.model import Basis, Effect, Verdict

Status = Literal["granted", "refused", "pending", "would ask"]

NEUTRAL = (
    f"{advice.REWORD} Put neither the name nor a placeholder for it into code, files, messages,"
    " branches or the pull request."
)
MAY_WRITE = "You may write it."
WITH_GRANTS = (
    f"{MAY_WRITE} First write the files in `grants`, unchanged, and commit them with the change:"
    " they are the signed consent that hooks and continuous integration look for."
)
ASK_FIRST = f"Do not write it yet, nor a placeholder for it. {advice.ASK}"
WAIT = (
    "Do not write the name, nor a placeholder for it. Carry on with work that does not need it,"
    f" then {advice.ASK_AGAIN} The human answers with `orgguard review` in a terminal."
)
DRY_RUN = (
    "This server runs dry: nobody was asked and nothing was stored, so there is no consent. Do not"
    " write the name."
)


def _bare(schema: dict[str, Any]) -> None:
    """Drop what a schema repeats: a model pays for every token of it on every turn."""
    schema.pop("title", None)
    schema.pop("description", None)
    for value in schema["properties"].values():
        value.pop("title", None)
        value.pop("default", None)


class NameReply(BaseModel):
    """What holds for one name. `evidence` has objects of path, line (0: the path itself), class;
    `grants` the files to be committed, objects of path and text.
    """

    model_config = ConfigDict(json_schema_extra=_bare)
    name: str
    key: str
    effect: str
    basis: str
    why: str
    next: str
    human_said: str = ""
    id: str = ""
    evidence: list[dict[str, str | int]] = []
    files: dict[str, int] = {}
    grants: list[dict[str, str]] = []


class Reply(BaseModel):
    """The result of both tools: the strictest effect, what to do, then each name."""

    model_config = ConfigDict(json_schema_extra=_bare)
    effect: Literal["allow", "ask", "deny"]
    status: str = ""
    next: str
    names: list[NameReply] = []
    base: str = ""
    base_reason: str = ""


def checked(verdicts: Sequence[Verdict]) -> Reply:
    """The reply to check_name."""
    return _reply(verdicts, "", [_next_after_check(verdict) for verdict in verdicts])


def with_grants(reply: Reply, grants: Sequence[Sequence[Grant]]) -> Reply:
    """*reply* with the grants that are to be committed, a list for each name."""
    for name, files in zip(reply.names, grants, strict=True):
        if files:
            name.next = WITH_GRANTS
            name.grants = [
                {"path": f"{DIRECTORY}/{grant.file_name}", "text": grant.text} for grant in files
            ]
    if reply.effect == "allow" and any(grants):
        reply.next = WITH_GRANTS
    return reply


def consent(verdicts: Sequence[Verdict], *, dry_run: bool = False) -> Reply:
    """The reply to request_consent."""
    asking = [v for v in verdicts if v.effect is Effect.ASK]
    if any(v.effect is Effect.DENY for v in verdicts):
        status: Status = "refused"
    elif asking:
        status = "would ask" if dry_run else "pending"
    else:
        status = "granted"
    reply = _reply(verdicts, status, [_next_after_request(v, dry_run) for v in verdicts])
    if dry_run and asking:
        reply.effect = "deny"
        for name in reply.names:
            name.effect = "deny" if name.effect == "ask" else name.effect
    return reply


def failed(error: OrgGuardError) -> Reply:
    """The reply when something could not be done: never an allow."""
    said = ". ".join(part for part in (error.message, error.cause, error.hint) if part)
    return Reply(effect="deny", next=f"Do not write the name. {visible(said, 1000)}")


def text(reply: Reply) -> str:
    """*reply* as the sentences that a model reads."""
    lines = []
    for name in reply.names:
        status = reply.status if name.effect != "allow" else "granted"
        lead = status if reply.status else name.effect
        number = f" (id {name.id})" if name.id and name.basis == Basis.PENDING else ""
        lines.append(
            f'{lead}{number}: "{visible(name.name)}": {name.basis}, {visible(name.why, 400)}.'
        )
        if name.human_said:
            lines.append(f'The human says: "{visible(name.human_said, 500)}"')
        lines += [
            f"  {place['path']}:{place['line']} ({place['class']})" for place in name.evidence
        ]
        for grant in name.grants:
            lines += [f"{grant['path']}:", grant["text"]]
    steps = dict.fromkeys(name.next for name in reply.names) or {reply.next: None}
    return "\n".join([*lines, *steps])


def _reply(verdicts: Sequence[Verdict], status: str, steps: Sequence[str]) -> Reply:
    strictness = (Effect.ALLOW, Effect.ASK, Effect.DENY)
    pairs = list(zip(verdicts, steps, strict=True))
    strictest, step = max(pairs, key=lambda pair: strictness.index(pair[0].effect))
    return Reply(
        effect=strictest.effect.value,
        status=status,
        next=step,
        names=[_name_reply(*pair) for pair in pairs],
        base=strictest.base.commit,
        base_reason=strictest.base.reason,
    )


def _name_reply(verdict: Verdict, step: str) -> NameReply:
    return NameReply(
        name=verdict.name.surface,
        key=verdict.name.key,
        effect=verdict.effect.value,
        basis=verdict.basis.value,
        why=verdict.why,
        next=step,
        human_said=verdict.reason,
        id=verdict.request_id,
        evidence=[
            {"path": visible(p.path), "line": p.line, "class": p.file_class.value}
            for p in verdict.evidence
        ],
        files={kind.value: count for kind, count in verdict.files.items()},
    )


def _next_after_check(verdict: Verdict) -> str:
    match verdict.effect:
        case Effect.ALLOW:
            return MAY_WRITE
        case Effect.ASK:
            return WAIT if verdict.basis is Basis.PENDING else ASK_FIRST
        case Effect.DENY:
            return NEUTRAL


def _next_after_request(verdict: Verdict, dry_run: bool) -> str:
    match verdict.effect:
        case Effect.ALLOW:
            return MAY_WRITE
        case Effect.ASK:
            return DRY_RUN if dry_run else WAIT
        case Effect.DENY:
            return NEUTRAL

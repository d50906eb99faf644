"""The two tools that agents call, as functions of the SDK's context.

A request is committed to the queue before anybody waits; everything after that may be cancelled,
killed or lost without losing the question. The call is then held for a short while, in which the
answer may come (`asking`). After that the agent is told `pending`, and calling again is how it gets
the answer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, InputRequiredResult, TextContent
from pydantic import Field

from orgguard_mcp import replies
from orgguard_mcp.desk import Caller, Host, Visit
from orgguard_mcp.errors import OrgGuardError, UsageError
from orgguard_mcp.model import Ask, Basis, Trust, Verdict
from orgguard_mcp.names import parse
from orgguard_mcp.server.asking import settle, undecided
from orgguard_mcp.waiting import in_thread

if TYPE_CHECKING:
    from orgguard_mcp.guard import Guard

MAX_NAMES = 50

CALLER = "orgguard.caller"
"""Where a request over HTTP has its `Caller`, in its ASGI scope."""

_LASTING = frozenset({Basis.ESTABLISHED, Basis.RESERVED})
"""What rests on the base alone, and so lasts as long as that."""

_Context = Context[Host, Any]
_Result = TypeVar("_Result")
_Names = Annotated[
    str | list[str], Field(description="The name as it would be written, or several")
]


async def check_name(
    name: _Names,
    ctx: _Context,
    where: Annotated[str, Field(description="The file it would go to, if known")] = "",
) -> Annotated[CallToolResult, replies.Reply]:
    """Say whether names may be written."""
    return await _or_failure(_check(ctx, name, where))


async def _check(ctx: _Context, name: str | list[str], where: str) -> CallToolResult:
    names = tuple(_names(name))
    async with _visit(ctx) as visit:
        desk = visit.desk
        guard = await desk.ready(ctx.report_progress)
        known: CallToolResult | None = desk.lasting.get(names)
        if known:
            return known
        base = guard.base
        verdicts = await in_thread(_verdicts, guard, [(one, where) for one in names])
        result = result_of(await _signed(guard, verdicts, replies.checked(verdicts)))
        if guard.base is base and all(verdict.basis in _LASTING for verdict in verdicts):
            desk.remember(names, result)
        return result


def _verdicts(guard: Guard, placed: Sequence[tuple[str, str]]) -> list[Verdict]:
    return [guard.check(name, place) for name, place in placed]


async def request_consent(
    name: _Names,
    ctx: _Context,
    where: Annotated[
        str | list[str],
        Field(description="Needed: file:line, or commit message, branch, PR; one, or one a name"),
    ] = "",
    excerpt: Annotated[str, Field(description="The line as it would be written")] = "",
    purpose: Annotated[str, Field(description="Why the change needs this very name")] = "",
) -> Annotated[CallToolResult, replies.Reply] | InputRequiredResult:
    """Ask the human about names, and wait for a while."""
    return await _or_failure(_request(ctx, name, where, (excerpt, purpose)))


async def _request(
    ctx: _Context, name: str | list[str], where: str | list[str], words: tuple[str, str]
) -> CallToolResult | InputRequiredResult:
    placed = _placed(name, where)
    async with _visit(ctx) as visit:
        guard = await visit.desk.ready(ctx.report_progress)
        if visit.desk.dry_run:
            verdicts = await in_thread(_verdicts, guard, placed)
            return result_of(replies.consent(verdicts, dry_run=True))
        verdicts = await _ask(visit, guard, placed, words)
        if waiting := undecided(verdicts):
            if question := await settle(ctx, visit, guard, waiting):
                return question
            verdicts = await in_thread(_verdicts, guard, placed)
        return result_of(await _signed(guard, verdicts, replies.consent(verdicts)))


async def _signed(guard: Guard, verdicts: Sequence[Verdict], reply: replies.Reply) -> replies.Reply:
    """*reply* with the grants that lie in no working tree."""
    if all(verdict.trust is not Trust.SIGNED for verdict in verdicts):
        return reply
    from orgguard_mcp import endorse

    found = await in_thread(lambda: [endorse.unlaid(guard, verdict) for verdict in verdicts])
    return replies.with_grants(reply, found)


async def _ask(
    visit: Visit, guard: Guard, placed: list[tuple[str, str]], words: tuple[str, str]
) -> list[Verdict]:
    """Put the questions, and tell who wants to hear of new ones."""
    known = await in_thread(_verdicts, guard, placed) if visit.reporter else []
    now = time.time()
    async with visit.desk.asking:
        verdicts = [
            await in_thread(guard.request, one, [Ask(place, *words, visit.asker, now)])
            for one, place in placed
        ]
    if visit.reporter and set(undecided(verdicts)) - set(undecided(known)):
        await visit.reporter.asked(guard)
    return verdicts


# --- who calls, and what they are told ------------------------------------------------------------


def _visit(ctx: _Context) -> AbstractAsyncContextManager[Visit]:
    """The desk of the repository that the call is about: over HTTP its request says which."""
    host = ctx.request_context.lifespan_context
    request = ctx.request_context.request
    caller: Caller = request.scope[CALLER] if request else Caller()
    return host.visit(caller._replace(client=_client_name(ctx)))


def _client_name(ctx: _Context) -> str:
    params = ctx.session.client_params
    return f"{params.client_info.name} {params.client_info.version}" if params else ""


async def _or_failure(work: Awaitable[_Result]) -> _Result | CallToolResult:
    """The result of *work*, or what was not done and why: never an allow."""
    try:
        return await work
    except OrgGuardError as error:
        return result_of(replies.failed(error), is_error=True)
    except BaseExceptionGroup as group:  # as a task group passes errors on
        ours, others = group.split(OrgGuardError)
        if ours is None or others is not None:
            raise
        return result_of(replies.failed(_first(ours)), is_error=True)


def _first(group: BaseExceptionGroup[OrgGuardError]) -> OrgGuardError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def result_of(reply: replies.Reply, *, is_error: bool = False) -> CallToolResult:
    """*reply* as data and as text: some clients pass on only the one, others only the other."""
    return CallToolResult(
        content=[TextContent(type="text", text=replies.text(reply))],
        structured_content=reply.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        is_error=is_error,
    )


def _names(name: str | list[str]) -> list[str]:
    names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
    if not 1 <= len(names) <= MAX_NAMES:
        raise UsageError(
            f"nothing was checked: {len(names)} names were passed, 1 to {MAX_NAMES} are taken"
        )
    for one in names:
        parse(one)  # all are readable before any is asked about
    return names


def _placed(name: str | list[str], where: str | list[str]) -> list[tuple[str, str]]:
    """Each name with its place: one place for all, or one for each."""
    names = _names(name)
    places = [where] if isinstance(where, str) else where
    if len(places) == 1:
        places = places * len(names)
    if len(places) != len(names) or not all(place.strip() for place in places):
        raise UsageError(
            "nothing was asked: `where` must say where each name would be written",
            hint="pass one place for all names, or a list with one place for each name",
        )
    return list(zip(names, places, strict=True))

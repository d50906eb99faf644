"""Waiting for the human: the queue is watched, and a form is shown where the client has one.

Whoever answers first is the one; the ledger sees to that. Two protocol eras differ in the form
only. Up to 2025-11-25 the form is a request of the server's within the call, withdrawn by
cancelling it when the terminal was faster. From 2026-07-28 on it is a result
(`InputRequiredResult`) with which the client calls again; its key carries the request's id, so that
the retry needs no state of the server's and survives a restart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import is_version_at_least

from orgguard_mcp import form
from orgguard_mcp.desk import Host, Visit, beat
from orgguard_mcp.model import Basis, Request, Trust, Verdict
from orgguard_mcp.waiting import in_thread

if TYPE_CHECKING:
    from orgguard_mcp.guard import Guard

CHANNEL = "elicitation"
GRACE_SECONDS = 1.0
"""How long the terminal is waited for before a form that cannot be withdrawn is sent."""

MAX_FIELDS = 4
"""Names that one form asks about; more are left to the terminal."""

_MODERN = "2026-07-28"
_FORM_KEY = "orgguard-"
_Context = Context[Host, Any]


def undecided(verdicts: Sequence[Verdict]) -> list[str]:
    """The requests that *verdicts* wait for, each once."""
    return list(dict.fromkeys(v.request_id for v in verdicts if v.basis is Basis.PENDING))


async def settle(
    ctx: _Context, visit: Visit, guard: Guard, waiting: list[str]
) -> InputRequiredResult | None:
    """Wait until *waiting* requests are decided or the call is held too long; or return a form to
    show. Who may not answer is shown none, and what they send in its place is no answer.
    """
    hold = visit.desk.hold(guard)
    form_fits = visit.may_answer and _can_show_form(ctx) and len(waiting) <= MAX_FIELDS
    # Where more than a client's word is wanted, a form could not say yes.
    form_fits = form_fits and await in_thread(_client_decides, guard, waiting)
    if not is_version_at_least(ctx.protocol_version or "", _MODERN):
        use_form = form_fits and ctx.session.can_send_request
        await _race(ctx, visit, guard, waiting, hold, elicit=use_form)
        return None
    answers = ctx.input_responses
    if answers is not None:
        for request_id in waiting if visit.may_answer else ():
            answer = answers.get(_FORM_KEY + request_id)
            if isinstance(answer, ElicitResult):
                await _take(guard, [request_id], answer)
    elif form_fits:
        await _race(ctx, visit, guard, waiting, min(hold, GRACE_SECONDS))
        requests = await _open_requests(guard, waiting)
        return _forms(requests) if requests else None
    await _race(ctx, visit, guard, waiting, hold)
    return None


def _client_decides(guard: Guard, waiting: list[str]) -> bool:
    """Whether an answer without a signature is one, for all of *waiting*."""
    if guard.policy.trust is not Trust.CLIENT:
        return False
    ruled = (guard.approval(guard.ledger.request(one)).ruled for one in waiting)
    return not (guard.policy.approval and any(ruled))


async def _race(
    ctx: _Context, visit: Visit, guard: Guard, waiting: list[str], seconds: float, *,
    elicit: bool = False,
) -> None:  # fmt: skip
    """Wait for the queue and, if told, a form; whoever is first ends the other."""
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                beat, ctx.report_progress, seconds, "waiting for a human: `orgguard review`"
            )
            if elicit:
                tasks.start_soon(_ask_client, ctx, guard, waiting)
            tasks.start_soon(_until, visit.leaving, tasks.cancel_scope)
            await visit.desk.watch.until_decided(guard.ledger, waiting)
            if visit.reporter:
                visit.reporter.decided(await in_thread(_delay, guard, waiting))
            tasks.cancel_scope.cancel()


async def _until(leaving: anyio.Event, waiting: anyio.CancelScope) -> None:
    """End *waiting* when the server is to end: the next one is asked sooner."""
    await leaving.wait()
    waiting.cancel()


def _delay(guard: Guard, waiting: list[str]) -> float:
    """Seconds since the last decision on *waiting*, by the clock of who decided."""
    decisions = [guard.ledger.decision_on(one) for one in waiting]
    return time.time() - max(decision.decided_at for decision in decisions if decision)


async def _open_requests(guard: Guard, waiting: list[str]) -> list[Request]:
    def undecided() -> list[Request]:
        ledger = guard.ledger
        return [ledger.request(one) for one in waiting if not ledger.decision_on(one)]

    return await in_thread(undecided)


async def _ask_client(ctx: _Context, guard: Guard, waiting: list[str]) -> None:
    """Show each request's form in turn. Whatever is no clear answer leaves it to the terminal."""
    for request in await _open_requests(guard, waiting):
        try:
            answer = await ctx.session.elicit_form(
                form.question(request), form.SCHEMA, ctx.request_id
            )
        except (MCPError, ValueError):
            return
        await _take(guard, [request.id], answer)


async def _take(guard: Guard, waiting: list[str], answer: ElicitResult) -> None:
    """Record a form's answer, if it is one: accepted, with one of the two words.

    `decline` and `cancel` come from clients without anybody at them, and empty forms are accepted
    by some of their own accord: neither is a human's word.
    """
    meaning = form.meaning(answer.content) if answer.action == "accept" else None
    if meaning:
        for request in await _open_requests(guard, waiting):
            await in_thread(lambda one=request: guard.decide(one, meaning, channel=CHANNEL))


# --- the form --------------------------------------------------------------------------------


def _can_show_form(ctx: _Context) -> bool:
    declared = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    return declared is not None and (declared.form is not None or declared.url is None)


def _forms(requests: Sequence[Request]) -> InputRequiredResult:
    return InputRequiredResult(
        input_requests={
            _FORM_KEY + request.id: ElicitRequest(
                params=ElicitRequestFormParams(
                    message=form.question(request), requested_schema=form.SCHEMA
                )
            )
            for request in requests
        }
    )

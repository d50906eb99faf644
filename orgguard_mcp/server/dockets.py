"""Where reviewers answer over HTTP: the calls of `wire`, for tokens that may answer.

What a reviewer signed is believed by its signature alone; what is not signed counts as an answer
through a client does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from orgguard_mcp import docket, endorse, wire
from orgguard_mcp.access import Principal
from orgguard_mcp.desk import Host
from orgguard_mcp.docket import Question, Queue, Reply, Settled
from orgguard_mcp.errors import OrgGuardError, SigningError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Decision
from orgguard_mcp.notary import Yes
from orgguard_mcp.server.tools import CALLER
from orgguard_mcp.waiting import in_thread, until_changed
from orgguard_mcp.wire import About, Facts, Nothing, Reviewer, Said, Signed, Since

CHANNEL = "server"
"""The channel of an answer that came over HTTP: that somebody typed it, only its sender knows."""

PATH = "/r/{repository:path}/docket/{call}"


class Dockets:
    """The endpoint of every call, for the repositories of one host."""

    def __init__(self, host: Callable[[], Host], security: TransportSecuritySettings) -> None:
        self._host = host
        self._security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        refused = await self._security.validate_request(request, is_post=True)
        answer = refused or await self._answer(request)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        call = request.path_params["call"]
        if call not in wire.CALLS:
            return JSONResponse({"error": "there is no such call"}, 404)
        try:
            words = wire.WORDS[call].validate_json(await request.body() or b"{}")
        except ValidationError:  # whose text quotes what was sent
            return JSONResponse({"error": "the call's words cannot be read"}, 400)
        caller = request.scope[CALLER]
        try:
            async with self._host().visit(caller) as visit:
                guard = await visit.desk.guard()
                if call == "changes":
                    found: Any = await _changes(guard, words)
                else:
                    found = await in_thread(_ANSWERS[call], guard, words, caller.principal)
        except OrgGuardError as error:
            return failed(error, 409)
        return Response(wire.ANSWERS[call].dump_json(found), media_type="application/json")


def failed(error: OrgGuardError, status: int) -> Response:
    """What was not done, why, and what to do next."""
    kind = "signing" if isinstance(error, SigningError) else ""
    said = {"error": error.message, "cause": error.cause, "hint": error.hint, "kind": kind}
    return JSONResponse(said, status)


async def _changes(guard: Guard, since: Since) -> int:
    with anyio.move_on_after(wire.CHANGES_SECONDS):
        return await until_changed(guard.ledger, since.version)
    return since.version


def _facts(guard: Guard, _: Nothing, __: Principal) -> Facts:
    policy = guard.policy
    return Facts(
        guard.notary.repository, guard.approvers.text, policy.grant_days, policy.signing_agent
    )


def _verify(guard: Guard, _: Nothing, __: Principal) -> Nothing:
    endorse.check_log(guard)
    return Nothing()


def _head(guard: Guard, _: Nothing, __: Principal) -> str:
    return guard.ledger.head()


def _queue(guard: Guard, reviewer: Reviewer, _: Principal) -> Queue:
    return docket.queue_of(guard, reviewer.person)


def _question(guard: Guard, about: About, _: Principal) -> Question:
    return docket.question_of(guard, guard.ledger.request(about.request_id))


def _outcome(guard: Guard, about: About, _: Principal) -> Decision | None:
    return guard.ledger.decision_on(about.request_id)


def _settle(guard: Guard, said: Said, who: Principal) -> Settled:
    request = guard.ledger.request(said.request_id)
    reply = Reply(request, said.answer, said.scope, said.reason)
    return docket.settle(guard, reply, channel=CHANNEL, signed=said.grant, by=who.label)


def _unsigned(guard: Guard, reviewer: Reviewer, _: Principal) -> list[Yes]:
    return endorse.unsigned(guard, reviewer.person) if reviewer.person else []


def _attach(guard: Guard, signed: Signed, _: Principal) -> Nothing:
    for said in signed.grants[: wire.MAX_GRANTS]:
        request = guard.ledger.request(said.request_id)
        endorse.attach(guard, Yes(request, said.scope), said.grant)
    return Nothing()


_ANSWERS: Mapping[str, Callable[[Guard, Any, Principal], object]] = {
    "facts": _facts,
    "verify": _verify,
    "head": _head,
    "queue": _queue,
    "question": _question,
    "outcome": _outcome,
    "settle": _settle,
    "unsigned": _unsigned,
    "attach": _attach,
}

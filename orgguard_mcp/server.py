"""The MCP server: two tools, and elicitation beside the terminal. The only module importing mcp.

Theory of operation. A request is committed to the queue before anybody waits; everything after
that may be cancelled, killed or lost without losing the question. The call is then held for a
short while, in which the answer may come from the terminal (the ledger is watched) or from a form
that the client shows; the first decision wins in the ledger. After that the agent is told
`pending`, and calling again is how it gets the answer.

Two protocol eras differ in the form only. Up to 2025-11-25 the form is a request of the server's
within the call, withdrawn by cancelling it when the terminal was faster. From 2026-07-28 on it is a
result (`InputRequiredResult`) with which the client calls again; its key carries the request's id,
so that the retry needs no state of the server's and survives a restart.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from mcp_types.version import is_version_at_least
from pydantic import Field

from orgguard_mcp import form, pipes, replies
from orgguard_mcp.desk import Desk, beat
from orgguard_mcp.errors import OrgGuardError, UsageError
from orgguard_mcp.hooks import served
from orgguard_mcp.model import Ask, Basis, Request, Trust, Verdict
from orgguard_mcp.names import parse
from orgguard_mcp.policy import MAX_HOLD_SECONDS
from orgguard_mcp.waiting import in_thread

if TYPE_CHECKING:
    from orgguard_mcp.guard import Guard

INSTRUCTIONS = (
    "Before writing any third-party organisation name that this repository does not already"
    " contain (code, files, tests, commits, branches, PRs), call check_name; if it says ask, call"
    " request_consent and wait. Never write it first or use a placeholder.\n\n"
    "Names in the base are fine, and so are example.com, localhost, team_a, user_1. Do not write a"
    " name and clean up later; do not assume that a well-known company is safe. `pending` means no"
    " answer yet: do other work, then call request_consent again. Frame a change by the capability"
    " it adds, not by the customer who asked."
)
"""The first 250 characters hold the whole rule and both tools: some clients show no more."""

CHANNEL = "elicitation"
GRACE_SECONDS = 1.0
"""How long the terminal is waited for before a form that cannot be withdrawn is sent."""

MAX_NAMES = 50
MAX_FIELDS = 4
"""Names that one form asks about; more are left to the terminal."""

_LASTING = frozenset({Basis.ESTABLISHED, Basis.RESERVED})
"""What rests on the base alone, and so lasts as long as that."""

_MODERN = "2026-07-28"
_FORM_KEY = "orgguard-"
_Result = TypeVar("_Result")


def build(
    directory: str,
    base: str | None = None,
    *,
    dry_run: bool = False,
    hold: float | None = None,
) -> MCPServer[Desk]:
    """The server for one repository."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Desk]) -> AsyncIterator[Desk]:
        desk: Desk | None = None
        try:
            async with anyio.create_task_group() as tasks:
                desk = Desk(tasks, directory, base, dry_run=dry_run, hold=hold)
                tasks.start_soon(desk.warm_up, server.greeted)
                yield desk
                tasks.cancel_scope.cancel()
        finally:
            if desk:
                desk.close()

    server = _Server(
        "OrgGuard",
        version=version("orgguard-mcp"),
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        log_level="WARNING",  # a tool error's text is logged at INFO
    )
    server.add_tool(
        check_name, title="Check a name", description=_CHECK, annotations=_ANNOTATIONS, meta=_META
    )
    server.add_tool(
        request_consent,
        title="Ask the human",
        description=_REQUEST,
        annotations=_ANNOTATIONS,
        meta=_META,
    )
    return server


class _Server(MCPServer[Desk]):
    """Answers one tool more than it lists: the hook, which is a client's to call, not a model's.
    And tells when a client was `greeted`: what takes time begins after that.
    """

    @cached_property
    def greeted(self) -> anyio.Event:
        """Set when the client has asked for the tools."""
        return anyio.Event()

    async def run_stdio_async(self) -> None:
        """Serve over standard input and output, as the SDK does, without its threads."""
        if not pipes.usable():
            await super().run_stdio_async()
            return
        core = self._lowlevel_server
        with pipes.standard() as (lines, out):
            # Of a file these have what the transport uses.
            streams = cast("anyio.AsyncFile[str]", lines), cast("anyio.AsyncFile[str]", out)
            async with stdio_server(*streams) as (incoming, outgoing):
                await core.run(incoming, outgoing, core.create_initialization_options())

    async def list_tools(self) -> list[Tool]:
        """The tools."""
        self.greeted.set()
        return await super().list_tools()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Desk, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool."""
        if name != served.TOOL:
            return await super().call_tool(name, arguments, context)
        said = await served.answer(arguments)
        return CallToolResult(content=[TextContent(type="text", text=said)])


def run(
    directory: str | None, base: str | None, *, dry_run: bool = False, hold: float | None = None
) -> int:
    """Serve over stdio until the client leaves; return the exit code."""
    if hold is not None and not 0 <= hold <= MAX_HOLD_SECONDS:
        raise UsageError(
            "the server was not started: --hold cannot be used",
            cause=f"it must be from 0 to {MAX_HOLD_SECONDS:g} seconds",
        )
    chosen = directory or os.environ.get("CLAUDE_PROJECT_DIR") or "."
    server = build(chosen, base, dry_run=dry_run or _dry_environment(), hold=hold)
    # A client that is gone in mid-answer is no error of the server's: its questions are stored.
    with _suppress_group(BrokenPipeError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        server.run("stdio")
    return 0


@contextmanager
def _suppress_group(*kinds: type[Exception]) -> Iterator[None]:
    """`contextlib.suppress` for errors that come in groups (Python 3.12's own does that)."""
    try:
        yield
    except BaseExceptionGroup as group:
        if others := group.split(kinds)[1]:
            raise others from group


def _dry_environment() -> bool:
    """Whether the environment asks for a dry run: `ORGGUARD_DRY_RUN`, or CI, where nobody sits."""
    wanted = os.environ.get("ORGGUARD_DRY_RUN", os.environ.get("CI", ""))
    return wanted.lower() not in {"", "0", "false", "no"}


# --- the tools -------------------------------------------------------------------------------

# Both are reads as far as the repository goes; without the hint Codex refuses to call them.
_ANNOTATIONS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_META = {"anthropic/alwaysLoad": True}  # Claude Code: offer them without a search

_CHECK = (
    "Call before you write any third-party organisation, product-brand or customer name (code,"
    " comments, tests, fixtures, file names, commit messages, branches, PR text) unless you have"
    " seen it in this repository. Effect allow: write it. ask: call request_consent first."
    " deny: do not write it."
)
_REQUEST = (
    "Ask the human whether a name may be written here; call it when check_name says ask, before"
    " writing. Returns granted, refused or pending. pending: do not write the name or a"
    " placeholder, do other work, then call again with the same arguments to get the answer."
)
_Context = Context[Desk, Any]
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
    desk = ctx.request_context.lifespan_context
    guard = await desk.ready(ctx.report_progress)
    known: CallToolResult | None = desk.lasting.get(names)
    if known:
        return known
    base = guard.base
    verdicts = await in_thread(_verdicts, guard, [(one, where) for one in names])
    result = _result(replies.checked(verdicts))
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
    desk = ctx.request_context.lifespan_context
    guard = await desk.ready(ctx.report_progress)
    if desk.dry_run:
        verdicts = await in_thread(_verdicts, guard, placed)
        return _result(replies.consent(verdicts, dry_run=True))
    asker, now = desk.asker(_client_name(ctx)), time.time()
    verdicts = [
        await in_thread(guard.request, one, [Ask(place, *words, asker, now)])
        for one, place in placed
    ]
    if waiting := _waiting(verdicts):
        if question := await _settle(ctx, guard, waiting, desk.hold(guard)):
            return question
        verdicts = await in_thread(_verdicts, guard, placed)
    return _result(replies.consent(verdicts))


def _client_name(ctx: _Context) -> str:
    params = ctx.session.client_params
    return f"{params.client_info.name} {params.client_info.version}" if params else ""


async def _or_failure(work: Awaitable[_Result]) -> _Result | CallToolResult:
    """The result of *work*, or what was not done and why: never an allow."""
    try:
        return await work
    except OrgGuardError as error:
        return _result(replies.failed(error), is_error=True)
    except BaseExceptionGroup as group:  # as a task group passes errors on
        ours, others = group.split(OrgGuardError)
        if ours is None or others is not None:
            raise
        return _result(replies.failed(_first(ours)), is_error=True)


def _first(group: BaseExceptionGroup[OrgGuardError]) -> OrgGuardError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _result(reply: replies.Reply, *, is_error: bool = False) -> CallToolResult:
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


def _waiting(verdicts: Sequence[Verdict]) -> list[str]:
    return list(dict.fromkeys(v.request_id for v in verdicts if v.basis is Basis.PENDING))


# --- waiting for the human -------------------------------------------------------------------


async def _settle(
    ctx: _Context, guard: Guard, waiting: list[str], hold: float
) -> InputRequiredResult | None:
    """Wait until *waiting* requests are decided or *hold* is over; or return a form to show."""
    asks_client = guard.policy.trust is Trust.CLIENT  # else a form could not say yes
    form_fits = asks_client and _can_show_form(ctx) and len(waiting) <= MAX_FIELDS
    if not is_version_at_least(ctx.protocol_version or "", _MODERN):
        use_form = form_fits and ctx.session.can_send_request
        await _race(ctx, guard, waiting, hold, elicit=use_form)
        return None
    answers = ctx.input_responses
    if answers is not None:
        for request_id in waiting:
            answer = answers.get(_FORM_KEY + request_id)
            if isinstance(answer, ElicitResult):
                await _take(guard, [request_id], answer)
    elif form_fits:
        await _race(ctx, guard, waiting, min(hold, GRACE_SECONDS))
        requests = await _open_requests(guard, waiting)
        return _forms(requests) if requests else None
    await _race(ctx, guard, waiting, hold)
    return None


async def _race(
    ctx: _Context, guard: Guard, waiting: list[str], seconds: float, *, elicit: bool = False
) -> None:
    """Wait for the queue and, if told, a form; whoever is first ends the other."""
    desk = ctx.request_context.lifespan_context
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                beat, ctx.report_progress, seconds, "waiting for a human: `orgguard review`"
            )
            if elicit:
                tasks.start_soon(_ask_client, ctx, guard, waiting)
            await desk.watch.until_decided(guard.ledger, waiting)
            tasks.cancel_scope.cancel()


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

"""The queue's commands: `review`, `pending`, `log` and `withdraw`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from orgguard_mcp import agents, consent, endorse
from orgguard_mcp.console import Terminal, out, say, shows_names
from orgguard_mcp.display import ago, plural, visible
from orgguard_mcp.docket import Docket, GuardDocket
from orgguard_mcp.errors import CLEAN, FINDINGS, OrgGuardError
from orgguard_mcp.grants import DIRECTORY
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import ENVIRONMENT_MIRRORS, Mirrors
from orgguard_mcp.model import Answer
from orgguard_mcp.progress import Progress
from orgguard_mcp.review import Review
from orgguard_mcp.storage import opening


def review(options: argparse.Namespace) -> int:
    """Show the open questions, and take a human's answers."""
    terminal = Terminal()
    store = options.store or ""
    given = None if options.repo else os.environ.get(ENVIRONMENT_MIRRORS)
    with ExitStack() as stack:
        if store.startswith(("https:", "http:")):
            dockets = _remote(store, stack)
        else:
            if store:
                os.environ[opening.ENVIRONMENT_STORE] = store
            if directory := options.mirrors or given:
                dockets = _mirrored(Path(directory), options.base, stack)
            else:
                dockets = [_at_hand(options, stack)]
        Review(dockets, terminal, wait=not options.no_wait).run()
    return CLEAN


def _at_hand(options: argparse.Namespace, stack: ExitStack) -> Docket:
    """The repository at hand."""
    guard = stack.enter_context(Guard(options.repo or ".", options.base))
    with Progress(sys.stderr) as progress:
        guard.prepare(progress.of("Reading the base", "files"))
    return GuardDocket(guard)


def _mirrored(directory: Path, base: str | None, stack: ExitStack) -> list[Docket]:
    """The mirrors in *directory*."""
    mirrors = Mirrors(directory)

    def opened(name: str, opening_: ExitStack) -> Docket:
        docket = GuardDocket(opening_.enter_context(Guard(mirrors.path(name), base)), name)
        docket.version()  # its queue can be read
        return docket

    return list(_counting(mirrors.names(), opened, stack))


def _remote(url: str, stack: ExitStack) -> list[Docket]:
    """The repositories of the shared server at *url*."""
    from orgguard_mcp.remote import RemoteDocket, Server

    server = Server(url)

    def opened(name: str, _: ExitStack) -> Docket:
        return RemoteDocket(server, name)

    return list(_counting(server.repositories(), opened, stack))


def _counting(
    names: Iterable[str], opened: Callable[[str, ExitStack], Docket], stack: ExitStack
) -> Iterator[Docket]:
    """Those in which this user's answers count; of others is said why they are left out."""
    strange = 0
    for name in names:
        with ExitStack() as attempt:
            try:
                docket = opened(name, attempt)
            except OrgGuardError as error:
                say(f"{visible(name)} is left out: {visible(error.cause or error.message)}")
                continue
            if docket.lists_approvers and not docket.signer:
                strange += 1
                continue
            stack.push(attempt.pop_all())
            yield docket
    if strange:
        say(f"{plural(strange, 'repository lists', 'repositories list')} approvers without you")


def pending(options: argparse.Namespace) -> int:
    """List the open questions."""
    with Guard(options.repo or ".", options.base) as guard:
        endorse.check_log(guard)
        requests = guard.ledger.pending()
        states = {request.id: guard.approval(request) for request in requests}
    now = time.time()
    for request in requests:
        shown = "(name hidden)"
        if shows_names(reveal=options.reveal):  # places may hold the name, too
            places = ", ".join(visible(ask.where, 60) for ask in request.asks[:3])
            shown = f"{visible(request.name.surface)}  {places}"
        must = f"  {states[request.id]}" if states[request.id].ruled else ""
        out(f"{request.id}  {ago(request.created_at, now):<10}  {shown}{must}")
    waiting = plural(len(requests), "question")
    say(f"{waiting} waiting; answer with `orgguard review`" if requests else "no question waiting")
    return CLEAN


def log(options: argparse.Namespace) -> int:
    """List the decisions."""
    with Guard(options.repo or ".", options.base) as guard:
        endorse.check_log(guard)
        decisions = guard.ledger.decisions()
        names = {d.request_id: guard.ledger.request(d.request_id).name.surface for d in decisions}
        signed = _signed(guard)
    for decision in decisions:
        when = datetime.fromtimestamp(decision.decided_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        by = f"{visible(decision.decided_by, 40)} ({decision.channel})"
        shown = "(name hidden)"
        if shows_names(reveal=options.reveal):  # scopes and reasons may hold the name, too
            scope = f"  {visible(str(decision.scope))}" if decision.answer == "grant" else ""
            told = f'  "{visible(decision.reason)}"' if decision.reason else ""
            shown = f"{visible(names[decision.request_id])}{scope}{told}"
        if decision.answer == "grant" and (people := signed.get(decision.request_id)):
            by += f", signed by {' and '.join(dict.fromkeys(people))}"
        out(f"{when}  {decision.request_id}  {decision.answer:<8}  by {by}  {shown}")
    return CLEAN


def _signed(guard: Guard) -> dict[str, list[str]]:
    """Who signed for each request, and counts today."""
    people: dict[str, list[str]] = {}
    for grant in guard.grants.grants:
        people.setdefault(grant.request, []).append(grant.approver)
    return people


def withdraw(options: argparse.Namespace) -> int:
    """End what was decided on a name."""
    terminal = Terminal()  # an answer, like any other: from an interactive terminal only
    agents.refuse_agents()
    given = options.name or terminal.asks("The name whose decision is withdrawn: ")
    with Guard(options.repo or ".", options.base) as guard:
        endorse.check_log(guard)
        decided = guard.decided(given)
        agents.refuse_asker(decided)
        for request in decided:
            guard.decide(request, Answer.WITHDRAW, channel=consent.TERMINAL)
        grants = endorse.withdraw(guard, given)
    name = visible(given)
    if not decided and not grants:
        say(f"nothing was withdrawn: no decision on {name} is in force")
        return FINDINGS
    out(f"Withdrawn. {name} is undecided again.")
    if grants:
        say(
            f"{plural(grants, 'signed grant')} withdrawn in {DIRECTORY}: commit that, and it counts"
        )
    return CLEAN

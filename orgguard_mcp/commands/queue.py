"""The queue's commands: `review`, `pending`, `log` and `withdraw`."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime

from orgguard_mcp import agents, consent, endorse
from orgguard_mcp.console import Terminal, out, say, shows_names
from orgguard_mcp.display import ago, plural, visible
from orgguard_mcp.errors import CLEAN, FINDINGS
from orgguard_mcp.grants import DIRECTORY
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer
from orgguard_mcp.progress import Progress
from orgguard_mcp.review import Review


def review(options: argparse.Namespace) -> int:
    """Show the open questions, and take a human's answers."""
    terminal = Terminal()
    with Guard(options.repo or ".", options.base) as guard:
        session = Review(guard, terminal, wait=not options.no_wait)
        with Progress(sys.stderr) as progress:
            guard.prepare(progress.of("Reading the base", "files"))
        session.run()
    return CLEAN


def pending(options: argparse.Namespace) -> int:
    """List the open questions."""
    with Guard(options.repo or ".", options.base) as guard:
        endorse.check_log(guard)
        requests = guard.ledger.pending()
    now = time.time()
    for request in requests:
        shown = "(name hidden)"
        if shows_names(reveal=options.reveal):  # places may hold the name, too
            places = ", ".join(visible(ask.where, 60) for ask in request.asks[:3])
            shown = f"{visible(request.name.surface)}  {places}"
        out(f"{request.id}  {ago(request.created_at, now):<10}  {shown}")
    waiting = plural(len(requests), "question")
    say(f"{waiting} waiting; answer with `orgguard review`" if requests else "no question waiting")
    return CLEAN


def log(options: argparse.Namespace) -> int:
    """List the decisions."""
    with Guard(options.repo or ".", options.base) as guard:
        endorse.check_log(guard)
        decisions = guard.ledger.decisions()
        names = {d.request_id: guard.ledger.request(d.request_id).name.surface for d in decisions}
    for decision in decisions:
        when = datetime.fromtimestamp(decision.decided_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        by = f"{visible(decision.decided_by, 40)} ({decision.channel})"
        shown = "(name hidden)"
        if shows_names(reveal=options.reveal):  # scopes and reasons may hold the name, too
            scope = f"  {visible(str(decision.scope))}" if decision.answer == "grant" else ""
            told = f'  "{visible(decision.reason)}"' if decision.reason else ""
            shown = f"{visible(names[decision.request_id])}{scope}{told}"
        out(f"{when}  {decision.request_id}  {decision.answer:<8}  by {by}  {shown}")
    return CLEAN


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

"""`orgguard grants`: the signed grants at hand: listed and checked, added, laid into this tree,
pruned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from orgguard_mcp import agents, endorse
from orgguard_mcp.approval import Approval
from orgguard_mcp.consent import TERMINAL
from orgguard_mcp.console import Terminal, out, say, shows_names
from orgguard_mcp.display import plural, visible
from orgguard_mcp.errors import CLEAN, FINDINGS, ChannelError, InvalidNameError
from orgguard_mcp.grants import DIRECTORY, SUFFIX, Grant
from orgguard_mcp.guard import Guard
from orgguard_mcp.lines import readable
from orgguard_mcp.model import Answer, Effect, Scope
from orgguard_mcp.names import Name, canonicalise, parse


def show(options: argparse.Namespace) -> int:
    """List the grants of the working tree and of this machine, and say which do not count."""
    with Guard(options.repo or ".", options.base) as guard:
        grants, faults = guard.grants.grants, guard.grants.faults
        known = dict(_names(guard)) if shows_names(reveal=options.reveal) else {}
        states = _states(guard, {grant.request for grant in grants})
    for grant in grants:
        name = visible(known[grant.request].surface) if grant.request in known else "(name hidden)"
        state = f"  {states[grant.request]}" if grant.request in states else ""
        out(f"{grant.id[:8]}  {_until(grant)}  by {grant.approver}  {_scope(grant)}  {name}{state}")
    for fault in faults:
        out(f"{fault.id[:8] or '-' * 8}  does not count: {fault.why}")
    if not guard.approvers:
        say("the base lists no approver, so no grant counts: `orgguard approver add`")
    elif not (grants or faults):
        say("no grants")
    return FINDINGS if faults else CLEAN


def _states(guard: Guard, wanted: set[str]) -> dict[str, Approval]:
    """How far the signatures for the *wanted* requests go, where a rule fits what is known here."""
    if not (guard.policy.approval and guard.has_ledger):
        return {}
    known = [one for one in guard.ledger.requests() if one.id in wanted]
    states = {request.id: guard.approval(request) for request in known}
    return {request_id: approval for request_id, approval in states.items() if approval.ruled}


def add(options: argparse.Namespace) -> int:
    """Sign a grant that nobody asked for. It is the one way to allow a protected name."""
    terminal = Terminal()
    agents.refuse_agents()
    with Guard(options.repo or ".", options.base) as guard:
        signer = guard.notary.signer()
        if not signer:
            raise ChannelError(
                "nothing was granted: you are no approver here",
                cause="the base lists no approver with your key",
                hint="`orgguard approver` lists them, `orgguard approver add` makes you one",
            )
        name = parse(terminal.asks("The name to allow: "))
        if guard.check(name.surface).effect is Effect.ALLOW:
            say(f"nothing to do: {visible(name.surface)} is allowed already")
            return CLEAN
        scope = Scope(branch=guard.repository.branch() or "") if options.this_change else Scope()
        if guard.protects(name):
            terminal.show("This name is PROTECTED: it must never be public. You are lifting that.")
        if canonicalise(terminal.asks(f"Type it again to allow it {scope}: ")) != name.key:
            raise ChannelError("nothing was granted: that is not the name", hint="start again")
        terminal.show(f'You sign for "{visible(name.surface)}" {scope}, as {signer.person}.')
        request = endorse.question(guard, name)
        guard.decide(request, Answer.GRANT, scope=scope, channel=TERMINAL, signer=signer)
        approval = guard.approval(request)
    say(f"Signed. The grant lies in {DIRECTORY}: commit it with the change.")
    if approval.lacks:
        say(f"It does not count yet: {approval}.")
    return CLEAN


def write(options: argparse.Namespace) -> int:
    """Lay the grants that were signed on this machine into this working tree."""
    with Guard(options.repo or ".", options.base) as guard:
        written = endorse.lay(guard)
    say(f"{plural(written, 'grant')} written to {DIRECTORY}; commit what is new with the change")
    return CLEAN


def prune(options: argparse.Namespace) -> int:
    """Remove the working tree's grants that have done their work or cannot count any more.

    Names are known from this machine's requests and, one a line, from standard input.
    """
    with Guard(options.repo or ".", options.base) as guard:
        folder = guard.repository.top_level() / DIRECTORY
        named = [*(name for _, name in _names(guard)), *_given()]
        there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        done = [grant.id for grant in guard.grants.grants if _established(guard, grant, named)]
        spent = [fault.id for fault in guard.grants.faults if fault.id and fault.over]
    removed = [one for one in (*done, *spent) if one + SUFFIX in there]
    for one in removed:
        (folder / f"{one}{SUFFIX}").unlink()
    out(f"{plural(len(removed), 'grant')} removed")
    return CLEAN


def _names(guard: Guard) -> Iterator[tuple[str, Name]]:
    """The names that this machine was asked about, by request."""
    for request in guard.ledger.requests() if guard.has_ledger else ():
        yield request.id, request.name


def _given() -> Iterator[Name]:
    """The names on standard input, when something is piped in."""
    if sys.stdin and not sys.stdin.isatty():
        for line in readable(sys.stdin.buffer.read()).splitlines():
            try:
                yield parse(line)
            except InvalidNameError:
                continue


def _established(guard: Guard, grant: Grant, named: list[Name]) -> bool:
    about = (name for name in named if grant.is_about(name.key))
    return any(guard.sightings(name).established for name in about)


def _until(grant: Grant) -> str:
    return f"until {datetime.fromtimestamp(grant.expires_at, UTC):%Y-%m-%d}"


def _scope(grant: Grant) -> str:
    if grant.scope == "paths":
        return f"in {plural(len(grant.within), 'file')}"
    return "in one change" if grant.scope == "change" else "in this repository"

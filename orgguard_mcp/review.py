"""The terminal channel: pending questions, shown as they arrive and answered by a human.

In the manner of `git add -p`: the material, then one question with single-letter answers. Enter
decides nothing, granting costs more than refusing, what was typed before the question was shown
does not count, and every word that an agent sent is escaped and marked as unverified. Where the
base lists the reviewer's key, each yes is signed, and `ssh-keygen` asks for the passphrase.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from orgguard_mcp import agents, consent, endorse
from orgguard_mcp.console import Terminal
from orgguard_mcp.display import ago, clock, code_points, plural, visible
from orgguard_mcp.errors import SigningError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Base, Decision, Request, Scope, Sightings
from orgguard_mcp.names import canonicalise
from orgguard_mcp.notary import Signer, Yes
from orgguard_mcp.report.words import base_line
from orgguard_mcp.scan import names_in

POLL_SECONDS = 0.1
"""How often the queue is looked at: a question is on screen well under a second after it came."""

_MAX_ASKS = 5
_COMMIT = "The grant lies in .orgguard/grants: commit it with the change."
_HELP = {
    "y": "allow the name everywhere in this repository, until withdrawn (you type the name)",
    "f": "allow the name only in the places shown (you type the name)",
    "c": "allow the name only in this change, on this branch (you type the name)",
    "n": "refuse the name, with a word to the agent if you like",
    "a": "refuse this and everything else that this client asks",
    "s": "decide later; the question stays in the queue",
    "q": "leave; what is not answered stays in the queue",
    "?": "print this help",
}


class Review:
    """One reviewer's session over one repository's queue."""

    def __init__(self, guard: Guard, terminal: Terminal, *, wait: bool = True) -> None:
        agents.refuse_agents()
        self._guard = guard
        self._terminal = terminal
        self._wait = wait
        self._signer = guard.notary.signer()
        self._later: dict[str, int] = {}  # request -> how many asks it had when it was put off

    def run(self) -> None:
        """Show and settle questions until the reviewer leaves or, without waiting, none is left."""
        announced = False
        try:
            self._introduce()
            while True:
                seen = self._guard.ledger.version()  # before the look: what comes later wakes us
                if open_requests := self._open():
                    self._settle(open_requests[0], len(open_requests))
                    announced = False
                elif not self._wait:
                    return
                else:
                    if not announced:
                        self._terminal.show(
                            "No question is waiting. New ones appear here; q leaves."
                        )
                        announced = True
                    if self._left(seen):
                        return
        except (EOFError, KeyboardInterrupt):
            self._terminal.show()
        except _Leave:
            pass

    # --- signing ------------------------------------------------------------------------------

    def _introduce(self) -> None:
        """Say what a yes will be worth here, and offer to sign those that are not signed yet."""
        endorse.check_log(self._guard)
        if not self._guard.approvers:
            return
        if not self._signer:
            self._terminal.show(
                "The base lists approvers, and your key is not among them: what you allow holds on"
                " this machine\nonly, until one of them signs it (`orgguard approver list`).\n"
            )
        elif waiting := endorse.unsigned(self._guard):
            self._offer(waiting, self._signer)

    def _offer(self, waiting: list[Yes], signer: Signer) -> None:
        self._terminal.show(
            f"{plural(len(waiting), 'name is', 'names are')} allowed on this machine, and not"
            " signed: elsewhere it does not count.\n"
        )
        for yes in waiting:
            self._terminal.show(f"  {visible(yes.request.name.surface)}  {_where(yes.scope)}")
            if letters := code_points(yes.request.name.surface):
                self._terminal.show(f"    {letters}")
        self._terminal.forget_typing()
        typed = self._terminal.asks(f"\nSign for all of this as {signer.person}? [y,n] ")
        if typed.strip().lower() != "y":
            self._terminal.show("Nothing was signed.\n")
            return
        try:
            endorse.sign(self._guard, waiting, signer)
        except SigningError as error:
            self._terminal.show("\n".join(error.lines()) + "\n")
        else:
            self._terminal.show(f"Signed. {_COMMIT}\n")

    # --- the queue ----------------------------------------------------------------------------

    def _open(self) -> list[Request]:
        requests = self._guard.ledger.pending()
        return [r for r in requests if len(r.asks) > self._later.get(r.id, 0)]

    def _left(self, seen: int) -> bool:
        """Wait until the queue is another than *seen*, or a line is typed; whether that leaves."""
        while self._guard.ledger.version() == seen:
            if (typed := self._terminal.line(POLL_SECONDS)) is not None:
                return typed.strip().lower() in {"q", "quit", "exit"}
        return False

    # --- one question -------------------------------------------------------------------------

    def _settle(self, request: Request, total: int) -> None:
        agents.refuse_asker([request])
        seen = self._guard.sightings(request.name)
        others = self._others(request)
        self._terminal.forget_typing()
        for line in question(request, seen, self._guard.base, total, time.time()):
            self._terminal.show(line)
        for line in also_named(others):
            self._terminal.show(line)
        keys = self._keys(request)
        while True:
            name, choice = visible(request.name.surface), ",".join(keys)
            answer = self._typed(request, f'Write "{name}" in this public repository? [{choice}] ')
            if answer is None:
                return
            if self._take(request, answer.strip().lower(), keys):
                return

    def _others(self, request: Request) -> list[str]:
        """The names that stand beside the one asked for, and that the answer does not cover."""
        said = [(ask.where, f"{ask.excerpt}\n{ask.purpose}") for ask in request.asks[:_MAX_ASKS]]
        found = names_in(self._guard, said)
        return [name for name in found if canonicalise(name) != request.name.key]

    def _keys(self, request: Request) -> list[str]:
        lacking = {
            "f": not request.paths,
            "c": not _branch(request),
            "a": len(self._same_asker(request)) < 2,
        }
        return [key for key in _HELP if not lacking.get(key)]

    def _same_asker(self, request: Request) -> list[Request]:
        """The open requests that nobody but the clients behind *request* asked."""
        askers = {_asker(ask) for ask in request.asks}
        return [r for r in self._guard.ledger.pending() if {_asker(a) for a in r.asks} <= askers]

    def _take(self, request: Request, key: str, keys: list[str]) -> bool:
        """Act on one typed answer; whether the question is done with."""
        match key if key in keys else "?":
            case "y":
                return self._grant(request, Scope())
            case "f":
                return self._grant(request, Scope(request.paths))
            case "c":
                return self._grant(request, Scope(branch=_branch(request)))
            case "n":
                return self._refuse([request])
            case "a":
                return self._refuse(self._same_asker(request))
            case "s":
                self._later[request.id] = len(request.asks)
                self._terminal.show("Left in the queue.\n")
                return True
            case "q":
                raise _Leave
            case _:
                self._terminal.show("\n".join(f"{one} - {_HELP[one]}" for one in keys))
                return False

    def _grant(self, request: Request, scope: Scope) -> bool:
        typed = self._typed(request, f"Type the name to allow it {_where(scope)}: ")
        if typed is None:
            return True
        if canonicalise(typed) != request.name.key:
            self._terminal.show("That is not the name. Nothing was decided.")
            return False
        if self._signer:
            what = f'"{visible(request.name.surface)}" {_where(scope)}'
            until = clock(time.time() + self._guard.policy.grant_days * 86400, time.time())
            self._terminal.show(f"You sign for {what}, until {until}, as {self._signer.person}.")
        try:
            self._decide(request, Answer.GRANT, scope=scope)
        except SigningError as error:
            self._terminal.show("\n".join(error.lines()))
            return False
        return True

    def _refuse(self, requests: list[Request]) -> bool:
        reason = self._typed(requests[0], "A word to the agent (Enter for none): ")
        for request in requests if reason is not None else ():
            self._decide(request, Answer.REFUSE, reason=(reason or "").strip()[:500])
        return True

    def _decide(
        self, request: Request, answer: Answer, *, scope: Scope | None = None, reason: str = ""
    ) -> None:
        mine = (answer, scope or Scope(), reason)
        stands = self._guard.decide(
            request, answer, scope=scope, reason=reason, channel=consent.TERMINAL,
            signer=self._signer,
        )  # fmt: skip
        if (stands.answer, stands.scope, stands.reason) != mine:
            self._terminal.show(f"Somebody was first: {outcome(stands)}.\n")
        elif answer is Answer.GRANT and self._signer:
            self._terminal.show(f"Allowed {_where(stands.scope)}, signed. {_COMMIT}\n")
        elif answer is Answer.GRANT:
            self._terminal.show(f"Allowed {_where(stands.scope)}, until `orgguard withdraw`.\n")
        else:
            self._terminal.show("Refused. The agent is told.\n")

    def _typed(self, request: Request, prompt: str) -> str | None:
        """The reviewer's line, or None when somebody else settled the question meanwhile."""
        self._terminal.show(prompt, end="")
        seen = -1
        while True:
            if (typed := self._terminal.line(POLL_SECONDS)) is not None:
                return typed
            if (now := self._guard.ledger.version()) != seen:
                seen = now
                if decision := self._guard.ledger.decision_on(request.id):
                    self._terminal.show(f"\nSettled elsewhere: {outcome(decision)}.\n")
                    return None


class _Leave(Exception):  # noqa: N818  # no error: the reviewer's wish
    """The reviewer leaves."""


def question(
    request: Request, seen: Sightings, base: Base, total: int, now: float
) -> Iterator[str]:
    """The lines of one question: what is known first, what the agent says last."""
    name = visible(request.name.surface)
    waiting = f"(1/{total}) " if total > 1 else ""
    yield f"{waiting}An agent asks to write a name that this repository does not establish"
    yield ""
    yield f"  name         {name}"
    if letters := code_points(request.name.surface):
        yield f"               {letters}"
    yield f"  evidence     {seen.why}"
    for place in seen.evidence:
        yield f"               {visible(str(place))} ({place.file_class.value})"
    yield f"  base         {base_line(base)}"
    yield f"  asked        {ago(request.created_at, now)}, lapses {clock(request.expires_at, now)}"
    yield ""
    yield "  The agent's own words (not verified):"
    for ask in request.asks[:_MAX_ASKS]:
        yield from _agent_words(ask)
    if hidden := len(request.asks) - _MAX_ASKS:
        if hidden > 0:
            yield f"    … and {plural(hidden, 'more place')}"
    yield ""


def _agent_words(ask: Ask) -> Iterator[str]:
    yield f"    where      {visible(ask.where)}"
    if ask.excerpt:
        yield f"    excerpt    {visible(ask.excerpt)}"
    if ask.purpose:
        yield f"    purpose    {visible(ask.purpose)}"
    if ask.asker.label:
        yield f"    client     {visible(ask.asker.label, 60)}"


def also_named(others: list[str]) -> Iterator[str]:
    """What a reviewer must not overlook in the agent's words: names that were not asked for."""
    if others:
        listed = ", ".join(visible(name, 60) for name in others[:_MAX_ASKS])
        more = f" and {len(others) - _MAX_ASKS} more" if len(others) > _MAX_ASKS else ""
        yield f"  Also in these words, and not covered by your answer: {listed}{more}"
        yield ""


def _branch(request: Request) -> str:
    """The branch that all of *request* is about; empty where there is none, or several."""
    branches = {ask.branch for ask in request.asks}
    return branches.pop() if len(branches) == 1 else ""


def _asker(ask: Ask) -> tuple[int, float] | str:
    """Who asked: a process if it is known, else what the client calls itself."""
    return (ask.asker.pid, ask.asker.started) if ask.asker.pid else ask.asker.label


def outcome(decision: Decision) -> str:
    """A decision in a few words, for whoever came second."""
    by = f"by {visible(decision.decided_by, 40)} ({decision.channel})"
    if decision.answer is Answer.GRANT:
        return f"allowed {_where(decision.scope)} {by}"
    return f"refused {by}"


def _where(scope: Scope) -> str:
    return visible(str(scope))

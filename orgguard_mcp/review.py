"""The terminal channel: pending questions, shown as they arrive and answered by a human.

In the manner of `git add -p`: the material, then one question with single-letter answers. Enter
decides nothing, granting costs more than refusing, what was typed before the question was shown
does not count, and every word that an agent sent is escaped and marked as unverified.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from orgguard_mcp import agents
from orgguard_mcp.console import Terminal
from orgguard_mcp.display import ago, clock, code_points, plural, visible
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Base, Decision, Request, Scope, Sightings
from orgguard_mcp.names import canonicalise
from orgguard_mcp.report.words import base_line

CHANNEL = "terminal"
POLL_SECONDS = 0.1
"""How often the queue is looked at: a question is on screen well under a second after it came."""

_MAX_ASKS = 5
_HELP = """\
y - allow the name everywhere in this repository, until withdrawn (you type the name)
f - allow the name only in the places shown (you type the name)
n - refuse the name, with a word to the agent if you like
s - decide later; the question stays in the queue
q - leave; what is not answered stays in the queue
? - print this help"""


class Review:
    """One reviewer's session over one repository's queue."""

    def __init__(self, guard: Guard, terminal: Terminal, *, wait: bool = True) -> None:
        agents.refuse_agents()
        self._guard = guard
        self._terminal = terminal
        self._wait = wait
        self._later: dict[str, int] = {}  # request -> how many asks it had when it was put off

    def run(self) -> None:
        """Show and settle questions until the reviewer leaves or, without waiting, none is left."""
        announced = False
        try:
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
        self._terminal.forget_typing()
        for line in question(request, seen, self._guard.base, total, time.time()):
            self._terminal.show(line)
        while True:
            keys = "y,f,n,s,q,?" if request.paths else "y,n,s,q,?"
            name = visible(request.name.surface)
            answer = self._typed(request, f'Write "{name}" in this public repository? [{keys}] ')
            if answer is None:
                return
            if self._take(request, answer.strip().lower()):
                return

    def _take(self, request: Request, key: str) -> bool:
        """Act on one typed answer; whether the question is done with."""
        match key:
            case "y":
                return self._grant(request, Scope())
            case "f" if request.paths:
                return self._grant(request, Scope(request.paths))
            case "n":
                return self._refuse(request)
            case "s":
                self._later[request.id] = len(request.asks)
                self._terminal.show("Left in the queue.\n")
                return True
            case "q":
                raise _Leave
            case _:
                self._terminal.show(_HELP)
                return False

    def _grant(self, request: Request, scope: Scope) -> bool:
        typed = self._typed(request, f"Type the name to allow it {_where(scope)}: ")
        if typed is None:
            return True
        if canonicalise(typed) != request.name.key:
            self._terminal.show("That is not the name. Nothing was decided.")
            return False
        self._decide(request, Answer.GRANT, scope=scope)
        return True

    def _refuse(self, request: Request) -> bool:
        reason = self._typed(request, "A word to the agent (Enter for none): ")
        if reason is not None:
            self._decide(request, Answer.REFUSE, reason=reason.strip()[:500])
        return True

    def _decide(
        self, request: Request, answer: Answer, *, scope: Scope | None = None, reason: str = ""
    ) -> None:
        mine = (answer, scope or Scope(), reason)
        stands = self._guard.decide(request, answer, scope=scope, reason=reason, channel=CHANNEL)
        if (stands.answer, stands.scope, stands.reason) != mine:
            self._terminal.show(f"Somebody was first: {outcome(stands)}.\n")
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


def outcome(decision: Decision) -> str:
    """A decision in a few words, for whoever came second."""
    by = f"by {visible(decision.decided_by, 40)} ({decision.channel})"
    if decision.answer is Answer.GRANT:
        return f"allowed {_where(decision.scope)} {by}"
    return f"refused {by}"


def _where(scope: Scope) -> str:
    return visible(str(scope)) if scope.paths else "in this repository"

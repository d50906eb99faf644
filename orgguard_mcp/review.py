"""The terminal channel: pending questions, shown as they arrive and answered by a human.

In the manner of `git add -p`: the material, then one question with single-letter answers. Enter
decides nothing, granting costs more than refusing, what was typed before the question was shown
does not count, and every word that an agent sent is escaped and marked as unverified. Where the
base lists the reviewer's key, each yes is signed, and `ssh-keygen` asks for the passphrase.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from orgguard_mcp import agents
from orgguard_mcp.approval import Approval
from orgguard_mcp.console import Terminal
from orgguard_mcp.display import ago, clock, code_points, plural, visible
from orgguard_mcp.docket import MAX_ASKS, Docket, Question, Reply, Settled
from orgguard_mcp.errors import SigningError
from orgguard_mcp.model import Answer, Ask, Decision, Request, Scope
from orgguard_mcp.names import canonicalise
from orgguard_mcp.notary import Signer, Yes
from orgguard_mcp.report.words import base_line

if TYPE_CHECKING:
    from orgguard_mcp.storage.bell import Bell

LOOK_SECONDS = 2.0
"""How long a question is missed at most when its bell was lost."""

POLL_SECONDS = 0.5
"""How often the queue is looked at where no bell can be."""

_MAX_BELLS = 8  # a shared store's bell is a connection; other repositories are looked at
_COMMIT = "The grant lies in .orgguard/grants: commit it with the change."
_WRITE = "The grant is in the store: `orgguard grants write` lays it into the clone that asked."
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
    """One reviewer's session over the queues of one repository, or of several."""

    def __init__(self, dockets: Sequence[Docket], terminal: Terminal, *, wait: bool = True) -> None:
        agents.refuse_agents()
        self._dockets = dockets
        self._terminal = terminal
        self._wait = wait
        self._bells: list[Bell] = []
        self._pause = POLL_SECONDS
        self._later: dict[tuple[str, str], int] = {}  # request -> its asks when it was put off

    def run(self) -> None:
        """Show and settle questions until the reviewer leaves or, without waiting, none is left."""
        try:
            with ExitStack() as bells:
                self._listen(bells)
                self._introduce()
                self._review()
        except (EOFError, KeyboardInterrupt):
            self._terminal.show()
        except _Leave:
            pass

    def _listen(self, stack: ExitStack) -> None:
        heard = [docket.bell() for docket in self._dockets[:_MAX_BELLS]]
        self._bells = [stack.enter_context(closing(bell)) for bell in heard if bell]
        if None not in heard:
            self._pause = LOOK_SECONDS

    def _review(self) -> None:
        said = ""
        while True:
            seen = self._versions()  # before the look: what comes later wakes us
            waiting, others = self._open()
            if waiting:
                self._settle(*waiting[0], len(waiting))
                said = ""
                continue
            if (idle := _idle(others, self._wait)) != said:
                self._terminal.show(idle)
                said = idle
            if not self._wait or self._left(seen):
                return

    # --- signing ------------------------------------------------------------------------------

    def _introduce(self) -> None:
        """Say what a yes will be worth, and offer to sign those that are not signed yet."""
        for docket in self._dockets:
            docket.verify()
            if not docket.lists_approvers:
                continue
            if not docket.signer:
                self._terminal.show(
                    "The base lists approvers, and your key is not among them: what you allow holds"
                    " on this machine\nonly, until one of them signs it (`orgguard approver"
                    " list`).\n"
                )
            elif waiting := docket.unsigned():
                self._offer(docket, waiting, docket.signer)

    def _offer(self, docket: Docket, waiting: list[Yes], signer: Signer) -> None:
        where = f" in {visible(docket.label)}" if docket.label else ""
        self._terminal.show(
            f"{plural(len(waiting), 'name is', 'names are')} allowed on this machine{where}, and"
            " not signed: elsewhere it does not count.\n"
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
            docket.sign(waiting)
        except SigningError as error:
            self._terminal.show("\n".join(error.lines()) + "\n")
        else:
            self._terminal.show(f"Signed. {_COMMIT}\n")

    # --- the queue ----------------------------------------------------------------------------

    def _versions(self) -> list[int]:
        return [docket.version() for docket in self._dockets]

    def _open(self) -> tuple[list[tuple[Docket, Request]], list[Approval]]:
        """The questions that may be put now, oldest first, and what those for others lack."""
        queues = [(docket, docket.queue()) for docket in self._dockets]
        mine = [(docket, request) for docket, queue in queues for request in queue.mine]
        left = [one for one in mine if len(one[1].asks) > self._later.get(_id(*one), 0)]
        others = [approval for _, queue in queues for approval in queue.others]
        return sorted(left, key=lambda one: one[1].created_at), others

    def _left(self, seen: list[int]) -> bool:
        """Wait until a queue is another than *seen*, or a line is typed; whether that leaves."""
        while self._versions() == seen:
            if (typed := self._line()) is not None:
                return typed.strip().lower() in {"q", "quit", "exit"}
        return False

    def _line(self) -> str | None:
        """The line typed, or None when it is time to look at the queues."""
        typed = self._terminal.line(self._pause, self._bells)
        for bell in self._bells:
            bell.hush()
        return typed

    # --- one question -------------------------------------------------------------------------

    def _settle(self, docket: Docket, request: Request, total: int) -> None:
        agents.refuse_asker([request])
        asked = docket.question(request)
        self._terminal.forget_typing()
        for line in question(asked, docket.label, total, time.time()):
            self._terminal.show(line)
        keys = self._keys(docket, request)
        while True:
            name, choice = visible(request.name.surface), ",".join(keys)
            prompt = f'Write "{name}" in this public repository? [{choice}] '
            answer = self._typed(docket, request, prompt)
            if answer is None:
                return
            if self._take(docket, request, answer.strip().lower(), keys):
                return

    def _keys(self, docket: Docket, request: Request) -> list[str]:
        lacking = {
            "f": not request.paths,
            "c": not _branch(request),
            "a": len(_same_asker(docket, request)) < 2,
        }
        return [key for key in _HELP if not lacking.get(key)]

    def _take(self, docket: Docket, request: Request, key: str, keys: list[str]) -> bool:
        """Act on one typed answer; whether the question is done with."""
        match key if key in keys else "?":
            case "y":
                return self._grant(docket, request, Scope())
            case "f":
                return self._grant(docket, request, Scope(request.paths))
            case "c":
                return self._grant(docket, request, Scope(branch=_branch(request)))
            case "n":
                return self._refuse(docket, [request])
            case "a":
                return self._refuse(docket, _same_asker(docket, request))
            case "s":
                self._later[_id(docket, request)] = len(request.asks)
                self._terminal.show("Left in the queue.\n")
                return True
            case "q":
                raise _Leave
            case _:
                self._terminal.show("\n".join(f"{one} - {_HELP[one]}" for one in keys))
                return False

    def _grant(self, docket: Docket, request: Request, scope: Scope) -> bool:
        typed = self._typed(docket, request, f"Type the name to allow it {_where(scope)}: ")
        if typed is None:
            return True
        if canonicalise(typed) != request.name.key:
            self._terminal.show("That is not the name. Nothing was decided.")
            return False
        if docket.signer:
            what = f'"{visible(request.name.surface)}" {_where(scope)}'
            until = clock(time.time() + docket.grant_days * 86400, time.time())
            self._terminal.show(f"You sign for {what}, until {until}, as {docket.signer.person}.")
        try:
            self._decide(docket, Reply(request, Answer.GRANT, scope))
        except SigningError as error:
            self._terminal.show("\n".join(error.lines()))
            return False
        return True

    def _refuse(self, docket: Docket, requests: list[Request]) -> bool:
        reason = self._typed(docket, requests[0], "A word to the agent (Enter for none): ")
        for request in requests if reason is not None else ():
            self._decide(docket, Reply(request, Answer.REFUSE, reason=(reason or "").strip()[:500]))
        return True

    def _decide(self, docket: Docket, reply: Reply) -> None:
        settled = docket.settle(reply)
        self._terminal.show(f"{_told(reply, settled, docket.signer)}\n")

    def _typed(self, docket: Docket, request: Request, prompt: str) -> str | None:
        """The reviewer's line, or None when somebody else settled the question meanwhile."""
        self._terminal.show(prompt, end="")
        seen = -1
        while True:
            if (now := docket.version()) != seen:
                seen = now
                if decision := docket.outcome(request.id):
                    self._terminal.show(f"\nSettled elsewhere: {outcome(decision)}.\n")
                    return None
            if (typed := self._line()) is not None:
                return typed


class _Leave(Exception):  # noqa: N818  # no error: the reviewer's wish
    """The reviewer leaves."""


def question(asked: Question, label: str, total: int, now: float) -> Iterator[str]:
    """The lines of one question: what is known first, what the agent says last."""
    request = asked.request
    waiting = f"(1/{total}) " if total > 1 else ""
    yield f"{waiting}An agent asks to write a name that this repository does not establish"
    yield ""
    if label:
        yield f"  repository   {visible(label)}"
    yield f"  name         {visible(request.name.surface)}"
    if letters := code_points(request.name.surface):
        yield f"               {letters}"
    if asked.protected:
        yield "  PROTECTED    it must never be public: a yes lifts that"
    yield f"  evidence     {asked.sightings.why}"
    for place in asked.sightings.evidence:
        yield f"               {visible(str(place))} ({place.file_class.value})"
    yield f"  base         {base_line(asked.base)}"
    yield f"  asked        {ago(request.created_at, now)}, lapses {clock(request.expires_at, now)}"
    if asked.approval.ruled:
        yield f"  signatures   {asked.approval}"
    yield ""
    yield "  The agent's own words (not verified):"
    for ask in request.asks[:MAX_ASKS]:
        yield from _agent_words(ask)
    if (hidden := len(request.asks) - MAX_ASKS) > 0:
        yield f"    … and {plural(hidden, 'more place')}"
    yield ""
    yield from also_named(asked.beside)


def _agent_words(ask: Ask) -> Iterator[str]:
    yield f"    where      {visible(ask.where)}"
    if ask.excerpt:
        yield f"    excerpt    {visible(ask.excerpt)}"
    if ask.purpose:
        yield f"    purpose    {visible(ask.purpose)}"
    if ask.asker.label:
        yield f"    client     {visible(ask.asker.label, 60)}"


def also_named(others: Sequence[str]) -> Iterator[str]:
    """What a reviewer must not overlook in the agent's words: names that were not asked for."""
    if others:
        listed = ", ".join(visible(name, 60) for name in others[:MAX_ASKS])
        more = f" and {len(others) - MAX_ASKS} more" if len(others) > MAX_ASKS else ""
        yield f"  Also in these words, and not covered by your answer: {listed}{more}"
        yield ""


def _idle(others: Sequence[Approval], wait: bool) -> str:
    """What is said while no question waits for this reviewer."""
    lines = ["No question is waiting. New ones appear here; q leaves."] if wait else []
    if others:
        people = dict.fromkeys(person for one in others for lack in one.lacks for person in lack.of)
        count = plural(len(others), "question waits", "questions wait")
        lines.append(f"{count} for others: {', '.join(people) or 'nobody, see `orgguard pending`'}")
    return "\n".join(lines)


def _told(reply: Reply, settled: Settled, signer: Signer | None) -> str:
    """What became of *reply*, for whoever gave it."""
    stands, commit = settled.decision, _COMMIT if settled.laid else _WRITE
    if signer and reply.answer is Answer.GRANT and settled.approval.ruled:
        if stands is None:
            return f"Signed {_where(reply.scope)}; {settled.approval}. {commit}"
        if stands.answer is Answer.GRANT and signer.person in settled.approval.signed:
            return f"Allowed, {settled.approval}. {commit}"
    if stands is None:
        return f"Nothing was decided: {settled.approval}."
    if (stands.answer, stands.scope, stands.reason) != (reply.answer, reply.scope, reply.reason):
        return f"Somebody was first: {outcome(stands)}."
    if reply.answer is Answer.GRANT and signer:
        return f"Allowed {_where(stands.scope)}, signed. {commit}"
    if reply.answer is Answer.GRANT:
        return f"Allowed {_where(stands.scope)}, until `orgguard withdraw`."
    return "Refused. The agent is told."


def _id(docket: Docket, request: Request) -> tuple[str, str]:
    return docket.label, request.id


def _same_asker(docket: Docket, request: Request) -> list[Request]:
    """The open requests that nobody but the clients behind *request* asked."""
    askers = {_asker(ask) for ask in request.asks}
    return [r for r in docket.queue().mine if {_asker(a) for a in r.asks} <= askers]


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

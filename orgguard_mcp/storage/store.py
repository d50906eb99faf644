"""What every engine of the ledger offers, and the limits that all of them keep."""

from __future__ import annotations

import getpass
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from orgguard_mcp import audit
from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Ask, Base, Decision, Request, Scope
from orgguard_mcp.names import Name, NameKey
from orgguard_mcp.storage.bell import Watched

MAX_ASKS = 20
"""Places kept for one question; an agent that asks again for the same place adds none."""

MAX_WORDS = 2000
"""Characters kept of each text that a client gives with a question."""

MAX_OPEN = 200
"""Questions that may be open at once, so that no flood of them buries one."""

MAX_OPEN_OF_ONE = 50
"""Of these, how many one client may have opened."""

EMPTY = audit.EMPTY
"""The head of an empty log."""


class Store(Watched, Protocol):
    """One repository's queue and decisions. Methods may be called from several threads.

    Every method raises `LedgerError` when the engine cannot read or write; then nothing was
    granted, and what was committed before is still there.
    """

    def close(self) -> None:
        """Let go of the engine."""

    def ask(
        self, name: Name, base: Base, asks: Sequence[Ask], lapse_seconds: float,
        known: Collection[str] | None = None,
    ) -> Request:  # fmt: skip
        """Commit a question about *name*, or join the open one, and return it.

        The same question from the same asker for the same place is kept once, and long texts are
        cut. *known* are the requests about *name* whose answers were weighed before asking: if
        another one was answered since, it is returned, and nothing is asked. Raises `LedgerError`
        when too many questions are open for another one.
        """

    def request(self, request_id: str) -> Request:
        """The request *request_id*; `LedgerError` when there is none."""

    def keys(self) -> frozenset[NameKey]:
        """The keys of every request, open or not."""

    def requests(self) -> list[Request]:
        """Every request, oldest first."""

    def pending(self) -> list[Request]:
        """Every open request, oldest first."""

    def open_request(self, key: NameKey) -> Request | None:
        """The open request about *key*, or None."""

    def decide(self, decision: Decision, grant: str = "") -> Decision:
        """Append *decision* unless the request has one already; return the one that stands.

        The first one wins, whoever else decides at the same time; the loser gets the winner's. The
        text of a signed *grant* is attached if the decision stands.
        """

    def decisions(self, key: NameKey | None = None) -> list[Decision]:
        """Every decision, or those on *key*, oldest first."""

    def decision_on(self, request_id: str) -> Decision | None:
        """The grant or refusal that *request_id* has, or None while it is open."""

    def attach(self, request_id: str, text: str) -> None:
        """Append the *text* of a signed grant for the request; it may have several."""

    def attached(self) -> list[tuple[str, str]]:
        """The signed grants, oldest first: the request's id, and the text."""

    def head(self) -> str:
        """The digest of the newest entry of the log; `EMPTY` when there is none."""

    def verify(self, anchors: Iterable[str] = (), *, if_touched: bool = False) -> None:
        """Raise `LedgerError` unless the whole log is as it was written, and has each of *anchors*:
        heads that an approver signed. With *if_touched* it is not looked at again as long as nobody
        touched it, where the engine can tell.
        """

    def export(self, *, reveal: bool) -> audit.Export:
        """The whole log as of now, for an audit; with all that was said only if *reveal*. Its
        entries are read as they are taken, and `LedgerError` is raised at one that does not fit.

        Raises `UsageError` when the engine has nothing to show but what was said.
        """


def free_id(is_taken: Callable[[str], bool]) -> str:
    """An id that nothing has yet: as short as grants want them, so it may be taken."""
    while is_taken(request_id := secrets.token_hex(4)):
        pass
    return request_id


def user() -> str:
    """Who runs this, as it is stored beside what they did."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


def cut(text: str, size: int = MAX_WORDS) -> str:
    """The first *size* characters of *text*, and how many more there were."""
    over = len(text) - size
    return f"{text[:size]}… ({over} characters cut)" if over > 0 else text


def scope_text(scope: Scope) -> str:
    """*scope* as it is stored."""
    return json.dumps({"paths": scope.paths, "branch": scope.branch})


def read_scope(text: str) -> Scope:
    """The scope that *text* holds; SQLite's format 1 knew paths only, and wrote a list of them."""
    stored = json.loads(text)
    if isinstance(stored, list):
        return Scope(tuple(stored))
    return Scope(tuple(stored["paths"]), stored["branch"])


def expect_room(everybodys: int, own: int) -> None:
    """Raise `LedgerError` when so many questions are open that no other may be."""
    if everybodys >= MAX_OPEN or own >= MAX_OPEN_OF_ONE:
        whose = f"{own} of this client" if own >= MAX_OPEN_OF_ONE else f"{everybodys} in all"
        raise LedgerError(
            f"nothing was asked: too many questions are open, {whose}",
            hint="the human can refuse all of one client's at once in `orgguard review`",
        )


def no_such_request() -> LedgerError:
    """The error of whoever names a request that the ledger does not have."""
    return LedgerError("there is no such request", hint="`orgguard pending` lists them")

"""The connections of this process to a PostgreSQL database, lent for one act at a time.

All that read and write there share them: a server of many repositories has no more of them than one
of a single repository, and a command has one. Not psycopg_pool's: that one keeps why it could not
connect to itself, and nobody could be told at once (docs/adr/0016-postgresql.md).
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from orgguard_mcp.errors import LedgerError

Connection = psycopg.Connection[tuple[Any, ...]]

ENVIRONMENT_CONNECTIONS = "ORGGUARD_STORE_CONNECTIONS"

MAX_CONNECTIONS = 8
"""How many a process has at most, where the environment says nothing else."""

IDLE_SECONDS = 60.0
"""How long one that is not needed is kept."""

_SETTINGS = (
    "SET synchronous_commit = on",
    "SET statement_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '10s'",  # a client that is gone holds no lock
)
_DEFAULTS = {
    "connect_timeout": "5", "application_name": "orgguard", "keepalives_idle": "10",
    "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "10000",
}  # fmt: skip


def connect(url: str) -> Connection:
    """A new connection, by the url's settings and, where it has none, this module's."""
    given = psycopg.conninfo.conninfo_to_dict(url)
    connection = psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=None,  # a pooler may give each transaction another connection
        **{key: value for key, value in _DEFAULTS.items() if key not in given},  # type: ignore[arg-type]
    )
    for setting in _SETTINGS:
        with suppress(errors.Error):  # of an engine that knows no such setting
            connection.execute(setting)
    return connection


class Pool:
    """Connections to one database. The one that was used last is lent first, so that those that
    are not needed grow old, and are hung up.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._size = _size()
        self._changed = threading.Condition()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._lent = 0
        self._closed = False

    @contextmanager
    def connection(self, seconds: float) -> Iterator[Connection]:
        """One for the caller alone, for which it waits up to *seconds*. Raises the driver's errors
        when there is none.
        """
        connection = self._take(seconds)
        try:
            yield connection
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Hang up; what is lent, when it is given back."""
        with self._changed:
            self._closed = True
            idle = self._without_idle()
        _hang_up(idle)

    def _take(self, seconds: float) -> Connection:
        with self._changed:
            if not self._changed.wait_for(lambda: self._idle or self._lent < self._size, seconds):
                raise errors.TooManyConnections("all of this process are in use")
            if self._closed:
                raise errors.InterfaceError("the pool was closed")
            self._lent += 1
            if self._idle:
                return self._idle.pop()[1]
        try:
            return connect(self._url)
        except BaseException:
            with self._changed:
                self._lent -= 1
                self._changed.notify()
            raise

    def _give_back(self, connection: Connection) -> None:
        # One that broke is seldom alone: the others would fail one after the other.
        broken = connection.closed or connection.broken
        usable = not broken and connection.info.transaction_status == TransactionStatus.IDLE
        now = time.monotonic()
        with self._changed:
            self._lent -= 1
            old = self._without_idle(math.inf if broken else now - IDLE_SECONDS)
            if usable and not self._closed:
                self._idle.append((now, connection))
            else:
                old.append(connection)
            self._changed.notify()
        _hang_up(old)

    def _without_idle(self, since: float = math.inf) -> list[Connection]:
        """Take out those that were not used *since* then."""
        old = []
        while self._idle and self._idle[0][0] < since:
            old.append(self._idle.popleft()[1])
        return old


def _hang_up(connections: list[Connection]) -> None:
    for connection in connections:
        with suppress(errors.Error):
            connection.close()


def _size() -> int:
    given = os.environ.get(ENVIRONMENT_CONNECTIONS) or str(MAX_CONNECTIONS)
    if not re.fullmatch(r"[1-9][0-9]{0,2}", given):
        raise LedgerError(
            "nothing was granted: the store was not opened",
            cause=f"{ENVIRONMENT_CONNECTIONS} is no number from 1 to 999",
            hint=f"unset it: a process then has up to {MAX_CONNECTIONS} connections",
        )
    return int(given)


class _Closable(Protocol):
    def close(self) -> None: ...


_Thing = TypeVar("_Thing", bound=_Closable)


class Shared(Generic[_Thing]):
    """What all users of a URL in this process share: made for the first of them, closed after the
    last. A forked child makes its own.
    """

    def __init__(self, make: Callable[[str], _Thing]) -> None:
        self._make = make
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[_Thing, set[object]]] = {}

    def take(self, url: str, user: object) -> _Thing:
        """The thing for *url*, which *user* has from now on."""
        with self._lock:
            if url not in self._held:
                self._held[url] = (self._make(url), set())
            thing, users = self._held[url]
            users.add(user)
            return thing

    def leave(self, url: str, user: object) -> None:
        """*user* needs it no more; said twice, it counts once."""
        with self._lock:
            thing, users = self._held.get(url, (None, set()))
            users.discard(user)
            if thing is None or users:
                return
            del self._held[url]
        thing.close()


pools = Shared(Pool)
"""The pools of this process."""

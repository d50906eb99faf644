"""Transactions on PostgreSQL that outlive the server's restarts.

A transaction that another one got in the way of, or whose connection broke, is done again. When it
broke, it is not known whether it was committed: whoever writes is told, and looks for what it wrote
before it writes again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeVar

import psycopg
from psycopg import errors

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.storage import pg_pool

Connection = pg_pool.Connection

BUSY_SECONDS = 10.0
"""How long a store that is locked or away is waited for."""

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_AFTER_SECONDS = 1.0
_PASSING = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.TooManyConnections,
    errors.DuplicateTable,  # two make the same table at once: that or its type is there
    errors.DuplicateObject,
    errors.UniqueViolation,
)

_Result = TypeVar("_Result")


class Session:
    """Transactions of one user of a database; several threads may ask for them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = pg_pool.pools.take(url, self)
        self._turn = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Hang up, if nobody else is connected; nothing can be read or written afterwards."""
        self._closed = True
        pg_pool.pools.leave(self._url, self)

    def read(self, act: Callable[[Connection], _Result]) -> _Result:
        """What *act* reads, each statement as of its own moment."""
        return self._run("", lambda connection, _: act(connection))

    def snapshot(self, act: Callable[[Connection], _Result]) -> _Result:
        """What *act* reads, all of it as of one moment."""
        return self._run(_SNAPSHOT, lambda connection, _: act(connection))

    def write(self, act: Callable[[Connection, bool], _Result]) -> _Result:
        """Commit what *act* writes. It is told whether it may have been committed before: then it
        looks for its rows first. One thread at a time: they would wait for each other's locks, each
        with a connection that others need.
        """
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise _error(errors.LockNotAvailable(), writes=True, unsure=False)
        try:
            return self._run(_WRITE, act)
        finally:
            self._turn.release()

    def after(self, statement: str, *values: object) -> None:
        """Run *statement* by itself if that can be done: nothing depends on it."""
        with suppress(errors.Error), self._pool.connection(_AFTER_SECONDS) as connection:
            connection.execute(statement, values)

    def _run(self, begin: str, act: Callable[[Connection, bool], _Result]) -> _Result:
        writes = begin == _WRITE
        deadline = time.monotonic() + BUSY_SECONDS
        unsure, pause = False, 0.01
        while True:
            connection: Connection | None = None
            try:
                with self._lent(deadline) as connection, _transaction(connection, begin):
                    return act(connection, unsure)
            except errors.Error as error:
                lost = _is_lost(connection, error)
                unsure = unsure or (lost and connection is not None)
                patient = lost or isinstance(error, _PASSING)
                if not patient or self._closed or time.monotonic() > deadline:
                    raise _error(error, writes=writes, unsure=unsure and writes) from error
            except (ValueError, TypeError, LookupError) as error:
                raise _unreadable(error) from error
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(pause * 2, 0.5)

    def _lent(self, deadline: float) -> AbstractContextManager[Connection]:
        if self._closed:
            raise LedgerError("nothing was granted: the store was closed")
        return self._pool.connection(deadline - time.monotonic())


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[None]:
    if not begin:
        yield
        return
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            with suppress(errors.Error):
                connection.execute("ROLLBACK")
        raise


def _is_lost(connection: Connection | None, error: errors.Error) -> bool:
    """Whether the connection is gone, or never was; then the next try has another."""
    if connection is None:
        return isinstance(error, psycopg.OperationalError) and not _is_refused(error)
    return connection.closed or isinstance(error, errors.StatementCompletionUnknown)


def _is_refused(error: errors.Error) -> bool:
    """Whether the server is there and will not have us: waiting does not help."""
    told = str(error)
    return any(words in told for words in ("authentication", "does not exist", "permission"))


# --- errors ---------------------------------------------------------------------------------------

_KNOWN = {
    "53300": ("all connections are in use", "try again in a moment"),
    "53100": ("its disk is full", "free disk space on the database's machine, then try again"),
    "42501": ("this user may not do that there", "docs/scaling.md says which rights a user needs"),
    "57014": ("another transaction holds it", "try again in a moment"),
    "55P03": ("another transaction holds it", "try again in a moment"),
    "25006": ("it is read-only: a replica, or in recovery", "name the primary server"),
}


def _error(error: errors.Error, *, writes: bool, unsure: bool) -> LedgerError:
    """What is told of *error*. The server's own words are not: they may quote a row or the URL."""
    known = _KNOWN.get(error.sqlstate or "")
    cause = known[0] if known else _kind(error)
    hint = known[1] if known else "see that the database is up, and what ORGGUARD_STORE names"
    if unsure:
        return LedgerError(
            "it is not known whether this was stored: the store was lost meanwhile",
            cause=cause,
            hint=f"{hint}; then `orgguard log` and `orgguard pending` show what was stored",
        )
    done = "written" if writes else "read"
    return LedgerError(
        f"nothing was granted: the store could not be {done}", cause=cause, hint=hint
    )


def _kind(error: errors.Error) -> str:
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    what = "the database cannot be reached" if not state else "the database refused"
    return f"{what}: {type(error).__name__}{state}"


def _unreadable(error: Exception) -> LedgerError:
    return LedgerError(
        "nothing was granted: the store could not be used",
        cause=f"{type(error).__name__}: what it has, or was to get, cannot be read",
        hint=RESTORE,
    )


RESTORE = (
    "somebody else wrote to the store, or it is damaged: restore it from a backup, or ask again in"
    " a new one (signed grants in .orgguard/grants stay valid)"
)
"""The next step when a store is of no use any more."""

"""A connection to PostgreSQL that outlives the server's restarts.

A transaction that another one got in the way of, or whose connection broke, is done again. When it
broke, it is not known whether it was committed: whoever writes is told, and looks for what it wrote
before it writes again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from orgguard_mcp.errors import LedgerError

Connection = psycopg.Connection[tuple[Any, ...]]

BUSY_SECONDS = 10.0
"""How long a store that is locked or away is waited for."""

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SETTINGS = (
    "SET synchronous_commit = on",
    "SET statement_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '10s'",  # a client that is gone holds no lock
)
_DEFAULTS = {
    "connect_timeout": "5", "application_name": "orgguard", "keepalives_idle": "10",
    "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "10000",
}  # fmt: skip
_PASSING = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.TooManyConnections,
    errors.DuplicateTable,  # two make the same table at once
    errors.UniqueViolation,
)

_Result = TypeVar("_Result")


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


class Session:
    """Transactions, one at a time; several threads may ask for them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._closed = False

    def close(self) -> None:
        """Hang up; nothing can be read or written afterwards."""
        with self._lock:
            self._closed = True
            self._hang_up()

    def read(self, act: Callable[[Connection], _Result]) -> _Result:
        """What *act* reads, each statement as of its own moment."""
        return self._run("", lambda connection, _: act(connection))

    def snapshot(self, act: Callable[[Connection], _Result]) -> _Result:
        """What *act* reads, all of it as of one moment."""
        return self._run(_SNAPSHOT, lambda connection, _: act(connection))

    def write(self, act: Callable[[Connection, bool], _Result]) -> _Result:
        """Commit what *act* writes. It is told whether it may have been committed before: then it
        looks for its rows first.
        """
        return self._run(_WRITE, act)

    def after(self, statement: str, *values: object) -> None:
        """Run *statement* by itself if that can be done: nothing depends on it."""
        with self._lock, suppress(errors.Error):
            if self._connection and not self._connection.broken:
                self._connection.execute(statement, values)

    def _run(self, begin: str, act: Callable[[Connection, bool], _Result]) -> _Result:
        writes = begin == _WRITE
        deadline = time.monotonic() + BUSY_SECONDS
        unsure, pause = False, 0.01
        while True:
            with self._lock:
                connection = None
                try:
                    connection = self._connected()
                    with _transaction(connection, begin) if begin else nullcontext():
                        return act(connection, unsure)
                except errors.Error as error:
                    lost = self._is_lost(error)
                    unsure = unsure or (lost and connection is not None)
                    patient = lost or isinstance(error, _PASSING)
                    if not patient or self._closed or time.monotonic() > deadline:
                        raise _error(error, writes=writes, unsure=unsure and writes) from error
                except (ValueError, TypeError, LookupError) as error:
                    raise _unreadable(error) from error
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(pause * 2, 0.5)

    def _connected(self) -> Connection:
        if self._closed:
            raise LedgerError("nothing was granted: the store was closed")
        if self._connection is None:
            self._connection = connect(self._url)
        return self._connection

    def _is_lost(self, error: errors.Error) -> bool:
        """Whether the connection is gone, or never was; then the next try makes another."""
        if self._connection is None:
            return isinstance(error, psycopg.OperationalError) and not _is_refused(error)
        if self._connection.closed or self._connection.broken:
            self._hang_up()
            return True
        return isinstance(error, errors.StatementCompletionUnknown)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(errors.Error):
                connection.close()


@contextmanager
def _transaction(connection: Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            with suppress(errors.Error):
                connection.execute("ROLLBACK")
        raise


def _is_refused(error: errors.Error) -> bool:
    """Whether the server is there and will not have us: waiting does not help."""
    told = str(error)
    return any(words in told for words in ("authentication", "does not exist", "permission"))


# --- errors ---------------------------------------------------------------------------------------

_KNOWN = {
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

"""The bells of a shared store: NOTIFY, heard by a thread that connects again when it must.

A notice is sent after the commit, by itself. Within the transaction it would make every commit of
the database wait for the one before (NOTIFY takes a lock on all of it), and fail on engines that
have none. One that is lost costs the time until the next look.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress

from psycopg import errors

from orgguard_mcp.storage.bell import PipeBell
from orgguard_mcp.storage.pg_pool import Connection, Shared, connect
from orgguard_mcp.storage.pg_session import Session

_CHANNEL = "orgguard"
_AGAIN_SECONDS = 1.0


def ring(session: Session, log: str) -> None:
    """Tell all who wait for *log*."""
    session.after("SELECT pg_notify(%s, %s)", _CHANNEL, log)


class NoticeBell(PipeBell):
    """`bell.Bell` over LISTEN: one connection and one thread serve all that a process has."""

    def __init__(self, url: str, log: str) -> None:
        super().__init__()
        self._url = url
        self._log = log
        self._listener = _listeners.take(url, self)
        self._listener.add(log, self)

    def close(self) -> None:
        """See `Bell`. The listener lets go when it has connected, or could not."""
        self._listener.remove(self._log, self)
        _listeners.leave(self._url, self)
        super().close()


class _Listener:
    """Hears what is told in one database, and rings this process's bells."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._bells: dict[str, set[NoticeBell]] = {}
        self._stopped, self._stopping = os.pipe()
        threading.Thread(target=self._listen, daemon=True, name="orgguard-bell").start()

    def add(self, log: str, bell: NoticeBell) -> None:
        """Ring *bell* from now on whenever *log* has changed."""
        with self._lock:
            self._bells.setdefault(log, set()).add(bell)

    def remove(self, log: str, bell: NoticeBell) -> None:
        """Never ring *bell* again."""
        with self._lock:
            self._bells[log].discard(bell)
            if not self._bells[log]:
                del self._bells[log]

    def close(self) -> None:
        """End the thread, without waiting for it."""
        os.close(self._stopping)

    def _listen(self) -> None:
        try:
            while not self._stops(0):
                with suppress(errors.Error, OSError), connect(self._url) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    self._tell(*self._logs())  # something may have been missed
                    self._hear(connection)
                    return
                self._stops(_AGAIN_SECONDS)
        finally:
            os.close(self._stopped)

    def _hear(self, connection: Connection) -> None:
        while not self._stops(None, connection.fileno()):
            for notice in connection.notifies(timeout=0):
                self._tell(notice.payload)

    def _stops(self, seconds: float | None, *others: int) -> bool:
        """Wait for the end, for *others* or for *seconds*; whether it is the end."""
        poll = select.poll()
        for end in (self._stopped, *others):
            poll.register(end, select.POLLIN)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        return self._stopped in dict(ready)

    def _logs(self) -> list[str]:
        with self._lock:
            return list(self._bells)

    def _tell(self, *logs: str) -> None:
        with self._lock:
            for bell in (bell for log in logs for bell in self._bells.get(log, ())):
                bell.tell()


_listeners = Shared(_Listener)

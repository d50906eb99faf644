"""The bell of a shared store: NOTIFY, heard by a thread that connects again when it must.

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

from orgguard_mcp.storage.pg_session import Connection, Session, connect

_CHANNEL = "orgguard"
_AGAIN_SECONDS = 1.0


def ring(session: Session, log: str) -> None:
    """Tell all who wait for *log*."""
    session.after("SELECT pg_notify(%s, %s)", _CHANNEL, log)


class NoticeBell:
    """`bell.Bell` over LISTEN."""

    def __init__(self, url: str, log: str) -> None:
        self._url = url
        self._log = log
        self._heard, self._telling = os.pipe()
        self._stopped, self._stopping = os.pipe()
        for end in (self._heard, self._telling):
            os.set_blocking(end, False)
        self._listener = threading.Thread(target=self._listen, daemon=True, name="orgguard-bell")
        self._listener.start()

    def fileno(self) -> int:
        """See `Bell`."""
        return self._heard

    def hush(self) -> None:
        """See `Bell`."""
        with suppress(BlockingIOError):
            os.read(self._heard, 1 << 16)

    def close(self) -> None:
        """See `Bell`. The listener lets go when it has connected, or could not."""
        os.close(self._stopping)

    def _listen(self) -> None:
        try:
            while not self._stops(0):
                with suppress(errors.Error, OSError), connect(self._url) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    self._tell()  # something may have been missed
                    self._hear(connection)
                    return
                self._stops(_AGAIN_SECONDS)
        finally:
            for end in (self._heard, self._telling, self._stopped):
                os.close(end)

    def _hear(self, connection: Connection) -> None:
        while not self._stops(None, connection.fileno()):
            for notice in connection.notifies(timeout=0):
                if notice.payload == self._log:
                    self._tell()

    def _stops(self, seconds: float | None, *others: int) -> bool:
        """Wait for the end, for *others* or for *seconds*; whether it is the end."""
        poll = select.poll()
        for end in (self._stopped, *others):
            poll.register(end, select.POLLIN)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        return self._stopped in dict(ready)

    def _tell(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._telling, b"\0")

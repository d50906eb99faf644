"""A line to a PostgreSQL server that is cut at a commit: before it is sent, or before its reply."""

from __future__ import annotations

import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Line:
    """A socket that passes everything on to *server*'s, until `cut` says otherwise. A context
    manager.
    """

    def __init__(self, server: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orgguard-line-"))
        self._server = server
        self._cut: tuple[str, Callable[[], object]] | None = None
        self.cuts = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        shutil.rmtree(self.folder)

    def end(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def cut(self, when: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Cut the next commit of a write, once: "before" it is sent, or "after" the server did it.
        Then do what happens *meanwhile*, before anybody connects again.
        """
        self._cut = (when, meanwhile)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        """Serve one connection to its end: there is one at a time."""
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server / ".s.PGSQL.5432"))
            meanwhile = self._until_cut(client, server)
        if meanwhile:
            meanwhile()

    def _until_cut(
        self, client: socket.socket, server: socket.socket
    ) -> Callable[[], object] | None:
        writes = False
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(1 << 16)
                if not data:
                    return None
                writes = b"BEGIN" not in data and (writes or b"INSERT INTO" in data)
                if source is client and writes and self._cut and b"COMMIT\0" in data:
                    return self._sever(server, data)
                (server if source is client else client).sendall(data)

    def _sever(self, server: socket.socket, commit: bytes) -> Callable[[], object]:
        assert self._cut
        (when, meanwhile), self._cut, self.cuts = self._cut, None, self.cuts + 1
        if when == "after":
            server.sendall(commit)
            assert b"COMMIT" in server.recv(1 << 16)
        return meanwhile

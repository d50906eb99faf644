"""A real HTTP server on loopback that keeps what it is sent: a collector, or a chat's webhook."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import NamedTuple


class Post(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """When it came, by the monotonic clock."""


class Receiver:
    """Answers every request with *status*; one that *hangs* does not until it ends. A context
    manager.
    """

    def __init__(self, status: int = 200, *, hangs: bool = False) -> None:
        self._posts: Queue[Post] = Queue()
        self._free = threading.Event()
        if not hangs:
            self._free.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(status))
        self.port = self._server.server_port
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._free.set()
        self._server.shutdown()
        self._server.server_close()

    def next(self, seconds: float = 30) -> Post:
        """The next request, waited for."""
        return self._posts.get(timeout=seconds)

    def rest(self) -> list[Post]:
        """What else has come."""
        posts = []
        while True:
            try:
                posts.append(self._posts.get_nowait())
            except Empty:
                return posts

    def _handler(self, status: int) -> type[BaseHTTPRequestHandler]:
        posts, free = self._posts, self._free

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name is the library's
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.put(Post(self.path, dict(self.headers), body, time.monotonic()))
                free.wait()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:  # the client has left
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        return Handler

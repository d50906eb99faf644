"""Running an instance of the shared server: from its settings to the last call."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn

from orgguard_mcp import logs, notices, telemetry
from orgguard_mcp.access import Principal, parse_permission
from orgguard_mcp.errors import RepositoryError, UsageError
from orgguard_mcp.hall import Repositories
from orgguard_mcp.hosting import IssuerSettings, Settings
from orgguard_mcp.issuers import Issuer, Issuers
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.repository import Repository
from orgguard_mcp.server.auth import Find
from orgguard_mcp.server.http import Instance, Outside
from orgguard_mcp.storage import opening, seal

SHUTDOWN_SECONDS = 5
"""How long calls that are under way may take when the server is told to end."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection without a call is kept: longer than a proxy before it keeps one, by whose
default of a minute it would send calls to what was just closed."""

BACKLOG = 2048
MAX_FILES = 65_536

_PROBE = "ogt_00000000_" + "0" * 43
"""Nobody's token: who looks it up has asked the store."""


class Single:
    """`hall.Repositories` of one: the one at hand, which is never fetched."""

    def __init__(self, directory: str) -> None:
        with Repository(directory) as repository:
            top = repository.common_dir if repository.is_bare() else repository.top_level()
        self.name = top.name.removesuffix(".git")
        self._top = top

    def names(self) -> list[str]:
        """See `Repositories`."""
        return [self.name]

    def path(self, name: str) -> Path:
        """See `Repositories`."""
        if name != self.name:
            raise RepositoryError("there is no repository of that name here")
        return self._top

    def fetch(self, name: str) -> bool:
        """See `Repositories`."""
        return False

    def fetched_at(self, name: str) -> float:
        """See `Repositories`."""
        return time.time()


def run(settings: Settings, directory: str) -> int:
    """Serve until told to end; return the exit code. Raises `OrgGuardError` if it cannot start."""
    logs.set_up(telemetry.trace_id)
    _allow_many_files()
    outside = _outside(settings, directory)
    listener = _listen(settings)
    instance = Instance(settings, outside)
    server = _Server(_configured(instance, settings), instance.leave)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what uvicorn hands on at its end
    host, port = listener.getsockname()[:2]
    logs.event("listening", address=f"{host}:{port}")
    with suppress(KeyboardInterrupt):
        server.run([listener])
    return 0


def _configured(instance: Instance, settings: Settings) -> uvicorn.Config:
    config = uvicorn.Config(
        instance.asgi, log_config=None, access_log=False, proxy_headers=False,
        server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_certfile=settings.tls_certificate or None, ssl_keyfile=settings.tls_key or None,
    )  # fmt: skip
    try:
        config.load()
    except OSError as error:  # of ssl, too
        raise UsageError(
            "the server was not started: its certificate cannot be used",
            cause=error.strerror or type(error).__name__,
            hint="tls_certificate (with its chain) and tls_key are files in PEM",
        ) from error
    return config


class _Server(uvicorn.Server):
    """Tells those who wait when it is told to end."""

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._leave = leave
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Be told to end, in a signal's handler."""
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._leave)


def _outside(settings: Settings, directory: str) -> Outside:
    """Everything that an instance stands on, opened."""
    find, probes, closing = _finder(settings)
    if find is None and not settings.is_local:
        raise UsageError(
            "the server was not started: anybody could ask it",
            cause="it is to listen beyond this machine, and there are no tokens to ask for",
            hint=f"name a shared store in {opening.ENVIRONMENT_STORE} and make tokens with"
            " `orgguard token add`, or set an `[[issuer]]` of JSON Web Tokens",
        )
    repositories: Repositories
    if settings.mirrors:
        mirrors = repositories = Mirrors(Path(settings.mirrors))
        probes["mirrors"] = lambda: _expect_folder(mirrors.directory)
    else:
        repositories = Single(directory)
    measured = telemetry.start()
    file = Path(settings.notify) if settings.notify else notices.find_file()
    told = notices.Notices(file, settings.answer_with, measured.noticed)
    return Outside(
        repositories, find, measured, told, probes,
        issuers=[one.issuer for one in settings.issuer],
        closing=[told.close, measured.close, *closing],
    )  # fmt: skip


def _finder(
    settings: Settings,
) -> tuple[Find | None, dict[str, Callable[[], object]], list[Callable[[], object]]]:
    """How tokens are looked up, what has to be there for that, and what is closed at the end."""
    trusted = [_issuer(one) for one in settings.issuer]
    if not os.environ.get(opening.ENVIRONMENT_STORE):
        return (Issuers(trusted).find if trusted else None), {}, []
    tokens = opening.open_tokens()
    issuers = Issuers(trusted, seal.find_keys())

    def find(text: str) -> Principal | None:
        if text.startswith("ogt_"):
            token = tokens.find(text)
            return token.principal if token else None
        return issuers.find(text)

    return find, {"store": lambda: tokens.find(_PROBE)}, [tokens.close]


def _issuer(given: IssuerSettings) -> Issuer:
    may = tuple(map(parse_permission, given.may))
    return Issuer(**{**given.model_dump(), "may": may})


def _expect_folder(directory: Path) -> None:
    if not os.access(directory, os.R_OK | os.X_OK):
        raise RepositoryError("the mirrors' directory cannot be read")


def _allow_many_files() -> None:
    """Have as many files open as this user may: a connection is one, a repository several."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(
            "the server was not started: it cannot listen there",
            cause=f"{settings.listen}: {error.strerror}",
            hint="choose another address with --listen",
        ) from error
    # asyncio does this for its own sockets. Else an answer's body waits for the client to
    # acknowledge its head, which takes it 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener

"""The server over streamable HTTP: many clients, many repositories, any number of instances.

Every request stands by itself: it names its repository in its path, brings its token, and is
answered by whichever instance it comes to, since what outlives a request is in the ledger. So there
are no sessions, in either protocol era.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import RequestBodyLimitMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orgguard_mcp.access import Principal, Role
from orgguard_mcp.desk import Caller
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.hall import Hall, Repositories
from orgguard_mcp.hosting import Settings
from orgguard_mcp.limits import Limits
from orgguard_mcp.logs import WARNING, event
from orgguard_mcp.notices import Notices
from orgguard_mcp.server import app, dockets
from orgguard_mcp.server.auth import ANYBODY, Access, Find, Verifier
from orgguard_mcp.server.dockets import Dockets
from orgguard_mcp.server.tools import CALLER
from orgguard_mcp.telemetry import Telemetry, Tracing, replace_tracing
from orgguard_mcp.waiting import in_thread

PATH = "/r/{repository:path}/mcp"
FETCH = "/r/{repository:path}/fetch"
METADATA = "/.well-known/oauth-protected-resource"

MAX_DOCKET = 1 << 20
"""Bytes of a reviewer's call: many grants may be signed at once."""

READY_SECONDS = 1.0
"""How long what `/readyz` found out is believed: anybody may ask it."""

PROBE_SECONDS = 2.0
"""How long it asks for: calls have more patience with a store that restarts."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What an instance stands on. `find` is None where no token is wanted; `probes` say by an
    `OrgGuardError` what is not there; `closing` is called at the end.
    """

    repositories: Repositories
    find: Find | None
    telemetry: Telemetry
    notices: Notices
    probes: Mapping[str, Callable[[], object]]
    issuers: Sequence[str] = ()
    closing: Sequence[Callable[[], object]] = ()


class Instance:
    """One instance of the shared server, as an ASGI application."""

    def __init__(self, settings: Settings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        self._hall: Hall | None = None
        server = app.build(self._open, app.Server)
        replace_tracing(server.middleware, Tracing(outside.telemetry, _about))
        security = TransportSecuritySettings(
            allowed_hosts=settings.hosts, allowed_origins=settings.origins
        )
        self._sessions = StreamableHTTPSessionManager(
            server._lowlevel_server,  # noqa: SLF001  # as the SDK's own `streamable_http_app` does
            stateless=True,
            security_settings=security,
            max_request_body_size=settings.limits.body_bytes,
        )
        limits = Limits(
            settings.limits.calls_per_second, settings.limits.burst, settings.limits.calls_at_once
        )
        agents = StreamableHTTPASGIApp(self._sessions)
        reviewers = RequestBodyLimitMiddleware(Dockets(self._desks, security), MAX_DOCKET)

        def behind_door(path: str, role: Role, inside: ASGIApp) -> Route:
            return Route(path, _Door(inside, role, limits, settings, outside), methods=["POST"])

        routes = [
            Route("/healthz", _alive),
            Route("/readyz", _Readiness(outside.probes)),
            behind_door(PATH, Role.ASK, agents),
            behind_door(dockets.PATH, Role.ANSWER, reviewers),
            behind_door(FETCH, Role.ADMINISTER, self._fetch),
            Route("/dockets", self._list),
        ]
        if outside.issuers and settings.url:
            routes.append(Route(METADATA + PATH, self._metadata))
        middleware = [
            Middleware(
                AuthenticationMiddleware,
                backend=BearerAuthBackend(Verifier(outside.find)),
                on_error=_unknowable,
            )
        ] if outside.find else []  # fmt: skip
        self.asgi = Starlette(routes=routes, middleware=middleware, lifespan=self._lifespan)

    def leave(self) -> None:
        """Let every call that waits go with what it knows; another instance is asked next."""
        if self._hall:
            self._hall.leaving.set()

    def _open(self, tasks: TaskGroup, _: anyio.Event) -> Hall:
        settings, outside = self._settings, self._outside
        self._hall = Hall(
            tasks, outside.repositories, outside.telemetry, outside.notices,
            hold=settings.hold_seconds, size=settings.open_repositories,
            fetch_seconds=settings.fetch_seconds, stale_seconds=settings.stale_hours * 3600,
        )  # fmt: skip
        outside.telemetry.watch(self._hall.waiting)
        return self._hall

    def _desks(self) -> Hall:
        if self._hall is None:
            raise RuntimeError("a request came before the start")
        return self._hall

    async def _list(self, request: Request) -> Response:
        """The repositories in which the caller may answer."""
        principal = _principal(request.scope)
        if principal is None:
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
        names = await in_thread(self._outside.repositories.names)
        return JSONResponse([name for name in names if principal.may(Role.ANSWER, name)])

    async def _fetch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bring a repository up to date, since somebody knows that it moved."""
        caller: Caller = scope[CALLER]
        try:
            moved = await self._desks().fetch(caller.repository)
            answer: Response = JSONResponse({"moved": moved})
        except OrgGuardError as error:
            answer = dockets.failed(error, 502)
        await answer(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            async with self._sessions.run():
                yield
        finally:
            for close in self._outside.closing:
                await in_thread(close)

    async def _metadata(self, request: Request) -> Response:
        """Who issues tokens for a repository's resource (RFC 9728)."""
        path = PATH.format(**{"repository:path": request.path_params["repository"]})
        return JSONResponse({
            "resource": self._settings.url.rstrip("/") + path,
            "authorization_servers": list(self._outside.issuers),
            "bearer_methods_supported": ["header"],
        })  # fmt: skip


def _about(ctx: Any) -> tuple[str, str]:  # noqa: ANN401  # the SDK's, of any request
    """The repository and the principal of a call, for its span."""
    caller: Caller = ctx.request.scope[CALLER]
    return caller.repository, caller.principal.id if caller.principal else ""


# --- who is let in --------------------------------------------------------------------------------


class _Door:
    """Lets a request on to its repository: with a token for its role there, and not too often."""

    def __init__(
        self, inside: ASGIApp, role: Role, limits: Limits, settings: Settings, outside: Outside
    ) -> None:
        self._inside = inside
        self._role = role
        self._limits = limits
        self._repositories = outside.repositories
        self._telemetry = outside.telemetry
        self._nobody = None if outside.find else ANYBODY
        self._metadata = f"{settings.url.rstrip('/')}{METADATA}" if outside.issuers else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = _principal(scope) or self._nobody
        name = scope["path_params"]["repository"]
        if principal is None:
            await self._unknown(scope)(scope, receive, send)
        elif not principal.may(self._role, name):
            refused = self._refused(403, "permission", "insufficient_scope", principal)
            await refused(scope, receive, send)
        elif not self._has(name):
            await JSONResponse({"error": "no such repository"}, 404)(scope, receive, send)
        elif seconds := self._limits.enter(principal.id, time.monotonic()):
            refused = self._refused(429, "rate", "too many requests", principal)
            refused.headers["Retry-After"] = str(seconds)
            await refused(scope, receive, send)
        else:
            try:
                scope[CALLER] = Caller("", name, principal)
                await self._inside(scope, receive, self._measured(send, principal))
            finally:
                self._limits.leave(principal.id)

    def _has(self, name: str) -> bool:
        try:
            self._repositories.path(name)
        except OrgGuardError:
            return False
        return True

    def _unknown(self, scope: Scope) -> Response:
        """RFC 6750, 3: what was lacking, and (RFC 9728, 5.1) where to learn who issues tokens."""
        refused = self._refused(401, "token", "invalid_token", None)
        said = 'Bearer error="invalid_token"'
        if self._metadata:
            said += f', resource_metadata="{self._metadata}{scope["path"]}"'
        refused.headers["WWW-Authenticate"] = said
        return refused

    def _refused(
        self, status: int, reason: str, error: str, principal: Principal | None
    ) -> Response:
        self._telemetry.refused(reason)
        if principal:  # nobody without a token is to fill the log
            event("refused", WARNING, reason=reason, status=status, principal=principal.id)
        return JSONResponse({"error": error}, status)

    def _measured(self, send: Send, principal: Principal) -> Send:
        """*send*, which tells when the SDK refuses a body for its size."""

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 413:
                self._refused(413, "size", "", principal)
            await send(message)

        return measured


def _principal(scope: Scope) -> Principal | None:
    user = scope.get("user")
    token = user.access_token if isinstance(user, AuthenticatedUser) else None
    return token.principal if isinstance(token, Access) else None


def _unknowable(_: HTTPConnection, error: AuthenticationError) -> Response:
    """Nobody is let in while tokens cannot be looked up."""
    event("refused", WARNING, reason="token", status=503)
    return JSONResponse({"error": str(error)}, 503, {"Retry-After": "5"})


# --- whether it works -----------------------------------------------------------------------------


async def _alive(_: Request) -> Response:
    return JSONResponse({"alive": True})


class _Readiness:
    """Whether calls can be answered: what of the outside is there, by name, as of a moment ago."""

    def __init__(self, probes: Mapping[str, Callable[[], object]]) -> None:
        self._probes = probes
        self._asking = anyio.Lock()
        self._found: dict[str, bool] = {}
        self._until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._asking:
            if time.monotonic() > self._until:
                self._found = {name: await _works(one) for name, one in self._probes.items()}
                self._until = time.monotonic() + READY_SECONDS
        ready = all(self._found.values())
        said = {"ready": ready, **self._found}
        await JSONResponse(said, 200 if ready else 503)(scope, receive, send)


async def _works(probe: Callable[[], object]) -> bool:
    with anyio.move_on_after(PROBE_SECONDS), suppress(OrgGuardError):
        await in_thread(probe)
        return True
    return False

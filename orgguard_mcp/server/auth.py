"""Who calls over HTTP: whom a bearer token (RFC 6750) stands for.

The SDK's token verifier and its backend do the protocol; here is only where tokens come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256

import anyio
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthenticationError

from orgguard_mcp.access import Permission, Principal, Role
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.waiting import in_thread

KNOWN_SECONDS = 5.0
"""How long a token is believed after it was found: within this time a revocation is heard of."""

MAX_KNOWN = 10_000
MAX_FINDS = 4
"""Tokens that are looked up at the same time, so that wrong ones do not flood the store."""

ANYBODY = Principal("anybody", "", (Permission(Role.ASK),))
"""Who calls where no token is wanted: on this machine alone, and only to ask."""

Find = Callable[[str], Principal | None]
"""Finds whom a token stands for; raises `OrgGuardError` when it cannot be looked up."""


class Access(AccessToken):
    """The SDK's access token, without its text: who it stands for."""

    principal: Principal


class Verifier:
    """The SDK's `TokenVerifier`, over whatever *find* knows."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._finding = anyio.CapacityLimiter(MAX_FINDS)
        self._known: dict[bytes, tuple[Principal, float]] = {}

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whom *token* stands for; None when it is not valid. Raises `AuthenticationError` when
        that cannot be known: nobody is let in then.
        """
        digest = sha256(token.encode()).digest()
        principal, until = self._known.get(digest, (None, 0.0))
        if principal is None or time.monotonic() > until:
            try:
                async with self._finding:
                    principal = await in_thread(self._find, token)
            except OrgGuardError as error:
                raise AuthenticationError(error.message) from error
            self._remember(digest, principal)
        if principal is None:
            return None
        return Access(
            token="",  # nothing here needs it any more
            client_id=principal.id,
            scopes=[str(permission) for permission in principal.permissions],
            expires_at=None if principal.expires_at is None else int(principal.expires_at),
            principal=principal,
        )

    def _remember(self, digest: bytes, principal: Principal | None) -> None:
        self._known.pop(digest, None)
        if principal:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[digest] = (principal, time.monotonic() + KNOWN_SECONDS)

"""How the shared server is set up: its file of settings, and what it may not be set to."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orgguard_mcp.errors import UsageError
from orgguard_mcp.policy import MAX_HOLD_SECONDS

LISTEN = "127.0.0.1:8731"

_Seconds = Annotated[float, Field(gt=0, le=86400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limits(_Strict):
    """What one token may want of one instance."""

    calls_per_second: Annotated[float, Field(gt=0, le=100_000)] = 20.0
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Calls that may come at once, after a quiet time."""
    calls_at_once: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Most of these wait for a human."""
    body_bytes: Annotated[int, Field(ge=1 << 10, le=4 << 20)] = 256 << 10
    """Of one request."""


class IssuerSettings(_Strict):
    """Who issues JSON Web Tokens (RFC 7519) that count here."""

    issuer: str
    audience: str
    jwks: str
    """A file, or an https URL (RFC 7517)."""
    permissions_claim: str = "scope"
    """Where a token says what it may, such as `orgguard:ask:owner/*`."""
    may: list[str] = []
    """What every token of this issuer may instead, in the one repository that it names."""
    repository_claim: str = ""
    """Where it names that."""


class Settings(_Strict):
    """The settings, each with the value that it has when it is left out."""

    listen: str = LISTEN
    """HOST:PORT; port 0 takes any."""
    url: str = ""
    """Where agents reach the server. What they send must be meant for its host (RFC 9110, 7.2)."""
    mirrors: str = ""
    """The directory of mirrors; left out, the repository at hand is served."""
    open_repositories: Annotated[int, Field(ge=1, le=10_000)] = 64
    fetch_seconds: _Seconds = 60.0
    stale_hours: Annotated[float, Field(gt=0, le=8760)] = 24.0
    """After so long without a fetch nothing is judged by a mirror any more."""
    hold_seconds: Annotated[float | None, Field(ge=0, le=MAX_HOLD_SECONDS)] = None
    """How long a call waits for the human; left out, as each repository's policy says."""
    tls_certificate: str = ""
    tls_key: str = ""
    notify: str = ""
    """The file of services that are told of questions."""
    answer_with: str = "orgguard review"
    """What such a notice says about where to answer."""
    limits: Limits = Limits()
    issuer: list[IssuerSettings] = []

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Whether nobody on another machine can reach it."""
        host = self.address[0]
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> list[str]:
        """The values of `Host` that requests may have; `:*` stands for any port."""
        local = ["127.0.0.1:*", "localhost:*", "[::1]:*"] if self.is_local else []
        named = urlsplit(self.url).netloc
        return [*local, *([named] if named else [])]

    @property
    def origins(self) -> list[str]:
        """The values of `Origin` that requests may have, where a browser sends one."""
        local = [f"http://{host}" for host in self.hosts] if self.is_local else []
        return [*local, *([self.url.rstrip("/")] if self.url else [])]


def read_settings(
    file: Path | None, *, listen: str | None, mirrors: str | None, default_mirrors: str | None
) -> Settings:
    """The settings of *file*. The command line's *listen* and *mirrors* win over it, and it over
    the environment's *default_mirrors*.

    Raises `UsageError`, naming the place, when they cannot be used.
    """
    document: dict[str, Any] = {}
    if file:
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise _unusable("its settings cannot be read", str(error.strerror)) from error
        except (ValueError, RecursionError) as error:
            raise _unusable("its settings are no TOML", str(error)) from error
    for key, given in (("listen", listen), ("mirrors", mirrors)):
        if given:
            document[key] = given
    if default_mirrors:
        document.setdefault("mirrors", default_mirrors)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        # A value may be a secret: it is not repeated.
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
        place = ".".join(map(str, wrong[0]["loc"]))
        raise _unusable("its settings cannot be used", f"at {place}: {wrong[0]['msg']}") from None
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise _unusable(
            "its settings cannot be used", f"at listen: expected HOST:PORT, as {LISTEN}"
        )
    named = urlsplit(settings.url)
    if settings.url and (named.scheme not in {"http", "https"} or not named.netloc):
        raise _unusable("its settings cannot be used", "at url: expected https://HOST")
    if not settings.is_local and not settings.url:
        raise _unusable(
            "beyond this machine it must know its own name",
            "at url: it is not set, and what a request is meant for is checked against it",
        )
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise _unusable(
            "its settings cannot be used", "at tls_key: certificate and key go together"
        )


def _unusable(what: str, cause: str) -> UsageError:
    return UsageError(
        f"the server was not started: {what}",
        cause=cause,
        hint="docs/shared-server.md lists the settings",
    )

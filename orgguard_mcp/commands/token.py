"""`orgguard token`: who may use the shared server, made, listed and revoked."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orgguard_mcp import agents
from orgguard_mcp.access import parse_permission
from orgguard_mcp.console import out, say
from orgguard_mcp.display import visible
from orgguard_mcp.errors import CLEAN
from orgguard_mcp.storage import opening

if TYPE_CHECKING:
    from orgguard_mcp.storage.pg_tokens import Token

_DAY = 86400.0


def add(options: argparse.Namespace) -> int:
    """Make a token. It alone goes to standard output, to be piped to where secrets are kept."""
    agents.refuse_agents()  # who makes tokens that may answer is a human
    permissions = [parse_permission(text) for text in options.may]
    with closing(opening.open_tokens()) as tokens:
        until = time.time() + options.days * _DAY
        token, text = tokens.add(options.label, permissions, until)
    out(text)
    say(f"token {token.id}: {_may(token)}, until {_date(token.expires_at)}; it is shown once")
    return CLEAN


def show(options: argparse.Namespace) -> int:
    """List the tokens, those that have ended, too. No secret is known any more."""
    with closing(opening.open_tokens()) as tokens:
        known = tokens.list()
    if options.format == "json":
        out(json.dumps([_document(token) for token in known], indent=2))
        return CLEAN
    for token in known:
        by = visible(token.made_by, 40)
        out(f"{token.id}  {_state(token):<18}  {_may(token)}  {visible(token.label)}  by {by}")
    if not known:
        say("no tokens: `orgguard token add` makes one")
    return CLEAN


def revoke(options: argparse.Namespace) -> int:
    """End a token now."""
    with closing(opening.open_tokens()) as tokens:
        token = tokens.revoke(options.id)
    say(f"token {token.id} is revoked: {visible(token.label)}")
    return CLEAN


def _document(token: Token) -> dict[str, object]:
    return asdict(token) | {"permissions": [str(permission) for permission in token.permissions]}


def _may(token: Token) -> str:
    return " ".join(str(permission) for permission in token.permissions)


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked {_date(token.revoked_at)}"
    ended = token.expires_at <= time.time()
    return f"{'ended' if ended else 'until'} {_date(token.expires_at)}"


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"

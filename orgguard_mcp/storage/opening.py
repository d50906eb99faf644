"""Which engine a repository's ledger is in: SQLite beside it, or what `ORGGUARD_STORE` names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.storage import seal
from orgguard_mcp.storage.ledger import Ledger
from orgguard_mcp.storage.store import Store

if TYPE_CHECKING:
    from orgguard_mcp.storage.pg_tokens import Tokens

ENVIRONMENT_STORE = "ORGGUARD_STORE"

_POSTGRES = ("postgresql://", "postgres://")


def may_exist(path: Path, named: str) -> bool:
    """Whether anything may have been asked: in a shared store by somebody else."""
    return bool(_shared(named)) or path.exists()


def open_store(path: Path, repository: Callable[[], str], named: str) -> Store:
    """The ledger of a repository: the one that is shared, where it goes by what *repository* says,
    else the file *path*. *named* is the store that the policy names. Raises `LedgerError` when it
    cannot be opened.
    """
    url = _shared(named)
    return open_shared(url, repository()) if url else Ledger(path)


def _shared(named: str) -> str:
    """The shared store of this machine, if it has one. The policy's is for those alone who have the
    key: others cannot reach it, and have a queue of their own.
    """
    ours = named if os.environ.get(seal.ENVIRONMENT_KEY_FILE) else ""
    return os.environ.get(ENVIRONMENT_STORE) or ours


def open_shared(url: str, repository: str) -> Store:
    """The ledger of *repository* in the store at *url*."""
    with _engine(url):
        from orgguard_mcp.storage.pg_ledger import PostgresLedger
    return PostgresLedger(url, seal.find_keys(), repository)


def open_tokens() -> Tokens:
    """The bearer tokens of the shared server. Raises `LedgerError` when they cannot be opened, or
    there is no shared store.
    """
    url = os.environ.get(ENVIRONMENT_STORE)
    if not url:
        raise LedgerError(
            "nothing was granted: there are no tokens here",
            cause="tokens are kept in the shared store, and this machine names none",
            hint=f"name it in {ENVIRONMENT_STORE}: postgresql://…",
        )
    with _engine(url):
        from orgguard_mcp.storage.pg_tokens import Tokens
    return Tokens(url, seal.find_keys())


def reseal() -> int:
    """Seal everything in the shared store with the first key; how much was sealed with another.
    Raises `LedgerError` when that cannot be done, or there is no shared store.
    """
    url = os.environ.get(ENVIRONMENT_STORE, "")
    with _engine(url):
        from orgguard_mcp.storage import pg_reseal
    return pg_reseal.reseal(url, seal.find_keys())


@contextmanager
def _engine(url: str) -> Iterator[None]:
    """The one for *url* is imported within."""
    if not url.startswith(_POSTGRES):
        hint = f"name one in {ENVIRONMENT_STORE}: postgresql://…"
        raise _unusable("there is no shared store of a known kind", hint)
    try:
        yield
    except ImportError as error:
        hint = "pip install 'orgguard-mcp[postgres]'"
        raise _unusable("the database's driver is not installed", hint) from error


def _unusable(cause: str, hint: str) -> LedgerError:
    return LedgerError("nothing was granted: the store was not opened", cause=cause, hint=hint)

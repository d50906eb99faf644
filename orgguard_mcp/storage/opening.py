"""Which engine a repository's ledger is in: SQLite beside it, or what `ORGGUARD_STORE` names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.storage import seal
from orgguard_mcp.storage.ledger import Ledger
from orgguard_mcp.storage.store import Store

ENVIRONMENT_STORE = "ORGGUARD_STORE"

_POSTGRES = ("postgresql://", "postgres://")


def may_exist(path: Path) -> bool:
    """Whether anything may have been asked: in a shared store by somebody else."""
    return bool(os.environ.get(ENVIRONMENT_STORE)) or path.exists()


def open_store(path: Path, repository: Callable[[], str]) -> Store:
    """The ledger of a repository: the one that is shared, where it goes by what *repository* says,
    else the file *path*. Raises `LedgerError` when it cannot be opened.
    """
    url = os.environ.get(ENVIRONMENT_STORE)
    return open_shared(url, repository()) if url else Ledger(path)


def open_shared(url: str, repository: str) -> Store:
    """The ledger of *repository* in the store at *url*."""
    with _engine(url):
        from orgguard_mcp.storage.pg_ledger import PostgresLedger
    return PostgresLedger(url, seal.find_keys(), repository)


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

"""Ledgers of every engine, and what is asked and answered in them."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from orgguard_mcp.model import Answer, Ask, Asker, Base, Decision, Request, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage.ledger import Ledger
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from orgguard_mcp.storage.seal import Keyring
from orgguard_mcp.storage.store import Store
from tests.names import COINED

SPAWN = multiprocessing.get_context("spawn")
BASE = Base("0" * 40, "a test")
DAY = 86400.0
KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))


@dataclass(frozen=True)
class InFile:
    """A ledger that any process opens from its path."""

    path: Path

    def open(self) -> Ledger:
        return Ledger(self.path)

    def another(self, name: str) -> InFile:
        return InFile(self.path.with_name(f"{name}.sqlite3"))


@dataclass(frozen=True)
class InDatabase:
    """A ledger that any process opens from a database's URL."""

    url: str
    repository: str
    keys: tuple[bytes, ...] = (KEY,)

    def open(self) -> PostgresLedger:
        return PostgresLedger(self.url, Keyring(self.keys), self.repository)

    def another(self, name: str) -> InDatabase:
        return InDatabase(self.url, f"{self.repository} {name}", self.keys)


Place = InFile | InDatabase


def an_ask(where: str = "src/a.py:7", label: str = "client", pid: int = 1) -> Ask:
    asker = Asker(label, pid, 2.0)
    return Ask(where, "an excerpt", "a purpose", asker, time.time(), "/home/a/tree", "feature")


def ask(ledger: Store, name: str = COINED, *asks: Ask, lapse: float = DAY) -> Request:
    return ledger.ask(parse(name), BASE, asks or [an_ask()], lapse)


def answer(
    request: Request, given: Answer, by: str = "somebody", scope: Scope | None = None
) -> Decision:
    return Decision(
        request.id, request.name.key, given, scope or Scope(), "", "test", by, time.time()
    )


def alter(path: Path, statement: str) -> None:
    """Change the file behind the ledger's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(statement)
    finally:
        connection.close()


def write_keys(file: Path, *keys: bytes) -> Path:
    """A file of keys, the sealing one first."""
    file.write_text("\n".join(key.hex() for key in keys) + "\n")
    file.chmod(0o600)
    return file

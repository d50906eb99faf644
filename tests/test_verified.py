"""A log that nobody touched is not walked again, and one that anybody touched is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer
from orgguard_mcp.storage import verified
from orgguard_mcp.storage.ledger import Ledger
from tests.ledgers import alter, answer, ask
from tests.names import COINED, COINED_TOO


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with a refusal that was verified. Files of tests are never older than a second."""
    monkeypatch.setattr(verified, "_SETTLED_SECONDS", 0)
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(path)) as ledger:
        ledger.decide(answer(ask(ledger, COINED), Answer.REFUSE))
    _verify(path)
    assert verified.is_noted(path, verified.stamp(path))
    return path


def _verify(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        ledger.verify(if_touched=True)


def _forge(path: Path) -> None:
    alter(path, "DROP TRIGGER decision_is_final")
    alter(path, "UPDATE decision SET answer = 'grant'")


def _in_place(path: Path) -> None:
    """Change the bytes of the file, and set its times back."""
    found = path.stat()
    with path.open("r+b") as file:
        text = file.read()
        file.seek(text.index(COINED.casefold().encode()))
        file.write(COINED_TOO.casefold()[:1].encode())
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copied(path: Path) -> None:
    """Put another file in its place."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    _in_place(other)
    other.replace(path)


_KILLED = """
import os, sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("DROP TRIGGER decision_is_final")
file.execute("UPDATE decision SET answer = 'grant'")
os._exit(0)
"""


def _beside(path: Path) -> None:
    """Change what SQLite has not moved into the file yet, and never will."""
    found = path.stat()
    subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=True, timeout=60)
    assert path.stat().st_ctime_ns == found.st_ctime_ns


@pytest.mark.parametrize("touch", [_forge, _in_place, _copied, _beside])
def test_log_that_was_touched_is_walked(log: Path, touch: Callable[[Path], None]) -> None:
    touch(log)
    with pytest.raises(LedgerError):
        _verify(log)
    with pytest.raises(LedgerError):  # nor was it noted now
        _verify(log)


def test_log_that_was_not_touched_is_not_walked(log: Path) -> None:
    """As a forged note shows: whoever can write that could have built the whole log anew."""
    _forge(log)
    verified.note(log, verified.stamp(log))
    _verify(log)
    with closing(Ledger(log)) as ledger, pytest.raises(LedgerError):
        ledger.verify()  # as an audit does, and a review


def test_log_that_changed_a_moment_ago_may_change_again_unseen(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "_SETTLED_SECONDS", 60)
    assert verified.stamp(log) == ""
    _forge(log)
    verified.note(log, verified.stamp(log))
    with pytest.raises(LedgerError):
        _verify(log)


def test_log_that_is_written_to_is_walked_as_it_is(log: Path) -> None:
    with closing(Ledger(log)) as writer:
        request = ask(writer, COINED_TOO)
        _verify(log)
        writer.decide(answer(request, Answer.GRANT))
        _verify(log)
    _verify(log)


def test_note_is_private_and_needs_no_place(log: Path) -> None:
    note = log.with_name("ledger.sqlite3.verified")
    assert note.stat().st_mode & 0o077 == 0
    note.unlink()
    note.mkdir()
    _verify(log)
    note.rmdir()
    note.write_bytes(b"\xff rubbish\n")
    _verify(log)
    assert verified.is_noted(log, verified.stamp(log))

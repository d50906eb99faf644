"""Notices as a real service gets them, over HTTP on loopback: how many, how soon, and what of."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from orgguard_mcp import notices
from orgguard_mcp.errors import UsageError
from orgguard_mcp.notices import Notices
from tests.names import COINED
from tests.receiver import Post, Receiver

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise imports it

WHERE = "orgguard review --store postgresql://db.example.com/orgguard"
SOON, LATE = 1.0, 3600.0
"""Intervals: one whose end a test waits for, and one that never ends."""

Making = Callable[..., Notices]


@pytest.fixture
def outcomes() -> Queue[str]:
    """What became of each notice."""
    return Queue()


@pytest.fixture
def make(tmp_path: Path, outcomes: Queue[str]) -> Iterator[Making]:
    """Make notices that go to the services at *urls*."""
    made = []

    def making(*urls: str, interval: float = LATE) -> Notices:
        file = _file(tmp_path, *urls)
        made.append(Notices(file, WHERE, outcomes.put, interval))
        return made[-1]

    yield making
    for one in made:
        one.close()


def _file(directory: Path, *lines: str, mode: int = 0o600) -> Path:
    file = directory / "services"
    file.write_text("\n".join(lines))
    file.chmod(mode)
    return file


def _text(post: Post) -> str:
    return str(json.loads(post.body)["message"])


def _said(count: str, repository: str = "a/b") -> str:
    return f"{count} in {repository}.\nTo answer: {WHERE}"


def test_a_notice_says_how_many_where_and_nothing_else(make: Making, outcomes: Queue[str]) -> None:
    with Receiver() as service:
        make("# a team's chat", "", f"json://{service.address}/hook").waits("a/b", 1)
        post = service.next()

        assert json.loads(post.body) == {
            "version": "1.0", "title": "OrgGuard", "message": _said("1 question waits"),
            "attachments": [], "type": "info",
        }  # fmt: skip
        assert post.path == "/hook"
        assert post.headers["User-Agent"] == "OrgGuard"
        assert outcomes.get(timeout=30) == "sent"


def test_a_burst_is_one_notice_at_once_and_one_later(make: Making) -> None:
    with Receiver() as service:
        to = make(f"json://{service.address}", interval=SOON)
        to.waits("a/b", 1)
        first = service.next()
        for count in range(2, 40):
            to.waits("a/b", count)
        second = service.next()
        to.close()

        assert (_text(first), _text(second)) == (
            _said("1 question waits"), _said("39 questions wait")
        )  # fmt: skip
        assert second.at - first.at >= SOON * 0.9
        assert service.rest() == []


def test_repositories_are_told_of_apart(make: Making) -> None:
    with Receiver() as service:
        to = make(f"json://{service.address}")
        to.waits("a/b", 1)
        to.waits("a/c", 2)

        assert {_text(service.next()), _text(service.next())} == {
            _said("1 question waits"), _said("2 questions wait", "a/c")
        }  # fmt: skip


def test_what_is_answered_meanwhile_is_not_told(make: Making) -> None:
    with Receiver() as service:
        to = make(f"json://{service.address}")
        to.waits("a/b", 1)
        service.next()
        to.waits("a/b", 2)
        to.waits("a/b", 0)
        to.close()

        assert service.rest() == []


def test_every_service_is_told_whatever_the_others_do(make: Making, outcomes: Queue[str]) -> None:
    with Receiver() as gone:
        pass
    with Receiver(status=500) as broken, Receiver() as service:
        # A header that no request can have: what Apprise's plugin raises, it does not catch.
        unsendable = f"json://{service.address}?+X-Team=%D0%96"
        to = make(unsendable, *(f"json://{one.address}" for one in (broken, gone, service)))
        to.waits("a/b", 1)

        assert _text(service.next()) == _said("1 question waits")
        assert _text(broken.next()) == _said("1 question waits")
        assert [outcomes.get(timeout=30) for _ in range(3)] == ["failed"] * 3
        assert outcomes.get(timeout=30) == "sent"


def test_a_service_that_hangs_holds_up_neither_agent_nor_end(
    make: Making, outcomes: Queue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(notices, "MAX_REPOSITORIES", 3)
    with Receiver(hangs=True) as service:
        to = make(f"json://{service.address}")
        to.waits("a/b", 1)
        service.next()  # its thread is held up from now on
        before = time.monotonic()
        for number in range(10):
            to.waits(f"a/{number}", 1)
        to.close()

        assert time.monotonic() - before < 3
        assert [outcomes.get(timeout=30) for _ in range(7)] == ["dropped"] * 7


def test_a_service_may_not_take_longer_than_the_limit(
    make: Making, outcomes: Queue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "MAX_WAIT_SECONDS", 0.2)
    with Receiver(hangs=True) as service:
        make(f"json://{service.address}?rto=3600").waits("a/b", 1)

        assert outcomes.get(timeout=30) == "failed"


def test_what_is_to_come_is_sent_at_the_end(make: Making) -> None:
    with Receiver() as service:
        to = make(f"json://{service.address}")
        to.waits("a/b", 1)
        service.next()
        to.waits("a/b", 5)
        to.close()

        assert [_text(post) for post in service.rest()] == [_said("5 questions wait")]


def test_nothing_is_logged_of_a_service(make: Making, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(status=500) as service:
        to = make(f"json://user:{COINED}@{service.address}/{COINED}")
        to.waits("a/b", 1)
        service.next()
        to.close()

    assert {record.name for record in caplog.records} == {"orgguard"}
    assert all(COINED not in str(vars(record)) for record in caplog.records)
    (record,) = caplog.records
    assert record.shown == {"outcome": "failed", "repository": "a/b"}  # type: ignore[attr-defined]


# --- the file --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["json://127.0.0.1", f"{COINED}://user:secret@host"], "line 2 of"),
        (["", "# json://127.0.0.1", "json://"], "line 3 of"),
        (["json://127.0.0.1, json://127.0.0.1 "], "line 1 of"),
        (["# nothing", " "], "names none"),
        (["json://127.0.0.1"] * 10_000, "longer than"),
    ],
)
def test_a_broken_file_is_told_by_the_line(
    tmp_path: Path, lines: list[str], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UsageError) as told:
        Notices(_file(tmp_path, *lines), WHERE)

    assert cause in told.value.cause
    assert told.value.hint
    said = "".join(told.value.lines()) + caplog.text
    assert not any(word in said for word in (COINED, "secret", str(tmp_path)))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = _file(tmp_path, "json://127.0.0.1", mode=mode)

    with pytest.raises(UsageError) as told:
        Notices(file, WHERE)

    assert "others may" in told.value.cause
    assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize("name", ["missing", "nul\0byte", "."])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as told:
        Notices(tmp_path / name, WHERE)

    assert "cannot be read" in told.value.cause


def test_without_a_file_nothing_is_done() -> None:
    program = """
import sys, threading
from orgguard_mcp.notices import Notices, find_file
to = Notices(find_file(), "")
to.waits("a/b", 1)
assert threading.active_count() == 1
to.close()
print("apprise" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "False"


def test_a_missing_library_is_told(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["apprise"] = None
from orgguard_mcp.errors import UsageError
from orgguard_mcp.notices import Notices, find_file
try:
    Notices(find_file(), "")
except UsageError as error:
    print(error.hint)
"""
    file = _file(tmp_path, "json://127.0.0.1")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60,
        env=os.environ | {notices.ENVIRONMENT_FILE: str(file)},
    )  # fmt: skip

    assert done.stdout.strip() == "pip install 'orgguard-mcp[notify]'"

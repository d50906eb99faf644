"""A hall whose repositories' remotes do not answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from orgguard_mcp import hall
from orgguard_mcp.access import Permission, Principal, Role
from orgguard_mcp.desk import Caller
from orgguard_mcp.errors import IndexUnavailableError
from orgguard_mcp.hall import Hall
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.notices import Notices
from orgguard_mcp.telemetry import Telemetry
from tests.names import COINED
from tests.simulator import Repo

NAME = "team/project"
WHO = Caller("", NAME, Principal("somebody", "somebody", (Permission(Role.ASK),)))


@pytest.fixture
def mirrors(make_repo: Callable[..., Repo], tmp_path: Path) -> Mirrors:
    made = Mirrors(tmp_path / "mirrors")
    made.add(NAME, f"file://{make_repo({'a.py': f'{COINED}Client()'}).path}")
    return made


def hall_of(mirrors: Mirrors, tasks: anyio.abc.TaskGroup, stale: float = 3600) -> Hall:
    return Hall(
        tasks, mirrors, Telemetry(), Notices(None, ""), hold=None, size=4, fetch_seconds=3600,
        stale_seconds=stale,
    )  # fmt: skip


@pytest.mark.asyncio
async def test_only_who_comes_first_waits_for_a_remote_that_does_not_answer(
    mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hall, "FIRST_FETCH_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = mirrors.path(NAME) / "config"
        old = next(line for line in settings.read_text().splitlines() if "url" in line)
        settings.write_text(settings.read_text().replace(old, f"url = git://127.0.0.1:{port}/x"))
        async with anyio.create_task_group() as tasks:
            opened, took = hall_of(mirrors, tasks), []
            for _ in range(2):
                began = time.monotonic()
                async with opened.visit(WHO) as visit:
                    took.append(time.monotonic() - began)
                    guard = await visit.desk.guard()
                    assert guard.check(COINED).effect == "allow"  # by what was fetched before
            assert took[0] >= 1.0
            assert took[1] < 0.9
            tasks.cancel_scope.cancel()


@pytest.mark.asyncio
async def test_what_was_not_fetched_for_too_long_judges_nothing(mirrors: Mirrors) -> None:
    async with anyio.create_task_group() as tasks:
        opened = hall_of(mirrors, tasks, stale=-1.0)  # however lately it was
        with pytest.raises(IndexUnavailableError, match="too old"):
            async with opened.visit(WHO):
                raise AssertionError
        tasks.cancel_scope.cancel()

"""The server as clients see it: what it offers, what it refuses, and that it starts at once."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client
from mcp_types import CallToolResult

from orgguard_mcp import desk
from orgguard_mcp.server.app import INSTRUCTIONS
from orgguard_mcp.server.stdio import build
from tests import names
from tests.agent import ERAS, LEGACY, Agent
from tests.human import Human
from tests.simulator import Repo

GOLDEN = Path(__file__).parent / "golden" / "tools.json"
both_eras = pytest.mark.parametrize("era", ERAS)
in_memory = pytest.mark.asyncio


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Path:
    return make_repo(
        {
            "a.py": f"class {names.COINED_TOO}Client: ...\n",
            ".orgguard/policy.toml": "hold_seconds = 0.2\n",
        }
    ).path


@asynccontextmanager
async def serving(directory: Path, era: str, base: str | None = None) -> AsyncIterator[Client]:
    """A client of a server in this process, which ends when it has read its base."""
    async with Client(build(str(directory), base), mode=era) as client:
        try:
            yield client
        finally:
            await client.call_tool("check_name", {"name": "localhost"})


def told(result: CallToolResult) -> dict[str, Any]:
    """A result's data."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    """A result's text."""
    (block,) = result.content
    assert block.type == "text"
    return block.text


def stored(repo: Path) -> list[Path]:
    """The queue's files."""
    return list((repo / ".git").rglob("ledger*"))


# --- what it offers -------------------------------------------------------------------------------


async def offered(repo: Path, era: str) -> dict[str, Any]:
    async with serving(repo, era) as client:
        tools = (await client.list_tools()).tools
        return {
            "instructions": client.instructions,
            "tools": [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in tools],
        }


@in_memory
@both_eras
async def test_what_is_offered_is_the_golden_copy(repo: Path, era: str) -> None:
    """ORGGUARD_UPDATE_GOLDEN=1 writes the copy anew; read the difference before committing it."""
    found = await offered(repo, era)
    if UPDATE:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    assert found == json.loads(GOLDEN.read_text())


UPDATE = os.environ.get("ORGGUARD_UPDATE_GOLDEN")  # read before the tests' environment is sealed


def test_a_process_offers_the_same_as_the_golden_copy(repo: Path) -> None:
    with Agent(repo, LEGACY) as agent:
        agent.send("list")
        golden = json.loads(GOLDEN.read_text())
        assert agent.result()["tools"] == golden["tools"]
        assert agent.ready["instructions"] == golden["instructions"]


def test_what_is_offered_costs_a_model_little() -> None:
    tools = json.loads(GOLDEN.read_text())["tools"]
    assert len(json.dumps(tools, separators=(",", ":"), ensure_ascii=False)) < 4096
    assert all(len(tool["description"]) < 1024 for tool in tools)


def test_the_first_250_characters_hold_the_whole_rule() -> None:
    start = INSTRUCTIONS[:250]
    for part in ("check_name", "request_consent", "Before writing", "name", "Never", "placeholder"):
        assert part in start, part


def test_clients_are_told_that_the_tools_read_only_and_to_load_them_at_once() -> None:
    for tool in json.loads(GOLDEN.read_text())["tools"]:
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["_meta"] == {"anthropic/alwaysLoad": True}
        assert {"title"} & set(tool["outputSchema"]) == set()


# --- what it answers ------------------------------------------------------------------------------


@in_memory
@both_eras
async def test_what_must_be_read_is_in_the_text_and_in_the_data(repo: Path, era: str) -> None:
    async with serving(repo, era) as client:
        for tool, arguments in (
            ("check_name", {"name": names.COINED}),
            ("check_name", {"name": [names.COINED, names.COINED_TOO]}),
            ("request_consent", {"name": names.COINED, "where": "a.py:1"}),
            ("request_consent", {"name": "!", "where": "a.py:1"}),
        ):
            result = await client.call_tool(tool, arguments)
            data, shown = told(result), text(result)
            assert data["next"] in shown
            assert data.get("status", "") in shown
            for name in data.get("names", []):
                assert name["name"] in shown
                assert name["why"] in shown
                assert name["next"] in shown
                for place in name.get("evidence", []):
                    assert f"{place['path']}:{place['line']}" in shown


@in_memory
@both_eras
@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""}, {"name": "  \n"}, {"name": names.COINED + "x" * 193}, {"name": "-!"},
        {"name": []}, {"name": [f"{names.COINED}{n}" for n in range(51)]},
        {"name": [names.COINED, ""]},
        {"name": names.COINED, "where": ""}, {"name": names.COINED, "where": []},
        {"name": names.COINED, "where": ["a.py:1", "b.py:1"]},
        {"name": names.COINED, "where": None},
    ],
    ids=["empty", "blank", "201 characters", "no letters", "no names", "51 names", "one empty",
         "empty where", "no where", "two wheres", "where missing"],
)  # fmt: skip
async def test_bad_arguments_are_denied_and_nothing_is_asked(
    repo: Path, era: str, arguments: dict[str, Any]
) -> None:
    arguments = {"where": "a.py:1"} | arguments
    if arguments["where"] is None:
        del arguments["where"]
    async with serving(repo, era) as client:
        result = await client.call_tool("request_consent", arguments)
        assert result.is_error
        assert told(result)["effect"] == "deny"
        assert "Do not write the name" in text(result)
        assert names.COINED not in text(result)
        assert stored(repo) == []


@in_memory
@both_eras
@pytest.mark.parametrize("tool", ["check_name", "request_consent"])
async def test_a_directory_outside_git_is_told_with_cause_and_next_step(
    tmp_path: Path, era: str, tool: str
) -> None:
    async with serving(tmp_path, era) as client:
        result = await client.call_tool(tool, {"name": names.COINED, "where": "a.py:1"})
    assert_says_all(result, "not checked", "repository")


@in_memory
@both_eras
async def test_a_missing_base_is_told_with_cause_and_next_step(repo: Path, era: str) -> None:
    async with serving(repo, era, "origin/none") as client:
        result = await client.call_tool("check_name", {"name": names.COINED})
    assert_says_all(result, "not checked", "origin/none", "fetch")


@in_memory
@both_eras
async def test_an_unusable_state_directory_is_told_and_does_not_end_the_server(
    repo: Path, era: str
) -> None:
    (repo / ".git" / "orgguard").write_text("in the way")
    async with serving(repo, era) as client:
        result = await client.call_tool("check_name", {"name": names.COINED})
    assert_says_all(result, "not checked", ".git/orgguard")


@in_memory
@both_eras
async def test_an_index_that_cannot_be_built_is_told_and_never_allows(repo: Path, era: str) -> None:
    (repo / ".git" / "orgguard" / "index.sqlite3").mkdir(parents=True)
    async with serving(repo, era) as client:
        result = await client.call_tool("check_name", {"name": names.COINED})
    assert_says_all(result, "index of the base could not be built", "try again")


@in_memory
@both_eras
async def test_a_queue_that_breaks_while_a_call_waits_is_told_and_never_allows(
    make_repo: Callable[..., Repo], era: str
) -> None:
    repo = make_repo({".orgguard/policy.toml": "hold_seconds = 20\n"}).path
    async with serving(repo, era) as client, anyio.create_task_group() as tasks:
        waits = anyio.Event()
        found: list[CallToolResult] = []

        async def beat(_: float, __: float | None, message: str | None) -> None:
            if str(message).startswith("waiting for a human"):
                waits.set()

        async def call() -> None:
            arguments = {"name": names.COINED, "where": "a.py:1"}
            found.append(
                await client.call_tool("request_consent", arguments, progress_callback=beat)
            )

        tasks.start_soon(call)
        with anyio.fail_after(20):
            await waits.wait()
        with closing(sqlite3.connect(repo / ".git" / "orgguard" / "ledger.sqlite3")) as direct:
            direct.executescript("ALTER TABLE decision RENAME TO gone")
    assert_says_all(found[0], "nothing was granted", "queue")


def assert_says_all(result: CallToolResult, *parts: str) -> None:
    assert result.is_error
    assert told(result)["effect"] == "deny"
    assert told(result)["next"] in text(result)
    for part in ("Do not write the name", *parts):
        assert part in text(result), part
    assert names.COINED not in text(result)


# --- when it answers ------------------------------------------------------------------------------


@pytest.fixture
def large(make_repo: Callable[..., Repo]) -> Repo:
    """A repository whose base takes a while to read."""
    body = "".join(f"def value_{n}(): return {n}\n" for n in range(40))
    return make_repo({f"src/d{n % 30}/f{n}.py": f"n = {n}\n{body}" for n in range(3000)})


@in_memory
async def test_the_server_answers_while_the_base_is_still_being_read(large: Repo) -> None:
    for era in ERAS:
        shutil.rmtree(large.path / ".git" / "orgguard", ignore_errors=True)
        beats: list[str | None] = []

        async def beat(
            _: float, __: float | None, message: str | None, heard: list[str | None] = beats
        ) -> None:
            heard.append(message)

        started = time.monotonic()
        async with serving(large.path, era) as client:
            assert time.monotonic() - started < 3
            result = await client.call_tool(
                "check_name", {"name": names.COINED}, progress_callback=beat
            )
        assert beats[0] == "reading the base"
        assert told(result)["effect"] == "ask"


@in_memory
async def test_beats_arrive_all_the_time_that_a_call_waits(
    make_repo: Callable[..., Repo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BEAT_SECONDS", 2.0)
    repo = make_repo({".orgguard/policy.toml": "hold_seconds = 5.5\n"}).path

    async def beats(era: str) -> list[tuple[float, float | None]]:
        heard: list[tuple[float, float | None]] = []

        async def beat(done: float, total: float | None, message: str | None) -> None:
            if str(message).startswith("waiting for a human"):
                heard.append((done, total))

        async with serving(repo, era) as client:
            result = await client.call_tool(
                "request_consent", {"name": names.COINED, "where": "a.py:1"}, progress_callback=beat
            )
        assert told(result)["status"] == "pending"
        return heard

    for heard in await asyncio.gather(*map(beats, ERAS)):
        assert len(heard) >= 2
        assert [done for done, _ in heard] == sorted({done for done, _ in heard})
        assert {total for _, total in heard} == {5.5}


@both_eras
def test_the_humans_words_reach_the_model_whatever_it_reads(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent:
        agent.ask(names.COINED)
        with Human(repo) as human:
            human.refuses("use the capability\x1b")
        agent.send("check_name", name=names.COINED)
        result = agent.result()
        assert "use the capability" in result["structured"]["names"][0]["human_said"]
        assert "use the capability" in result["text"]


def git_processes() -> list[psutil.Process]:
    """The git processes that this one started and did not end."""
    return [child for child in psutil.Process().children() if child.name() == "git"]


@in_memory
async def test_a_server_that_cannot_work_leaves_no_process(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo({".orgguard/policy.toml": "no_such_key = 1\n"}).path
    before = git_processes()
    try:
        async with serving(repo, LEGACY) as client:
            for _ in range(3):
                result = await client.call_tool("check_name", {"name": names.COINED})
                assert_says_all(result, "no_such_key", "unknown key", "correct")
        assert git_processes() == before
    finally:
        gc.collect()  # what was left open is this test's failure, not the next one's


@in_memory
async def test_a_server_that_ends_while_it_reads_the_base_leaves_no_process(large: Repo) -> None:
    before = git_processes()
    try:
        async with Client(build(str(large.path)), mode=LEGACY) as client:
            await client.list_tools()
        deadline = time.monotonic() + 15
        while (left := git_processes()) != before:
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.1)
    finally:
        gc.collect()  # what was left open is this test's failure, not the next one's

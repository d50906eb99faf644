"""The shared server as its clients meet it: who is let in, and what instances know together."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.hosting import Settings, read_settings
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Answer
from orgguard_mcp.storage import opening
from tests import database
from tests.agent import ERAS
from tests.hosts import Host, client, make_token, told
from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.simulator import Repo

both_eras = pytest.mark.parametrize("era", ERAS)
NAME, OTHER = "team/project", "team/other"
ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def origin(make_repo: Callable[..., Repo]) -> Repo:
    files = {"a.py": f"class {COINED}Client: ...\n", ".orgguard/policy.toml": "hold_seconds = 5\n"}
    return make_repo(files)


@pytest.fixture
def mirrors(origin: Repo, make_repo: Callable[..., Repo], tmp_path: Path) -> Mirrors:
    made = Mirrors(tmp_path / "mirrors")
    made.add(NAME, f"file://{origin.path}")
    other = make_repo({"b.py": f"{THIRD} = 1\n", ".orgguard/policy.toml": "hold_seconds = 1\n"})
    made.add(OTHER, f"file://{other.path}")
    return made


@pytest.fixture
def settings(mirrors: Mirrors, tmp_path: Path) -> Path:
    file = tmp_path / "server.toml"
    file.write_text(f'mirrors = "{mirrors.directory}"\nfetch_seconds = 0.2\n')
    return file


@pytest.fixture
def host(shared: str, settings: Path) -> Iterator[Host]:
    with Host(settings) as started:
        yield started


def set_to(settings: Path, text: str) -> Path:
    """More settings."""
    with settings.open("a") as file:
        file.write(text)
    return settings


def post(url: str, token: str = "", **headers: str) -> httpx2.Response:
    """A request that asks for the tools."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    headers["Accept"] = "application/json, text/event-stream"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    return httpx2.post(url, json=body, headers=headers, timeout=30)


def decide(mirrors: Mirrors, answer: Answer, name: str = NAME) -> None:
    """Answer the one open question of a repository, on another machine."""
    with Guard(mirrors.path(name)) as guard:
        (request,) = guard.ledger.pending()
        guard.decide(request, answer, channel="terminal")


async def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


# --- what agents get ------------------------------------------------------------------------------


@pytest.mark.asyncio
@both_eras
async def test_each_repository_answers_for_itself(host: Host, era: str) -> None:
    _, token = make_token("ask:team/*")
    async with (
        client(host.of(NAME), token, era) as here,
        client(host.of(OTHER), token, era) as there,
    ):
        assert told(await here.call_tool("check_name", {"name": COINED}))["effect"] == "allow"
        assert told(await there.call_tool("check_name", {"name": COINED}))["effect"] == "ask"
        assert told(await there.call_tool("check_name", {"name": THIRD}))["effect"] == "allow"


@pytest.mark.asyncio
@both_eras
async def test_what_one_instance_is_asked_another_one_knows_the_answer_to(
    shared: str, settings: Path, mirrors: Mirrors, era: str
) -> None:
    _, token = make_token("ask")
    asked = {"name": COINED_TOO, "where": "src/a.py:7"}
    with Host(settings) as one, Host(settings) as another:
        async with client(one.of(NAME), token, era) as agent:
            waiting = asyncio.create_task(agent.call_tool("request_consent", asked))
            await asyncio.to_thread(one.event, "asked")
            async with client(another.of(NAME), token, era) as elsewhere:
                found = told(await elsewhere.call_tool("check_name", {"name": COINED_TOO}))
                assert found["names"][0]["basis"] == "pending"
                decide(mirrors, Answer.GRANT)
                assert told(await waiting)["status"] == "granted"
                again = told(await elsewhere.call_tool("request_consent", asked))
                assert again["status"] == "granted"


@pytest.mark.asyncio
async def test_what_the_remote_gets_is_established_soon(
    host: Host, origin: Repo, mirrors: Mirrors
) -> None:
    _, token = make_token("ask")
    async with client(host.of(NAME), token) as agent:
        asked = told(await agent.call_tool("check_name", {"name": FOURTH}))
        assert asked["effect"] == "ask"
        origin.commit({"c.py": f"import {FOURTH.lower()}\n{FOURTH}Client()\n"})
        effect = "ask"
        deadline = time.monotonic() + 20
        while effect == "ask":
            assert time.monotonic() < deadline
            effect = told(await agent.call_tool("check_name", {"name": FOURTH}))["effect"]
        assert effect == "allow"


def fetch(host: Host, token: str, name: str = NAME) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.post(host.url(f"/r/{name}/fetch"), headers=headers, timeout=60)


def test_who_administers_has_a_repository_fetched_at_once(
    shared: str, settings: Path, origin: Repo, mirrors: Mirrors
) -> None:
    settings.write_text(settings.read_text().replace("0.2", "3600"))
    _, token = make_token("administer:team/*")
    _, asks = make_token("ask")
    with Host(settings) as host:
        assert fetch(host, asks).status_code == 403
        assert fetch(host, token).json() == {"moved": False}
        tip = origin.commit({"c.py": f"{FOURTH}Client()\n"})
        assert fetch(host, token).json() == {"moved": True}
        with Guard(mirrors.path(NAME)) as guard:
            assert guard.base.commit == tip
        origin.git("branch", "-m", "main", "gone")
        origin.path.rename(origin.path.with_name("away"))
        failed = fetch(host, token)
        assert failed.status_code == 502
        assert failed.json()["error"]


@pytest.mark.asyncio
async def test_desks_beyond_the_number_are_closed_and_opened_again(
    shared: str, settings: Path, mirrors: Mirrors
) -> None:
    _, token = make_token("ask")
    with Host(set_to(settings, "open_repositories = 1\n")) as host:
        for _ in range(3):
            for name, known in ((NAME, COINED), (OTHER, THIRD)):
                async with client(host.of(name), token) as agent:
                    found = told(await agent.call_tool("check_name", {"name": known}))
                    assert found["effect"] == "allow"

        await until(lambda: readers(host) == 1)


def test_it_may_have_many_connections(origin: Repo) -> None:
    few = ["prlimit", "--nofile=256:4096", sys.executable, "-m", "orgguard_mcp"]
    with Host(None, "--repo", str(origin.path), program=few) as host:
        soft, hard = psutil.Process(host.process.pid).rlimit(psutil.RLIMIT_NOFILE)
        assert (soft, hard) == (4096, 4096)


def readers(host: Host) -> int:
    """How many of git's resident readers a server has."""
    found = 0
    for one in psutil.Process(host.process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it is just ending
            found += "--batch" in one.cmdline()
    return found


# --- who may answer -------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(("may", "status"), [(["ask"], "pending"), (["ask", "answer"], "granted")])
async def test_a_form_is_an_answer_from_those_alone_who_may_answer(
    host: Host, may: list[str], status: str
) -> None:
    _, token = make_token(*may)
    async with client(host.of(OTHER), token, form={"decision": "allow"}) as agent:
        asked = {"name": COINED_TOO, "where": "src/a.py:7"}
        assert told(await agent.call_tool("request_consent", asked))["status"] == status


@pytest.mark.asyncio
async def test_a_form_that_nobody_was_shown_is_no_answer(host: Host, mirrors: Mirrors) -> None:
    """A client that may ask alone makes up the retry with which a form is answered."""
    _, token = make_token("ask")
    arguments = {"name": COINED_TOO, "where": "src/a.py:7"}
    async with client(host.of(OTHER), token) as agent:
        await agent.call_tool("request_consent", arguments)
    with Guard(mirrors.path(OTHER)) as guard:
        (request,) = guard.ledger.pending()
        meta = "io.modelcontextprotocol/"
        forged = {
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {
                "name": "request_consent", "arguments": arguments,
                "inputResponses": {
                    f"orgguard-{request.id}": {
                        "action": "accept", "content": {"decision": "allow"},
                    },
                },
                "_meta": {
                    f"{meta}protocolVersion": "2026-07-28",
                    f"{meta}clientInfo": {"name": "x", "version": "1"},
                    f"{meta}clientCapabilities": {"elicitation": {"form": {}}},
                },
            },
        }  # fmt: skip
        headers = {
            "Authorization": f"Bearer {token}", "MCP-Protocol-Version": "2026-07-28",
            "Accept": "application/json, text/event-stream", "Mcp-Method": "tools/call",
            "Mcp-Name": "request_consent",
        }  # fmt: skip
        said = httpx2.post(host.of(OTHER), json=forged, headers=headers, timeout=30)
        assert said.status_code == 200, said.text
        assert '"status":"pending"' in said.text.replace(" ", "")
        assert guard.ledger.decisions() == []


# --- who is let in --------------------------------------------------------------------------------


def test_who_brings_no_token_or_a_wrong_one_is_nobody(host: Host) -> None:
    _, token = make_token("ask")
    for wrong in ("", "x", token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A"):
        refused = post(host.of(NAME), wrong)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert post(host.of(NAME), token).status_code != 401


def test_a_token_is_for_its_repositories_and_roles_alone(host: Host) -> None:
    _, elsewhere = make_token("ask:team/other", "answer:*", "administer")
    assert post(host.of(NAME), elsewhere).status_code == 403
    assert post(host.of("team/other/../project"), elsewhere).status_code in {403, 404}
    assert post(host.of(OTHER), elsewhere).status_code == 200
    _, anywhere = make_token("ask")
    assert post(host.of("team/none"), anywhere).status_code == 404
    assert post(host.of("../mirrors/team/project"), anywhere).status_code == 404


def test_a_revoked_token_is_soon_nobodys(host: Host) -> None:
    made, token = make_token("ask")
    assert post(host.of(NAME), token).status_code == 200
    tokens = opening.open_tokens()
    tokens.revoke(made)
    tokens.close()
    deadline = time.monotonic() + 20
    while post(host.of(NAME), token).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the wait is what is measured


def test_whoever_asks_too_much_is_told_when_to_come_again(shared: str, settings: Path) -> None:
    _, token = make_token("ask")
    _, another = make_token("ask")
    limits = "[limits]\ncalls_per_second = 0.01\nburst = 3\nbody_bytes = 2048\n"
    with Host(set_to(settings, limits)) as host:
        assert [post(host.of(NAME), token).status_code for _ in range(4)] == [200, 200, 200, 429]
        late = post(host.of(NAME), token)
        assert int(late.headers["Retry-After"]) > 50
        assert post(host.of(NAME), another).status_code == 200  # it is each token's own
        large = httpx2.post(
            host.of(NAME), content=b"x" * 4096, headers={"Authorization": f"Bearer {another}"}
        )
        assert large.status_code == 413


def test_a_request_for_another_host_or_from_a_page_is_refused(host: Host) -> None:
    _, token = make_token("ask")
    assert post(host.of(NAME), token, Host="rebound.example.com").status_code == 421
    assert post(host.of(NAME), token, Origin="https://page.example.com").status_code == 403
    assert post(host.of(NAME), token, Origin=host.url("")).status_code == 200
    for method in ("GET", "DELETE"):
        answer = httpx2.request(method, host.of(NAME), headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 405


def test_nothing_that_a_client_sends_is_in_the_log(host: Host) -> None:
    _, token = make_token("ask")
    post(host.of(NAME), token, Host=f"{COINED_TOO}.example.com")
    post(host.of(COINED_TOO), token)
    httpx2.post(
        host.of(NAME), content=f'{{"{COINED_TOO}"', headers={"Authorization": f"Bearer {token}"}
    )

    async def calls() -> None:
        async with client(host.of(OTHER), token) as agent:
            await agent.call_tool("check_name", {"name": COINED_TOO, "where": COINED_TOO})
            await agent.call_tool(
                "request_consent",
                {"name": COINED_TOO, "where": "x.py", "purpose": COINED_TOO, "excerpt": COINED_TOO},
            )
            await agent.call_tool("check_name", {"name": {"of": COINED_TOO}})
            await agent.call_tool(COINED_TOO, {})

    asyncio.run(calls())
    assert host.ends() == 0
    log = json.dumps(host.rest())
    assert '"asked"' in log
    assert COINED_TOO.lower() not in log.lower()
    assert token not in log


# --- whether it works -----------------------------------------------------------------------------


def test_without_its_store_it_is_alive_and_not_ready_and_lets_nobody_in(
    settings: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = database.Server()
    monkeypatch.setenv("ORGGUARD_STORE", apart.url)
    monkeypatch.setenv("ORGGUARD_STORE_KEY_FILE", str(key_file))
    try:
        _, token = make_token("ask")
        with Host(settings) as host:
            assert httpx2.get(host.url("/readyz")).json() == {
                "ready": True, "store": True, "mirrors": True,
            }  # fmt: skip
            apart.kill()
            assert httpx2.get(host.url("/healthz")).status_code == 200
            began = time.monotonic()
            unready = httpx2.get(host.url("/readyz"), timeout=60)
            assert time.monotonic() - began < 8  # a call would try for ten seconds
            assert (unready.status_code, unready.json()["store"]) == (503, False)
            assert post(host.of(NAME), token).status_code == 503
            apart.start()
            deadline = time.monotonic() + 30
            while httpx2.get(host.url("/readyz"), timeout=60).status_code != 200:
                assert time.monotonic() < deadline
            assert post(host.of(NAME), token).status_code == 200
    finally:
        apart.close()


@pytest.mark.asyncio
@both_eras
async def test_who_waits_when_it_ends_is_told_at_once_and_asks_again(
    host: Host, mirrors: Mirrors, era: str
) -> None:
    _, token = make_token("ask")
    async with client(host.of(NAME), token, era) as agent:
        await agent.list_tools()  # by whose schemas the client reads results
        asked = {"name": COINED_TOO, "where": "src/a.py:7"}
        waiting = asyncio.create_task(agent.call_tool("request_consent", asked))
        await asyncio.to_thread(host.event, "asked")
        began = time.monotonic()
        assert await asyncio.to_thread(host.ends) == 0
        assert told(await waiting)["status"] == "pending"
        assert time.monotonic() - began < 4  # its policy would have held it for five seconds
    with Guard(mirrors.path(NAME)) as guard:
        assert len(guard.ledger.pending()) == 1


# --- how it is started ----------------------------------------------------------------------------


def refused(*options: str) -> str:
    """What a server says that does not start."""
    command = [sys.executable, "-m", "orgguard_mcp", "serve", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_it_does_not_listen_beyond_this_machine_without_tokens(
    settings: Path, project: Repo
) -> None:
    set_to(settings, 'url = "https://orgguard.example.com"\n')
    said = refused("--http", "--config", str(settings), "--listen", "0.0.0.0:0")
    assert "anybody could ask it" in said
    assert "orgguard token add" in said


@pytest.mark.usefixtures("shared")
def test_beyond_this_machine_it_must_know_its_name(settings: Path) -> None:
    assert "at url" in refused("--http", "--config", str(settings), "--listen", "0.0.0.0:0")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("listen = 1\n", "at listen"),
        ('listen = "here"\n', "at listen"),
        ("unknown = 1\n", "at unknown"),
        ("[limits]\nburst = 0\n", "at limits.burst"),
        ('[[issuer]]\nissuer = "x"\n', "at issuer.0"),
        ("hold_seconds = 1e9\n", "at hold_seconds"),
        ('tls_key = "k"\n', "at tls_key"),
        ('url = "x"\n', "at url"),
        ("=", "no TOML"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    said = refused("--http", "--config", str(file))
    assert place in said
    assert "hint:" in said


def test_it_speaks_tls_with_a_certificate_and_says_when_it_has_none(
    tmp_path: Path, project: Repo
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    settings = tmp_path / "server.toml"
    settings.write_text(f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n')
    at = "--config", str(settings), "--repo", str(project.path)
    assert "certificate cannot be used" in refused("--http", "--listen", ANY_PORT, *at)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
         certificate], check=True, capture_output=True,
    )  # fmt: skip
    trusted = ssl.create_default_context(cafile=str(certificate))
    with Host(settings, "--repo", str(project.path)) as host:
        port = host.address.rpartition(":")[2]
        alive = httpx2.get(f"https://localhost:{port}/healthz", verify=trusted)
        assert alive.json() == {"alive": True}
        with pytest.raises(httpx2.TransportError):
            httpx2.get(host.url("/healthz"))


def test_an_address_that_is_taken_is_told(project: Repo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused("--http", "--listen", address, "--repo", str(project.path))
    assert "cannot listen there" in said


def test_options_of_the_one_way_are_not_for_the_other(project: Repo) -> None:
    assert "are for --http" in refused("--listen", ANY_PORT)
    assert "not for --http" in refused("--http", "--hold", "1")


@pytest.mark.asyncio
async def test_the_repository_at_hand_is_served_to_this_machine(origin: Repo) -> None:
    with Host(None, "--repo", str(origin.path)) as host:
        async with client(host.of(origin.path.name)) as agent:
            found = told(await agent.call_tool("check_name", {"name": COINED}))
            assert found["effect"] == "allow"
        # Whoever is on this machine may ask, and nobody answers through it.
        async with client(host.of(origin.path.name), form={"decision": "allow"}) as agent:
            asked = {"name": COINED_TOO, "where": "a.py:1"}
            with Guard(origin.path) as guard:
                waiting = asyncio.create_task(agent.call_tool("request_consent", asked))
                await asyncio.to_thread(host.event, "asked")
                (request,) = guard.ledger.pending()
                guard.decide(request, Answer.REFUSE, channel="terminal")
                assert told(await waiting)["status"] == "refused"


# --- what the manual says -------------------------------------------------------------------------

MANUAL = Path(__file__).parents[1] / "docs" / "shared-server.md"


def test_the_manual_lists_every_setting_and_no_other() -> None:
    table = MANUAL.read_text().split("## Settings\n")[1].split("\n## ")[0]
    told = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"(?m)^\| ([^|]*) \|", table))))
    told |= {"limits"} if "`[limits]`" in table else set()
    told |= {"issuer"} if "`[[issuer]]`" in table else set()
    assert told == set(Settings.model_fields)
    for limit in Settings().limits.model_dump():
        assert f"`{limit}`" in table


def test_the_settings_that_the_manual_shows_can_be_used(tmp_path: Path) -> None:
    shown = re.findall(r"```toml\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert len(shown) == 2
    file = tmp_path / "server.toml"
    file.write_text("\n".join(shown))
    settings = read_settings(file, listen=None, mirrors=None, default_mirrors=None)
    assert not settings.is_local
    assert [one.repository_claim for one in settings.issuer] == ["", "repository"]

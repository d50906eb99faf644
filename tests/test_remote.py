"""Reviewers elsewhere: a real terminal and a real server between them, and what neither may do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from orgguard_mcp import wire
from orgguard_mcp.approvers import PATH as APPROVERS
from orgguard_mcp.errors import LedgerError, SigningError, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Answer, Request, Scope
from orgguard_mcp.remote import RemoteDocket, Server
from orgguard_mcp.wire import Said
from tests.approver import PASSPHRASE, PERSON, Approver, identity
from tests.hosts import Host, client, make_token, told
from tests.human import Human
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo

NAME, OTHER = "team/project", "team/other"
ASKED = {"name": COINED_TOO, "where": "src/a.py:7", "excerpt": f"{COINED_TOO}Client()"}


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.fixture
def origin(make_repo: Callable[..., Repo], ada: Approver) -> Repo:
    return make_repo(
        {
            "a.py": f"class {COINED}Client: ...\n",
            APPROVERS: ada.line + "\n",
            ".orgguard/policy.toml": 'hold_seconds = 20\ntrust = "signed"\n',
        }
    )


@pytest.fixture
def mirrors(origin: Repo, project: Repo, tmp_path: Path) -> Mirrors:
    made = Mirrors(tmp_path / "mirrors")
    made.add(NAME, f"file://{origin.path}")
    made.add(OTHER, f"file://{project.path}")
    return made


@pytest.fixture
def host(shared: str, mirrors: Mirrors, tmp_path: Path) -> Iterator[Host]:
    settings = tmp_path / "server.toml"
    settings.write_text(f'mirrors = "{mirrors.directory}"\n')
    with Host(settings) as started:
        yield started


def reviewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *may: str, key: Path | None = None
) -> None:
    """From now on this machine is a reviewer's: with a token, and neither store nor its key."""
    _, token = make_token(*may)
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    monkeypatch.setenv("ORGGUARD_TOKEN_FILE", str(file))
    monkeypatch.delenv("ORGGUARD_STORE")
    monkeypatch.delenv("ORGGUARD_STORE_KEY_FILE")
    if key:
        monkeypatch.setenv("ORGGUARD_KEY", str(key))


def ask(mirrors: Mirrors, repository: str = NAME) -> Request:
    """Ask, as an agent elsewhere does."""
    from orgguard_mcp.model import Ask, Asker

    with Guard(mirrors.path(repository)) as guard:
        guard.request(COINED_TOO, [Ask("src/a.py:7", "", "", Asker("agents"), time.time())])
        (request,) = guard.ledger.pending()
        return request


@pytest.mark.asyncio
async def test_an_approver_signs_at_home_and_the_agent_gets_the_grant(
    host: Host, ada: Approver, origin: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = make_token("ask:team/*")
    reviewer(tmp_path, monkeypatch, "answer:team/*", key=ada.key)

    def answers() -> str:
        with Human(tmp_path, "--store", host.url("")) as human:
            human.sees("An agent asks")
            human.sees(f"repository   {NAME}")
            human.sees("client +an agent")
            name = human.question()
            human.types("y")
            human.sees("Type the name")
            human.types(name)
            human.sees(f"You sign for .* as {PERSON}")
            human.sees("passphrase")
            human.types(PASSPHRASE)
            human.sees("Allowed in this repository, signed")
            human.sees("No question is waiting")
            human.types("q")
            assert human.leaves() == 0
            return name

    async with client(host.of(NAME), token) as agent:
        waiting = asyncio.create_task(agent.call_tool("request_consent", ASKED))
        await asyncio.to_thread(host.event, "asked")
        assert await asyncio.to_thread(answers) == COINED_TOO
        answer = told(await waiting)
    assert answer["status"] == "granted"
    (grant,) = answer["names"][0]["grants"]
    # The agent commits it, and continuous integration finds it.
    origin.git("checkout", "-q", "-b", "feature")
    origin.commit({grant["path"]: grant["text"], "src/a.py": f"{COINED_TOO}Client()\n"})
    with Guard(origin.path) as ci:
        ci.alone = True
        assert ci.check(COINED_TOO, "src/a.py").effect == "allow"


def test_a_question_that_is_put_later_appears(
    host: Host, mirrors: Mirrors, ada: Approver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        reviewer(tmp_path, there, "answer", key=ada.key)
        human = Human(tmp_path, "--store", host.url(""))
    with human:
        human.sees("No question is waiting")
        ask(mirrors, OTHER)
        human.sees(f"repository   {OTHER}")
        assert human.refuses("not that one") == COINED_TOO
    with Guard(mirrors.path(OTHER)) as guard:
        (decision,) = guard.ledger.decisions()
        assert (decision.answer, decision.reason) == ("refuse", "not that one")
        assert (decision.channel, decision.decided_by) == ("server", "an agent")


def test_what_another_one_settled_is_told_while_it_is_on_screen(
    host: Host, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(mirrors, OTHER)
    with monkeypatch.context() as there:
        reviewer(tmp_path, there, "answer")
        human = Human(tmp_path, "--store", host.url(""))
    with human:
        human.question()
        with Guard(mirrors.path(OTHER)) as guard:
            guard.decide(request, Answer.REFUSE, channel="terminal")
        human.sees("Settled elsewhere: refused")


def test_repositories_that_list_others_are_counted_and_not_shown(
    host: Host, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(mirrors)
    reviewer(tmp_path, monkeypatch, "answer")
    with Human(tmp_path, "--store", host.url(""), "--no-wait") as human:
        human.sees("1 repository lists approvers without you")
        assert human.leaves() == 0


# --- what a server does not believe ---------------------------------------------------------------


@pytest.fixture
def docket(
    host: Host, ada: Approver, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RemoteDocket:
    ask(mirrors)
    reviewer(tmp_path, monkeypatch, "answer", key=ada.key)
    return RemoteDocket(Server(host.url("")), NAME)


def settle(docket: RemoteDocket, said: Said) -> object:
    return docket._call("settle", said)


def attach(docket: RemoteDocket, said: Said) -> None:
    docket._call("attach", wire.Signed((said,)))


@pytest.mark.parametrize(
    "changed",
    [
        {"request": "0badc0de"},
        {"repository": "another"},
        {"approver": "eve@example.com"},
        {"lifts_protection": True},
        {"days": 4000},
        {"decided_at": time.time() + 86400},
    ],
)
def test_a_grant_that_says_something_else_is_none(
    docket: RemoteDocket, ada: Approver, origin: Repo, changed: dict[str, object]
) -> None:
    (request,) = docket.queue().mine
    said = {"request": request.id, "repository": identity(origin)} | changed
    grant = ada.grant(origin, COINED_TOO, **said)
    with pytest.raises(SigningError, match="does not count"):
        settle(docket, Said(request.id, Answer.GRANT, Scope(), grant=grant.text))
    assert docket.outcome(request.id) is None


def test_a_grant_for_another_name_or_place_or_by_another_key_is_none(
    docket: RemoteDocket, ada: Approver, origin: Repo, tmp_path: Path
) -> None:
    (request,) = docket.queue().mine
    eve = Approver(tmp_path / "eve", PERSON)
    about = {"request": request.id}
    files = Scope(("src/a.py",))
    for grant, scope in (
        (ada.grant(origin, COINED, **about), Scope()),
        (ada.grant(origin, COINED_TOO, files, **about), Scope()),
        (ada.grant(origin, COINED_TOO, **about), files),
        (ada.grant(origin, COINED_TOO, Scope(("src/a.py", "src/b.py")), **about), files),
        (ada.grant(origin, COINED_TOO, Scope(branch="x"), **about), Scope(branch="y")),
        (eve.grant(origin, COINED_TOO, **about), Scope()),
    ):
        with pytest.raises(SigningError, match="does not count"):
            settle(docket, Said(request.id, Answer.GRANT, scope, grant=grant.text))
        with pytest.raises(SigningError, match="does not count"):
            attach(docket, Said(request.id, Answer.GRANT, scope, grant=grant.text))
    whole = ada.grant(origin, COINED_TOO, files, **about)
    for text in (whole.text[:-1], whole.text.replace(request.id, "0badc0de"), "no grant"):
        with pytest.raises(SigningError, match="does not count"):
            settle(docket, Said(request.id, Answer.GRANT, files, grant=text))
    settle(docket, Said(request.id, Answer.GRANT, files, grant=whole.text))
    decided = docket.outcome(request.id)
    assert decided
    assert decided.scope == files


def test_an_unsigned_yes_is_no_signature(docket: RemoteDocket, mirrors: Mirrors) -> None:
    (request,) = docket.queue().mine
    settle(docket, Said(request.id, Answer.GRANT))
    with_store = pytest.MonkeyPatch()
    assert docket.question(request).sightings.established is False
    with_store.undo()
    (yes,) = docket.unsigned()
    assert yes.request.id == request.id


@pytest.mark.parametrize("may", [["ask"], ["administer"], ["answer:team/other"]])
def test_who_may_not_answer_there_learns_and_decides_nothing(
    host: Host, mirrors: Mirrors, may: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(mirrors)
    reviewer(tmp_path, monkeypatch, *may)
    server = Server(host.url(""))
    assert NAME not in server.repositories()
    for call, words in (
        ("facts", wire.Nothing()),
        ("queue", wire.Reviewer("")),
        ("question", wire.About(request.id)),
        ("settle", Said(request.id, Answer.GRANT)),
    ):
        with pytest.raises(LedgerError) as refused:
            server.call(NAME, call, words)
        assert "may not answer" in refused.value.cause


def test_calls_that_cannot_be_read_are_refused_without_their_words(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviewer(tmp_path, monkeypatch, "answer")
    headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}

    def said(call: str, body: str, **more: str) -> httpx2.Response:
        url = host.url(f"/r/{OTHER}/docket/{call}")
        kind = {"Content-Type": "application/json"}
        return httpx2.post(url, content=body, headers={**headers, **kind, **more}, timeout=30)

    wrong = said("settle", json.dumps({"request_id": COINED_TOO, "answer": COINED_TOO}))
    assert wrong.status_code == 400
    assert COINED_TOO not in wrong.text
    assert said("nothing", "{}").status_code == 404
    assert said("queue", "{").status_code == 400
    assert said("queue", '{"person": ""}', Host="rebound.example.com").status_code == 421
    assert said("queue", '{"person": ""}', Origin="https://page.example.com").status_code == 403
    assert said("queue", " " * (2 << 20)).status_code == 413
    assert said("queue", '{"person": ""}').status_code == 200


# --- how it is named ------------------------------------------------------------------------------


def test_a_token_never_goes_over_a_network_unsealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("t")
    file.chmod(0o600)
    monkeypatch.setenv("ORGGUARD_TOKEN_FILE", str(file))
    for url in ("http://orgguard.example.com", "ftp://localhost", "https://"):
        with pytest.raises(UsageError, match="nothing can be answered"):
            Server(url)
    Server("http://127.0.0.1:1")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="nothing can be answered") as refused:
        Server("https://orgguard.example.com")
    assert "chmod 600" in refused.value.cause


def test_a_server_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("t")
    file.chmod(0o600)
    monkeypatch.setenv("ORGGUARD_TOKEN_FILE", str(file))
    with pytest.raises(LedgerError) as told_:
        Server("http://127.0.0.1:1").repositories()
    assert "did not answer" in told_.value.message

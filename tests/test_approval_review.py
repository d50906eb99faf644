"""Approvers at real terminals: one signature of several, and questions of several repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from orgguard_mcp.grants import DIRECTORY
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Ask, Asker, Basis, Effect
from orgguard_mcp.names import parse
from orgguard_mcp.policy import PATH as POLICY
from orgguard_mcp.protected import ENVIRONMENT_KEY, Key, sealed
from orgguard_mcp.protected import PATH as PROTECTED
from tests.agent import LEGACY, Agent
from tests.approver import PASSPHRASE, Approver, approved, ci
from tests.human import COMMAND, IDLE, Human
from tests.names import COINED, COINED_TOO, THIRD
from tests.scanner import Files, scan
from tests.simulator import Repo

ANN, BOB, CAROL = (f"{name}@example.com" for name in ("ann", "bob", "carol"))
LEDGER, OTHER = "billing/ledger.py", "src/client.py"
TWO = "[[approval]]\npeople = 2\n"
PAIR = f'[[approval]]\npaths = ["billing/**"]\napprovers = ["{ANN}", "{BOB}"]\npeople = 2\n'


class Team(NamedTuple):
    """Three people who may sign, each with a key under a passphrase."""

    ann: Approver
    bob: Approver
    carol: Approver


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Team:
    folder = tmp_path_factory.mktemp("team")
    return Team(*(Approver(folder / who[:3], who) for who in (ANN, BOB, CAROL)))


@pytest.fixture
def repo(team: Team, tmp_path: Path) -> Repo:
    return approved(tmp_path / "repo", *team, base={POLICY: TWO})


def ask(where: Repo, *places: str, name: str = COINED) -> None:
    """Have an agent ask about *name* for *places*."""
    with Guard(where.path) as guard:
        guard.request(name, [Ask(place, "", "", Asker(place), 1.0) for place in places or (OTHER,)])


def review(where: Repo, who: Approver | None, *options: str) -> Human:
    return Human(where.path, *options, ORGGUARD_KEY=str(who.key) if who else "/nowhere/key")


def types_name(human: Human, name: str = COINED, key: str = "y") -> None:
    """Answer the question on screen with yes, up to the passphrase."""
    human.types(key)
    human.sees("Type the name to allow it")
    human.types(name)
    human.sees("Enter passphrase")


def signs(human: Human, name: str = COINED, key: str = "y") -> str:
    """Sign for the question on screen; what is said then."""
    types_name(human, name, key)
    human.types(PASSPHRASE)
    return human.sees(r"(Signed|Allowed|Somebody was first)[^\r]*\r\n")


def run(where: Repo, *command: str) -> str:
    """What an `orgguard` command says without a terminal."""
    done = subprocess.run(
        [*COMMAND, *command], cwd=where.path, capture_output=True, text=True, check=False,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout + done.stderr


# --- one of several -------------------------------------------------------------------------------


def test_a_name_is_allowed_when_the_second_approver_has_signed(
    repo: Repo, team: Team, tmp_path: Path
) -> None:
    with Agent(repo.path, LEGACY, serve=["--hold", "60"]) as agent:
        agent.send("request_consent", name=COINED, where=f"{OTHER}:1")
        with review(repo, team.ann) as ann:
            ann.question()
            assert f"2 of {ANN}, {BOB}, {CAROL} must sign" in ann.emitted
            said = signs(ann)
            assert f"Signed in this repository; {ANN} signed; 1 more of {BOB}, {CAROL}" in said
            ann.sees(f"1 question waits for others: {BOB}, {CAROL}")  # and it is not asked again
            assert ann.emitted.count("public repository?") == 1
        assert f"{ANN} signed; 1 more of {BOB}, {CAROL} must sign" in run(repo, "pending")
        with review(repo, team.bob, "--no-wait") as bob:
            bob.question()
            assert f"signatures   {ANN} signed; 1 more of {BOB}, {CAROL} must sign" in bob.emitted
            assert f"Allowed, {ANN} and {BOB} signed." in signs(bob, key="f")
            assert bob.leaves() == 0
        assert agent.result()["structured"]["effect"] == "allow"
    assert f"signed by {ANN} and {BOB}" in run(repo, "log").replace(
        f"{BOB} and {ANN}", f"{ANN} and {BOB}"
    )
    assert run(repo, "grants").count(f"{ANN} and {BOB} signed") == 2
    repo.commit({OTHER: f'VENDOR = "{COINED} GmbH"\n'})
    assert scan(ci(repo, tmp_path / "ci"), "--dry-run").code == 0


def test_a_refusal_by_the_second_ends_it(repo: Repo, team: Team) -> None:
    ask(repo)
    with review(repo, team.ann) as ann:
        ann.question()
        signs(ann)
        with review(repo, team.bob, "--no-wait") as bob:
            bob.refuses("no")
            assert bob.leaves() == 0
        ann.sees(IDLE)
    with Guard(repo.path) as guard:
        assert guard.check(COINED, OTHER).basis is Basis.REFUSED


@pytest.mark.parametrize("who", [CAROL, ""])
def test_questions_for_others_are_counted_and_not_shown(
    team: Team, tmp_path: Path, who: str
) -> None:
    repo = approved(tmp_path / "repo", *team, base={POLICY: PAIR})
    ask(repo, LEDGER)
    ask(repo, OTHER, name=COINED_TOO)
    ask(repo, f"{LEDGER}:2", name=THIRD)
    with review(repo, team.carol if who else None, "--no-wait") as human:
        assert human.question() == COINED_TOO
        human.types("s")
        human.sees(f"2 questions wait for others: {ANN}, {BOB}")
        assert human.leaves() == 0
        assert COINED not in human.emitted
    with Guard(repo.path) as guard:
        assert len(guard.ledger.pending()) == 3


def test_refusing_all_of_a_client_leaves_what_waits_for_others(team: Team, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *team, base={POLICY: PAIR})
    for place, name in ((LEDGER, COINED), (OTHER, COINED_TOO), (OTHER, THIRD)):
        with Guard(repo.path) as guard:
            guard.request(name, [Ask(place, "", "", Asker("one client"), 1.0)])
    with review(repo, team.carol, "--no-wait") as human:
        human.question()
        human.types("a")
        human.sees("A word to the agent")
        human.types("")
        human.sees("1 question waits for others")
        assert human.leaves() == 0
    with Guard(repo.path) as guard:
        assert [request.name.surface for request in guard.ledger.pending()] == [COINED]


def test_a_name_is_signed_again_where_the_first_signature_does_not_reach(
    repo: Repo, team: Team
) -> None:
    ask(repo, OTHER)
    with review(repo, team.ann, "--no-wait") as ann:
        ann.question()
        signs(ann, key="f")
        assert ann.leaves() == 0
    ask(repo, LEDGER)
    with review(repo, team.ann, "--no-wait") as ann:
        ann.question()
        signs(ann, key="y")
        assert ann.leaves() == 0
    with review(repo, team.bob, "--no-wait") as bob:
        bob.question()
        assert "Allowed" in signs(bob)
    assert "signed by" in run(repo, "log")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_two_who_sign_at_the_same_moment_allow_it(
    repo: Repo, team: Team, tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    other = repo
    if engine == "postgresql":
        request.getfixturevalue("shared")
        other = ci(repo, tmp_path / "other")
    ask(repo)
    with review(repo, team.ann, "--no-wait") as ann, review(other, team.bob, "--no-wait") as bob:
        for human in (ann, bob):
            human.question()
            types_name(human)
        for human in (ann, bob):
            human.types(PASSPHRASE)
        assert (ann.leaves(), bob.leaves()) == (0, 0)
        assert "Allowed" in ann.emitted + bob.emitted
    with Guard(repo.path) as guard:
        assert guard.check(COINED, OTHER).basis is Basis.CONSENTED
        assert len(guard.ledger.decisions()) == 1
        assert len(guard.ledger.attached()) == 2


def test_withdrawing_takes_back_a_signature_that_decided_nothing_yet(
    repo: Repo, team: Team
) -> None:
    ask(repo)
    with review(repo, team.ann, "--no-wait") as ann:
        ann.question()
        signs(ann)
        assert ann.leaves() == 0
    with Human(repo.path, COINED, command="withdraw") as human:
        human.sees("1 signed grant withdrawn")
        assert human.leaves() == 0
    with review(repo, team.bob, "--no-wait") as bob:
        bob.question()
        assert f"1 more of {ANN}, {CAROL} must sign" in signs(bob)


def test_protection_is_lifted_by_two(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "0123456789abcdef" * 4
    monkeypatch.setenv(ENVIRONMENT_KEY, secret)
    base: Files = {POLICY: TWO, PROTECTED: sealed([parse(COINED)], Key(secret))}
    repo = approved(tmp_path / "repo", *team, base=base)
    with Human(
        repo.path, "add", "--this-change", command="grants", ORGGUARD_KEY=str(team.ann.key)
    ) as ann:
        for shown, typed in (("to allow", COINED), ("it again", COINED), ("Enter", PASSPHRASE)):
            ann.sees(shown)
            ann.types(typed)
        ann.sees(f"It does not count yet: {ANN} signed; 1 more of {BOB}, {CAROL} must sign")
        assert ann.leaves() == 0
    with review(repo, team.bob, "--no-wait") as bob:
        bob.question()
        assert "PROTECTED    it must never be public: a yes lifts that" in bob.emitted
        assert "Allowed" in signs(bob, key="c")
    with Guard(repo.path) as guard:
        assert guard.check(COINED, OTHER).basis is Basis.CONSENTED


def test_a_form_cannot_say_yes_where_approvers_must(repo: Repo) -> None:
    with Agent(repo.path, LEGACY, form="accept", serve=["--hold", "1"]) as agent:
        assert agent.ask(COINED)["status"] == "pending"
    with Guard(repo.path) as guard:
        assert guard.ledger.decisions() == []
        assert len(guard.ledger.pending()) == 1


# --- several repositories -------------------------------------------------------------------------


class Company(NamedTuple):
    """Clones of three repositories, and a directory of their mirrors."""

    clones: dict[str, Repo]
    mirrors: Path


@pytest.fixture
def company(team: Team, tmp_path: Path, shared: str) -> Company:
    """`web` lists Ann, `docs` nobody, `core` Bob alone; all share a store."""
    listed = {"team_a/web": [team.ann], "team_a/docs": [], "team_b/core": [team.bob]}
    clones = {}
    for name, people in listed.items():
        place, policy = tmp_path / "clones" / name, f'repository = "{name}"\n'
        clones[name] = approved(place, *people, base={POLICY: policy})
        Mirrors(tmp_path / "mirrors").add(name, f"file://{place}")
    return Company(clones, tmp_path / "mirrors")


def reviews_all(company: Company, who: Approver, *options: str) -> Human:
    mirrors = str(company.mirrors)
    return Human(None, *options, ORGGUARD_KEY=str(who.key), ORGGUARD_MIRRORS=mirrors)


def test_one_review_answers_for_several_repositories(company: Company, team: Team) -> None:
    web, docs, core = company.clones.values()
    ask(docs, name=COINED)
    ask(web, name=COINED_TOO)
    ask(core, name=THIRD)
    with reviews_all(company, team.ann) as ann:
        assert ann.question() == COINED
        assert "repository   team_a/docs" in ann.emitted
        ann.declines("no")
        assert ann.question() == COINED_TOO
        assert "repository   team_a/web" in ann.emitted
        signed = signs(ann, COINED_TOO)
        assert "`orgguard grants write` lays it into the clone that asked" in signed
        ann.sees(IDLE)
        assert THIRD not in ann.emitted
        assert "1 repository lists approvers without you" in ann.emitted
        ask(web, name=COINED)  # in the same words as another repository's
        assert ann.question() == COINED
    with Guard(web.path) as guard:
        assert guard.check(COINED_TOO, OTHER).effect is Effect.ALLOW
    assert "1 grant written" in run(web, "grants", "write")
    assert len(list((web.path / DIRECTORY).glob("*.grant"))) == 1
    with Guard(docs.path) as guard:
        assert guard.check(COINED, OTHER).basis is Basis.REFUSED


def test_a_repository_that_cannot_be_opened_does_not_stop_the_others(
    company: Company, team: Team
) -> None:
    broken = company.mirrors / "team_a/web.git"
    (broken / "HEAD").unlink()
    ask(company.clones["team_a/docs"])
    with reviews_all(company, team.ann, "--no-wait") as ann:
        ann.sees("team_a/web is left out: ")
        ann.refuses()
        assert ann.leaves() == 0


def test_the_store_may_be_named_for_one_review(
    repo: Repo, shared: str, monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    ask(repo)
    monkeypatch.delenv("ORGGUARD_STORE")
    with review(repo, team.ann, "--no-wait") as human:
        assert human.leaves() == 0
        assert COINED not in human.emitted
    with review(repo, team.ann, "--no-wait", "--store", shared) as human:
        assert human.question() == COINED

"""Consent from end to end: an approver with a passphrase says yes in a real terminal, and a machine
that knows nothing but the repository believes it, for this and nothing else.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from orgguard_mcp import endorse
from orgguard_mcp.approvers import PATH as APPROVERS
from orgguard_mcp.grants import DIRECTORY
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Basis, Trust
from orgguard_mcp.names import parse
from orgguard_mcp.protected import ENVIRONMENT_KEY, Key, sealed
from orgguard_mcp.protected import PATH as PROTECTED
from tests.agent import LEGACY, Agent
from tests.human import COMMAND, Human
from tests.names import COINED, COINED_TOO, THIRD
from tests.scanner import ORDINARY, decide, orgguard_scan, scan
from tests.simulator import Repo

PASSPHRASE = "correct horse battery"
PERSON = "approver@example.com"


class World(NamedTuple):
    """A project whose base lists one approver, whose key is `key`, and a developer's clone."""

    origin: Repo
    dev: Repo
    key: Path

    def fresh(self, path: Path, branch: str = "feature") -> Repo:
        """A clone without any state, as a CI job makes it."""
        clone = self.origin.clone(path)
        clone.git("fetch", "-q", str(self.dev.path), f"{branch}:{branch}")
        clone.git("checkout", "-q", branch)
        return clone


def become_approver(repo: Repo, key: Path) -> None:
    """Run `orgguard approver add` at a terminal, and type a passphrase."""
    with Human(repo.path, "add", PERSON, command="approver", ORGGUARD_KEY=str(key)) as human:
        human.sees("passphrase")
        human.types(PASSPHRASE)
        human.sees("again")
        human.types(PASSPHRASE)
        human.sees("SHA256:")
        assert human.leaves() == 0


def build(path: Path) -> World:
    origin = Repo(path / "origin")
    origin.commit(ORDINARY, "Start")
    dev, key = origin.clone(path / "dev"), path / "key"
    become_approver(dev, key)
    dev.commit(message="Name an approver")
    dev.git("push", "-q", "origin", "HEAD:refs/heads/approver")
    origin.git("merge", "-q", "approver")
    dev.git("fetch", "-q")
    dev.git("checkout", "-q", "-b", "feature", "origin/main")
    return World(origin, dev, key)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build(tmp_path)


def signs(human: Human, key: str, name: str = COINED) -> None:
    """Answer the question on screen with *key*, the name and the passphrase."""
    human.types(key)
    human.sees("Type the name to allow it")
    human.types(name)
    human.sees("Enter passphrase")
    human.types(PASSPHRASE)
    human.sees("signed")


def granted(world: World, answer: str, files: dict[str, str | bytes] | None = None) -> None:
    """Have *files*, which write a name, scanned, asked about, granted, signed and committed."""
    world.dev.commit(files or {"src/client.py": f'VENDOR = "{COINED} GmbH"\n'}, "Add a client")
    assert orgguard_scan(world.dev, "--ask").code == 1
    with Human(world.dev.path, "--no-wait", ORGGUARD_KEY=str(world.key)) as human:
        human.question()
        signs(human, answer)
        assert human.leaves() == 0
    world.dev.commit(message="Add the grant")


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> World:
    """A change whose one name is granted for one file."""
    world = build(tmp_path_factory.mktemp("landed"))
    granted(world, "f")
    return world


def grant_file(repo: Repo) -> Path:
    (found,) = (repo.path / DIRECTORY).glob("*.grant")
    return found


@pytest.mark.parametrize("answer", ["y", "f", "c"])
def test_a_signed_grant_passes_the_scan_in_a_fresh_clone(
    world: World, tmp_path: Path, answer: str
) -> None:
    granted(world, answer)
    clone = world.fresh(tmp_path / "ci")
    done = scan(clone)
    assert (done.code, done.document["consented"], done.document["notes"]) == (0, 1, [])
    assert not (clone.path / ".git/orgguard/ledger.sqlite3").exists()


def test_the_same_change_without_the_grant_fails(landed: World, tmp_path: Path) -> None:
    clone = landed.fresh(tmp_path / "ci")
    clone.git("rm", "-q", "-r", DIRECTORY)
    clone.commit()
    assert scan(clone).names == {COINED.casefold()}


def test_the_grant_and_what_git_publishes_with_it_do_not_hold_the_name(landed: World) -> None:
    text = grant_file(landed.dev).read_text()
    shown = landed.dev.git("show", "--stat", "--format=%B", "HEAD")
    assert COINED.casefold() not in (text + shown).casefold()
    assert "client.py" not in text


@pytest.mark.parametrize("part", range(12))
def test_any_byte_of_the_grant_matters(landed: World, tmp_path: Path, part: int) -> None:
    clone = landed.fresh(tmp_path / "ci")
    file = grant_file(clone)
    data = bytearray(file.read_bytes())
    at = part * len(data) // 12
    data[at] ^= 1
    file.write_bytes(bytes(data))
    clone.commit()
    assert COINED.casefold() in scan(clone).names


@pytest.mark.parametrize(
    "files",
    [
        {"src/client.py": f'VENDOR = "{COINED_TOO} GmbH"\n'},
        {"src/other.py": f'VENDOR = "{COINED} GmbH"\n'},
    ],
    ids=["another name", "another path"],
)
def test_the_name_and_the_path_matter(
    landed: World, tmp_path: Path, files: dict[str, str | bytes]
) -> None:
    clone = landed.fresh(tmp_path / "ci")
    clone.git("rm", "-q", "src/client.py")
    clone.commit(files)
    assert scan(clone).code == 1


@pytest.mark.parametrize("change", ["another key", "removed"])
def test_the_approvers_of_the_base_matter(landed: World, tmp_path: Path, change: str) -> None:
    clone = landed.fresh(tmp_path / "ci")
    other = tmp_path / "other"
    origin = landed.origin.clone(other)
    if change == "removed":
        (other / APPROVERS).unlink()
    else:
        line = (other / APPROVERS).read_text()
        flipped = "A" if line[-10] != "A" else "B"
        (other / APPROVERS).write_text(line[:-10] + flipped + line[-9:])
    origin.commit()
    clone.git("fetch", "-q", str(other), "+main:refs/remotes/origin/main")
    assert COINED.casefold() in scan(clone).names


def test_another_branch_cannot_use_a_grant_for_one_change(world: World, tmp_path: Path) -> None:
    granted(world, "c")
    clone = world.fresh(tmp_path / "ci")
    clone.git("checkout", "-q", "-b", "other")
    assert COINED.casefold() in scan(clone).names
    assert scan(clone, "--branch", "feature").code == 0


def test_a_wrong_passphrase_decides_nothing(world: World) -> None:
    world.dev.commit({"src/client.py": f'VENDOR = "{COINED} GmbH"\n'})
    orgguard_scan(world.dev, "--ask")
    with Human(world.dev.path, "--no-wait", ORGGUARD_KEY=str(world.key)) as human:
        human.question()
        human.types("y")
        human.sees("Type the name")
        human.types(COINED)
        human.sees("Enter passphrase")
        human.types("wrong")
        human.sees("nothing was signed")
        human.question()
        human.types("q")
        human.leaves()
    with Guard(world.dev.path) as guard:
        assert guard.check(COINED).basis is Basis.PENDING
    assert not (world.dev.path / DIRECTORY).exists()


# --- levels of trust ------------------------------------------------------------------------------


def demand(world: World, trust: str) -> None:
    """Have the base's policy ask for *trust*."""
    world.origin.commit({".orgguard/policy.toml": f'trust = "{trust}"\n'}, "Policy")
    world.dev.git("fetch", "-q")
    world.dev.git("rebase", "-q", "origin/main")


@pytest.mark.parametrize(
    ("trust", "channel", "basis"),
    [
        ("client", "elicitation", Basis.CONSENTED),
        ("terminal", "elicitation", Basis.UNKNOWN),
        ("terminal", "terminal", Basis.CONSENTED),
        ("signed", "elicitation", Basis.PENDING),
        ("signed", "terminal", Basis.PENDING),
    ],
)
def test_a_yes_counts_from_the_level_that_the_policy_asks_for(
    world: World, trust: str, channel: str, basis: Basis
) -> None:
    demand(world, trust)
    decide(world.dev, COINED, Answer.GRANT, channel=channel)
    with Guard(world.dev.path) as guard:
        assert guard.check(COINED).basis is basis


def test_a_refusal_counts_at_every_level(world: World) -> None:
    demand(world, "signed")
    decide(world.dev, COINED, Answer.REFUSE, channel="elicitation")
    with Guard(world.dev.path) as guard:
        assert guard.check(COINED).basis is Basis.REFUSED


def test_what_waits_for_a_signature_is_not_asked_about_again(world: World) -> None:
    demand(world, "signed")
    decide(world.dev, COINED, Answer.GRANT, channel="terminal")
    decide(world.dev, COINED_TOO, Answer.REFUSE, channel="terminal")
    assert orgguard_scan(world.dev, "--text", "docs", "--ask", stdin=f"{COINED} Inc.\n".encode())
    with Guard(world.dev.path) as guard:
        assert guard.ledger.pending() == []


def test_no_form_is_shown_where_it_could_not_say_yes(world: World) -> None:
    demand(world, "terminal")
    with Agent(world.dev.path, LEGACY, form="accept", serve=["--hold", "1"]) as agent:
        answer = agent.ask(COINED)
    assert answer["status"] == "pending"
    assert all(event["event"] != "form" for event in agent.seen)


def test_decisions_of_a_lower_level_are_signed_in_one_go(world: World, tmp_path: Path) -> None:
    names = (COINED, COINED_TOO, THIRD)
    world.dev.commit({f"src/{n}.py": f'VENDOR = "{one} GmbH"\n' for n, one in enumerate(names)})
    for name in names:
        decide(world.dev, name, Answer.GRANT, channel="terminal")
    here = scan(world.dev)
    assert here.code == 0
    assert "allowed on this machine only" in here.document["notes"][0]
    assert scan(world.dev, "--dry-run").code == 1
    with Human(world.dev.path, "--no-wait", ORGGUARD_KEY=str(world.key)) as human:
        human.sees("3 names are allowed on this machine, and not signed")
        human.sees(r"Sign for all of this as approver@example\.com\? \[y,n\] ")
        human.types("y")
        human.sees("Enter passphrase")
        human.types(PASSPHRASE)
        human.sees("Signed")
        assert human.leaves() == 0
    world.dev.commit(message="Add the grants")
    assert scan(world.fresh(tmp_path / "ci")).code == 0


def test_what_was_refused_since_is_not_offered_for_a_signature(world: World) -> None:
    """Of two questions about a name, the refusal of one outweighs the yes to the other."""
    decide(world.dev, COINED_TOO, Answer.GRANT, channel="terminal")
    decide(world.dev, COINED, Answer.GRANT, "src", channel="terminal")
    decide(world.dev, COINED, Answer.REFUSE, channel="terminal")
    with Human(world.dev.path, "--no-wait", ORGGUARD_KEY=str(world.key)) as human:
        human.sees("1 name is allowed on this machine, and not signed")
        human.sees(COINED_TOO)
        human.types("n")
        assert human.leaves() == 0
    with Guard(world.dev.path) as guard:
        assert [yes.request.name.surface for yes in endorse.unsigned(guard)] == [COINED_TOO]


def test_what_is_protected_since_is_not_offered_for_a_signature(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A yes from before must not lift the protection in passing."""
    decide(world.dev, COINED, Answer.GRANT, channel="terminal")
    secret = "0123456789abcdef" * 4
    monkeypatch.setenv(ENVIRONMENT_KEY, secret)
    listed = sealed([parse(COINED)], Key(secret))
    world.origin.commit({PROTECTED: listed}, "Protect a name")
    world.dev.git("fetch", "-q")
    with Guard(world.dev.path) as guard:
        assert guard.check(COINED).basis is Basis.PROTECTED
        assert endorse.unsigned(guard) == []


def test_who_is_no_approver_is_told_what_a_yes_is_worth(world: World) -> None:
    world.dev.commit({"src/client.py": f'VENDOR = "{COINED} GmbH"\n'})
    orgguard_scan(world.dev, "--ask")
    with Human(world.dev.path, "--no-wait", ORGGUARD_KEY="/nowhere/key") as human:
        human.sees("your key is not among them")
        human.grants()
        assert human.leaves() == 0
    with Guard(world.dev.path) as guard:
        assert guard.check(COINED).trust is Trust.TERMINAL
    assert scan(world.dev, "--dry-run").code == 1


# --- where grants go, and how they end ------------------------------------------------------------


def test_a_grant_is_laid_into_the_working_tree_that_asked(world: World, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    world.dev.git("worktree", "add", "-q", "-b", "agent", str(tree), "origin/main")
    with Agent(tree, LEGACY, serve=["--hold", "0"]) as agent:
        agent.ask(COINED)
    with Human(world.dev.path, "--no-wait", ORGGUARD_KEY=str(world.key)) as human:
        human.question()
        signs(human, "y")
        human.leaves()
    assert len(list((tree / DIRECTORY).glob("*.grant"))) == 1
    assert not (world.dev.path / DIRECTORY).exists()


def test_a_withdrawn_grant_counts_nowhere_once_that_is_merged(world: World, tmp_path: Path) -> None:
    granted(world, "y")
    was = grant_file(world.dev).read_bytes()
    name = grant_file(world.dev).name
    with Human(world.dev.path, command="withdraw") as human:
        human.sees("The name whose decision is withdrawn: ")
        human.types(COINED)
        human.sees("1 signed grant withdrawn")
        assert human.leaves() == 0
    assert not (world.dev.path / DIRECTORY / name).exists()
    world.dev.git("rm", "-q", "src/client.py")
    world.dev.commit(message="Take it back")
    world.dev.git("push", "-q", "origin", "HEAD:refs/heads/back")
    world.origin.git("merge", "-q", "back")
    world.dev.git("fetch", "-q")
    world.dev.git("checkout", "-q", "-b", "again", "origin/main")
    (world.dev.path / DIRECTORY / name).write_bytes(was)
    world.dev.commit({"src/client.py": f'VENDOR = "{COINED} GmbH"\n'})
    found = scan(world.fresh(tmp_path / "ci", "again"))
    assert COINED.casefold() in found.names
    assert any("it was withdrawn" in note for note in found.document["notes"])


def test_grants_are_listed_written_and_pruned(world: World, tmp_path: Path) -> None:
    granted(world, "y")
    listed = run("grants", world.dev)
    assert PERSON in listed
    assert COINED not in listed
    assert COINED in run("grants", world.dev, "--reveal")
    shutil.rmtree(world.dev.path / DIRECTORY)
    run("grants", world.dev, "write")
    assert scan(world.dev).code == 0
    world.dev.git("push", "-q", "origin", "HEAD:refs/heads/done")
    world.origin.git("merge", "-q", "done")
    world.dev.git("fetch", "-q")
    assert "1 grant removed" in run("grants", world.dev, "prune")
    assert not list((world.dev.path / DIRECTORY).glob("*.grant"))


def run(command: str, repo: Repo, *options: str) -> str:
    """The output of an `orgguard` command that succeeds."""
    done = subprocess.run(
        [*COMMAND, command, *options], cwd=repo.path, capture_output=True, text=True, check=True,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


# --- protected names ------------------------------------------------------------------------------


@pytest.fixture
def protecting(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, with a list of one protected name on the base's branch, and its key at hand."""
    key, names = tmp_path / "protected-key", tmp_path / "customers.txt"
    names.write_text(f"{COINED}\n")
    world.dev.git("checkout", "-q", "-b", "protect", "origin/main")
    run("protect", world.dev, "key", str(key))
    monkeypatch.setenv("ORGGUARD_PROTECTED_KEY_FILE", str(key))
    run("protect", world.dev, "import", str(names))
    world.dev.commit(message="Protect")
    world.dev.git("push", "-q", "origin", "HEAD:refs/heads/protect")
    world.origin.git("merge", "-q", "protect")
    world.dev.git("fetch", "-q")
    world.dev.git("checkout", "-q", "-B", "feature", "origin/main")
    return world


def adds(world: World, name: str, *options: str) -> None:
    """Run `orgguard grants add` as the approver."""
    with Human(
        world.dev.path, "add", *options, command="grants", ORGGUARD_KEY=str(world.key)
    ) as human:
        human.sees("The name to allow: ")
        human.types(name)
        human.sees("PROTECTED")
        human.sees("Type it again")
        human.types(name)
        human.sees("Enter passphrase")
        human.types(PASSPHRASE)
        human.sees("Signed")
        assert human.leaves() == 0


def test_an_approver_who_names_it_lifts_protection(protecting: World, tmp_path: Path) -> None:
    adds(protecting, COINED)
    protecting.dev.commit({"src/client.py": f'VENDOR = "{COINED} GmbH"\n'})
    assert "lifts protection" in grant_file(protecting.dev).read_text()
    assert scan(protecting.fresh(tmp_path / "ci")).code == 0
    with Guard(protecting.dev.path) as guard:
        assert guard.check(COINED).trust is Trust.SIGNED


def test_an_ordinary_grant_does_not_lift_protection(
    world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    granted(world, "y")
    grant = grant_file(world.dev)
    text = grant.read_bytes()
    world = request.getfixturevalue("protecting")
    grant.parent.mkdir(parents=True, exist_ok=True)
    grant.write_bytes(text)
    world.dev.commit({"src/client.py": f'VENDOR = "{COINED} GmbH"\n'})
    found = scan(world.fresh(tmp_path / "ci"))
    assert found.findings[COINED.casefold()]["basis"] == "protected"


def test_protection_is_lifted_on_one_branch_alone(protecting: World, tmp_path: Path) -> None:
    adds(protecting, COINED, "--this-change")
    protecting.dev.commit({"src/client.py": f'VENDOR = "{COINED} GmbH"\n'})
    clone = protecting.fresh(tmp_path / "ci")
    assert scan(clone).code == 0
    assert scan(clone, "--branch", "other").findings[COINED.casefold()]["basis"] == "protected"


def test_who_is_no_approver_lifts_nothing(protecting: World) -> None:
    with Human(protecting.dev.path, "add", command="grants", ORGGUARD_KEY="/nowhere/key") as human:
        human.sees("nothing was granted: you are no approver here")
        assert human.leaves() == 2

"""Bearer tokens: what is none, has ended or was revoked lets nobody in, whatever the store says."""

from __future__ import annotations

import json
import re
import string
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orgguard_mcp.access import Role, parse_permission
from orgguard_mcp.errors import LedgerError, OrgGuardError, PolicyError, UsageError
from orgguard_mcp.policy import parse_policy
from orgguard_mcp.storage import pg_session
from orgguard_mcp.storage.pg_reseal import reseal
from orgguard_mcp.storage.pg_tokens import LOG, Token, Tokens
from orgguard_mcp.storage.seal import Keyring
from tests.canary import Canary
from tests.database import Server
from tests.human import COMMAND
from tests.ledgers import DAY, KEY, OTHER_KEY, InDatabase, ask, write_keys
from tests.names import COINED
from tests.severed import Line

MAY = [parse_permission("ask:owner/*"), parse_permission("answer:owner/name")]
TEXT = re.compile(r"ogt_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")  # as the manual gives it to scanners
ALPHABET = string.ascii_letters + string.digits + "-_"


def opened(url: str, *keys: bytes) -> Tokens:
    return Tokens(url, Keyring(keys or [KEY]))


@pytest.fixture
def tokens(url: str) -> Iterator[Tokens]:
    with closing(opened(url)) as here:
        yield here


def make(tokens: Tokens, label: str = "a team", lasts: float = DAY) -> tuple[Token, str]:
    return tokens.add(label, MAY, time.time() + lasts)


# --- finding one ----------------------------------------------------------------------------------


def test_token_is_found_by_its_text_on_every_machine(url: str, tokens: Tokens) -> None:
    token, text = make(tokens)
    assert TEXT.fullmatch(text)
    assert tokens.find(text) == token
    with closing(opened(url)) as other:
        assert other.find(text) == token
    assert tokens.list() == [token]
    assert abs(token.created_at - time.time()) < 60
    assert abs(token.expires_at - token.created_at - DAY) < 60


def test_who_comes_with_a_token_may_what_it_says(tokens: Tokens) -> None:
    token, text = make(tokens)
    found = tokens.find(text)
    assert found
    somebody = found.principal
    assert (somebody.id, somebody.label) == (f"token:{token.id}", "a team")
    assert somebody.expires_at == token.expires_at
    assert somebody.may(Role.ASK, "owner/any")
    assert somebody.may(Role.ANSWER, "owner/name")
    assert not somebody.may(Role.ANSWER, "owner/any")
    assert not somebody.may(Role.ADMINISTER, "owner/name")


def test_token_whose_text_is_altered_is_none(tokens: Tokens) -> None:
    _, text = make(tokens)
    for at, there in enumerate(text):
        others = ALPHABET if at == len(text) - 1 else "0aA-_ é\n"
        for char in set(others) - {there}:
            assert tokens.find(text[:at] + char + text[at + 1 :]) is None
        assert tokens.find(text[:at] + text[at + 1 :]) is None
    for altered in (f"{text}\n", f" {text}", text.upper(), f"{text}A", f"{text}=", "", "\ud800"):
        assert tokens.find(altered) is None
    assert tokens.find(text)


def test_one_token_does_not_open_with_the_secret_of_another(tokens: Tokens) -> None:
    (_, one), (_, other) = make(tokens), make(tokens)
    assert tokens.find(one[:13] + other[13:]) is None


def test_token_ends_by_the_clock_of_the_database(tokens: Tokens) -> None:
    token, text = make(tokens, lasts=-1)
    assert tokens.find(text) is None
    assert tokens.list() == [token]


@pytest.mark.parametrize(
    ("label", "may"), [("", MAY), (" \n", MAY), ("a" * 201, MAY), ("a label", [])]
)
def test_token_needs_a_label_and_a_permission(
    tokens: Tokens, label: str, may: list[object]
) -> None:
    with pytest.raises(UsageError) as caught:
        tokens.add(label, may, time.time() + DAY)  # type: ignore[arg-type]
    assert caught.value.hint
    assert tokens.list() == []


# --- revoking one ---------------------------------------------------------------------------------


def test_revoked_token_is_refused_by_who_knew_it(url: str, tokens: Tokens) -> None:
    (token, text), (_, stays) = make(tokens), make(tokens)
    with closing(opened(url)) as other:
        assert other.find(text)
        revoked = tokens.revoke(token.id)
        assert revoked.revoked_at
        assert other.find(text) is None
        assert other.find(stays)
        assert other.revoke(token.id) == revoked  # it stays as it is
    assert [one.revoked_at for one in tokens.list()] == [revoked.revoked_at, None]


def test_there_must_be_a_token_to_revoke(tokens: Tokens) -> None:
    with pytest.raises(LedgerError) as caught:
        tokens.revoke("feedbeef")
    assert "token list" in caught.value.hint


def test_no_thread_lets_a_token_in_after_its_revocation(tokens: Tokens) -> None:
    token, text = make(tokens)
    started, done, late = threading.Barrier(5, timeout=30), threading.Event(), []

    def look() -> None:
        started.wait()
        over = False
        while not over:
            over = done.is_set()
            found = tokens.find(text)
            late.append(over and found)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    tokens.revoke(token.id)
    done.set()
    for thread in threads:
        thread.join(30)
    assert len(late) >= 4
    assert not any(late)


def test_tokens_are_found_while_others_are_made(url: str, tokens: Tokens) -> None:
    _, text = make(tokens)
    done, found = threading.Event(), []

    def look() -> None:
        while not done.is_set():
            found.append(tokens.find(text))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    with closing(opened(url)) as other:
        made = [make(other)[1] for _ in range(20)]
    done.set()
    for thread in threads:
        thread.join(30)
    assert found
    assert all(found)
    assert all(map(tokens.find, made))


# --- a database's keeper --------------------------------------------------------------------------

ATTACKS = {
    "delete": "DELETE FROM orgguard_entry WHERE kind = 'revocation'",
    "another token": "UPDATE orgguard_entry SET request_id = 'feedbeef' WHERE kind = 'revocation'",
    "another kind": "UPDATE orgguard_entry SET kind = 'ask' WHERE kind = 'revocation'",
    "another log": "UPDATE orgguard_entry SET log = (SELECT id FROM orgguard_log WHERE number = 0)"
    " WHERE kind = 'revocation'",
    "another's digest": "UPDATE orgguard_entry AS e SET sealed = o.sealed FROM orgguard_entry AS o"
    " WHERE e.number = 1 AND o.number = 2",
    "later": "UPDATE orgguard_entry SET expires_at = expires_at + 9e6",
    "head": "UPDATE orgguard_log SET head = '0'",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_token_comes_back_by_a_change_in_the_database(
    server: Server, url: str, tokens: Tokens, attack: str
) -> None:
    with closing(InDatabase(url, "a repository").open()):
        pass  # another log is there
    (token, text), (_, other) = make(tokens), make(tokens)
    tokens.revoke(token.id)
    assert tokens.find(other)
    server.execute(attack, url)
    assert said(lambda: tokens.find(text)) in (None, LedgerError)
    with closing(opened(url)) as late:
        assert said(lambda: late.find(text)) is LedgerError
        assert said(lambda: late.find(other)) is LedgerError
        assert said(late.list) is LedgerError


def said(act: Callable[[], object]) -> object:
    """What *act* comes to: its result, or its error's kind."""
    try:
        return act()
    except OrgGuardError as error:
        return type(error)


def test_deleted_revocation_is_noticed_by_who_read_it(
    server: Server, url: str, tokens: Tokens
) -> None:
    (token, _), (_, other) = make(tokens), make(tokens)
    tokens.revoke(token.id)
    assert tokens.find(other)
    server.execute(ATTACKS["delete"], url)
    assert said(lambda: tokens.find(other)) is LedgerError


def test_log_that_was_cut_is_noticed_by_who_saw_it_longer(
    server: Server, url: str, tokens: Tokens
) -> None:
    token, text = make(tokens)
    ((head,),) = server.execute("SELECT head FROM orgguard_log", url)
    tokens.revoke(token.id)
    server.execute(ATTACKS["delete"], url)
    server.execute(f"UPDATE orgguard_log SET number = 1, head = '{head}'", url)
    assert said(lambda: tokens.find(text)) is LedgerError


def test_dump_shows_neither_secret_nor_label(server: Server, url: str, tokens: Tokens) -> None:
    token, text = make(tokens, label=f"for {COINED}")
    make(tokens, label="another")
    tokens.revoke(token.id)
    dump = server.dump(url)
    assert dump.count(b"\ttoken\t") == 2
    assert Canary(COINED)(dump) == []
    assert text[13:].encode() not in dump
    assert tokens._held.digests[token.id].encode() not in dump
    assert b"owner" not in dump
    assert LOG[1:].encode() not in dump.replace(b"orgguard_", b"")


# --- keys, repositories, lost connections ---------------------------------------------------------


def test_tokens_are_sealed_anew_with_the_rest(url: str, tokens: Tokens) -> None:
    (token, text), (_, stays) = make(tokens), make(tokens)
    tokens.revoke(token.id)
    with pytest.raises(LedgerError):
        opened(url, OTHER_KEY)
    assert reseal(url, Keyring([OTHER_KEY, KEY])) == 3
    with closing(opened(url, OTHER_KEY)) as after:
        assert after.find(text) is None
        assert after.find(stays)
        assert len(after.list()) == 2


def test_no_repository_has_the_log_of_the_tokens(url: str, tokens: Tokens) -> None:
    with pytest.raises(PolicyError):
        parse_policy(f"repository = {json.dumps(LOG)}".encode())
    assert not LOG.startswith("root:")
    with closing(InDatabase(url, LOG.strip()).open()) as ledger:
        ask(ledger)
        make(tokens)
        assert len(ledger.requests()) == len(tokens.list()) == 1
        ledger.verify()


def over(line: Line, url: str) -> str:
    """The database at *url*, over a line that can be cut."""
    return f"{url.partition('host=')[0]}host={line.folder}"


@pytest.mark.parametrize("when", ["before", "after"])
def test_commit_whose_end_is_not_heard_makes_one_token_and_one_revocation(
    server: Server, url: str, when: str
) -> None:
    with Line(server.folder) as line, closing(opened(over(line, url))) as tokens:
        line.cut(when)
        token, text = make(tokens)
        assert tokens.find(text) == token
        line.cut(when)
        assert tokens.revoke(token.id).revoked_at
        assert tokens.find(text) is None
        assert line.cuts == 2
    assert server.execute("SELECT kind FROM orgguard_entry ORDER BY number", url) == [
        ("token",),
        ("revocation",),
    ]


def test_nobody_is_let_in_while_the_store_is_away(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_session, "BUSY_SECONDS", 0.2)
    with Line(server.folder) as line, closing(opened(over(line, url))) as tokens:
        _, text = make(tokens)
        assert tokens.find(text)
        line.end()
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <>"
            " pg_backend_pid() AND datname = current_database()", url,
        )  # fmt: skip
        assert said(lambda: tokens.find(text)) is LedgerError


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`orgguard token`, in a directory that is no repository."""

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "token", *arguments], cwd=tmp_path, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    return command


Run = Callable[..., subprocess.CompletedProcess[str]]
LABEL = "a team\x1b[2J\u202e"
SHOWN = r"a team\x1b[2J\u202e"


def test_token_is_made_listed_and_revoked(run: Run, shared: str) -> None:
    made = run("add", LABEL, "--may", "ask:owner/*", "--may", "answer:owner/name")
    assert made.returncode == 0, made.stderr
    assert TEXT.fullmatch(made.stdout.removesuffix("\n"))
    text, token_id = made.stdout.strip(), made.stdout[4:12]
    assert token_id in made.stderr
    assert "ask:owner/* answer:owner/name" in made.stderr
    assert "shown once" in made.stderr
    assert text[13:] not in made.stderr
    with closing(opened(shared)) as tokens:
        found = tokens.find(text)
    assert found
    assert abs(found.expires_at - found.created_at - 90 * DAY) < 60

    listed = run("list")
    assert listed.stdout.startswith(f"{token_id}  until ")
    assert SHOWN in listed.stdout
    assert "ask:owner/* answer:owner/name" in listed.stdout
    assert text[13:] not in listed.stdout + listed.stderr

    revoked = run("revoke", token_id)
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert SHOWN in revoked.stderr
    assert run("list").stdout.startswith(f"{token_id}  revoked ")
    with closing(opened(shared)) as tokens:
        assert tokens.find(text) is None


@pytest.mark.usefixtures("shared")
def test_tokens_are_listed_for_programs(run: Run) -> None:
    assert json.loads(run("list", "--format", "json").stdout) == []
    assert "token add" in run("list").stderr
    made = run("add", LABEL, "--may", "ask", "--days", "1").stdout.strip()
    listed = run("list", "--format", "json").stdout
    assert listed.isascii()
    (token,) = json.loads(listed)
    assert (token["id"], token["label"]) == (made[4:12], LABEL)
    assert (token["permissions"], token["revoked_at"]) == (["ask:*"], None)
    assert abs(token["expires_at"] - token["created_at"] - DAY) < 60
    assert made[13:] not in listed


@pytest.mark.parametrize(
    "arguments",
    [
        ("a label",), ("--may", "ask"), ("a label", "--may", "read"),
        ("a label", "--may", "ask", "--days", "0"), ("a label", "--may", "ask", "--days", "367"),
        ("", "--may", "ask"), ("a label", "--may", "ask:[a]"),
    ],
)  # fmt: skip
def test_what_makes_no_token(run: Run, shared: str, arguments: tuple[str, ...]) -> None:
    made = run("add", *arguments)
    assert (made.returncode, made.stdout) == (2, "")
    with closing(opened(shared)) as tokens:
        assert tokens.list() == []


def test_agent_makes_no_token(run: Run, shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    made = run("add", "a label", "--may", "answer")
    assert (made.returncode, made.stdout) == (2, "")
    assert "belongs to an agent" in made.stderr
    with closing(opened(shared)) as tokens:
        assert tokens.list() == []


@pytest.mark.parametrize(
    "arguments", [("add", "a label", "--may", "ask"), ("list",), ("revoke", "feedbeef")]
)
def test_without_a_shared_store_the_next_step_is_said(run: Run, arguments: tuple[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert "kept in the shared store" in done.stderr
    assert "ORGGUARD_STORE" in done.stderr


@pytest.mark.usefixtures("shared")
def test_without_the_store_s_key_nothing_is_listed(run: Run, key_file: Path) -> None:
    assert run("add", "a label", "--may", "ask").returncode == 0
    write_keys(key_file, OTHER_KEY)
    listed = run("list")
    assert (listed.returncode, listed.stdout) == (3, "")
    assert "key that this machine does not have" in listed.stderr

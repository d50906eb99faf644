"""Mirrors with real remotes: what is followed, what is never believed, and what is left when a
process dies in the midst of it.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import re
import select
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from orgguard_mcp.approvers import PATH as APPROVERS
from orgguard_mcp.errors import OrgGuardError, RepositoryError, UsageError
from orgguard_mcp.git import Git
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Answer, Ask, Asker, Basis, Trust
from orgguard_mcp.names import parse
from orgguard_mcp.protected import ENVIRONMENT_KEY, Key, sealed
from orgguard_mcp.protected import PATH as PROTECTED
from orgguard_mcp.upstream import Upstream
from tests.approver import PERSON, Approver, files_of
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
SPAWN = multiprocessing.get_context("spawn")
NAME = "team/project"


@pytest.fixture
def origin(make_repo: MakeRepo) -> Repo:
    return make_repo({"src/a.py": f"client = {COINED}Client()\n"})


@pytest.fixture
def mirrors(tmp_path: Path) -> Mirrors:
    return Mirrors(tmp_path / "mirrors")


@pytest.fixture
def mirror(mirrors: Mirrors, origin: Repo) -> Path:
    """The mirror `NAME` of *origin*."""
    return mirrors.add(NAME, url_of(origin))


def url_of(repo: Repo) -> str:
    return f"file://{repo.path}"


def base_of(mirror: Path) -> str:
    with Guard(mirror) as guard:
        return guard.base.commit


def branches(mirror: Path) -> dict[str, str]:
    listed = Git(mirror).run("for-each-ref", "--format=%(refname) %(objectname)").decode()
    return dict(row.split(" ") for row in listed.split("\n") if row)


def left_apart(mirrors: Mirrors) -> list[Path]:
    return list(mirrors.directory.glob(".apart-*"))


# --- what a mirror is -----------------------------------------------------------------------------


def test_mirror_has_the_remotes_branches_and_its_default_as_base(
    mirrors: Mirrors, origin: Repo
) -> None:
    origin.git("tag", "v1")
    origin.git("branch", "side")
    tip = origin.git("rev-parse", "HEAD")
    path = mirrors.add(NAME, url_of(origin))
    assert path == mirrors.directory / "team" / "project.git" == mirrors.path(NAME)
    assert mirrors.names() == [NAME]
    folder = "refs/remotes/origin/"
    assert branches(path) == {f"{folder}{name}": tip for name in ("HEAD", "main", "side")}
    with Guard(path) as guard:
        assert guard.base.commit == guard.base.tip == tip
        assert guard.base.reason == "upstream default branch origin/main"
        assert guard.check(COINED).basis is Basis.ESTABLISHED
        assert guard.check(COINED_TOO).basis is Basis.UNKNOWN
        assert guard.repository.is_bare()


def test_mirror_is_for_its_owner_alone(mirrors: Mirrors, origin: Repo) -> None:
    before = os.umask(0)
    try:
        path = mirrors.add(NAME, url_of(origin))
    finally:
        os.umask(before)
    for folder in (path, path / "orgguard", path.parent, mirrors.directory):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_rules_are_read_at_the_default_branchs_tip(
    mirrors: Mirrors, origin: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mirrors.add(NAME, url_of(origin))
    person, key = Approver(tmp_path / "keys"), "0123456789abcdef" * 4
    monkeypatch.setenv(ENVIRONMENT_KEY, key)
    with Guard(path) as guard:
        assert (guard.policy.lapse_hours, bool(guard.approvers)) != (7, True)
        assert guard.check(COINED).basis is Basis.ESTABLISHED
        origin.commit({
            ".orgguard/policy.toml": "lapse_hours = 7\n",
            APPROVERS: f"{person.line}\n",
            PROTECTED: sealed([parse(COINED)], Key(key)),
        })  # fmt: skip
        assert mirrors.fetch(NAME)
        guard.refresh()
        assert guard.policy.lapse_hours == 7
        assert [line.people for line in guard.approvers.lines] == [(PERSON,)]
        assert guard.check(COINED).basis is Basis.PROTECTED


def test_question_is_asked_and_answered_in_a_mirror(mirror: Path) -> None:
    ask = Ask("src/b.py", f"{COINED_TOO}\n", "a reason", Asker("agent"), time.time())
    with Guard(mirror) as guard:
        assert guard.request(COINED_TOO, [ask]).basis is Basis.PENDING
        (request,) = guard.ledger.pending()
        assert (request.asks[0].worktree, request.asks[0].branch) == ("", "")
        guard.decide(request, Answer.GRANT, channel="terminal")
        assert guard.check(COINED_TOO).basis is Basis.CONSENTED
    assert (mirror / "orgguard" / "ledger.sqlite3").is_file()


def test_signed_grant_counts_once_its_base_has_it_and_is_laid_into_no_tree(
    mirrors: Mirrors, origin: Repo, tmp_path: Path
) -> None:
    person = Approver(tmp_path / "keys")
    origin.commit({APPROVERS: f"{person.line}\n"})
    path = mirrors.add(NAME, url_of(origin))
    grant = person.grant(origin, COINED_TOO)
    ask = Ask("src/b.py", f"{COINED_TOO}\n", "a reason", Asker("agent"), time.time())
    with Guard(path) as guard:
        assert guard.request(COINED_TOO, [ask]).basis is Basis.PENDING
        before = sorted(path.rglob("*"))
        assert guard.notary.deliver(grant, guard.ledger.pending()[0]) == []
        assert sorted(path.rglob("*")) == before
    origin.commit(files_of(grant))
    mirrors.fetch(NAME)
    with Guard(path) as guard:
        verdict = guard.check(COINED_TOO)
        assert (verdict.basis, verdict.trust) == (Basis.CONSENTED, Trust.SIGNED)


# --- names and links ------------------------------------------------------------------------------

HOSTILE = [
    "", ".", "..", "/", "../x", "a/../../x", "a/..", ".git", "a/.git", "x.git", "a.git/b", "x.GIT",
    "x.lock", "a//b", "/a", "a/", "-x", ".x", "_x", "a..b", "a/b/c/d/e", "a\\b", "a b", "a\n",
    "a\0b", "Wélbrück", "\u017fa", "\u212aa", "a" * 101, "~", "a:b", "a*", "%2e%2e",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_is_refused_and_touches_nothing(
    mirrors: Mirrors, origin: Repo, name: str, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    for refused in (
        lambda: mirrors.add(name, url_of(origin)),
        lambda: mirrors.path(name),
        lambda: mirrors.fetch(name),
        lambda: mirrors.remove(name),
    ):
        with pytest.raises(UsageError, match="no name of a mirror"):
            refused()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["a", "A-1/b_2", "a/b/c/d.e", "a.gitx", "9", "a" * 100])
def test_sound_name_is_taken(mirrors: Mirrors, origin: Repo, name: str) -> None:
    mirrors.add(name, url_of(origin))
    assert mirrors.names() == [name]


def test_unknown_name_is_an_error(mirrors: Mirrors, mirror: Path) -> None:
    assert mirror.is_dir()
    for unknown in ("team/other", "team", "project"):
        with pytest.raises(RepositoryError, match="there is no mirror of that name"):
            mirrors.path(unknown)


def test_name_is_taken_once(mirrors: Mirrors, mirror: Path, make_repo: MakeRepo) -> None:
    base = base_of(mirror)
    other = make_repo({"b.py": "2\n"})
    with pytest.raises(RepositoryError, match="there is one of that name"):
        mirrors.add(NAME, url_of(other))
    assert base_of(mirror) == base
    assert left_apart(mirrors) == []


def test_link_is_no_mirror_and_no_way_to_one(
    mirrors: Mirrors, mirror: Path, origin: Repo, tmp_path: Path
) -> None:
    outside = Mirrors(tmp_path / "outside")
    outside.add("x/y", url_of(origin))
    (mirrors.directory / "x").symlink_to(tmp_path / "outside" / "x")
    (mirror.parent / "linked.git").symlink_to(mirror)
    (mirror.parent / "file.git").write_text("no folder\n")
    assert mirrors.names() == [NAME]
    for name in ("x/y", "team/linked", "team/file"):
        for refused in (mirrors.path, mirrors.fetch, mirrors.remove):
            with pytest.raises(RepositoryError):
                refused(name)
        with pytest.raises(RepositoryError):
            mirrors.add(name, url_of(origin))
    with pytest.raises(RepositoryError, match="should be a folder"):
        mirrors.add("x/new", url_of(origin))
    assert outside.names() == ["x/y"]


def test_linked_state_is_not_followed(mirrors: Mirrors, mirror: Path, tmp_path: Path) -> None:
    (mirror / "orgguard").rename(tmp_path / "elsewhere")
    (mirror / "orgguard").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RepositoryError, match="cannot be used"):
        mirrors.fetch(NAME)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.com/a/b", "https://hunter2@example.com/a",
        "ssh://git:hunter2@example.com/a", "http://example.com/hunter2", "ext::sh -c hunter2",
        "--upload-pack=hunter2", "/srv/hunter2", "file:///a\nhunter2", "host::hunter2", "",
    ],
)  # fmt: skip
def test_url_that_is_unsafe_is_refused_and_not_repeated(mirrors: Mirrors, url: str) -> None:
    with pytest.raises(UsageError) as refused:
        mirrors.add(NAME, url)
    assert "hunter2" not in "\n".join(refused.value.lines())
    assert not mirrors.directory.exists()


# --- following the remote -------------------------------------------------------------------------


def test_fetch_says_whether_anything_moved(mirrors: Mirrors, mirror: Path, origin: Repo) -> None:
    os.utime(mirror / "orgguard" / "fetch.lock", (0, 0))
    assert mirrors.fetch(NAME) is False
    assert mirrors.fetched_at(NAME) > 0
    tip = origin.commit({"b.py": f"{COINED_TOO}\n"})
    with Guard(mirror) as guard:
        assert guard.check(COINED_TOO).basis is Basis.UNKNOWN
        assert mirrors.fetch(NAME) is True
        guard.refresh()
        assert guard.base.commit == tip
        assert guard.check(COINED_TOO).basis is Basis.ESTABLISHED
    assert mirrors.fetch(NAME) is False


def test_force_pushed_default_branch_is_followed(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    origin.git("checkout", "-q", "--orphan", "anew")
    origin.git("rm", "-q", "-rf", ".")
    tip = origin.commit({"b.py": f"{THIRD}\n"})
    origin.git("branch", "-q", "-M", "anew", "main")
    assert mirrors.fetch(NAME) is True
    with Guard(mirror) as guard:
        assert guard.base.commit == tip
        assert guard.check(COINED).basis is Basis.UNKNOWN
        assert guard.check(THIRD).basis is Basis.ESTABLISHED


@pytest.mark.parametrize("renamed", ["trunk", "main/v2", "release/2026"])
def test_default_branch_that_was_renamed_is_followed(
    mirrors: Mirrors, mirror: Path, origin: Repo, renamed: str
) -> None:
    origin.git("branch", "master")  # what would be the base without a default branch
    origin.commit({"b.py": "2\n"})
    origin.git("branch", "-q", "-m", "main", "between")
    origin.git("branch", "-q", "-m", "between", renamed)
    tip = origin.commit({"c.py": "3\n"})
    assert mirrors.fetch(NAME) is True
    folder = "refs/remotes/origin/"
    assert branches(mirror).keys() == {f"{folder}{name}" for name in ("HEAD", "master", renamed)}
    with Guard(mirror) as guard:
        assert (guard.base.commit, guard.base.ref) == (tip, f"origin/{renamed}")


def test_default_branch_that_changed_without_any_commit_is_a_move(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    origin.git("checkout", "-q", "-b", "next")
    origin.commit({"b.py": "2\n"})
    origin.git("checkout", "-q", "main")
    assert mirrors.fetch(NAME) is True
    origin.git("symbolic-ref", "HEAD", "refs/heads/next")
    assert mirrors.fetch(NAME) is True
    assert base_of(mirror) == origin.git("rev-parse", "next")


@pytest.mark.parametrize(
    ("was", "became"),
    [
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/b/c", "a/b"),
        ("a\u2028b", "a\x85b"),
        ('"a', "+a"),
        ("-a", "@a"),
    ],
)
def test_branch_that_takes_a_deleted_ones_place_is_followed(
    mirrors: Mirrors, origin: Repo, was: str, became: str
) -> None:
    origin.git("update-ref", f"refs/heads/{was}", "HEAD")
    path = mirrors.add(NAME, url_of(origin))
    origin.git("update-ref", "-d", f"refs/heads/{was}")
    origin.git("update-ref", f"refs/heads/{became}", "HEAD")
    assert mirrors.fetch(NAME) is True
    assert f"refs/remotes/origin/{became}" in branches(path)
    assert f"refs/remotes/origin/{was}" not in branches(path)


def test_branch_called_head_does_not_become_the_base(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    base = base_of(mirror)
    origin.git("checkout", "-q", "--detach")
    planted = origin.commit({"b.py": f"{COINED_TOO}\n"})
    origin.git("checkout", "-q", "main")
    origin.git("update-ref", "refs/heads/HEAD", planted)
    origin.git("branch", "seen", planted)
    assert mirrors.fetch(NAME) is True
    assert mirrors.fetch(NAME) is False
    assert branches(mirror)["refs/remotes/origin/seen"] == planted
    assert base_of(mirror) == base


def test_remote_without_a_default_branch_is_an_error_and_keeps_the_base(
    mirrors: Mirrors, mirror: Path, origin: Repo, make_repo: MakeRepo
) -> None:
    base = base_of(mirror)
    with pytest.raises(RepositoryError, match="no default branch"):
        mirrors.add("team/empty", url_of(make_repo()))
    origin.git("branch", "side")
    origin.git("symbolic-ref", "HEAD", "refs/heads/none")
    with pytest.raises(RepositoryError, match="no default branch"):
        mirrors.fetch(NAME)
    assert base_of(mirror) == base
    assert mirrors.names() == [NAME]
    assert left_apart(mirrors) == []


def test_remote_that_is_gone_leaves_the_old_base(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    before, then = branches(mirror), mirrors.fetched_at(NAME)
    origin.path.rename(origin.path.with_name("moved"))
    with pytest.raises(RepositoryError, match="was not fetched") as failed:
        mirrors.fetch(NAME)
    assert "no such repository" in failed.value.cause
    assert (branches(mirror), mirrors.fetched_at(NAME)) == (before, then)


def damaged_blob(repo: Repo) -> str:
    """Commit a tree that fsck does not let through."""
    oid = repo.git("rev-parse", "HEAD:src/a.py")
    entry = b"100644 .git\0" + bytes.fromhex(oid)
    args = "hash-object", "-t", "tree", "-w", "--literally", "--stdin"
    made = subprocess.run(
        ["git", *args], cwd=repo.path, input=entry, capture_output=True, check=True, timeout=60
    )
    commit = repo.git("commit-tree", "-m", "Evil", "-p", "HEAD", made.stdout.decode().strip())
    repo.git("update-ref", "refs/heads/main", commit)
    return commit


def test_unsound_object_is_refused_by_its_kind(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    before = branches(mirror)
    damaged_blob(origin)
    with pytest.raises(RepositoryError) as refused:
        mirrors.fetch(NAME)
    assert "not sound: hasDotgit" in refused.value.cause
    assert "fetch.fsck.hasDotgit" in refused.value.hint
    assert branches(mirror) == before
    with pytest.raises(RepositoryError, match="not fetched"):
        mirrors.fetch(NAME)
    assert len(list((mirror / "objects" / "pack").glob("tmp_*"))) < 2  # no heap of halves
    with pytest.raises(RepositoryError, match="not fetched"):
        mirrors.add("team/second", url_of(origin))
    assert mirrors.names() == [NAME]
    assert left_apart(mirrors) == []


def test_branch_names_reach_no_error(mirrors: Mirrors, mirror: Path, origin: Repo) -> None:
    origin.git("branch", f"for-{COINED_TOO}")
    lock = mirror / "refs" / "remotes" / "origin" / f"for-{COINED_TOO}.lock"
    lock.write_text("")
    with pytest.raises(RepositoryError) as failed:
        mirrors.fetch(NAME)
    assert COINED_TOO not in "\n".join(failed.value.lines())
    assert "another git is at work" in failed.value.cause
    os.utime(lock, (0, 0))  # left behind long ago
    assert mirrors.fetch(NAME) is True


# --- over the network -----------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def daemon(origin: Repo) -> Iterator[str]:
    """A `git daemon` that serves *origin*; its URL."""
    port = free_port()
    args = ["git", "daemon", "--export-all", f"--port={port}", "--listen=127.0.0.1", "--verbose"]
    args += ["--reuseaddr", "--log-destination=stderr", f"--base-path={origin.path.parent}"]
    with subprocess.Popen(args, stderr=subprocess.PIPE, start_new_session=True) as started:
        assert started.stderr
        assert b"Ready to rumble" in started.stderr.readline()
        drain = threading.Thread(target=started.stderr.read, daemon=True)
        drain.start()
        yield f"git://127.0.0.1:{port}/{origin.path.name}"
        os.killpg(started.pid, signal.SIGTERM)
        drain.join()


def test_mirror_over_the_network(mirrors: Mirrors, origin: Repo, daemon: str) -> None:
    path = mirrors.add(NAME, daemon)
    tip = origin.commit({"b.py": "2\n"})
    assert mirrors.fetch(NAME) is True
    assert base_of(path) == tip
    with pytest.raises(RepositoryError) as failed:
        mirrors.add("team/none", f"{daemon}-none")
    assert "no such repository" in failed.value.cause


class Guarded(BaseHTTPRequestHandler):
    """`git http-backend` behind a password."""

    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization", ""))
        if self.asked[-1] != f"Basic {b64encode(b'me:hunter2').decode()}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = {
            "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "me",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }  # fmt: skip
        answer = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, check=True, timeout=60,
            env={**os.environ, **given},
        ).stdout  # fmt: skip
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = dict(row.split(": ", 1) for row in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for field, value in {**fields, "Content-Length": str(len(content))}.items():
            self.send_header(field, value)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def https(origin: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """*origin* over HTTPS, for `me` with the password `hunter2`; its URL."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", cert, "-keyout", key],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    handler = type("Handler", (Guarded,), {"root": origin.path.parent, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(cert))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}/{origin.path.name}/.git"
    server.shutdown()
    server.server_close()
    thread.join()


def test_credentials_come_from_the_users_helper_alone(
    mirrors: Mirrors, origin: Repo, https: str
) -> None:
    with pytest.raises(RepositoryError) as failed:
        mirrors.add(NAME, https)
    assert failed.value.cause == "the remote does not let this user in"
    settings = Path(os.environ["GIT_CONFIG_GLOBAL"])
    helper = "!f() { echo username=me; echo password=hunter2; }; f"
    settings.write_text(f'[credential]\n\thelper = "{helper}"\n')
    path = mirrors.add(NAME, https)
    tip = origin.commit({"b.py": "2\n"})
    assert mirrors.fetch(NAME) is True
    assert base_of(path) == tip
    kept = [file.read_bytes() for file in path.rglob("*") if file.is_file()]
    assert not any(b"hunter2" in content for content in kept)


def test_remote_that_is_down_is_an_error(mirrors: Mirrors) -> None:
    with pytest.raises(RepositoryError) as failed:
        mirrors.add(NAME, f"git://127.0.0.1:{free_port()}/x")
    assert "cannot be reached" in failed.value.cause
    assert (mirrors.names(), left_apart(mirrors)) == ([], [])


def test_remote_that_never_answers_is_given_up_and_nothing_of_git_stays(
    tmp_path: Path, mirror: Path
) -> None:
    helper = tmp_path / "ssh"
    helper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    helper.chmod(0o755)
    Git(mirror).run("config", "remote.origin.url", "git@example.com:a/b")
    Git(mirror).run("config", "core.sshCommand", str(helper))
    with pytest.raises(RepositoryError, match="took too long"):
        Upstream(mirror).follow(1)
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(int((tmp_path / "pid").read_text()))
        assert select.select([ended], [], [], 10)[0]
        os.close(ended)


def test_ssh_is_the_users_own_and_asks_nothing(
    tmp_path: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tmp_path / "shown"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(
        f'#!/bin/sh\necho "$@" >> {shown}\ncut -d " " -f 6 /proc/$$/stat >> {shown}\n'
        "echo Permission denied >&2\nexit 255\n"
    )
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(RepositoryError) as failed:
        mirrors.add(NAME, "git@example.com:a/b.git")
    assert failed.value.cause == "the remote does not let this user in"
    asked, session = shown.read_text().splitlines()
    assert "BatchMode=yes" in asked
    assert int(session) != os.getsid(0)  # it has no terminal to ask at
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F mine")
    with pytest.raises(RepositoryError):
        mirrors.add(NAME, "git@example.com:a/b.git")
    assert "-F mine" in shown.read_text()


@pytest.mark.parametrize("url", ["ext::sh -c true", "http://127.0.0.1:1/x"])
def test_protocol_that_settings_lead_to_is_refused(
    mirrors: Mirrors, mirror: Path, url: str
) -> None:
    Git(mirror).run("config", "remote.origin.url", url)
    Git(mirror).run("config", "protocol.allow", "always")
    with pytest.raises(RepositoryError) as failed:
        mirrors.fetch(NAME)
    assert "protocol is none of" in failed.value.cause


def test_hooks_of_a_mirror_are_not_run(mirrors: Mirrors, mirror: Path, origin: Repo) -> None:
    hooks = mirror / "hooks"
    hooks.mkdir()
    for hook in ("reference-transaction", "pre-auto-gc", "post-update"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {mirror}/ran\n")
        (hooks / hook).chmod(0o755)
    origin.commit({"b.py": "2\n"})
    assert mirrors.fetch(NAME) is True
    assert not (mirror / "ran").exists()


# --- several processes, and death -----------------------------------------------------------------


def test_fetch_beside_another_does_nothing_at_once(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    before = branches(mirror)
    origin.commit({"b.py": "2\n"})
    with (mirror / "orgguard" / "fetch.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert mirrors.fetch(NAME) is False
        assert branches(mirror) == before
        with pytest.raises(RepositoryError, match="being fetched"):
            mirrors.remove(NAME)
    assert mirrors.fetch(NAME) is True


def _fetch(directory: Path, at_once: object, results: object) -> None:
    at_once.wait()  # type: ignore[attr-defined]  # a barrier
    try:
        said: object = Mirrors(directory).fetch(NAME)
    except OrgGuardError as error:
        said = error.lines()
    results.put(said)  # type: ignore[attr-defined]


def test_processes_that_fetch_at_once_do_it_once(
    mirrors: Mirrors, mirror: Path, origin: Repo
) -> None:
    tip = origin.commit({f"f{n}.py": f"{n}\n" for n in range(300)})
    at_once, results = SPAWN.Barrier(4), SPAWN.Queue()
    fetching = [
        SPAWN.Process(target=_fetch, args=(mirrors.directory, at_once, results)) for _ in range(4)
    ]
    for process in fetching:
        process.start()
    said = [results.get(timeout=60) for _ in fetching]
    for process in fetching:
        process.join()
    assert sorted(said) == [False, False, False, True]
    assert base_of(mirror) == tip


def _add(directory: Path, name: str, url: str, results: object) -> None:
    try:
        said = [str(Mirrors(directory).add(name, url))]
    except OrgGuardError as error:
        said = error.lines()
    results.put(said)  # type: ignore[attr-defined]


class Adding(NamedTuple):
    """An `add` of `NAME` that hangs in the midst of its fetch."""

    die: Callable[[], None]
    go_on: Callable[[], list[str]]


@pytest.fixture
def adding(
    mirrors: Mirrors, origin: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Adding]:
    """Its remote is reached by an `ssh` that waits, when objects are asked for, to be let go on."""
    reached, leave, ssh = tmp_path / "reached", tmp_path / "leave", tmp_path / "bin" / "ssh"
    os.mkfifo(reached)
    os.mkfifo(leave)
    ssh.parent.mkdir()
    ssh.write_text(
        f"#!/bin/sh\nif test -e {tmp_path}/listed; then echo $$ > {reached}; read _ < {leave}; fi\n"
        f"touch {tmp_path}/listed\nexec git-upload-pack {origin.path}\n"
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    results = SPAWN.Queue()
    process = SPAWN.Process(target=_add, args=(mirrors.directory, NAME, "example.com:a/b", results))
    process.start()
    pid = int(reached.read_text())

    def die() -> None:
        process.kill()
        process.join()
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), signal.SIGKILL)  # git outlives it

    def go_on() -> list[str]:
        leave.write_text("\n")
        said: list[str] = results.get(timeout=60)
        return said

    yield Adding(die, go_on)
    die()


def test_of_two_that_add_one_name_the_first_wins(
    mirrors: Mirrors, make_repo: MakeRepo, adding: Adding
) -> None:
    other = make_repo({"b.py": "2\n"})
    path = mirrors.add(NAME, url_of(other))
    assert "there is one of that name" in adding.go_on()[0]
    assert base_of(path) == other.git("rev-parse", "HEAD")
    assert left_apart(mirrors) == []


def test_killed_add_leaves_no_mirror_and_the_next_clears_up(
    mirrors: Mirrors, origin: Repo, adding: Adding
) -> None:
    (draft,) = left_apart(mirrors)
    assert mirrors.names() == []
    beside = mirrors.add("team/beside", url_of(origin))
    assert draft.is_dir()  # it is still being worked in
    adding.die()
    assert left_apart(mirrors) == [draft]
    assert mirrors.names() == ["team/beside"]
    with pytest.raises(RepositoryError, match="there is no mirror"):
        mirrors.path(NAME)
    mirrors.add(NAME, url_of(origin))
    assert left_apart(mirrors) == []
    assert mirrors.names() == ["team/beside", NAME]
    assert base_of(beside) == base_of(mirrors.path(NAME))


def test_half_a_pack_is_cleared_by_the_next_fetch(mirrors: Mirrors, mirror: Path) -> None:
    half = mirror / "objects" / "pack" / "tmp_pack_AbCdEf"
    half.write_bytes(bytes(1000))
    mirrors.fetch(NAME)
    assert not half.exists()


def _build(directory: Path, at_once: object, results: object) -> None:
    counts: list[tuple[int, int]] = []
    with Guard(directory) as guard:
        at_once.wait()  # type: ignore[attr-defined]  # a barrier
        guard.prepare(lambda done, total: counts.append((done, total)))
        results.put((counts[-1:], guard.check(COINED).basis.value))  # type: ignore[attr-defined]


def test_guards_of_one_mirror_share_one_index(mirrors: Mirrors, origin: Repo) -> None:
    origin.commit({f"f{n}.py": f"{COINED}\n{n}\n" for n in range(100)})
    path = mirrors.add(NAME, url_of(origin))
    at_once, results = SPAWN.Barrier(3), SPAWN.Queue()
    builders = [SPAWN.Process(target=_build, args=(path, at_once, results)) for _ in range(3)]
    for builder in builders:
        builder.start()
    found = [results.get(timeout=60) for _ in builders]
    for builder in builders:
        builder.join()
    assert [counts for counts, _ in found if counts] == [[(101, 101)]]
    assert {basis for _, basis in found} == {"established"}


def test_resident_reader_survives_a_repack(mirrors: Mirrors, mirror: Path, origin: Repo) -> None:
    Git(mirror).run("config", "fetch.unpackLimit", "1")  # a pack for each fetch
    with Guard(mirror) as guard:
        guard.prepare()
        assert guard.repository.read(guard.base.commit, "src/a.py")
        for number in range(25):  # more than are kept
            origin.commit({"b.py": f"{number}\n"})
            mirrors.fetch(NAME)
        packs = list((mirror / "objects" / "pack").glob("*.pack"))
        assert 0 < len(packs) < 20
        assert guard.repository.read(guard.base.commit, "src/a.py")
        assert guard.check(COINED).basis is Basis.ESTABLISHED
        guard.refresh()
        assert guard.base.commit == origin.git("rev-parse", "HEAD")
        assert guard.repository.read(guard.base.commit, "b.py") == b"24\n"


# --- the commands ---------------------------------------------------------------------------------


def orgguard(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "mirror", *arguments], capture_output=True,
        check=False, timeout=60, text=True, env={**os.environ, "ORGGUARD_MIRRORS": str(directory)},
    )  # fmt: skip


def test_commands_add_list_fetch_and_remove(mirrors: Mirrors, origin: Repo) -> None:
    directory = mirrors.directory
    began = time.time()
    assert orgguard("add", NAME, url_of(origin), directory=directory).returncode == 0
    with Guard(mirrors.path(NAME)) as guard:
        assert guard.look()  # the index is there: the server does not wait
    tip = origin.commit({"b.py": "2\n"})
    fetched = orgguard("fetch", directory=directory)
    assert (fetched.returncode, fetched.stdout) == (0, f"{NAME}  moved\n")
    assert orgguard("fetch", NAME, directory=directory).stdout == f"{NAME}  nothing new\n"
    with Guard(mirrors.path(NAME)) as guard:
        assert guard.look()
    (row,) = json.loads(orgguard("list", "--format", "json", directory=directory).stdout)
    assert (row["name"], row["base"]) == (NAME, tip)
    assert began - 1 < row["fetched_at"] < time.time() + 1
    assert row["size"] > 10_000
    shown = orgguard("list", directory=directory).stdout
    assert re.fullmatch(rf"{NAME}  {tip[:12]}  \d+ s ago  \d+\.\d MB\n", shown)
    assert orgguard("remove", NAME, directory=directory).returncode == 0
    assert (mirrors.names(), left_apart(mirrors)) == ([], [])
    assert "no mirror" in orgguard("list", directory=directory).stderr


def test_fetch_goes_on_after_one_that_fails(
    mirrors: Mirrors, mirror: Path, origin: Repo, make_repo: MakeRepo
) -> None:
    gone = make_repo({"b.py": "2\n"})
    mirrors.add("a/gone", url_of(gone))
    gone.path.rename(gone.path.with_name("moved"))
    tip = origin.commit({"b.py": "2\n"})
    done = orgguard("fetch", directory=mirrors.directory)
    assert (done.returncode, done.stdout) == (3, f"{NAME}  moved\n")
    assert "a/gone: error: the mirror was not fetched" in done.stderr
    assert base_of(mirror) == tip
    listed = orgguard("list", directory=mirrors.directory).stdout
    assert listed.startswith("a/gone  ")


def test_command_refuses_a_password_and_says_where_it_belongs(mirrors: Mirrors) -> None:
    done = orgguard("add", NAME, "https://me:hunter2@example.com/a", directory=mirrors.directory)
    assert done.returncode == 2
    assert "credential helper" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_command_without_a_directory_says_what_it_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "mirror", "list"], capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "ORGGUARD_MIRRORS" in done.stderr

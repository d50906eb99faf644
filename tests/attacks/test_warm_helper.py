"""Attacks on the warm helper: a socket that is not it, and who may not ask it.

Whoever can bind the socket with the same rights could as well edit the hook's settings. What must
hold: no other user, no process with other rights, and nothing that merely goes wrong, says allow.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from orgguard_mcp import warm
from tests import warmth
from tests.hooks.hooked import guarded
from tests.names import COINED
from tests.simulator import Repo

if sys.platform != "linux":
    pytest.skip("there is no helper", allow_module_level=True)

NOBODY = 65534
NO_NEW_PRIVS = "import ctypes; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return guarded(tmp_path / "repo")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with warmth.runtime(monkeypatch) as made:
        (made / "orgguard").mkdir(mode=0o700)
        yield made


_FORGER = """
import ast, ctypes, os, socket, sys
place, before, *words = sys.argv[1:]
listening = socket.socket(socket.AF_UNIX)
listening.bind(place)
exec(before)
listening.listen()
print("ready", flush=True)
kept = []
while True:
    peer, _ = listening.accept()
    for word in words:
        if word == "wait":
            kept.append(peer)
            break
        size = int.from_bytes(peer.recv(8, socket.MSG_WAITALL))
        peer.recv(size, socket.MSG_WAITALL)
        peer.sendall(ast.literal_eval(word))
    else:
        peer.close()
    del peer
"""


@contextmanager
def _forger(*words: bytes, hangs: bool = False, before: str = "") -> Iterator[None]:
    """A process at the helper's socket that says each of *words* after what it is told, and then
    hangs up or, with *hangs*, does not; *before* is what sets it apart.
    """
    said = [*map(repr, words), *(["wait"] if hangs else [])]
    command = [sys.executable, "-c", _FORGER, warm.address(), before, *said]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


ALLOW = (warm.READY, b"\0")


@pytest.mark.usefixtures("runtime")
def test_a_socket_that_accepts_and_never_answers_is_passed_by(repo: Repo) -> None:
    with _forger(hangs=True):
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")
        assert warmth.run(repo.path, "hook", "claude", stdin=b"{").code == 2


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("word", [b"", b"-", b"\0", b"\0" * 100])
def test_a_socket_that_does_not_take_the_command_is_passed_by(repo: Repo, word: bytes) -> None:
    with _forger(word):
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("word", [b"", b"\4", b"\xff", b"0", b"+"])
def test_a_socket_that_takes_it_and_answers_garbage_lets_nothing_through(
    repo: Repo, word: bytes
) -> None:
    with _forger(warm.READY, word):
        assert warmth.run(repo.path, "check", COINED).code == 3
        stopped = warmth.run(repo.path, "hook", "claude", stdin=b"{}")
    assert stopped.code == 2
    assert "names were not checked" in stopped.err


@pytest.mark.usefixtures("runtime")
def test_a_socket_that_takes_it_and_never_answers_stops_the_hook(repo: Repo) -> None:
    with _forger(warm.READY, b"", hangs=True):
        before = "warm.HOOK_SECONDS = -1"
        stopped = warmth.run(repo.path, "hook", "claude", stdin=b"{}", before=before)
    assert stopped.code == 2
    assert "no answer in time" in stopped.err


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777])
def test_a_directory_that_is_open_to_others_holds_no_helper(
    repo: Repo, runtime: Path, mode: int
) -> None:
    with _forger(*ALLOW):
        (runtime / "orgguard").chmod(mode)
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")
        assert subprocess.run(warmth.HELPER, timeout=20, capture_output=True).returncode == 1
        (runtime / "orgguard").chmod(0o700)
        assert warmth.run(repo.path, "check", COINED).code == 0  # it would have been believed


def test_a_link_in_the_place_of_the_directory_holds_no_helper(repo: Repo, runtime: Path) -> None:
    with _forger(*ALLOW):
        (runtime / "orgguard").rename(runtime / "elsewhere")
        (runtime / "orgguard").symlink_to("elsewhere")
        with pytest.raises(PermissionError):
            warm.address()
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")


@as_root
def test_another_users_directory_holds_no_helper(repo: Repo, runtime: Path) -> None:
    with _forger(*ALLOW):
        os.chown(runtime / "orgguard", NOBODY, NOBODY)
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")
        os.chown(runtime / "orgguard", 0, 0)
        assert warmth.run(repo.path, "check", COINED).code == 0


OTHERS = {
    "another user": f"os.seteuid({NOBODY})",
    "another group": f"os.setegid({NOBODY})",
    "no new rights": NO_NEW_PRIVS,
    "another network": "ctypes.CDLL(None).unshare(0x40000000)",
}


@as_root
@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("before", OTHERS.values(), ids=OTHERS)
def test_a_process_of_other_rights_is_not_believed(repo: Repo, before: str) -> None:
    with _forger(*ALLOW, before=before):
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")


@pytest.mark.usefixtures("runtime")
def test_a_process_of_the_same_rights_is_believed(repo: Repo) -> None:
    """What the threat model says: it could as well edit the hook's settings."""
    with _forger(*ALLOW):
        assert warmth.run(repo.path, "check", COINED).code == 0


def test_a_sandboxed_command_does_not_get_out_through_the_helper(repo: Repo, runtime: Path) -> None:
    with warmth.started(runtime):
        assert warmth.run(repo.path, "check", COINED).where == "warm"
        for before in (NO_NEW_PRIVS, f"{NO_NEW_PRIVS}; warm.alike = lambda peer: True"):
            assert warmth.run(repo.path, "check", COINED, before=before)[0::3] == (1, "cold")


def test_half_a_command_leaves_no_fork_behind(runtime: Path) -> None:
    with warmth.started(runtime) as process:
        helper = psutil.Process(process.pid)
        for half in (b"", b"\0\0", (100).to_bytes(8), (4).to_bytes(8) + b"what"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(warm.address())
                peer.sendall(half)
        warmth.until(lambda: len(helper.children()) == 1)  # it stands by

"""The warm helper: a process that has imported what the hot commands need, and forks for each. One
fork always stands by, so that to fork is nothing that anybody waits for.

It keeps nothing of any repository, policy, queue or consent, and no secret: the fork reads all
anew, as a process of its own would. It takes commands from its own user alone, and ends when nobody
needed it for a while, when the installed files have changed, and when its socket is not its own.
"""

import fcntl
import gc
import marshal
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from orgguard_mcp import warm

IDLE = 15 * 60
"""Seconds without a command after which the helper ends."""

_LOOK = 5  # seconds between two looks at whether the socket is still there
_CALM = 0.05  # seconds without a command after which a rehearsal is in nobody's way
_TAKEN = b"+"
_TALK = 10  # seconds that a command's whole request may take

Stamp = tuple[int, int, int]
Run = Callable[[list[str]], int]


def main() -> None:
    """Be the helper of this installation, unless there is one."""
    with suppress(PermissionError):
        os.setsid()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # what the one who started us left open
    os.chdir("/")
    os.umask(0o077)
    Path(warm.folder()).mkdir(exist_ok=True)
    place = warm.address()
    lock = os.open(f"{place}.lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hot = import_module("orgguard_mcp.hot")  # not before: a second helper ends here
        where = hot.stage(Path(f"{place}.stage"))
        gc.collect()
        gc.freeze()  # a fork's collector shall not touch, and thereby copy, all of this
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        _serve(place, hot.run, lambda: hot.rehearse(where))


def _serve(place: str, run: Run, rehearse: Callable[[], None]) -> None:
    """Have a fork that stands by at *place* for the next command, until it is time to end."""
    installed = _installed()
    Path(place).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(place)
        listening.listen()
        own, taken = _stamp(place), True
        while taken and _unchanged(installed):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                if not os.fork():
                    ours.close()
                    _stand_by(listening, theirs, installed, run, rehearse)
                theirs.close()
                taken = _was_taken(ours, place, own)
                # A fork takes a processor that the command could have: not before that has ended,
                # unless it takes long or another waits.
                select.select([ours, listening], [], [], _CALM)
    if _stamp(place) == own:
        Path(place).unlink(missing_ok=True)


def _was_taken(fork: socket.socket, place: str, own: Stamp | None) -> bool:
    """Whether *fork* has a command to run, so that another is to stand by; False at the end."""
    ends = time.monotonic() + IDLE
    while time.monotonic() < ends and _stamp(place) == own:
        if select.select([fork], [], [], _LOOK)[0]:
            return fork.recv(1) == _TAKEN
    return False


def _installed() -> dict[str, Stamp | None]:
    """The files of this package and of the libraries that it imported, as they are now."""
    files = {
        getattr(module, "__file__", None)
        for name, module in sys.modules.items()
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    data = map(str, (Path(__file__).parent / "data").iterdir())
    return {file: _stamp(file) for file in {*filter(None, files), *data, __file__, sys.executable}}


def _unchanged(installed: Mapping[str, Stamp | None]) -> bool:
    return all(_stamp(file) == stamp for file, stamp in installed.items())


def _stamp(file: str) -> Stamp | None:
    """What tells *file* from another in its place; None when there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116  # of all files, before each command
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


# --- the fork ---------------------------------------------------------------------------------


def _stand_by(
    listening: socket.socket,
    helper: socket.socket,
    installed: Mapping[str, Stamp | None],
    run: Run,
    rehearse: Callable[[], None],
) -> NoReturn:
    """Wait for a command and be it, unless *helper* ends before. Memory that it will write to is
    copied by the kernel page by page: a rehearsal has that done when nobody waits.
    """
    try:
        if not select.select([listening, helper], [], [], _CALM)[0]:
            rehearse()
            _unchanged(installed)
        if listening in select.select([listening, helper], [], [])[0]:
            peer, _ = listening.accept()
            helper.sendall(_TAKEN)
            listening.close()
            if _unchanged(installed) and warm.alike(peer):
                _be(peer, run)
    finally:
        os._exit(0)


def _be(peer: socket.socket, run: Run) -> NoReturn:
    """Be the command that *peer* asks for, and tell it the exit code."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        peer.settimeout(_TALK)
        if _receive(peer)[0] == warm.interpreter():
            peer.sendall(warm.READY)
            data, files = _receive(peer)
            arguments, environment, umask = marshal.loads(data)  # noqa: S302  # this user's own
            _take_over(files, environment, umask)
            _end_with(peer)
            code = run(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            peer.sendall(bytes([code]))
    finally:
        os._exit(0)


def _receive(peer: socket.socket) -> tuple[bytes, list[int]]:
    """What `warm.send` sent: all of it, or an error."""
    size, files, _, _ = socket.recv_fds(peer, 8, 4)
    data = b""
    while len(data) < int.from_bytes(size):
        more = peer.recv(1 << 20)
        if not more:
            raise EOFError
        data += more
    return data, files


def _take_over(files: list[int], environment: dict[str, str], umask: int) -> None:
    """Become what the one who asks is: standard streams, directory, environment, umask."""
    *streams, directory = files
    for number, file in enumerate(streams):
        os.dup2(file, number)
    os.fchdir(directory)
    for file in files:
        os.close(file)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", 1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, closefd=False)  # noqa: SIM115


def _end_with(peer: socket.socket) -> None:
    """End, with every process that is started from now on, when the one who asked is gone."""
    os.setpgid(0, 0)
    os.register_at_fork(after_in_child=peer.close)  # else its end would not be seen beyond them
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(peer, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(peer, fcntl.F_SETFL, fcntl.fcntl(peer, fcntl.F_GETFL) | os.O_ASYNC)
    peer.setblocking(False)
    with suppress(BlockingIOError):
        if not peer.recv(1):  # gone before that
            os._exit(0)
    peer.setblocking(True)


if __name__ == "__main__":
    main()

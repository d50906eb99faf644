"""The warm helper, seen from a command: is one there, and what does it answer?

A start of Python with all that a hook needs costs many bare starts. So a process that has it all
(`helper.py`) is forked instead: docs/adr/0012-warm-helper.md. Until the helper has the whole
command, any doubt means that it runs here; after that, that nothing was checked.

To import `_socket` and `marshal` costs nothing, `socket`, `json` or `pathlib` half a bare start.
"""

import _socket
import marshal
import os
import stat
import sys

HOOK_SECONDS = 20
"""Seconds after which a hook stops the agent, unless it is told otherwise."""

READY = b"+"
"""The helper's word that it takes a command."""

_PATIENCE = 0.5  # seconds for a helper to say so: by then the command could have run here
_GRACE = 2  # seconds that a hook in the helper has to say that its time is up
_VIEWS = ("root", "ns/mnt", "ns/net", "ns/pid", "ns/user")
_RIGHTS = (b"Uid:", b"Gid:", b"Groups:", b"CapEff:", b"NoNewPrivs:", b"Seccomp:")
_KEPT = ("HOME", "LANG", "PATH", "TMPDIR", "XDG_RUNTIME_DIR")


class LostError(Exception):
    """The helper took the command and gave no answer; the text says why."""


def helps(arguments: list[str]) -> bool:
    """Whether a helper may run such a command: what agents and git wait for, and nothing else.

    A hook with options may have a deadline of its own, which is not known here.
    """
    hook = arguments[:1] == ["hook"] and len(arguments) == 2
    return _wanted() and (hook or arguments[:1] in (["git-hook"], ["check"], ["scan"]))


def ask(arguments: list[str]) -> int | None:
    """The exit code of the command in the helper; None when no helper takes it.

    Raises `LostError` when one took it and gave no answer.
    """
    helper = _connected()
    if not helper:
        return None
    try:
        if not _hand_over(helper, arguments):
            return None
        return _answer(helper, HOOK_SECONDS + _GRACE if arguments[0] == "hook" else None)
    finally:
        helper.close()


def runs() -> bool:
    """Whether there is a helper that takes commands."""
    there = _connected() if _wanted() else None
    if there:
        there.close()
    return there is not None


def start() -> None:
    """Start a helper for the next time, unless there is one, or there will hardly be a next time.

    It holds none of the caller's files, and of its environment nothing that could be a secret.
    """
    if not _wanted() or os.environ.get("CI") or not sys.executable:
        return
    if runs():
        return
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(("LC_", "PYTHON"))}
    # -P: no module is taken from the working directory, which may be anybody's repository.
    command = [sys.executable, "-P", "-m", "orgguard_mcp.helper"]
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    try:
        os.posix_spawn(sys.executable, command, kept, file_actions=null)
    except OSError:
        return  # the next command runs as this one did


# --- what both sides know ---------------------------------------------------------------------


def folder() -> str:
    """The directory of this user's sockets."""
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return f"{runtime}/orgguard"
    return f"{os.environ.get('TMPDIR') or '/tmp'}/orgguard-{os.geteuid()}"  # noqa: S108  # checked


def address() -> str:
    """The socket of this installation's helper. Raises `OSError` unless its directory is a real
    one, of this user alone.
    """
    found = os.lstat(folder())
    if found.st_mode != stat.S_IFDIR | 0o700 or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder()} is not this user's alone")
    package, environment = os.stat(os.path.dirname(__file__)), os.stat(sys.prefix)
    return f"{folder()}/{package.st_dev:x}-{package.st_ino:x}-{environment.st_ino:x}"


def interpreter() -> bytes:
    """What of a start of Python decides how a program runs: both sides must have had the same."""
    streams = [getattr(stream, "encoding", "") for stream in (sys.stdin, sys.stdout, sys.stderr)]
    variables = sorted(item for item in os.environ.items() if item[0].startswith("PYTHON"))
    options = [sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions, sys._xoptions]  # noqa: SLF001
    return repr([variables, options, sys.getfilesystemencoding(), streams]).encode()


def alike(peer: _socket.socket) -> bool:
    """Whether who is at the other end of *peer* is this user, with the same rights and the same
    view of the machine: no other user's process, and none in a container or sandbox.
    """
    credentials = peer.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    number = int.from_bytes(credentials[:4], sys.byteorder)
    try:
        return _standing(str(number)) == _standing("self")
    except OSError:
        return False


def send(peer: _socket.socket, data: bytes, files: tuple[int, ...] = ()) -> None:
    """Send *data*, and open *files* along with it."""
    numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in files)
    carried = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)] if files else []
    peer.sendmsg([len(data).to_bytes(8)], carried)
    peer.sendall(data)


def _standing(process: str) -> list[str | bytes]:
    views = [os.readlink(f"/proc/{process}/{view}") for view in _VIEWS]
    with open(f"/proc/{process}/status", "rb") as status:
        return [*views, *(line for line in status if line.startswith(_RIGHTS))]


# --- the command's side -----------------------------------------------------------------------


def _wanted() -> bool:
    return sys.platform == "linux" and os.environ.get("ORGGUARD_WARM") != "0"


def _connected() -> _socket.socket | None:
    """A connection to a helper that is ready for a command."""
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    made.settimeout(_PATIENCE)
    try:
        made.connect(address())
        if alike(made):
            send(made, interpreter())
            if made.recv(1) == READY:
                return made
    except OSError:  # none is there, or it ends, or is busy
        pass
    made.close()
    return None


def _hand_over(helper: _socket.socket, arguments: list[str]) -> bool:
    """Give the command to *helper*; False when that failed, and it has nothing whole."""
    umask = os.umask(0)
    os.umask(umask)
    try:
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            data = marshal.dumps((arguments, dict(os.environ), umask))
            send(helper, data, (0, 1, 2, here))
        finally:
            os.close(here)
    except OSError:
        return False
    return True


def _answer(helper: _socket.socket, seconds: float | None) -> int:
    helper.settimeout(seconds)
    try:
        code = helper.recv(1)
    except OSError as error:
        raise LostError("the helper gave no answer in time") from error
    if code not in (b"\0", b"\1", b"\2", b"\3"):
        raise LostError("the helper's process ended without an answer")
    return code[0]

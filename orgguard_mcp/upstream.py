"""A mirror's remote: what it has is brought here, by a git that cannot ask anybody, cannot linger,
and believes nothing that it is sent.

What git says of a remote is never quoted: it may hold branches, URLs and a server's own words.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from time import monotonic, time

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.git import Git, scrubbed_environment
from orgguard_mcp.gitfaults import unfetched

TIDY_SECONDS = 600
"""How long a mirror may be repacked."""

_OPTIONS = (
    "-c", "fetch.fsckObjects=true", "-c", "transfer.fsckObjects=true",
    "-c", "core.logAllRefUpdates=false",  # a log would keep what was forced away, for ever
    "-c", "core.askPass=",
    "-c", "gc.autoDetach=false", "-c", "gc.auto=2000", "-c", "gc.autoPackLimit=20",
    "-c", "pack.threads=1", "-c", "pack.windowMemory=256m",  # others are at work beside
)  # fmt: skip

_USERS = (
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_PROXY_COMMAND", "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_PROXY_SSL_CAINFO", "GIT_PROXY_SSL_CERT",
    "GIT_PROXY_SSL_KEY", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
)  # fmt: skip
"""What says how this user reaches a remote."""

_REFUSING = {
    "GIT_ALLOW_PROTOCOL": "https:ssh:git:file",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
}
_BRANCHES = "refs/heads/"
_HERE = "refs/remotes/origin/"
_FETCH = (
    "fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head",
    "--no-auto-maintenance", "--no-recurse-submodules",
)  # fmt: skip
_LEFT = ("objects/pack/tmp_*", "objects/pack/.tmp-*")
_LOCKS = ("*.lock", "refs/**/*.lock")
_OLD_SECONDS = 2 * 3600  # older than any git that may still hold a lock


class Upstream(Git):
    """The remote `origin` of the mirror in one directory. One process at a time may use it.

    Raises `RepositoryError`, with the old references as they were, when the remote gave nothing.
    """

    def found(self, url: str) -> None:
        """Make the directory a bare repository that follows *url* and has no branch of its own."""
        settings = {"url": url, "fetch": f"+{_BRANCHES}*:{_HERE}*", "tagOpt": "--no-tags"}
        self.run("init", "--quiet", "--bare", "--template=")
        for key, value in settings.items():
            self.run("config", f"remote.origin.{key}", value)
        # A branch that is checked out would be taken for that of every change.
        self.run("symbolic-ref", "HEAD", "refs/orgguard/none")

    def follow(self, seconds: float) -> bool:
        """Have the branches that the remote has, and its default; whether any of that moved."""
        self._clear()
        end = monotonic() + seconds
        default, there = self._there(end)
        before = self._here()
        if (default, there) == before:
            return False
        stale = before[1].keys() - there.keys()
        if blocking := _blocking(stale, there.keys() - before[1].keys()):
            objects = "".join(f"{_BRANCHES}{branch}\n" for branch in there)
            self._ask(*_FETCH, "--refmap=", "--stdin", "origin", told=objects, end=end)
            self._delete(blocking, end)
        # A branch of that name would be written through the reference to the default branch.
        spec = f"+{_BRANCHES}*:{_HERE}*", f"^{_BRANCHES}HEAD"
        self._ask(*_FETCH, "--atomic", "origin", *spec, end=end)
        if default not in self._here()[1]:
            raise _no_default()
        self._ask("symbolic-ref", f"{_HERE}HEAD", f"{_HERE}{default}", end=end)
        self._delete(stale - blocking, end)  # last: until now the base was one of them
        return self._here() != before

    def tidy(self) -> None:
        """Repack the mirror if it needs that."""
        with suppress(RepositoryError):  # it costs space alone, and is tried again
            self._ask("gc", "--auto", "--quiet", end=monotonic() + TIDY_SECONDS)

    def _there(self, end: float) -> tuple[str, dict[str, str]]:
        """The remote's default branch, and the commit of each branch."""
        default, commits = "", {}
        listed = self._ask(
            "ls-remote", "--quiet", "--symref", "origin", "HEAD", f"{_BRANCHES}*", end=end
        )
        for row in os.fsdecode(listed).split("\n"):
            value, _, ref = row.partition("\t")
            if ref == "HEAD" and value.startswith(f"ref: {_BRANCHES}"):
                default = value.removeprefix(f"ref: {_BRANCHES}")
            elif ref.startswith(_BRANCHES) and ref != f"{_BRANCHES}HEAD":
                commits[ref.removeprefix(_BRANCHES)] = value
        if default not in commits:
            raise _no_default()
        return default, commits

    def _here(self) -> tuple[str, dict[str, str]]:
        """What `_there` would give, as it was brought here last."""
        target = os.fsdecode(self.run("symbolic-ref", "--quiet", f"{_HERE}HEAD", check=False))
        rows = os.fsdecode(self.run("for-each-ref", "--format=%(objectname) %(refname)", _HERE))
        pairs = (row.split(" ", 1) for row in rows.split("\n") if row)
        commits = {ref.removeprefix(_HERE): oid for oid, ref in pairs if ref != f"{_HERE}HEAD"}
        return target.strip().removeprefix(_HERE), commits

    def _delete(self, branches: Iterable[str], end: float) -> None:
        told = "".join(f"delete {_HERE}{branch}\n" for branch in branches)
        if told:
            self._ask("update-ref", "--no-deref", "--stdin", told=told, end=end)

    def _clear(self) -> None:
        """Remove what git left behind when it was killed: half a pack, and locks that none holds.

        Another's half pack would cost it its fetch, and nothing else.
        """
        for path in chain.from_iterable(map(self.directory.glob, _LEFT)):
            path.unlink(missing_ok=True)
        for path in chain.from_iterable(map(self.directory.glob, _LOCKS)):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time() - _OLD_SECONDS:
                    path.unlink()

    def _ask(self, *args: str, end: float, told: str = "") -> bytes:
        """What `git *args` prints, that is *told* something and may use the network until *end*."""
        with _Session(
            self._command(*_OPTIONS, *args), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self._environment(), start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, complaint = process.communicate(
                    os.fsencode(told), max(0.0, end - monotonic())
                )
            except BaseException as error:
                process.end()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise RepositoryError(
                    "the mirror was not fetched: it took too long",
                    cause=f"git {args[0]} had not ended in time",
                    hint="try again; if it goes on, look at the network and the remote",
                ) from None  # git's arguments are part of what it would say
        if process.returncode:
            raise unfetched(args[0], process.returncode, complaint)
        return said

    def _environment(self) -> Mapping[str, str]:
        users = {name: os.environ[name] for name in _USERS if name in os.environ}
        made = {**scrubbed_environment(), **users, **_REFUSING}
        if not {"GIT_SSH", "GIT_SSH_COMMAND"} & users.keys():
            own = self.run("config", "core.sshCommand", check=False, variables=users)
            made["GIT_SSH_COMMAND"] = os.fsdecode(own).strip() or "ssh -o BatchMode=yes"
        return made


class _Session(subprocess.Popen[bytes]):
    """A process without a terminal, so that none of its children can ask for a password there."""

    def end(self) -> None:
        """End it with all that it started; git removes its temporary files if it is let."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.wait(2)


def _blocking(stale: Iterable[str], new: Iterable[str]) -> set[str]:
    """Those of the *stale* branches that *new* ones cannot be beside: `a` and `a/b`."""
    names = frozenset(new)
    folders = {parent for name in names for parent in _parents(name)}
    return {one for one in stale if one in folders or not names.isdisjoint(_parents(one))}


def _parents(branch: str) -> Iterator[str]:
    while "/" in branch:
        branch = branch.rpartition("/")[0]
        yield branch


def _no_default() -> RepositoryError:
    return RepositoryError(
        "the mirror was not fetched: the remote has no default branch",
        cause="its HEAD names no branch that it has",
        hint="set the default branch at the remote; an empty repository has none yet",
    )

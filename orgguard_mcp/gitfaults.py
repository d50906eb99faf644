"""What goes wrong with git, as errors that say what was not done and what to do next."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orgguard_mcp.errors import RepositoryError


def partial_clone(cause: str) -> RepositoryError:
    """The error of a clone that left objects with its remote."""
    return RepositoryError(
        "names were not checked: the base's files are not in this clone",
        cause=f"{cause}\nthis is a partial clone",
        hint="run `git fetch --refetch --no-filter`, or clone without --filter",
    )


def unreadable(cause: str) -> RepositoryError:
    """The error of an object that is missing or damaged."""
    return RepositoryError(
        "names were not checked: git could not read an object",
        cause=cause,
        hint="run `git fsck`; a fresh clone mends a damaged one",
    )


def failure(args: Sequence[str], code: int, stderr: bytes) -> RepositoryError:
    """The error of `git *args` that exited with *code* and said *stderr*."""
    said = stderr.decode("utf-8", "replace").strip()
    cause = f"git {args[0]} exited {code}" + (f"\n{said.splitlines()[0]}" if said else "")
    if "not a git repository" in said:
        return RepositoryError(
            "names were not checked: this is not a git repository",
            cause=cause,
            hint="run inside a repository, or pass one with --repo",
        )
    if "dubious ownership" in said:
        return RepositoryError(
            "names were not checked: the repository belongs to another user",
            cause=cause,
            hint="if you trust it, run `git config --global --add safe.directory <directory>`",
        )
    if "promisor" in said:
        return partial_clone(cause)
    return RepositoryError(
        "names were not checked: git could not read the repository",
        cause=cause,
        hint="run `git fsck`; a fresh clone mends a damaged one",
    )


_REMOTE_FAULTS = (
    (
        r"Authentication failed|could not read (Username|Password)|Permission denied"
        r"|returned error: 40[13]",
        "the remote does not let this user in",
        "give the user that runs this a credential helper or an ssh key for it",
    ),
    (
        r"Host key verification failed",
        "the remote's host key is not known",
        "add it to the known_hosts of the user that runs this",
    ),
    (
        r"Could not resolve|[Cc]ould not connect|Connection (refused|timed out|reset|closed)"
        r"|unable to (connect|look up)|Failed to connect|unreachable|early EOF",
        "the remote cannot be reached, or broke off",
        "look at the network, and at the remote",
    ),
    (
        r"certificate",
        "the remote's certificate is not trusted",
        "set http.sslCAInfo in the settings of the user that runs this",
    ),
    (
        r"not found|does not exist|does not appear to be a git repository|not exported"
        r"|No such file",
        "the remote has no such repository, or none for this user",
        "check the URL, and what this user may read there",
    ),
    (
        r"dubious ownership",
        "the remote's directory belongs to another user",
        "if you trust it, run `git config --global --add safe.directory <directory>`",
    ),
    (r"transport '.*' not allowed", "its protocol is none of https, ssh, git and file", ""),
    (r"No space left|Disk quota", "the disk is full", "free disk space"),
    (
        r"\.lock': File exists",
        "another git is at work there, or one was killed",
        "try again; what was left behind is cleared after two hours",
    ),
)
_UNSOUND = re.compile(r"^(?:error|fatal): object [0-9a-f]+: ([A-Za-z0-9]+):", re.MULTILINE)


def unfetched(command: str, code: int, stderr: bytes) -> RepositoryError:
    """The error of `git *command*` that exited with *code* in a mirror. What it said, *stderr*, is
    not told: there may be names in it.
    """
    rows = stderr.decode("utf-8", "replace").splitlines()
    said = "\n".join(row for row in rows if not row.startswith("remote:"))
    cause, hint = f"git {command} exited {code}", "run `git fetch` in the mirror to see more"
    if unsound := _UNSOUND.search(said):
        cause = f"the remote sent an object that is not sound: {unsound[1]}"
        hint = (
            "if its history has that rightly, let it pass:"
            f" `git config --global fetch.fsck.{unsound[1]} warn`"
        )
    else:
        known = (one for one in _REMOTE_FAULTS if re.search(one[0], said))
        _, cause, hint = next(known, ("", cause, hint))
    return RepositoryError("the mirror was not fetched", cause=cause, hint=hint)

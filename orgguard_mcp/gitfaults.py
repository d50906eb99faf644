"""What goes wrong with git, as errors that say what was not done and what to do next."""

from __future__ import annotations

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

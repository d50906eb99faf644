"""Which commit is the base: the one whose tree establishes names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orgguard_mcp import layout
from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.git import Git
from orgguard_mcp.model import Base

ENVIRONMENT_BASE = "ORGGUARD_BASE"

_REMOTES = ("upstream", "origin")  # a fork's `origin` is the fork: `upstream` is the project
_BRANCHES = ("main", "master", "trunk", "develop", "default")
_UNPUBLISHED = (
    "nothing of this repository is on a remote yet, so nothing is established"
    f" ({ENVIRONMENT_BASE} names a base)"
)


_SETTINGS = "config", "-z", "--get-regexp", r"^(remote\..+\..+|init\.defaultbranch)$"


def _default_of(remote: str) -> tuple[str, ...]:
    """The question for the default branch of *remote*."""
    return "symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD"


class Chooser:
    """Chooses among the commits that one clone has; `RepositoryError` when git cannot answer."""

    QUESTIONS: Final = tuple(map(_default_of, _REMOTES))
    """What `base` asks first of a clone whose layout does not tell it."""

    def __init__(self, git: Git, common_dir: Path) -> None:
        self._git = git
        self._common_dir = common_dir

    def base(
        self, ref: str | None = None, *, source: str = "--base", head: str | None = None,
        published: bool = False,
    ) -> Base:  # fmt: skip
        """Choose the base: the merge-base of *head* and *ref*, or of *head* and the upstream
        default branch; without an upstream the local default branch, then HEAD.

        *head* is HEAD unless given; *source* names where *ref* came from. With *published* a branch
        that no remote has is no base: it is what a first push would publish, though the rules are
        read there. The answer's `reason` says which was taken and why.
        """
        if head is not None:
            self.commit(head)
        if ref is None and (ref := os.environ.get(ENVIRONMENT_BASE) or None):
            source = ENVIRONMENT_BASE
        if ref is not None:
            self.commit(ref, role="base", source=source)
            return self._merge_base(ref, f"{ref} (from {source})", head)
        upstream, configured = self._upstream_default(_REMOTES), ""
        if not upstream:
            remotes, configured = self._configured()
            upstream = self._upstream_default(remotes)
        if upstream:
            return self._merge_base(upstream, f"upstream default branch {_short(upstream)}", head)
        if self._git.run("for-each-ref", "--count=1", "refs/remotes/"):
            raise self._only_the_change()
        for branch in dict.fromkeys([configured, *_BRANCHES[:2]] if configured else _BRANCHES[:2]):
            if tip := self._git.resolve(f"refs/heads/{branch}"):
                if published:
                    return Base("", _UNPUBLISHED, tip=tip)
                reason = f"local default branch {branch} (no upstream)"
                return self._merge_base(f"refs/heads/{branch}", reason, head)
        if self._git.is_shallow():
            raise self._only_the_change()
        if tip := self._git.resolve("HEAD"):
            if published:
                return Base("", _UNPUBLISHED, tip=tip)
            return self._merge_base("HEAD", "HEAD (no upstream and no default branch)", head)
        return Base("", "the repository has no commit yet: nothing is established")

    def _only_the_change(self) -> RepositoryError:
        return RepositoryError(
            "names were not checked: the upstream default branch is not in this clone",
            cause="only other branches were fetched, and they may be the change itself",
            hint=f"{self._fetch_hint('origin/main')}, or name the base with --base",
        )

    def commit(self, ref: str, *, role: str = "head", source: str = "--head") -> str:
        """The commit that *ref* names; `RepositoryError` when this clone has none."""
        if ref.startswith("-"):
            raise RepositoryError(f"names were not checked: {source} names no commit")
        if commit := self._git.resolve(ref):
            return commit
        raise RepositoryError(
            f"names were not checked: the {role} `{ref}` is not in this clone",
            cause=f"git knows no commit by that name (it came from {source})"
            + ("; the clone is shallow" if self._git.is_shallow() else ""),
            hint=self._fetch_hint(ref),
        )

    def _merge_base(self, ref: str, what: str, given: str | None) -> Base:
        name = given or "HEAD"
        head = self._git.resolve(name)
        tip = self._git.resolve(ref) or ""
        if not head or head == tip:
            return Base(tip, what, _short(ref), tip)
        found = self._git.run("merge-base", head, tip, check=False).decode().strip()
        if found:
            return Base(found, f"merge-base of {name} and the {what}", _short(ref), tip)
        if self._git.is_shallow():
            raise RepositoryError(
                f"names were not checked: `{_short(ref)}` and {name} share no commit in this clone",
                cause="the clone is shallow, so their merge-base is missing",
                hint=self._fetch_hint(_short(ref)),
            )
        return Base(tip, f"tip of the {what} (no common history with {name})", _short(ref), tip)

    def _fetch_hint(self, ref: str) -> str:
        remote, _, branch = ref.partition("/")
        remote, branch = (remote, branch) if branch else ("origin", ref)
        target = f"{remote} {branch}:refs/remotes/{remote}/{branch}"  # else it stays in FETCH_HEAD
        unshallow = "--unshallow " if self._git.is_shallow() else ""
        return f"run `git fetch {unshallow}{target}`; in GitHub Actions set `fetch-depth: 0`"

    def _configured(self) -> tuple[list[str], str]:
        """The remotes of other names than the usual, and the name of a new repository's branch."""
        rows = self._git.run(*_SETTINGS, check=False).split(b"\0")
        settings = dict(os.fsdecode(row).partition("\n")[::2] for row in rows if row)
        branch = settings.pop("init.defaultbranch", "")
        remotes = {key.removeprefix("remote.").rpartition(".")[0] for key in settings}
        return sorted(remotes - {*_REMOTES}), branch

    def _upstream_default(self, remotes: Iterable[str]) -> str | None:
        """The default branch of the first of *remotes* that has one, as a full reference."""
        refs = [
            ref
            for remote in remotes
            for ref in (self._symbolic(remote), *(f"refs/remotes/{remote}/{b}" for b in _BRANCHES))
            if ref
        ]
        found = self._git.resolve_all(refs)
        return next((ref for ref, commit in zip(refs, found, strict=True) if commit), None)

    def _symbolic(self, remote: str) -> str:
        """The default branch that *remote* was last seen to have; empty where that is not known."""
        seen = layout.symbolic(self._common_dir, f"refs/remotes/{remote}/HEAD")
        if seen is None:
            seen = os.fsdecode(self._git.run(*_default_of(remote), check=False)).strip()
        return seen


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")

"""The only door to git: read-only, with a scrubbed environment, deadlines and NUL-separated output.

Git is run as a program and blobs are read through one resident `git cat-file --batch`: no library
reads them faster, and none costs less to start (docs/adr/0003-git-as-a-program.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.git import MAX_BLOB as MAX_BLOB
from orgguard_mcp.git import BlobReader, Git, unreadable
from orgguard_mcp.git import Lack as Lack
from orgguard_mcp.git import partial_clone as partial_clone
from orgguard_mcp.model import Base

ENVIRONMENT_BASE = "ORGGUARD_BASE"

_REMOTES = ("upstream", "origin")  # a fork's `origin` is the fork: `upstream` is the project
_BRANCHES = ("main", "master", "trunk", "develop", "default")


class TreeEntry(NamedTuple):
    """One file of a tree: its blob, and its path as text (undecodable bytes as surrogates)."""

    oid: str
    path: str


class Tree(NamedTuple):
    """What a commit's tree holds: readable files, and what was passed over."""

    files: list[TreeEntry]
    symlinks: list[TreeEntry]
    submodules: list[str]


class FileChange(NamedTuple):
    """One path that differs between two trees, or a tree and the index or working tree.

    Modes are git's six octal digits, `ABSENT` where that side has no such path. An object id of
    zeros on the new side stands for what the working tree holds. `unmerged`: the index has several
    versions, so that there is no new one.
    """

    path: str
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    unmerged: bool = False

    @property
    def deletes(self) -> bool:
        """Whether the new side has no such path."""
        return self.new_mode == ABSENT and not self.unmerged


ABSENT, SUBMODULE, SYMLINK = "000000", "160000", "120000"


class Repository:
    """One repository, opened from any directory in it; a context manager, since it holds a reader.

    Raises `RepositoryError` from every method when git cannot answer.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._git = Git(self.directory)
        self._reader: BlobReader | None = None
        self._lock = threading.Lock()
        if not self.directory.is_dir():
            raise RepositoryError(
                "names were not checked: the directory does not exist",
                hint="pass an existing directory with --repo",
            )
        shown = self._git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
        self.common_dir = Path(os.fsdecode(shown.rstrip(b"\n")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the resident reader, and tidy up."""
        with self._lock:
            if self._reader:
                self._reader.close()
                self._reader = None
            self._git.close()

    @property
    def state_dir(self) -> Path:
        """Where OrgGuard keeps its state: in the common git directory, shared by all worktrees,
        never in a tree. Made private (0700) on first use.
        """
        path = self.common_dir / "orgguard"
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RepositoryError(
                "names were not checked: OrgGuard's own directory cannot be made",
                cause=f"{path}: {error.strerror}",
                hint=f"make {self.common_dir} writable, or move what is in the way",
            ) from error
        return path

    # --- the base -----------------------------------------------------------------------------

    def base(
        self, ref: str | None = None, *, source: str = "--base", head: str | None = None
    ) -> Base:
        """Choose the base: the merge-base of *head* and *ref*, or of *head* and the upstream
        default branch; without an upstream the local default branch, then HEAD.

        *head* is HEAD unless given; *source* names where *ref* came from. The answer's `reason`
        says which was taken and why.
        """
        if head is not None:
            self.commit(head)
        if ref is None and (ref := os.environ.get(ENVIRONMENT_BASE) or None):
            source = ENVIRONMENT_BASE
        if ref is not None:
            self.commit(ref, role="base", source=source)
            return self._merge_base(ref, f"{ref} (from {source})", head)
        if upstream := self._upstream_default():
            return self._merge_base(upstream, f"upstream default branch {_short(upstream)}", head)
        if self._git.run("for-each-ref", "--count=1", "refs/remotes/"):
            raise self._only_the_change()
        for branch in self._local_defaults():
            if self.resolve(f"refs/heads/{branch}"):
                reason = f"local default branch {branch} (no upstream)"
                return self._merge_base(f"refs/heads/{branch}", reason, head)
        if self.is_shallow():
            raise self._only_the_change()
        if self.resolve("HEAD"):
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
        if commit := self.resolve(ref):
            return commit
        raise RepositoryError(
            f"names were not checked: the {role} `{ref}` is not in this clone",
            cause=f"git knows no commit by that name (it came from {source})"
            + ("; the clone is shallow" if self.is_shallow() else ""),
            hint=self._fetch_hint(ref),
        )

    def _merge_base(self, ref: str, what: str, given: str | None) -> Base:
        name = given or "HEAD"
        head = self.resolve(name)
        tip = self.resolve(ref) or ""
        if not head or head == tip:
            return Base(tip, what, _short(ref), tip)
        found = self._git.run("merge-base", head, tip, check=False).decode().strip()
        if found:
            return Base(found, f"merge-base of {name} and the {what}", _short(ref), tip)
        if self.is_shallow():
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
        unshallow = "--unshallow " if self.is_shallow() else ""
        return f"run `git fetch {unshallow}{target}`; in GitHub Actions set `fetch-depth: 0`"

    def _upstream_default(self) -> str | None:
        """The default branch of the project's remote, as a full reference."""
        remotes = self._git.run("remote").decode().split()
        for remote in sorted(remotes, key=lambda r: (r not in _REMOTES, r != _REMOTES[0], r)):
            head = f"refs/remotes/{remote}/HEAD"
            target = self._git.run("symbolic-ref", "--quiet", head, check=False).decode().strip()
            for ref in (target, *(f"refs/remotes/{remote}/{branch}" for branch in _BRANCHES)):
                if ref and self.resolve(ref):
                    return ref
        return None

    def _local_defaults(self) -> list[str]:
        configured = self._git.run("config", "--get", "init.defaultBranch", check=False)
        return [b for b in dict.fromkeys([configured.decode().strip(), *_BRANCHES[:2]]) if b]

    def resolve(self, ref: str) -> str | None:
        """The commit that *ref* names, or None."""
        spec = f"{ref}^{{commit}}"
        found = self._git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", spec, check=False
        )
        return found.decode().strip() or None

    def is_shallow(self) -> bool:
        """Whether history was cut off when this repository was cloned."""
        return self._git.run("rev-parse", "--is-shallow-repository").strip() == b"true"

    # --- trees and blobs ----------------------------------------------------------------------

    def tree_id(self, commit: str) -> str:
        """The id of *commit*'s tree."""
        return self._git.run("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()

    def tree(self, commit: str) -> Tree:
        """List *commit*'s tree; submodules and symbolic links apart."""
        tree = Tree([], [], [])
        for row in self._git.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
            if not row:
                continue
            meta, _, raw = row.partition(b"\t")
            mode, _, oid = meta.decode().split(" ")
            path = os.fsdecode(raw)
            if mode == SUBMODULE:
                tree.submodules.append(path)
            else:
                kind = tree.symlinks if mode == SYMLINK else tree.files
                kind.append(TreeEntry(oid, path))
        return tree

    def read(self, commit: str, path: str) -> bytes | None:
        """The content of *path* in *commit*'s tree: None when it is not there, empty when it is
        no file or larger than `MAX_BLOB`.
        """
        if "\n" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
            return None  # git would read another object than a file of that path
        spec = os.fsencode(f"{commit}:{path}")
        with self._lock:
            try:
                return self._ask(spec)
            except (OSError, ValueError) as error:
                if not self._git.set_apart():
                    raise unreadable(str(error)) from error
            try:
                return self._ask(spec)
            except (OSError, ValueError) as error:
                raise unreadable(str(error)) from error

    def _ask(self, spec: bytes) -> bytes | None:
        if self._reader is None:
            self._reader = self._git.reader()
        try:
            return self._reader.read(spec)
        except (OSError, ValueError):
            self._reader.close()
            self._reader = None
            raise

    def sizes(self, oids: Sequence[str]) -> dict[str, int]:
        """The size in bytes of each of the blobs *oids* that this clone has."""
        return self._git.sizes(oids)

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Stream the content of *oids*, all of which are there, in their order."""
        for oid, data in self._git.objects(oids, "blob"):
            if isinstance(data, Lack):
                raise unreadable(f"object {oid}")
            yield oid, data

    @property
    def partial(self) -> bool:
        """Whether this clone left objects with its remote."""
        return self._git.partial

    # --- a change -----------------------------------------------------------------------------

    def changes(self, old: str, new: str) -> list[FileChange]:
        """The paths that differ between the commits *old* (empty: no commit) and *new*."""
        return self._compare("diff-tree", "-r", *_COMPARE, old or self._empty_tree(), new)

    def staged_changes(self) -> list[FileChange]:
        """What the next commit changes: the index against HEAD."""
        tree = self.resolve("HEAD") or self._empty_tree()
        index = self.hooked_index()
        variables = {"GIT_INDEX_FILE": str(index)} if index else {}
        return self._compare("diff-index", "--cached", *_COMPARE, tree, variables=variables)

    def worktree_changes(self) -> list[FileChange]:
        """What the working tree has otherwise than HEAD, with untracked files, without ignored
        ones. An untracked path that ends in a slash is another repository.
        """
        tree = self.resolve("HEAD") or self._empty_tree()
        top = self.top_level()
        tracked = self._compare("diff-index", *_COMPARE, tree, variables=self._no_filters())
        found = {change.path: change for change in tracked}
        listed = self._git.run(
            "ls-files", "--others", "--exclude-standard", "-z", "--full-name", "--", ":/"
        )
        zeros = "0" * len(tree)
        for path in (os.fsdecode(raw) for raw in listed.split(b"\0") if raw):
            was = found.get(path)  # tracked by HEAD, and taken out of the index alone
            old = (was.old_mode, was.old_oid) if was else (ABSENT, zeros)
            mode = SYMLINK if (top / path).is_symlink() else "100644"
            found[path] = FileChange(path, old[0], mode, old[1], zeros)
        return list(found.values())

    def _no_filters(self) -> dict[str, str]:
        """Variables by which git starts none of the filters in its settings; it would, to compare
        a file that was written in the same moment as the index.
        """
        listed = self._git.run(
            "config", "-z", "--name-only", "--get-regexp", "^filter[.]", check=False
        )
        variables = {}
        keys = [os.fsdecode(raw) for raw in listed.split(b"\0") if raw]
        for number, key in enumerate(keys):
            variables[f"GIT_CONFIG_KEY_{number}"] = key
            variables[f"GIT_CONFIG_VALUE_{number}"] = "false" if key.endswith(".required") else ""
        return {"GIT_CONFIG_COUNT": str(len(keys)), **variables}

    def _compare(self, *args: str, variables: Mapping[str, str] | None = None) -> list[FileChange]:
        fields = self._git.run(*args, variables=variables or {}).split(b"\0")
        found = {}
        for meta, raw in zip(fields[::2], fields[1::2], strict=False):
            old_mode, new_mode, old_oid, new_oid, status = meta.decode().lstrip(":").split(" ")
            path = os.fsdecode(raw)
            # Of a path in conflict the working tree's version, if asked for, comes second.
            found[path] = FileChange(path, old_mode, new_mode, old_oid, new_oid, status == "U")
        return list(found.values())

    def _empty_tree(self) -> str:
        """The id of a tree without files: it depends on the repository's hash."""
        return self._git.run("hash-object", "-t", "tree", "--stdin").decode().strip()

    def hooked_index(self) -> Path | None:
        """The index of the commit in progress: `git commit -a` and `git commit PATH` build one of
        their own beside the repository's and tell their hooks by `GIT_INDEX_FILE`. One that lies
        elsewhere is another repository's, or nobody knows whose: None.
        """
        given = os.environ.get("GIT_INDEX_FILE", "")
        shown = self._git.run("rev-parse", "--absolute-git-dir").rstrip(b"\n")
        git_dir = Path(os.fsdecode(shown)).resolve()
        for start in (Path(), self.top_level()) if given else ():  # git starts hooks at the top
            index = (start / given).resolve()
            if index.parent == git_dir and index.is_file():
                return index
        return None

    def top_level(self) -> Path:
        """The working tree's directory; `RepositoryError` in a bare repository."""
        return Path(os.fsdecode(self._git.run("rev-parse", "--show-toplevel").rstrip(b"\n")))

    def commits(self, base: str, head: str) -> list[str]:
        """The commits that *head* has and *base* (empty: none) has not, newest first."""
        excluded = [f"^{base}"] if base else []
        return self._git.run("rev-list", head, *excluded, "--").decode().split()

    def objects(
        self, oids: Iterable[str], kind: str, limit: int | None = None
    ) -> Iterator[tuple[str, bytes | Lack]]:
        """Stream the content of *oids*, all of *kind* (``blob``, ``commit``, ``tag``), in their
        order, or why there is none: it is larger than *limit* bytes, or a blob that is missing.
        """
        return self._git.objects(oids, kind, limit)

    def tags(self, base: str, head: str) -> list[tuple[str, str]]:
        """The tags on the commits that *head* has and *base* has not: name, and the id of the
        annotated tag's object (empty for a plain one).
        """
        unmerged = [f"--no-merged={base}"] if base else []
        rows = self._git.run(
            "for-each-ref", f"--merged={head}", *unmerged,
            "--format=%(objecttype) %(objectname) %(refname)", "refs/tags/",
        )  # fmt: skip
        found = []
        for row in os.fsdecode(rows).split("\n")[:-1]:
            kind, oid, name = row.split(" ", 2)
            found.append((name.removeprefix("refs/tags/"), oid if kind == "tag" else ""))
        return found

    def branch(self, ref: str = "HEAD") -> str | None:
        """The branch that *ref* names, without its remote; None for a commit or a detached HEAD."""
        if ref == "HEAD":  # also before the first commit
            shown = self._git.run("symbolic-ref", "--quiet", "HEAD", check=False)
        else:
            shown = self._git.run("rev-parse", "--symbolic-full-name", ref, check=False)
        full = os.fsdecode(shown).strip()
        if full.startswith("refs/heads/"):
            return full.removeprefix("refs/heads/")
        if full.startswith("refs/remotes/"):
            return full.removeprefix("refs/remotes/").partition("/")[2]
        return None

    def setting(self, *keys: str) -> str:
        """The value of the last of the settings *keys* that the user or repository has; empty for
        none.
        """
        pattern = "^(" + "|".join(keys) + ")$"
        rows = self._git.run("config", "-z", "--get-regexp", pattern, check=False).split(b"\0")
        return os.fsdecode(rows[-2]).partition("\n")[2] if len(rows) > 1 else ""


_COMPARE = (
    "-z", "--raw", "--no-abbrev", "--no-relative",
    "--no-renames",  # content that only moved is told by its lines, whatever file they went to
    "--ignore-submodules=dirty",  # else git asks in the submodule, whose settings may run programs
)  # fmt: skip
"""Raw records alone: git never looks at content, so no attribute or driver can hide any."""


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")

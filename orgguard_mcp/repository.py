"""The only door to git: read-only, with a scrubbed environment, deadlines and NUL-separated output.

Git is run as a program and blobs are read through one resident `git cat-file --batch`: no library
reads them faster, and none costs less to start (docs/adr/0003-git-as-a-program.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from orgguard_mcp import layout
from orgguard_mcp.base import Chooser
from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.git import MAX_BLOB as MAX_BLOB
from orgguard_mcp.git import Git
from orgguard_mcp.git import Lack as Lack
from orgguard_mcp.gitfaults import partial_clone as partial_clone
from orgguard_mcp.gitfaults import unreadable
from orgguard_mcp.model import Base
from orgguard_mcp.rawdiff import ABSENT as ABSENT
from orgguard_mcp.rawdiff import SUBMODULE as SUBMODULE
from orgguard_mcp.rawdiff import SYMLINK as SYMLINK
from orgguard_mcp.rawdiff import Changes as Changes
from orgguard_mcp.rawdiff import FileChange as FileChange
from orgguard_mcp.snapshot import Snapshot


class TreeEntry(NamedTuple):
    """One file of a tree: its blob, and its path as text (undecodable bytes as surrogates)."""

    oid: str
    path: str


class Tree(NamedTuple):
    """What a commit's tree holds: readable files, and what was passed over."""

    files: list[TreeEntry]
    symlinks: list[TreeEntry]
    submodules: list[str]


class Repository:
    """One repository, opened from any directory in it; a context manager, since it holds a reader.

    Raises `RepositoryError` from every method when git cannot answer.
    """

    def __init__(self, directory: str | Path, *, judged: bool = False) -> None:
        """Open it; if it is to be *judged*, `base` has its first answers sooner."""
        self.directory = Path(directory)
        self._git = Git(self.directory)
        if not self.directory.is_dir():
            raise RepositoryError(
                "names were not checked: the directory does not exist",
                hint="pass an existing directory with --repo",
            )
        try:
            self.common_dir = self._found(judged)
        except BaseException:
            self.close()
            raise
        self._chooser = Chooser(self._git, self.common_dir)

    def _found(self, judged: bool) -> Path:
        seen = layout.common_dir(self.directory)
        asked = "rev-parse", "--path-format=absolute", "--git-common-dir"
        if judged:  # whoever opens it in order to judge will wait for git
            self._git.begin(*(() if seen else (asked, *Chooser.QUESTIONS)))
        return seen or Path(os.fsdecode(self._git.run(*asked).rstrip(b"\n")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the resident reader, and tidy up."""
        self._git.close()

    @property
    def state_dir(self) -> Path:
        """Where OrgGuard keeps its state: in the common git directory, shared by all worktrees,
        never in a tree. Made private (0700) on first use.
        """
        path = self.common_dir / "orgguard"
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            private(path)
        except OSError as error:
            raise RepositoryError(
                "names were not checked: OrgGuard's own directory cannot be used",
                cause=f"{path}: {'it is a symbolic link' if path.is_symlink() else error.strerror}",
                hint=f"make {self.common_dir} writable, or move what is in the way",
            ) from error
        return path

    # --- the base -----------------------------------------------------------------------------

    def base(
        self, ref: str | None = None, *, source: str = "--base", head: str | None = None,
        published: bool = False,
    ) -> Base:  # fmt: skip
        """Choose the base: see `base.Chooser`."""
        return self._chooser.base(ref, source=source, head=head, published=published)

    def commit(self, ref: str) -> str:
        """The commit that *ref* names; `RepositoryError` when this clone has none."""
        return self._chooser.commit(ref)

    def resolve(self, ref: str) -> str | None:
        """The commit that *ref* names, or None."""
        return self._git.resolve(ref)

    def is_shallow(self) -> bool:
        """Whether history was cut off when this repository was cloned."""
        return self._git.is_shallow()

    def cut_off(self, commits: Iterable[str]) -> list[str]:
        """Those of *commits* whose parents this clone does not have, since it is shallow."""
        cut = self._git.cut_off()
        return [commit for commit in commits if commit in cut]

    # --- trees and blobs ----------------------------------------------------------------------

    def tree_id(self, commit: str) -> str:
        """The id of *commit*'s tree."""
        return self._git.tree_id(commit)

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
        return self.snapshot(commit).read([path])[0]

    def snapshot(self, commit: str) -> Snapshot:
        """The files of *commit*, for who reads several."""
        return Snapshot(self._git, commit)

    def folder(self, commit: str, path: str) -> dict[str, bytes]:
        """The files right in the folder *path* of *commit*'s tree, by name; links left out."""
        listed = self._git.run("ls-tree", "-z", "--full-tree", commit, f"{path}/").split(b"\0")
        return self._contents(listed, path)

    def staged_folder(self, path: str) -> dict[str, bytes]:
        """The files right in the folder *path* as the next commit will have them."""
        index = self.hooked_index()
        variables = {"GIT_INDEX_FILE": str(index)} if index else {}
        args = "ls-files", "-z", "--stage", "--full-name", "--", f":(top,literal){path}/"
        return self._contents(self._git.run(*args, variables=variables).split(b"\0"), path)

    def worktree_folder(self, path: str) -> dict[str, bytes]:
        """The files right in the folder *path* of the working tree; links left out."""
        folder = self.top_level() / path
        try:
            files = [one for one in folder.iterdir() if one.is_file() and not one.is_symlink()]
            return {one.name: one.read_bytes() for one in files if one.stat().st_size <= MAX_BLOB}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise RepositoryError(
                f"names were not checked: {path} cannot be read", cause=error.strerror or ""
            ) from error

    def _contents(self, rows: Iterable[bytes], folder: str) -> dict[str, bytes]:
        """The blobs of the *rows* of `ls-tree` or `ls-files --stage` that lie right in *folder*."""
        found = {}
        for meta, _, raw in (row.partition(b"\t") for row in rows if row):
            fields = meta.decode().split(" ")  # ls-tree has the kind between mode and id
            mode, oid = fields[0], fields[2] if fields[1] == "blob" else fields[1]
            parent, _, name = os.fsdecode(raw).rpartition("/")
            if parent == folder and mode.startswith("100"):
                found[name] = oid
        held = dict(self._git.objects(dict.fromkeys(found.values()), "blob", MAX_BLOB))
        read = ((name, held.get(oid)) for name, oid in found.items())
        return {name: data for name, data in read if isinstance(data, bytes)}

    def first_commit(self, commit: str) -> str:
        """The commit that *commit*'s history began with, along first parents: the same in every
        clone, whatever is merged later. Raises `RepositoryError` where history was cut off.
        """
        if self.is_shallow():
            raise RepositoryError(
                "no signature was checked: this clone does not know how the repository began",
                cause="the clone is shallow",
                hint="run `git fetch --unshallow` (in GitHub Actions set `fetch-depth: 0`), or set"
                " `repository` in the policy",
            )
        listed = self._git.run("rev-list", "--first-parent", "--max-parents=0", commit, "--")
        return listed.decode().split()[-1]

    def is_bare(self) -> bool:
        """Whether there is no working tree."""
        return self._bare

    @cached_property
    def _bare(self) -> bool:
        return self._git.run("rev-parse", "--is-bare-repository").strip() == b"true"

    def worktrees(self) -> list[Path]:
        """The directories of all working trees of this repository that are still there."""
        rows = self._git.run("worktree", "list", "--porcelain").split(b"\n")
        found = [Path(os.fsdecode(row[9:])) for row in rows if row.startswith(b"worktree ")]
        return [path for path in found if (path / ".git").exists()]

    def sizes(self, oids: Sequence[str]) -> dict[str, int]:
        """The size in bytes of each of the blobs *oids* that this clone has."""
        return self._git.sizes(oids)

    def contents(self, oids: Sequence[str]) -> list[bytes | None]:
        """What `read` gives, for blobs by their ids."""
        return self._git.read([oid.encode() for oid in oids])

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

    def changes(self, old: str, new: str) -> Changes:
        """The paths that differ between the commits or trees *old* (empty: none) and *new*."""
        return Changes(self._git.run("diff-tree", "-r", *_COMPARE, old or self._empty_tree(), new))

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
        # Of a path in conflict the working tree's version, if asked for, comes second.
        rows = Changes(self._git.run(*args, variables=variables or {}))
        return list({change.path: change for change in rows}.values())

    def _empty_tree(self) -> str:
        """The id of a tree without files: it depends on the repository's hash."""
        return self._git.run("hash-object", "-t", "tree", "--stdin").decode().strip()

    def hooked_index(self) -> Path | None:
        """The index of the commit in progress: `git commit -a` and `git commit PATH` build one of
        their own beside the repository's and tell their hooks by `GIT_INDEX_FILE`. One that lies
        elsewhere is another repository's, or nobody knows whose: None.
        """
        given = os.environ.get("GIT_INDEX_FILE", "")
        shown = os.fsdecode(self._git.run("rev-parse", "--absolute-git-dir").rstrip(b"\n"))
        for start in (Path(), self.top_level()) if given else ():  # git starts hooks at the top
            index = (start / given).resolve()
            if index.parent == Path(shown).resolve() and index.is_file():
                return index
        return None

    def is_hooked(self) -> bool:
        """Whether git's own variables, which its hooks are given, speak of this repository."""
        asked = "rev-parse", "--absolute-git-dir"
        given = os.environ.get("GIT_DIR")
        told = self._git.run(*asked, variables={"GIT_DIR": given} if given else {}, check=False)
        return told == self._git.run(*asked)

    def hooks_dir(self) -> Path:
        """The directory that git runs hooks from, by `core.hooksPath` of whatever scope."""
        args = "config", "-z", "--show-scope", "--type=path", "--get-all", "core.hooksPath"
        files = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
        scopes = {name: os.environ[name] for name in files if name in os.environ}
        listed = self._git.run(*args, check=False, variables=scopes)
        fields = os.fsdecode(listed).split("\0")
        # The command line's scope is our own: this program runs git without hooks.
        given = [v for k, v in zip(fields[::2], fields[1::2], strict=False) if k != "command"]
        if not given:
            return self.common_dir / "hooks"
        return (self.common_dir if self.is_bare() else self.top_level()) / given[-1]

    def annotations(self, oid: str) -> list[bytes]:
        """The annotated tags that *oid* leads through, the outermost first; none for a commit."""
        found = []
        while self._git.run("cat-file", "-t", oid).strip() == b"tag":
            found += [data for _, data in self.objects([oid], "tag") if isinstance(data, bytes)]
            oid = found[-1].split(maxsplit=2)[1].decode()
        return found

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


def private(directory: Path) -> None:
    """Take from others what they may do with *directory*.

    Raises `OSError` when it is a symbolic link, and `RepositoryError` when it is another user's.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(opened)
        if found.st_uid != os.geteuid():
            raise RepositoryError(
                "names were not checked: OrgGuard's own directory belongs to another user",
                cause=f"{directory}: its owner is {found.st_uid}, this user is {os.geteuid()}",
                hint=f"run this as its owner, or move {directory} away",
            )
        if found.st_mode & 0o077:
            os.fchmod(opened, 0o700)
    finally:
        os.close(opened)


_COMPARE = (
    "-z", "--raw", "--no-abbrev", "--no-relative",
    "--no-renames",  # content that only moved is told by its lines, whatever file they went to
    "--ignore-submodules=dirty",  # else git asks in the submodule, whose settings may run programs
)  # fmt: skip
"""Raw records alone: git never looks at content, so no attribute or driver can hide any."""

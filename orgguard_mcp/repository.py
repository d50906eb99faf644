"""The only door to git: read-only, with a scrubbed environment, deadlines and NUL-separated output.

Git is run as a program and blobs are read through one resident `git cat-file --batch`: no library
reads them faster, and none costs less to start (docs/adr/0003-git-as-a-program.md).
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, Self

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.model import Base

TIMEOUT = 120
"""Seconds that one git call may take."""

ENVIRONMENT_BASE = "ORGGUARD_BASE"

MAX_BLOB = 4 << 20
"""Bytes; a larger blob is not read. Nobody writes four megabytes by hand."""

_REMOTES = ("upstream", "origin")  # a fork's `origin` is the fork: `upstream` is the project
_BRANCHES = ("main", "master", "trunk", "develop", "default")
_SUBMODULE, _SYMLINK = b"160000", b"120000"
_OPTIONS = (
    "--no-replace-objects",
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.quotePath=false",
    "-c", "protocol.allow=never",
)  # fmt: skip


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

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._reader: _BlobReader | None = None
        self._lock = threading.Lock()
        if not self.directory.is_dir():
            raise RepositoryError(
                "names were not checked: the directory does not exist",
                hint="pass an existing directory with --repo",
            )
        shown = self._git("rev-parse", "--path-format=absolute", "--git-common-dir")
        self.common_dir = Path(os.fsdecode(shown.rstrip(b"\n")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the resident reader."""
        with self._lock:
            if self._reader:
                self._reader.close()
                self._reader = None

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

    def base(self, ref: str | None = None, *, source: str = "--base") -> Base:
        """Choose the base: the merge-base of HEAD and *ref*, or of HEAD and the upstream default
        branch; without an upstream the local default branch, then HEAD.

        *source* names where *ref* came from. The answer's `reason` says which was taken and why.
        """
        if ref is None and (ref := os.environ.get(ENVIRONMENT_BASE) or None):
            source = ENVIRONMENT_BASE
        if ref is not None:
            return self._given_base(ref, source)
        if upstream := self._upstream_default():
            return self._merge_base(upstream, f"upstream default branch {_short(upstream)}")
        if self._git("for-each-ref", "--count=1", "refs/remotes/"):
            raise self._only_the_change()
        for branch in self._local_defaults():
            if self.resolve(f"refs/heads/{branch}"):
                reason = f"local default branch {branch} (no upstream)"
                return self._merge_base(f"refs/heads/{branch}", reason)
        if self.is_shallow():
            raise self._only_the_change()
        if commit := self.resolve("HEAD"):
            return Base(commit, "HEAD (no upstream and no default branch)", "HEAD")
        return Base("", "the repository has no commit yet: nothing is established")

    def _only_the_change(self) -> RepositoryError:
        return RepositoryError(
            "names were not checked: the upstream default branch is not in this clone",
            cause="only other branches were fetched, and they may be the change itself",
            hint=f"{self._fetch_hint('origin/main')}, or name the base with --base",
        )

    def _given_base(self, ref: str, source: str) -> Base:
        if ref.startswith("-"):
            raise RepositoryError(f"names were not checked: {source} names no commit")
        if not self.resolve(ref):
            raise RepositoryError(
                f"names were not checked: the base `{ref}` is not in this clone",
                cause=f"git knows no commit by that name (it came from {source})"
                + ("; the clone is shallow" if self.is_shallow() else ""),
                hint=self._fetch_hint(ref),
            )
        return self._merge_base(ref, f"{ref} (from {source})")

    def _merge_base(self, ref: str, what: str) -> Base:
        head = self.resolve("HEAD")
        tip = self.resolve(ref) or ""
        if not head or head == tip:
            return Base(tip, what, _short(ref))
        found = self._git("merge-base", head, tip, check=False).decode().strip()
        if found:
            return Base(found, f"merge-base of HEAD and the {what}", _short(ref))
        if self.is_shallow():
            raise RepositoryError(
                f"names were not checked: `{_short(ref)}` and HEAD share no commit in this clone",
                cause="the clone is shallow, so their merge-base is missing",
                hint=self._fetch_hint(_short(ref)),
            )
        return Base(tip, f"tip of the {what} (no common history with HEAD)", _short(ref))

    def _fetch_hint(self, ref: str) -> str:
        remote, _, branch = ref.partition("/")
        target = f"{remote} {branch}" if branch else f"origin {ref}"
        unshallow = "--unshallow " if self.is_shallow() else ""
        return f"run `git fetch {unshallow}{target}`; in GitHub Actions set `fetch-depth: 0`"

    def _upstream_default(self) -> str | None:
        """The default branch of the project's remote, as a full reference."""
        remotes = self._git("remote").decode().split()
        for remote in sorted(remotes, key=lambda r: (r not in _REMOTES, r != _REMOTES[0], r)):
            head = f"refs/remotes/{remote}/HEAD"
            target = self._git("symbolic-ref", "--quiet", head, check=False).decode().strip()
            for ref in (target, *(f"refs/remotes/{remote}/{branch}" for branch in _BRANCHES)):
                if ref and self.resolve(ref):
                    return ref
        return None

    def _local_defaults(self) -> list[str]:
        configured = self._git("config", "--get", "init.defaultBranch", check=False)
        return [b for b in dict.fromkeys([configured.decode().strip(), *_BRANCHES[:2]]) if b]

    def resolve(self, ref: str) -> str | None:
        """The commit that *ref* names, or None."""
        spec = f"{ref}^{{commit}}"
        found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", spec, check=False)
        return found.decode().strip() or None

    def is_shallow(self) -> bool:
        """Whether history was cut off when this repository was cloned."""
        return self._git("rev-parse", "--is-shallow-repository").strip() == b"true"

    # --- trees and blobs ----------------------------------------------------------------------

    def tree_id(self, commit: str) -> str:
        """The id of *commit*'s tree."""
        return self._git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()

    def tree(self, commit: str) -> Tree:
        """List *commit*'s tree; submodules and symbolic links apart."""
        tree = Tree([], [], [])
        for row in self._git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
            if not row:
                continue
            meta, _, raw = row.partition(b"\t")
            mode, _, oid = meta.split(b" ")
            path = os.fsdecode(raw)
            if mode == _SUBMODULE:
                tree.submodules.append(path)
            else:
                kind = tree.symlinks if mode == _SYMLINK else tree.files
                kind.append(TreeEntry(oid.decode(), path))
        return tree

    def read(self, commit: str, path: str) -> bytes | None:
        """The content of *path* in *commit*'s tree: None when it is not there, empty when it is
        no file or larger than `MAX_BLOB`.
        """
        if "\n" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
            return None  # git would read another object than a file of that path
        spec = os.fsencode(f"{commit}:{path}")
        with self._lock:
            if self._reader is None:
                self._reader = _BlobReader(self._popen("cat-file", "--batch"))
            try:
                return self._reader.read(spec)
            except (OSError, ValueError) as error:
                self._reader.close()
                self._reader = None
                raise _unreadable(str(error)) from error

    def sizes(self, oids: Sequence[str]) -> dict[str, int]:
        """The size in bytes of each of the blobs *oids*."""
        listed = self._git(
            "cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer",
            stdin="\n".join(oids).encode() + b"\n",
        )  # fmt: skip
        rows = [row.split() for row in listed.decode().splitlines()]
        if any(not row[1].isdecimal() for row in rows):
            raise _partial_clone("objects are missing")
        return {row[0]: int(row[1]) for row in rows}

    def blobs(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Stream the content of *oids*, in their order, through one `cat-file` pipe."""
        process = self._popen("cat-file", "--batch", "--buffer")
        stdin, stdout = _pipes(process)

        def feed() -> None:
            with suppress(OSError), stdin:
                for oid in oids:
                    stdin.write(oid.encode() + b"\n")

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            for oid in oids:
                kind, _, size = stdout.readline().decode().partition(" ")[2].partition(" ")
                data = stdout.read(int(size)) if kind == "blob" else b""
                if kind != "blob" or len(data) != int(size):
                    raise _unreadable(f"object {oid}")
                stdout.read(1)
                yield oid, data
        finally:
            process.kill()
            stdout.close()
            feeder.join()
            process.wait()

    # --- running git --------------------------------------------------------------------------

    def _git(self, *args: str, check: bool = True, stdin: bytes = b"") -> bytes:
        command = self._command(*args)
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, timeout=TIMEOUT, check=False,
                env=scrubbed_environment(),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise RepositoryError(
                "names were not checked: git is not installed", hint="install git 2.31 or newer"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise RepositoryError(
                f"names were not checked: git gave no answer within {TIMEOUT} s",
                cause=f"git {args[0]}",
            ) from error
        if done.returncode and check:
            raise _git_error(args, done.returncode, done.stderr)
        return b"" if done.returncode else done.stdout

    def _popen(self, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(*args), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=scrubbed_environment(),
        )  # fmt: skip

    def _command(self, *args: str) -> list[str]:
        return ["git", *_OPTIONS, "-C", str(self.directory), *args]


class _BlobReader:
    """A resident `git cat-file --batch`: one question, one answer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stdin, self._stdout = _pipes(process)

    def read(self, spec: bytes) -> bytes | None:
        self._stdin.write(spec + b"\n")
        self._stdin.flush()
        header = self._stdout.readline()
        if not header:
            raise OSError("git cat-file ended")
        if header.endswith((b" missing\n", b" ambiguous\n")):
            return None
        size = int(header.rpartition(b" ")[2])
        wanted = size <= MAX_BLOB and b" blob " in header
        data = self._take(size) if wanted else b""
        if not wanted:
            self._pass_over(size)
        self._take(1)
        return data

    def _take(self, size: int) -> bytes:
        data = self._stdout.read(size)
        if len(data) != size:
            raise OSError("git cat-file ended")
        return data

    def _pass_over(self, size: int) -> None:
        """Read what nobody wants, without ever holding more than a piece of it."""
        for start in range(0, size, MAX_BLOB):
            self._take(min(MAX_BLOB, size - start))

    def close(self) -> None:
        with suppress(OSError):
            self._stdin.close()
        self._process.kill()
        self._stdout.close()
        self._process.wait()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RepositoryError("names were not checked: git could not be started")
    return process.stdin, process.stdout


def scrubbed_environment() -> dict[str, str]:
    """This process's environment without git's own variables.

    Inside a hook git exports `GIT_DIR`, `GIT_INDEX_FILE` and more, which would turn our questions
    to another repository or index; `GIT_CONFIG_*` could run commands. No prompt, no lazy fetch.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "LC_ALL": "C",
    }


def _partial_clone(cause: str) -> RepositoryError:
    return RepositoryError(
        "names were not checked: the base's files are not in this clone",
        cause=f"{cause}\nthis is a partial clone",
        hint="run `git fetch --refetch --no-filter`, or clone without --filter",
    )


def _unreadable(cause: str) -> RepositoryError:
    return RepositoryError(
        "names were not checked: git could not read an object of the base",
        cause=cause,
        hint="run `git fsck`; a fresh clone mends a damaged one",
    )


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")


def _git_error(args: tuple[str, ...], code: int, stderr: bytes) -> RepositoryError:
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
        return _partial_clone(cause)
    return RepositoryError(
        "names were not checked: git could not read the repository",
        cause=cause,
        hint="run `git fsck`; a fresh clone mends a damaged one",
    )

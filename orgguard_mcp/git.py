"""Running git: a scrubbed environment, options against hostile settings, deadlines, and errors
that say what was not done. `repository.py` asks the questions, `upstream.py` alone fetches.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import IO, TypeVar

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.gitfaults import failure, unreadable
from orgguard_mcp.gitobject import content, verify

TIMEOUT = 120
"""Seconds that one git call may take."""

MAX_BLOB = 4 << 20
"""Bytes; a larger blob is not read. Nobody writes four megabytes by hand."""

_OPTIONS = (
    "--no-replace-objects",
    "-c", "core.commitGraph=false",  # a cache of who descends from whom, which git believes unread
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.quotePath=false",
    "-c", "advice.graftFileDeprecated=false",  # a hint in the place of an error's cause
)  # fmt: skip


_NAMESPACES = ("refs/", "refs/tags/", "refs/heads/", "refs/remotes/")
"""Where git looks for a reference, in its order."""


_STEPS = re.compile("[~^@:]")
"""What leads from a reference to another commit."""

_AT_ONCE = 15
"""Objects that are asked for at once: their names, of up to 4096 bytes, must fit a pipe."""

T = TypeVar("T")


class Lack(Enum):
    """Why there is no content of an object."""

    LARGE = "larger than was asked for"
    MISSING = "not in this clone"


class Git:
    """Git in one directory; `RepositoryError` from every method when it cannot answer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._apart: Mapping[str, str] = {}
        self._tidy: Callable[[], object] = dict
        self._reader: ObjectReader | None = None
        self._begun: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def begin(self, *questions: tuple[str, ...]) -> None:
        """Start the resident reader, and `git` with each of the *questions*: what takes the time is
        to start it, and that goes on side by side. `run` then has the answers.
        """
        for args in questions:
            self._begun[args] = self._start(args)
        with self._lock:
            self._reader = self._reader or ObjectReader(self._cat_file("--batch"))

    def close(self) -> None:
        """End the resident reader and what was begun, and remove what `set_apart` made."""
        while self._begun:
            with self._begun.popitem()[1] as process:
                process.kill()
        with self._lock:
            self._end_reader()
            self._apart = {}
            self._tidy()

    def run(
        self,
        *args: str,
        check: bool = True,
        stdin: bytes = b"",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """What `git *args` prints; without *check* nothing where it fails. *variables* are the only
        ones of git's own that it sees.
        """
        plain = not stdin and not variables
        begun = self._begun.pop(args, None) if plain else None
        with begun or self._start(args, stdin, variables) as process:
            try:
                said, complaint = process.communicate(stdin or None, TIMEOUT)
            except BaseException as error:
                process.kill()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise RepositoryError(
                    f"names were not checked: git gave no answer within {TIMEOUT} s",
                    cause=f"git {args[0]}",
                ) from error
        if process.returncode and check:
            raise failure(args, process.returncode, complaint)
        return b"" if process.returncode else said

    def _start(
        self,
        args: Sequence[str],
        stdin: bytes = b"",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.Popen[bytes]:
        stdin_from = subprocess.PIPE if stdin else subprocess.DEVNULL
        return self._process(args, stdin_from, subprocess.PIPE, variables)

    def _process(
        self, args: Sequence[str], stdin: int, stderr: int, variables: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            return _Process(
                self._command(*args), stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
                env={**scrubbed_environment(), **variables},
            )  # fmt: skip
        except FileNotFoundError as error:
            raise RepositoryError(
                "names were not checked: git is not installed", hint="install git 2.31 or newer"
            ) from error

    def resolve(self, ref: str) -> str | None:
        """The commit that *ref* names, or None; an error where it names several."""
        found = self._find(f"{ref}^{{commit}}")
        name = _STEPS.split(ref, maxsplit=1)[0]
        if found and name != "HEAD" and not name.startswith("refs/"):
            self._refuse_two(name)
        return found

    def tree_id(self, commit: str) -> str:
        """The id of *commit*'s tree; `RepositoryError` when there is none."""
        if found := self._find(f"{commit}^{{tree}}"):
            return found
        raise unreadable(f"the tree of commit {commit}")

    def resolve_all(self, refs: Sequence[str]) -> list[str | None]:
        """The commits that the full names *refs* are of, or None, in less time."""
        return self._find_all([f"{ref}^{{commit}}" for ref in refs])

    def _find(self, spec: str) -> str | None:
        """The id of the object that *spec* names."""
        return self._find_all([spec])[0]

    def _find_all(self, specs: Sequence[str]) -> list[str | None]:
        """The ids of what *specs* name: by the resident reader, where that can know."""
        with self._lock:
            if not self._apart and "\n" not in "".join(specs):
                asked = list(map(os.fsencode, specs))
                with suppress(OSError, ValueError):
                    return self._asked(lambda reader: reader.find(asked))
        args = "rev-parse", "--verify", "--quiet", "--end-of-options"
        return [self.run(*args, spec, check=False).decode().strip() or None for spec in specs]

    def _refuse_two(self, name: str) -> None:
        """Raise `RepositoryError` when *name* is that of two commits: a tag goes before the branch
        of a remote, so that whoever may push one could choose the base.
        """
        full = {f"{place}{name}": place for place in _NAMESPACES}
        rows = self.run("for-each-ref", "--format=%(objectname) %(*objectname) %(refname)", *full)
        fields = (os.fsdecode(row).split(" ") for row in rows.splitlines())
        named = {full[ref]: peeled or oid for oid, peeled, ref in fields if ref in full}
        if len(set(named.values())) > 1:
            raise RepositoryError(
                "names were not checked: the reference that was given names two commits",
                cause=f"there is one of that name in {' and in '.join(named)}",
                hint="pass its full name, which begins with one of these",
            )

    def is_shallow(self) -> bool:
        """Whether history was cut off when this repository was cloned."""
        return self.run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def cut_off(self) -> frozenset[str]:
        """The commits whose parents this clone does not have, since it is shallow."""
        if not self.is_shallow():
            return frozenset()
        shown = self.run("rev-parse", "--path-format=absolute", "--git-path", "shallow")
        try:
            return frozenset(Path(os.fsdecode(shown.rstrip(b"\n"))).read_text("ascii").split())
        except (OSError, ValueError) as error:
            raise unreadable("the list of shallow commits") from error

    def read(self, specs: Sequence[bytes]) -> list[bytes | None]:
        """The blobs that *specs* name, by the resident reader: see `ObjectReader.read`."""
        with self._lock:
            try:
                return self._asked(lambda reader: reader.read(specs))
            except (OSError, ValueError) as error:
                if not self.set_apart():  # in a partial clone the reader may end
                    raise unreadable(str(error)) from error
            try:
                return self._asked(lambda reader: reader.read(specs))
            except (OSError, ValueError) as error:
                raise unreadable(str(error)) from error

    def _asked(self, question: Callable[[ObjectReader], T]) -> T:
        """What the resident reader answers to *question*; one that failed is replaced next time."""
        if self._reader is None:
            self._reader = ObjectReader(self._cat_file("--batch"))
        try:
            return question(self._reader)
        except (OSError, ValueError):
            self._end_reader()
            raise

    def _end_reader(self) -> None:
        if self._reader:
            self._reader.close()
            self._reader = None

    def sizes(self, oids: Sequence[str]) -> dict[str, int]:
        """The size in bytes of each of *oids* that this clone has."""
        args = "cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer"
        asked = "\n".join(oids).encode() + b"\n"
        try:
            listed = self.run(*args, stdin=asked, variables=self._apart)
        except RepositoryError:
            if not self.set_apart():
                raise
            listed = self.run(*args, stdin=asked, variables=self._apart)
        rows = (row.split() for row in listed.decode().splitlines())
        return {oid: int(size) for oid, size in rows if size.isdecimal()}

    def objects(
        self, oids: Iterable[str], kind: str, limit: int | None = None
    ) -> Iterator[tuple[str, bytes | Lack]]:
        """Stream the content of *oids*, all of them a *kind*, in their order, through one pipe, or
        why there is none: a blob may be missing, everything else is an error.
        """
        oids, done = list(oids), 0
        for last in (False, True):
            try:
                for found in self._stream(oids[done:], kind, limit):
                    yield found
                    done += 1
            except EOFError:
                if last or not self.set_apart():
                    raise unreadable(f"object {oids[done]}") from None
            else:
                return

    def _stream(
        self, oids: Sequence[str], kind: str, limit: int | None
    ) -> Iterator[tuple[str, bytes | Lack]]:
        process = self._cat_file("--batch", "--buffer")
        stdin, stdout = _pipes(process)

        def feed() -> None:
            with suppress(OSError), stdin:
                for oid in oids:
                    stdin.write(oid.encode() + b"\n")

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            for oid in oids:
                header = stdout.readline().decode()
                if not header:
                    raise EOFError
                found, _, size = header.rstrip().partition(" ")[2].partition(" ")
                if found == "missing" and kind == "blob":
                    yield oid, Lack.MISSING
                    continue
                if found != kind:
                    raise unreadable(f"object {oid}")
                try:
                    data = content(stdout, int(size), limit)
                except OSError as error:
                    raise unreadable(f"object {oid}") from error
                if data is not None:
                    verify(oid, kind, data)
                yield oid, Lack.LARGE if data is None else data
        finally:
            process.kill()
            stdout.close()
            feeder.join()
            process.wait()

    @cached_property
    def partial(self) -> bool:
        """Whether this clone left objects with its remote."""
        setting = r"^(remote\..*\.promisor|extensions\.partialclone)$"
        return bool(self.run("config", "--get-regexp", setting, check=False))

    def set_apart(self) -> bool:
        """Read objects apart from the settings; False in a clone that is not partial.

        There git would fetch an object that it lacks and, forbidden to, dies instead of saying so.
        So it gets a git directory that knows of no remote, with this repository's objects.
        """
        if self.partial and not self._apart:
            stub = Path(tempfile.mkdtemp(prefix="orgguard-"))
            self._tidy = weakref.finalize(self, shutil.rmtree, stub, ignore_errors=True)
            kind = self.run("rev-parse", "--show-object-format").decode().strip()
            objects = self.run("rev-parse", "--path-format=absolute", "--git-path", "objects")
            (stub / "refs").mkdir()
            (stub / "HEAD").write_text("ref: refs/heads/none\n")
            if kind != "sha1":
                (stub / "config").write_text(
                    f"[core]\nrepositoryformatversion = 1\n[extensions]\nobjectformat = {kind}\n"
                )
            self._apart = {
                "GIT_DIR": str(stub),
                "GIT_OBJECT_DIRECTORY": os.fsdecode(objects.rstrip(b"\n")),
            }
        return self.partial

    def _cat_file(self, *options: str) -> subprocess.Popen[bytes]:
        args = "cat-file", *options
        return self._process(args, subprocess.PIPE, subprocess.DEVNULL, self._apart)

    def _command(self, *args: str) -> list[str]:
        return [_program(os.environ.get("PATH")), *_OPTIONS, "-C", str(self.directory), *args]


@cache
def _program(path: str | None) -> str:
    """Where git lies on *path*: looked for once, since each process would look in each folder."""
    return shutil.which("git", path=path) or "git"


class _Process(subprocess.Popen[bytes]):
    """A process whose end is noticed at once: `Popen` with a deadline naps until it looks again."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `TimeoutExpired` when there is none within *timeout* seconds."""
        if timeout is not None and self.returncode is None and sys.platform == "linux":
            with suppress(OSError, ValueError), os.fdopen(os.pidfd_open(self.pid)) as ended:
                select.select([ended], [], [], timeout)
        return super().wait(timeout)


class ObjectReader:
    """A resident `git cat-file --batch`.

    Its methods raise `OSError` or `ValueError` when git has gone.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stdin, self._stdout = _pipes(process)

    def read(self, specs: Sequence[bytes]) -> list[bytes | None]:
        """The blobs that *specs* name: None when there is none, empty when it is something else or
        larger than `MAX_BLOB`. Raises `RepositoryError` when a blob is not what its id says.
        """
        answers = self._ask(specs, "blob")
        for answer in answers:
            if answer and answer[1] is not None:
                verify(answer[0], "blob", answer[1])
        return [(answer[1] or b"") if answer else None for answer in answers]

    def find(self, specs: Sequence[bytes]) -> list[str | None]:
        """The ids of what *specs* name: None where there is none, or more than one."""
        return [answer and answer[0] for answer in self._ask(specs, "")]

    def _ask(self, specs: Sequence[bytes], kind: str) -> list[tuple[str, bytes | None] | None]:
        """The ids that *specs* name, and the content of what is a *kind* of up to `MAX_BLOB`. Many
        are asked for before the first answer is read: it is the waiting that takes the time.
        """
        answers = []
        for start in range(0, len(specs), _AT_ONCE):
            some = specs[start : start + _AT_ONCE]
            self._stdin.write(b"".join(spec + b"\n" for spec in some))
            self._stdin.flush()
            answers += [self._answer(kind) for _ in some]
        return answers

    def _answer(self, kind: str) -> tuple[str, bytes | None] | None:
        header = self._stdout.readline()
        if not header:
            raise OSError("git cat-file ended")
        if header.endswith((b" missing\n", b" ambiguous\n")):
            return None
        oid, found, size = header.decode().split()
        return oid, content(self._stdout, int(size), MAX_BLOB if found == kind else -1)

    def close(self) -> None:
        """End the process."""
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
    to another repository or index; `GIT_CONFIG_*` could run commands. No prompt, no lazy fetch, and
    no transport: that list goes before what the repository's settings allow.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_GRAFT_FILE": os.devnull,
        "LC_ALL": "C",
    }

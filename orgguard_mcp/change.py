"""Reading a change: everything that it would publish, as artifacts, and what of it was not read.

Silence is never a pass: every surface has its row in the coverage, with the reason where nothing
of it was scanned.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orgguard_mcp.diff import MAX_CONTENT, read_files
from orgguard_mcp.errors import UsageError
from orgguard_mcp.event import Event, read_event
from orgguard_mcp.lines import decode, numbered, pieces, readable
from orgguard_mcp.messages import cleanup, message, written
from orgguard_mcp.model import Artifact, Base, Coverage, Skipped, Surface
from orgguard_mcp.packages import read_packages
from orgguard_mcp.repository import FileChange, Lack, Repository

CONTENT = (Surface.CODE, Surface.DOCS, Surface.DATA)
"""The surfaces of files' lines; what of code is comment or string is the detector's to say."""

SURFACES = (
    *CONTENT, Surface.PATH, Surface.COMMIT_MESSAGE, Surface.BRANCH, Surface.TAG,
    Surface.PR_TITLE, Surface.PR_BODY,
)  # fmt: skip
"""Those that a change is read into: each has a row of coverage."""

RULES = (".orgguard/approvers", ".orgguard/policy.toml", ".orgguard/protected")
"""What maintainers decide: it counts on the base's branch alone, so a change to it is said."""

MAX_SKIPPED = 1_000
"""Places listed for one reason; of more their number is told."""

_NO_LINES = frozenset({Surface.BRANCH, Surface.TAG, Surface.PATH})


@dataclass(frozen=True, slots=True)
class Sources:
    """What `orgguard scan` was asked to read, beside the base.

    Without any of `head`, `staged` and `worktree` the head is HEAD; but a message, a text or built
    packages alone are all that is read then, since who gives them has nothing else to ask. `tags`
    are about to be published, beside those on the change's commits. `text` stands for its surface.

    `pushed` are the references that a push makes: the full name at the remote and the object's id.
    Of branches and tags these alone are published then; `branch` still says whose change it is.
    """

    head: str | None = None
    staged: bool = False
    worktree: bool = False
    event: Path | None = None
    pr_text: Path | None = None
    branch: str | None = None
    tags: tuple[str, ...] = ()
    message_file: Path | None = None
    text: tuple[Surface, str] | None = None
    packages: tuple[Path, ...] = ()
    pushed: tuple[tuple[str, str], ...] = ()

    @property
    def text_alone(self) -> bool:
        """Whether a message, a text or packages are all that was given."""
        alone = self.text or self.message_file or self.packages
        given = self.head, self.staged, self.worktree, self.event, self.pr_text, self.branch
        return bool(alone) and not any((*given, self.tags))


def read_change(repository: Repository, base: Base, sources: Sources) -> Change:
    """The change from *base* to what *sources* name. *base* was chosen for the same head.

    Raises `UsageError` for an unusable event or sources that exclude each other, `RepositoryError`
    for a head that is not in this clone.
    """
    if sum((sources.head is not None, sources.staged, sources.worktree)) > 1:
        raise UsageError(
            "nothing was scanned: a head, the staging area and the working tree are three changes",
            hint="pass one of --head, --staged and --worktree",
        )
    return Change(repository, base, sources)


class Change:
    """A change's artifacts, to iterate over: one file at a time is in memory. Afterwards `coverage`
    says what was scanned and what was not.

    `head` is the commit that is scanned: empty for the staging area, the working tree, a text alone
    and a repository without a commit. `rules` are the files of the rules that it changes, known
    once its files were read. Iterating raises `RepositoryError` when git cannot answer,
    `UsageError` when a given file cannot be read.
    """

    def __init__(self, repository: Repository, base: Base, sources: Sources) -> None:
        self._repository = repository
        self._base = base
        self._sources = sources
        self._event = read_event(sources.event) if sources.event else None
        self._tally = _Tally()
        self.rules: tuple[str, ...] = ()
        self.head = "" if sources.staged or sources.worktree or sources.text_alone else self._head()

    def _head(self) -> str:
        if self._sources.head is not None:
            return self._repository.commit(self._sources.head)
        return self._repository.resolve("HEAD") or ""

    @property
    def branch(self) -> str:
        """The branch that the change is on; empty where that is not known."""
        given = [self._sources.branch or "", *(self._event.branches if self._event else ())]
        named = next((branch for branch in given if branch), "")
        return named or self._repository.branch(self._sources.head or "HEAD") or ""

    @property
    def forked(self) -> bool:
        """Whether it is a pull request from another repository, whose job is given no secret."""
        return self._event is not None and self._event.forked

    def folder(self, path: str) -> dict[str, bytes]:
        """The files right in the folder *path*, as the change has them."""
        if self._sources.staged:
            return self._repository.staged_folder(path)
        if self.head:
            return self._repository.folder(self.head, path)
        return {} if self._repository.is_bare() else self._repository.worktree_folder(path)

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        """A row for each of `SURFACES`, of the iteration so far; one that did not come to its end
        says so in every row.
        """
        return self._tally.coverage()

    def __iter__(self) -> Iterator[Artifact]:
        tally = self._tally = _Tally()
        for artifact in self._artifacts():
            tally.count(artifact)
            yield artifact
        tally.finish()

    def _artifacts(self) -> Iterator[Artifact]:
        sources = self._sources
        if sources.text:
            yield _text(*sources.text)
        if sources.pushed:
            yield from self._pushed()
        else:
            yield from self._branches()
            yield from self._tags()
        yield from self._pull_request()
        yield from self._messages()
        yield from self._packages()
        yield from self._files()

    def _miss(self, surface: Surface, reason: str) -> None:
        """Note that nothing of *surface* was there to scan."""
        given = self._sources.text
        if self._sources.text_alone:
            alone = "packages were" if self._sources.packages else "text was"
            reason = f"not asked for: only the given {alone}"
        if not given or given[0] is not surface:
            self._tally.skip(surface, surface.value.replace("-", " "), reason, absent=True)

    # --- each surface -------------------------------------------------------------------------

    def _branches(self) -> Iterator[Artifact]:
        found = list(self._event.branches) if self._event else []
        if self._sources.branch:
            found = [self._sources.branch]
        elif not found and not self._sources.text_alone:
            found = [self._repository.branch(self._sources.head or "HEAD") or ""]
        found = [branch for branch in found if branch]
        for branch in found:
            yield _text(Surface.BRANCH, branch)
        if not found:
            self._miss(Surface.BRANCH, "HEAD is detached or no branch, and --branch names none")

    def _tags(self) -> Iterator[Artifact]:
        given = [*self._sources.tags, *(self._event.tags if self._event else ())]
        for tag in given:
            yield _text(Surface.TAG, tag)
        if not self.head:
            if not given:
                self._miss(Surface.TAG, "no commit is scanned that a tag could be on")
            return
        tags = self._repository.tags(self._base.commit, self.head)
        annotated = [oid for _, oid in tags if oid]
        notes = (
            b"" if isinstance(data, Lack) else data
            for _, data in self._repository.objects(annotated, "tag")
        )
        for name, oid in tags:
            if name not in given:
                yield _text(Surface.TAG, name)
            if oid:  # prose, as a commit's message is
                yield Artifact(Surface.COMMIT_MESSAGE, oid, _lines(message(next(notes))))

    def _pushed(self) -> Iterator[Artifact]:
        """The names that the push makes, and what is said in its annotated tags."""
        seen = set()
        for ref, oid in self._sources.pushed:
            kind = Surface.TAG if ref.startswith("refs/tags/") else Surface.BRANCH
            seen.add(kind)
            yield _text(kind, re.sub("^refs/((heads|tags)/)?", "", ref))
            for note in self._repository.annotations(oid):  # prose, as a commit's message is
                yield Artifact(Surface.COMMIT_MESSAGE, oid, _lines(message(note)))
        for kind in {Surface.BRANCH, Surface.TAG} - seen:
            self._miss(kind, "the push has none")

    def _pull_request(self) -> Iterator[Artifact]:
        event = self._event or Event()
        bodies = list(event.bodies)
        if self._sources.pr_text:
            bodies.append(_read(self._sources.pr_text, "pull request's text"))
        for title in event.titles:
            yield _text(Surface.PR_TITLE, title)
        for body in bodies:
            yield _text(Surface.PR_BODY, body)
        why = "the event has none" if self._event else "no event was given with --event"
        if not event.titles:
            self._miss(Surface.PR_TITLE, why)
        if not bodies:
            self._miss(Surface.PR_BODY, f"{why}, and no file with --pr-text")

    def _messages(self) -> Iterator[Artifact]:
        given = self._sources.message_file
        if given:
            yield _text(Surface.COMMIT_MESSAGE, self._written(_read(given, "commit message")))
        told = dict(self._event.messages) if self._event else {}
        if self.head:
            commits = self._repository.commits(self._base.commit, self.head)
            for oid in self._repository.cut_off(commits):
                reason = "history is cut off here: older messages are not in this clone"
                self._tally.skip(Surface.COMMIT_MESSAGE, oid, reason)
            for oid, data in self._repository.objects(commits, "commit", MAX_CONTENT):
                told.pop(oid, None)
                if isinstance(data, Lack):
                    self._tally.skip(Surface.COMMIT_MESSAGE, oid, "too large")
                else:
                    yield Artifact(Surface.COMMIT_MESSAGE, oid, _lines(message(data)))
        for oid, text in told.items():  # those that this clone does not have
            yield Artifact(Surface.COMMIT_MESSAGE, oid, _lines(text))
        if not (self.head or given or told):
            self._miss(
                Surface.COMMIT_MESSAGE,
                "no commit is scanned, and no message was given with --message-file",
            )

    def _written(self, text: str) -> str:
        """The message that git will make of *text*, in a commit-msg hook."""
        in_hook = "GIT_INDEX_FILE" in os.environ
        how = cleanup(
            editor=in_hook and os.environ.get("GIT_EDITOR") != ":",  # how git tells its hooks
            mode=self._repository.setting("commit.cleanup"),
            comment=self._repository.setting("core.commentchar", "core.commentstring"),
        )
        return written(text, how)

    def _packages(self) -> Iterator[Artifact]:
        packages, base = self._sources.packages, self._base.commit
        tree = self._repository.tree(base).files if packages and base else []
        yield from read_packages(packages, {entry.oid for entry in tree}, self._tally.skip)

    def _files(self) -> Iterator[Artifact]:
        if not (self.head or self._sources.staged or self._sources.worktree):
            for surface in () if self._sources.packages else (*CONTENT, Surface.PATH):
                self._miss(surface, "the repository has no commit yet: pass --staged")
            return
        if self._sources.staged and os.environ.get("GIT_INDEX_FILE"):
            if not self._repository.hooked_index():
                for surface in (*CONTENT, Surface.PATH):
                    reason = "it is not in this repository's git directory; the usual one was read"
                    self._tally.skip(surface, "the index named by GIT_INDEX_FILE", reason)
        changes = self._changes()
        self.rules = tuple(one.path for one in changes if one.path.startswith(RULES))
        yield from read_files(self._repository, changes, self._tally.skip)

    def _changes(self) -> Iterable[FileChange]:
        if self._sources.staged:
            return self._repository.staged_changes()
        if self._sources.worktree:
            return self._repository.worktree_changes()
        return self._repository.changes(self._base.commit, self.head)


class _Tally:
    """What was scanned of each surface, and what was not."""

    def __init__(self) -> None:
        self._scanned = dict.fromkeys(SURFACES, 0)
        self._skipped: dict[Surface, list[Skipped]] = {surface: [] for surface in SURFACES}
        self._reasons: dict[tuple[Surface, str], int] = {}
        self._last: tuple[Surface, str] | None = None
        self._finished = False

    def count(self, artifact: Artifact) -> None:
        """Count *artifact*; a file that comes in pieces counts once."""
        this = artifact.surface, artifact.path
        if not artifact.path or this != self._last:
            self._scanned[artifact.surface] = self._scanned.get(artifact.surface, 0) + 1
        self._last = this

    def skip(self, surface: Surface, what: str, reason: str, *, absent: bool = False) -> None:
        """Note that *what* of *surface* was not scanned."""
        seen = self._reasons[surface, reason] = self._reasons.get((surface, reason), 0) + 1
        if seen <= MAX_SKIPPED:
            self._skipped[surface].append(Skipped(what, reason, absent))

    def finish(self) -> None:
        """Note that all was read."""
        self._finished = True

    def coverage(self) -> tuple[Coverage, ...]:
        """A row for each surface."""
        return tuple(
            Coverage(surface, scanned, (*self._skipped.get(surface, ()), *self._rest(surface)))
            for surface, scanned in self._scanned.items()
        )

    def _rest(self, surface: Surface) -> Iterator[Skipped]:
        for (where, reason), seen in self._reasons.items():
            if where is surface and seen > MAX_SKIPPED:
                yield Skipped(f"{seen - MAX_SKIPPED:,} more", reason)
        if not self._finished:
            yield Skipped("the rest of the change", "reading it did not come to its end")


def _text(surface: Surface, text: str) -> Artifact:
    """An artifact of *text*, which lies in no file. A name (branch, tag, path) has no lines."""
    if surface in _NO_LINES:
        return Artifact(surface, "", tuple((0, piece) for piece in pieces(text) if piece))
    return Artifact(surface, "", _lines(text))


def _lines(text: str) -> tuple[tuple[int, str], ...]:
    return tuple((number, piece) for number, line in numbered(text) for piece in pieces(line))


def _read(path: Path, what: str) -> str:
    """The text of a file that the caller gave."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"names were not checked: the {what} cannot be read",
            cause=f"{path}: {error.strerror}",
            hint="pass a text file that exists",
        ) from error
    read = decode(data)
    return read.text if read else readable(data)

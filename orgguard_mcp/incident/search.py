"""Where a name that is already out stands, as far as this repository can see.

Everything that it keeps is read: objects that no branch reaches, reflogs, the working tree and what
was built in it. Nothing is changed. What this clone lacks is said, never passed over.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orgguard_mcp.display import plural
from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.incident.everything import Everything, Ref
from orgguard_mcp.incident.history import (
    SUBMODULE,
    Entry,
    History,
    Tips,
    parse_commit,
    people,
    written,
)
from orgguard_mcp.incident.history import entries as tree_entries
from orgguard_mcp.incident.matcher import Matcher
from orgguard_mcp.incident.traces import Incident, Place, Public, Trace, Unseen
from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.messages import message
from orgguard_mcp.names import Name
from orgguard_mcp.repository import MAX_BLOB, Lack, Repository

Told = Callable[[str, int, int], None]
"""Progress: what is read, how much of it is done, and how much there is."""

MAX_FILE = 64 << 20
"""Bytes; a larger file of the working tree is not read. Packages are larger than what people
write."""

_FETCHED = (
    "refs/remotes/", "refs/pull/", "refs/merge-requests/", "refs/changes/", "refs/keep-around/",
)  # fmt: skip
_PUSHED_APART = ("refs/tags/", "refs/notes/")  # nothing here tells whether they were
_REFLOG_OF = "reflog of "
_LFS = b"version https://git-lfs.github.com/spec/"
_BUILT = re.compile(
    r"(?:^|/)(?:dist|build|[^/]+\.egg-info)/|\.(?:whl|zip|tar\.gz|tgz|gem|crate|jar|egg)$"
)
_OTHERS = re.compile(r"(?:^|/)(?:node_modules|site-packages|\.?venv|\.tox|\.nox|\.git)/")
"""Other people's packages, and tools'."""

_WHOLE = "run `git fetch --refetch --no-filter`"


def look(repository: Repository, name: Name, told: Told = lambda *_: None) -> Incident:
    """Find *name* in all that *repository* keeps; `RepositoryError` when git cannot answer."""
    return _Search(repository, name, told).incident()


class _Search:
    def __init__(self, repository: Repository, name: Name, told: Told) -> None:
        self._repository = repository
        self._name = name
        self._told = told
        self._matcher = Matcher(name)
        self._keeps = Everything(repository.directory)
        self._bare = self._keeps.bare()
        self._hosts = self._keeps.hosts()
        self._history = History()
        self._traces: list[Trace] = []
        self._unseen: dict[Unseen, None] = {}
        self._holding: set[str] = set()
        self._pointers: set[str] = set()
        self._files: set[str] = set()
        self._complete = True

    def incident(self) -> Incident:
        objects, refs = self._keeps.objects(), self._keeps.refs()
        self._limits()
        self._read_blobs(objects["blob"])
        self._read_names(objects["tree"])
        self._read_commits(objects["commit"], refs)
        self._ref_names(refs)
        self._tags(objects["tag"], refs)
        located = self._changes() | self._tips(refs)
        if not self._bare:
            located |= self._index()
            self._working_tree()
        for oid in sorted(self._holding - located):
            self._found(Place.OBJECT, Public.NO, oid=oid)
        if self._matcher.unread:
            what = "archives, or members of them, that are damaged, locked or too large"
            self._missed(what, "unpack them and look by hand")
        looked = {kind: len(oids) for kind, oids in objects.items()} | {"ref": len(refs)}
        return Incident(
            self._name, tuple(self._traces), tuple(self._unseen), self._hosts,
            frozenset(self._files), looked, self._complete, is_ordinary(self._name.key),
        )  # fmt: skip

    # --- notes --------------------------------------------------------------------------------

    def _found(
        self, place: Place, public: Public, what: str = "", oid: str = "", when: int = 0,
        refs: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._traces.append(Trace(place, public, what, oid, when, refs))

    def _missed(self, what: str, hint: str) -> None:
        self._unseen[Unseen(what, hint)] = None

    def _limits(self) -> None:
        """Say what this clone lacks of the history."""
        if self._repository.is_shallow():
            self._complete = False
            self._missed("the history before this shallow clone's", "run `git fetch --unshallow`")
        if self._repository.partial:
            self._complete = False
            self._missed("the objects that this partial clone left with its remote", _WHOLE)
        if others := self._keeps.worktrees() - 1:
            self._missed(f"{plural(others, 'other working tree')}", "run this command in each")

    def _at_commit(self, place: Place, commit: str, what: str = "") -> None:
        refs = self._history.labels(commit)
        when = self._history.commits[commit].when
        self._found(place, self._publicity(refs), what, commit, when, _shown(refs))

    def _publicity(self, refs: Iterable[str]) -> Public:
        """How public what *refs* reach is; a host knows its own references and what we fetched."""
        found = {self._public(ref) for ref in refs}
        return next((public for public in Public if public in found), Public.NO)

    def _public(self, ref: str) -> Public:
        ref = ref.removeprefix(_REFLOG_OF)
        if ref.startswith(_FETCHED):
            return Public.YES
        if self._bare or (self._hosts and ref.startswith(_PUSHED_APART)):
            return Public.MAYBE
        return Public.NO

    # --- objects ------------------------------------------------------------------------------

    def _stream(self, oids: list[str], kind: str, what: str) -> Iterator[tuple[str, bytes]]:
        """The content of *oids*; what is too large to read is noted."""
        limit = MAX_BLOB if kind == "blob" else None
        large = 0
        for done, (oid, data) in enumerate(self._repository.objects(oids, kind, limit), 1):
            if isinstance(data, bytes):
                yield oid, data
            large += data is Lack.LARGE
            self._told(what, done, len(oids))
        if large:
            size = f"larger than {MAX_BLOB >> 20} MB"
            self._missed(f"{plural(large, 'object')} {size}", "look into them by hand")

    def _read_blobs(self, oids: list[str]) -> None:
        for oid, data in self._stream(oids, "blob", "Reading contents"):
            if data.startswith(_LFS):
                self._pointers.add(oid)
            if self._matcher.content(data):
                self._holding.add(oid)

    def _read_names(self, trees: list[str]) -> None:
        for oid, data in self._stream(trees, "tree", "Reading directories"):
            for entry in tree_entries(data, len(oid) // 2):
                self._matcher.component(entry.name)

    def _read_commits(self, oids: list[str], refs: list[Ref]) -> None:
        told: dict[str, list[Place]] = defaultdict(list)
        for oid, data in self._stream(oids, "commit", "Reading commits"):
            self._history.commits[oid] = parse_commit(data)
            if self._matcher.text(message(data)):
                told[oid].append(Place.COMMIT_MESSAGE)
            if self._matcher.text(people(data)):
                told[oid].append(Place.IDENTITY)
        for ref in refs:
            self._history.label(ref.commit, ref.name)
        for entry in self._keeps.reflogs():
            self._history.label(entry.commit, _REFLOG_OF + entry.ref)
            if self._matcher.text(entry.message):
                self._found(Place.REFLOG, Public.NO, short(entry.ref), entry.commit)
        self._history.spread()
        for oid, places in told.items():
            for place in places:
                self._at_commit(place, oid)

    def _tags(self, oids: list[str], refs: list[Ref]) -> None:
        names = defaultdict(list)
        for ref in refs:
            names[ref.oid].append(ref.name)
        for oid, data in self._stream(oids, "tag", "Reading tags"):
            if self._matcher.text(message(data)) or self._matcher.text(people(data)):
                held = names[oid]
                public = self._publicity(held)
                self._found(Place.TAG_MESSAGE, public, "", oid, written(data), _shown(held))

    def _ref_names(self, refs: list[Ref]) -> None:
        for ref in refs:
            if self._matcher.path(ref.name):
                place = Place.TAG if ref.name.startswith("refs/tags/") else Place.BRANCH
                commit = self._history.commits.get(ref.commit)
                when = commit.when if commit else 0
                self._found(place, self._public(ref.name), short(ref.name), ref.commit, when)

    # --- files --------------------------------------------------------------------------------

    def _changes(self) -> set[str]:
        """Note which commits brought the name in; return the blobs that they brought."""
        located: set[str] = set()
        if not self._holding and not self._matcher.in_a_path:
            return located
        with self._as_far_as_there("which commits brought a file in"):
            for added in self._keeps.added(list(self._history.commits)):
                if added.oid in self._holding:
                    located.add(added.oid)
                    self._at_commit(Place.CONTENT, added.commit, added.path)
                if added.new and self._matcher.path(added.path):
                    self._at_commit(Place.PATH, added.commit, added.path)
        return located

    @contextmanager
    def _as_far_as_there(self, what: str) -> Iterator[None]:
        """In a clone that left trees with its remote: note that *what* could not be told."""
        try:
            yield
        except RepositoryError:
            if not self._repository.partial:
                raise
            self._missed(what, _WHOLE)

    def _tips(self, refs: list[Ref]) -> set[str]:
        """Note what the references' own trees hold; return the blobs."""
        pointing: dict[str, list[str]] = defaultdict(list)
        for ref in refs:
            if ref.commit in self._history.commits:
                pointing[ref.commit].append(ref.name)
        held: dict[str, list[str]] = defaultdict(list)
        located, elsewhere = set(), {}
        for commit, path, entry in self._kept_at_tips(list(pointing)):
            if entry.oid in self._holding or self._matcher.component(entry.name):
                held[path].append(commit)
                located.add(entry.oid)
            else:
                elsewhere[path] = "submodule" if entry.mode == SUBMODULE else "LFS file"
        for path, commits in sorted(held.items()):
            public = self._publicity(ref for one in commits for ref in self._history.labels(one))
            names = sorted(name for commit in commits for name in pointing[commit])
            self._found(Place.TIP, public, path, refs=_shown(names))
        for kind in ("submodule", "LFS file"):
            self._not_here(kind, [path for path, what in elsewhere.items() if what == kind])
        return located

    def _kept_at_tips(self, commits: list[str]) -> Iterator[tuple[str, str, Entry]]:
        """Of the trees of *commits* what there is a word to say about: commit, path, entry."""
        trees = {commit: self._history.commits[commit].tree for commit in commits}
        tips = Tips(self._worth_keeping)
        with self._as_far_as_there("the files at the tips of the references"):
            tips.read(set(trees.values()), lambda oids: self._repository.objects(oids, "tree"))
        self._files = tips.top
        for commit, tree in trees.items():
            for path, entry in tips.files(tree):
                yield commit, path, entry

    def _worth_keeping(self, entry: Entry) -> bool:
        known = entry.oid in self._holding or entry.oid in self._pointers
        return known or entry.mode == SUBMODULE or self._matcher.component(entry.name)

    def _not_here(self, what: str, paths: list[str]) -> None:
        if paths:
            listed = ", ".join(paths[:3]) + (f" and {len(paths) - 3:,} more" if paths[3:] else "")
            hint = "run this command in it" if what == "submodule" else "run `git lfs fetch --all`"
            self._missed(f"{plural(len(paths), what)}, kept elsewhere: {listed}", hint)

    def _index(self) -> set[str]:
        """Note what the next commit would bring; return the blobs."""
        located = set()
        for change in self._repository.staged_changes():
            if change.deletes:
                continue
            if change.new_oid in self._holding or self._matcher.path(change.path):
                located.add(change.new_oid)
                self._found(Place.INDEX, Public.NO, change.path)
        return located

    def _working_tree(self) -> None:
        changed = [c.path for c in self._repository.worktree_changes() if not c.deletes]
        ignored = self._keeps.ignored()
        built = [path for path in ignored if _BUILT.search(path) and not _OTHERS.search(path)]
        if rest := len(ignored) - len(built):
            what = f"{plural(rest, 'ignored file')}, not among build outputs"
            self._missed(what, "look into those that you publish")
        top = self._repository.top_level()
        for done, path in enumerate(paths := sorted({*changed, *built}), 1):
            self._told("Reading the working tree", done, len(paths))
            place = Place.BUILD if _BUILT.search(path) else Place.WORKTREE
            if path.endswith("/"):
                self._missed(f"another repository at {path}", "run this command in it")
            elif found := self._in_file(top / path, path):
                self._found(place, Public.NO, found)

    def _in_file(self, file: Path, path: str) -> str:
        """*path* if it or what lies there holds the name, with the member of an archive."""
        try:
            if file.is_symlink():
                data = os.fsencode(file.readlink())
            elif file.stat().st_size > MAX_FILE:
                self._missed(f"{path}: larger than {MAX_FILE >> 20} MB", "look into it by hand")
                data = b""
            else:
                data = file.read_bytes()
        except OSError as error:
            self._missed(f"{path}: {error.strerror}", "make it readable, and run this again")
            data = b""
        member = next(self._matcher.members(data), None)
        if member is None:
            return path if self._matcher.path(path) else ""
        return f"{path}!{member}" if member else path


def short(ref: str) -> str:
    """*ref* as people say it."""
    if ref.startswith(_REFLOG_OF):
        return _REFLOG_OF + short(ref.removeprefix(_REFLOG_OF))
    if ref.startswith("refs/tags/"):
        return "tag " + ref.removeprefix("refs/tags/")
    return re.sub("^refs/(?:heads/|remotes/)?", "", ref)


def _shown(labels: Iterable[str]) -> tuple[str, ...]:
    """What reaches something: references, and reflogs only where no reference does."""
    labels = list(labels)
    refs = [label for label in labels if not label.startswith(_REFLOG_OF)]
    return tuple(map(short, refs or labels))

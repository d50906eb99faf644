"""Hostile git: settings, variables, references and objects that somebody prepared to run a program
or to change an answer.

Each test puts the same two names to `orgguard check` and the same branch to `orgguard scan`, and
sees that git itself is fooled where that can be seen.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.scanner import ORDINARY, orgguard_scan, scan
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
LOWER = COINED.lower()
INVENTED = {name.lower() for name in (COINED, COINED_TOO, THIRD, FOURTH)}
"""What the tests look for: an attack's own words may be found beside them."""

NOTES = "docs/notes.md"
ADDED = "docs/added.md"
POLICY = ".orgguard/policy.toml"


class Answers(NamedTuple):
    """What both commands say: the base, each name's basis there, and what the branch brings in."""

    base: str
    basis: dict[str, str]
    found: set[str]


class Target(NamedTuple):
    """A clone to attack, and the true answers on it: its branch brings in `COINED`, and its base
    has `THIRD`.
    """

    repo: Repo
    truth: Answers

    def answers(
        self, where: Path | None = None, variables: Mapping[str, str] = MappingProxyType({})
    ) -> Answers:
        """What is said now, by a base that is read anew."""
        shutil.rmtree(self.repo.path / ".git" / "orgguard", ignore_errors=True)
        place = where or self.repo.path
        done = check(place, variables)
        rows = [json.loads(row) for row in done.stdout.splitlines()]
        found = scan(place, stdin=b"", **variables)
        assert (done.returncode, found.code) == (1, 1), done.stderr + found.err.encode()
        assert found.document["base"] == rows[0]["base"]
        basis = {row["name"]: row["basis"] for row in rows}
        return Answers(rows[0]["base"], basis, found.names & INVENTED)

    def refuses(self, variables: Mapping[str, str] = MappingProxyType({})) -> str:
        """See that neither command gives an answer, and return what is said instead."""
        shutil.rmtree(self.repo.path / ".git" / "orgguard", ignore_errors=True)
        checked = check(self.repo.path, variables)
        scanned = scan(self.repo, stdin=b"", **variables)
        for code, out, err in (
            (checked.returncode, checked.stdout.decode(), checked.stderr.decode()), scanned,
        ):  # fmt: skip
            assert (code, out) == (3, ""), err
            assert err.startswith("error: names were not checked: ")
        return scanned.err


def check(
    where: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "check", "--format=json", COINED, THIRD],
        cwd=where, capture_output=True, check=False, timeout=60, env={**os.environ, **variables},
    )  # fmt: skip


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Target:
    """A fork whose upstream went on by two commits, and what is true of it."""
    top = tmp_path_factory.mktemp("pattern")
    upstream = Repo(top / "upstream")
    upstream.commit({**ORDINARY, NOTES: f"# Notes\n\nAsk {THIRD} first.\n"}, "Start")
    fork = upstream.clone(top / "fork")
    fork.git("checkout", "-q", "-b", "feature")
    fork.commit({ADDED: f"# Added\n\nfor the {COINED} account.\n"}, "Add a page")
    for number in range(2):
        upstream.commit({f"src/m{number}.py": "1\n"}, "Go on")
    fork.git("fetch", "-q")
    base = fork.git("merge-base", "HEAD", "origin/main")
    return Target(fork, Answers(base, {COINED: "unknown", THIRD: "established"}, {LOWER}))


@pytest.fixture
def target(pattern: Target, tmp_path: Path) -> Target:
    """A copy of `pattern`, to be attacked."""
    repo = object.__new__(Repo)
    repo.path = tmp_path / "fork"
    shutil.copytree(pattern.repo.path, repo.path, symlinks=True)
    return Target(repo, pattern.truth)


def run_with_input(repo: Repo, data: bytes, *args: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=repo.path, input=data, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode().strip()


def test_nothing_is_attacked(target: Target) -> None:
    """Nobody attacks: the answers that every attack is to leave as they are."""
    assert target.answers() == target.truth


# --- objects and history --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["commit", "tree", "blob"])
def test_replaced_object(target: Target, kind: str) -> None:
    """A local agent replaces an object of the base by the change's own: nothing may move."""
    repo, base = target.repo, target.truth.base
    old, new = {
        "commit": (base, "HEAD"),
        "tree": (f"{base}^{{tree}}", "HEAD^{tree}"),
        "blob": (f"{base}:{NOTES}", f"HEAD:{ADDED}"),
    }[kind]
    repo.git("replace", old, new)
    assert COINED in repo.git("grep", "-h", COINED, base)  # git itself is fooled
    assert target.answers() == target.truth
    assert target.answers(variables={"GIT_REPLACE_REF_BASE": "refs/replace/"}) == target.truth


@pytest.mark.parametrize("by", ["file", "variable"])
def test_grafted_history(target: Target, tmp_path: Path, by: str) -> None:
    """A local agent makes upstream descend from the change, so that the change would be the base:
    nothing may move.
    """
    repo = target.repo
    graft = repo.path / ".git/info/grafts" if by == "file" else tmp_path / "grafts"
    graft.write_text(f"{repo.git('rev-parse', 'origin/main')} {repo.git('rev-parse', 'HEAD')}\n")
    variables = {"GIT_GRAFT_FILE": str(graft)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_GRAFT_FILE", str(graft))
        fooled = repo.git("merge-base", "HEAD", "origin/main")
    assert fooled == repo.git("rev-parse", "HEAD")
    assert target.answers(variables=variables if by == "variable" else {}) == target.truth


def test_forged_commit_graph(target: Target) -> None:
    """The same, by the cache in which git keeps who descends from whom, and which it believes."""
    repo = target.repo
    repo.git("-c", "commitGraph.generationVersion=1", "commit-graph", "write", "--reachable")
    graph = repo.path / ".git/objects/info/commit-graph"
    data, head = bytearray(graph.read_bytes()), repo.git("rev-parse", "HEAD")
    number = sorted(repo.git("rev-list", "--all").split()).index(head)

    def record(commit: str) -> int:
        return data.index(bytes.fromhex(repo.git("rev-parse", f"{commit}^{{tree}}"))) + 20

    data[record("origin/main~1") : record("origin/main~1") + 4] = struct.pack(">I", number)
    for commit in ("origin/main", "origin/main~1"):
        data[record(commit) + 11] += 1 << 2  # its generation: above that of its new parent
    graph.chmod(0o600)
    graph.write_bytes(data)
    assert repo.git("merge-base", "HEAD", "origin/main") == head  # git itself is fooled
    assert target.answers() == target.truth


def test_history_cut_off_at_the_change(target: Target) -> None:
    """A local agent says that history ends at HEAD: without a merge-base there is no answer."""
    head = target.repo.git("rev-parse", "HEAD")
    (target.repo.path / ".git/shallow").write_text(f"{head}\n")
    assert "the clone is shallow" in target.refuses()


@pytest.mark.parametrize("how", ["forged", "a fetch of two commits"])
def test_history_cut_off_within_the_change(make_repo: MakeRepo, tmp_path: Path, how: str) -> None:
    """A local agent says that history ends within the branch; or CI fetches too little of it. The
    base is still reached by a merge, and of the messages beyond the cut it must be said that they
    were not read.
    """
    repo = make_repo(ORDINARY)
    repo.git("checkout", "-q", "-b", "feature")
    repo.commit({"src/a.py": "1\n"}, f"Export\n\nfor the {COINED} account.")
    cut = repo.commit({"src/a.py": "2\n"}, "Go on")
    repo.git("checkout", "-q", "--detach", "main")
    repo.git("merge", "-q", "--no-ff", "-m", "Merge", "feature")
    assert LOWER in scan(repo, "--base=main").names
    if how == "forged":
        (repo.path / ".git/shallow").write_text(f"{cut}\n")
    else:
        repo.git("branch", "merged")
        repo = repo.clone(tmp_path / "ci", "--depth=2", "--branch=merged")
    done = scan(repo, "--base=HEAD^1")
    assert done.code == 3 or done.skipped("commit-message")


@pytest.mark.parametrize("by", ["file", "variable"])
def test_borrowed_objects(target: Target, make_repo: MakeRepo, by: str) -> None:
    """A local agent lends the clone another repository's objects, which establish the name: what
    is only lying about is no part of the base.
    """
    other = make_repo({NOTES: f"Ask {COINED} first.\n", "src/client.py": f"class {COINED}: ...\n"})
    objects = str(other.path / ".git/objects")
    lent = target.repo.path / ".git/objects/info/alternates"
    if by == "file":
        lent.write_text(f"{objects}\n")
        target.repo.git("cat-file", "-e", other.git("rev-parse", "HEAD"))  # it is lent
        assert target.answers() == target.truth
    assert target.answers(variables={"GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}) == target.truth


def forge(repo: Repo, oid: str, kind: str, content: bytes, size: int | None = None) -> None:
    """Put *content* into the store under the id of something else."""
    packs = repo.path / ".git/objects/pack"
    for pack in list(packs.glob("*.pack")):  # a packed object goes before a loose one
        moved = pack.rename(repo.path / pack.name)
        for other in packs.glob(f"{pack.stem}.*"):
            other.unlink()
        run_with_input(repo, moved.read_bytes(), "unpack-objects", "-q")
        moved.unlink()
    loose = repo.path / ".git/objects" / oid[:2] / oid[2:]
    loose.chmod(0o600)
    said = len(content) if size is None else size
    loose.write_bytes(zlib.compress(b"%s %d\0%s" % (kind.encode(), said, content)))


def test_forged_blob_in_the_base(target: Target) -> None:
    """A local agent writes the name into the object that the base has of a file. Git does not look
    whether an object is what its id says, so that is looked at here: there is no answer.
    """
    oid = target.repo.git("rev-parse", f"{target.truth.base}:{NOTES}")
    forge(target.repo, oid, "blob", f"Ask {COINED}, {THIRD} first.\n".encode())
    assert COINED in target.repo.git("show", f"{target.truth.base}:{NOTES}")  # git is fooled
    assert f"object {oid} is not what its id says" in target.refuses()


def test_forged_blob_of_the_change(target: Target) -> None:
    """The same, to hide what the change adds: the scan says that it could not check."""
    oid = target.repo.git("rev-parse", f"HEAD:{ADDED}")
    forge(target.repo, oid, "blob", b"# Added\n")
    done = orgguard_scan(target.repo)
    assert (done.code, done.out) == (3, "")


def test_forged_message_of_the_change(target: Target) -> None:
    """The same, to hide what a commit says."""
    repo = target.repo
    repo.commit({"src/a.py": "1\n"}, f"Export\n\nfor the {COINED_TOO} account.")
    head = repo.commit({"src/a.py": "2\n"}, "Go on")
    told = run_with_input(repo, b"", "cat-file", "commit", "HEAD~1")
    forge(repo, repo.git("rev-parse", "HEAD~1"), "commit", told.partition("for the")[0].encode())
    assert repo.git("rev-parse", "HEAD") == head
    done = orgguard_scan(repo)
    assert (done.code, done.out) == (3, "")


@pytest.mark.parametrize(
    "folder",
    [
        "",
        pytest.param("docs", marks=pytest.mark.xfail(
            strict=True, reason="BUG: trees below the top are listed by git, which does not look"
        )),
    ],
    ids=["top", "below"],
)  # fmt: skip
def test_forged_tree_of_the_base(target: Target, folder: str) -> None:
    """The same, by the list of the base's files: there is no answer."""
    repo, base = target.repo, target.truth.base
    tree = repo.git("rev-parse", f"{base}:{folder}")
    other = subprocess.run(
        ["git", "cat-file", "tree", f"HEAD:{folder}"], cwd=repo.path, capture_output=True,
        check=True,
    ).stdout  # fmt: skip
    forge(repo, tree, "tree", other)
    target.refuses()


@pytest.mark.xfail(strict=True, reason="BUG: trees below the top are compared without a look")
def test_forged_tree_of_the_change(target: Target) -> None:
    """The same, by the list of the change's files, which is to show the base's: no pass."""
    repo, base = target.repo, target.truth.base
    other = subprocess.run(
        ["git", "cat-file", "tree", f"{base}:docs"], cwd=repo.path, capture_output=True, check=True
    ).stdout
    forge(repo, repo.git("rev-parse", "HEAD:docs"), "tree", other)
    done = orgguard_scan(repo)
    assert (done.code, done.out) == (3, "")


def test_forged_objects_are_not_those_of_a_fresh_clone(pattern: Target, target: Target) -> None:
    """A local agent forges what it likes: CI reads a clone of the remote, where nothing moved."""
    tree = target.repo.git("rev-parse", f"{target.truth.base}^{{tree}}")
    forge(target.repo, tree, "tree", b"")
    fresh = pattern.repo.clone(target.repo.path.parent / "fresh", "--branch=feature")
    base = pattern.repo.git("rev-parse", "origin/main")
    fresh.git("fetch", "-q", "origin", f"{base}:refs/remotes/origin/main")
    assert scan(fresh, "--base=origin/main").names == {LOWER}


def test_blob_that_announces_a_terabyte(target: Target) -> None:
    """A local agent forges an object whose header says another size than it has: no crash, no wait
    and no pass.
    """
    oid = target.repo.git("rev-parse", f"HEAD:{ADDED}")
    forge(target.repo, oid, "blob", b"# Added\n", size=1 << 40)
    done = scan(target.repo)
    assert done.code == 3 or "too large: over 16 MB" in done.skipped("docs")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "header",
    [b"tree {tree}\ntree {empty}\n", b"tree {tree}\n\xff\xfe garbage\n", b"tree {empty}\n"],
    ids=["two trees", "garbage", "another tree"],
)
def test_malformed_commit(target: Target, header: bytes) -> None:
    """A branch ends in a commit that no git would write: its message is read or the scan fails."""
    repo = target.repo
    empty = run_with_input(repo, b"", "mktree")
    known = {b"{tree}": repo.git("rev-parse", "HEAD^{tree}"), b"{empty}": empty}
    for key, oid in known.items():
        header = header.replace(key, oid.encode())
    who = b"A <a@example.com> 1700000000 +0000\n"
    rest = b"parent %s\nauthor %scommitter %s\nfor the %s account.\n" % (
        repo.git("rev-parse", "HEAD").encode(), who, who, COINED.encode(),
    )  # fmt: skip
    oid = run_with_input(repo, header + rest, "hash-object", "-t", "commit", "-w", "--stdin",
                         "--literally")  # fmt: skip
    (repo.path / ".git/refs/heads/feature").write_text(f"{oid}\n")
    done = scan(repo)
    assert done.code == 3 or LOWER in done.names
    assert "Traceback" not in done.err


# --- settings -------------------------------------------------------------------------------------

RUNS = (
    "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass",
    "core.alternateRefsCommand", "core.gitProxy", "diff.external", "diff.spy.textconv",
    "diff.spy.command", "filter.spy.clean", "filter.spy.smudge", "filter.spy.process",
    "merge.spy.driver", "credential.helper", "gpg.program", "gpg.ssh.program", "pager.diff-tree",
    "pager.rev-list", "sequence.editor", "uploadpack.packObjectsHook", "interactive.diffFilter",
    "remote.origin.uploadpack", "remote.origin.receivepack", "trailer.spy.command",
)  # fmt: skip
SHELLED = (
    "alias.rev-parse", "alias.merge-base", "alias.ls-tree", "alias.cat-file", "alias.diff-tree",
    "alias.diff-index", "alias.rev-list", "alias.config", "submodule.spy.update",
)  # fmt: skip
SET = {
    "log.showSignature": "true", "core.hooksPath": "hooks", "core.attributesFile": "spied",
    "filter.spy.required": "true", "diff.trustExitCode": "true", "submodule.recurse": "true",
    "protocol.ext.allow": "always", "protocol.allow": "always", "submodule.spy.url": "ext::sh x",
}  # fmt: skip


@pytest.fixture
def spied(target: Target, tmp_path: Path) -> Iterator[Target]:
    """A target whose settings start a program that leaves its name, by every way that git has; none
    may have been started in the end.
    """
    repo, started = target.repo, tmp_path / "started"
    started.mkdir()
    spy = tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\ntouch "{started}/$(basename "$0")"\ncat 2>/dev/null\n')
    spy.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / hook).symlink_to(spy)
    (tmp_path / "spied").write_text("* diff=spy filter=spy merge=spy\n")
    for key in (*RUNS, *SHELLED):
        (tmp_path / key).symlink_to(spy)
        shell = "!" if key in SHELLED else ""
        repo.git("config", "--file", str(tmp_path / "settings"), key, f"{shell}{tmp_path / key}")
    for key, value in SET.items():
        path = str(tmp_path / value) if (tmp_path / value).exists() else value
        repo.git("config", "--file", str(tmp_path / "settings"), key, path)
    yield target
    assert sorted(path.name for path in started.iterdir()) == []


@pytest.mark.parametrize("how", ["include.path", "includeIf", "config.worktree", "user"])
def test_program_in_the_settings(spied: Target, tmp_path: Path, how: str) -> None:
    """A local agent has git's settings start programs: none runs and no answer moves."""
    repo, settings = spied.repo, str(tmp_path / "settings")
    if how == "include.path":
        repo.git("config", "include.path", settings)
    elif how == "includeIf":
        repo.git("config", f"includeIf.gitdir:{repo.path}/.path", settings)
    elif how == "config.worktree":
        repo.git("config", "extensions.worktreeConfig", "true")
        shutil.copy(settings, repo.path / ".git/config.worktree")
    else:
        Path(os.environ["HOME"], ".gitconfig").write_text(f"[include]\npath = {settings}\n")
    assert spied.answers() == spied.truth
    (repo.path / ADDED).write_text(f"# Added\n\nfor the {COINED_TOO} account.\n")
    assert COINED_TOO.lower() in scan(repo, "--worktree").names
    assert scan(repo, "--staged").code == 0


def test_the_settings_do_start_programs(spied: Target, tmp_path: Path) -> None:
    """Nobody attacks: the trap of the test above snaps for git itself."""
    repo = spied.repo
    repo.git("config", "include.path", str(tmp_path / "settings"))
    (repo.path / ADDED).write_text("1\n")
    for command in ("status", "diff"):
        with pytest.raises(AssertionError):
            repo.git(command)
    started = {path.name for path in (tmp_path / "started").iterdir()}
    assert started & {"core.fsmonitor", "filter.spy.clean", "filter.spy.process"}
    for path in (tmp_path / "started").iterdir():
        path.unlink()


@pytest.mark.parametrize("transport", ["ext", "file", "ssh"])
def test_missing_object_is_fetched_by_a_program(
    target: Target, tmp_path: Path, transport: str
) -> None:
    """A local agent takes an object out of the clone and calls it a partial one, whose remote is a
    program: nothing is fetched, and the answer is an error.
    """
    repo, started = target.repo, tmp_path / "started"
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {started}\n")
    spy.chmod(0o755)
    oid = repo.git("rev-parse", f"{target.truth.base}:{NOTES}")
    forge(repo, oid, "blob", b"")
    (repo.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    url = {"ext": f"ext::{spy}", "file": str(tmp_path), "ssh": "ssh://example.com/x"}[transport]
    for key, value in {
        "remote.origin.promisor": "true", "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1", "remote.origin.url": url, "protocol.allow": "always",
        f"protocol.{transport}.allow": "always", "remote.origin.uploadpack": str(spy),
        "core.sshCommand": str(spy), "ssh.variant": "simple",
    }.items():  # fmt: skip
        repo.git("config", key, value)
    done = check(repo.path)
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert all(row["effect"] != "allow" for row in rows)
    scan(repo)
    assert not started.exists()
    with pytest.raises(AssertionError):
        repo.git("cat-file", "blob", oid)
    assert started.exists()  # git itself runs it


def test_settings_that_move_the_working_tree(target: Target, make_repo: MakeRepo) -> None:
    """A local agent calls another directory the working tree: what is committed does not move."""
    target.repo.git("config", "core.worktree", str(make_repo({"a.py": "1\n"}).path))
    assert target.answers() == target.truth


def test_settings_from_a_directory_of_the_branch(spied: Target, tmp_path: Path) -> None:
    """A branch carries a bare repository with settings of its own, and somebody starts OrgGuard in
    that directory: it speaks of that repository, and runs no program.
    """
    repo = spied.repo
    inner = Repo(repo.path / "fixtures", bare=True)
    inner.git("config", "include.path", str(tmp_path / "settings"))
    done = check(inner.path)
    assert done.returncode in {1, 3}
    assert b'"allow"' not in done.stdout
    assert scan(inner.path).code in {0, 3}


# --- variables ------------------------------------------------------------------------------------


def test_every_variable_of_gits(target: Target, make_repo: MakeRepo, tmp_path: Path) -> None:
    """A local agent sets git's own variables before OrgGuard is started: no answer moves, no
    program runs, and git leaves no trace of what it was asked.
    """
    other = make_repo({"a.py": f"class {COINED}: ...\n"})
    there, spy, trace = other.path / ".git", tmp_path / "spy", tmp_path / "trace"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    variables = {
        "GIT_DIR": there, "GIT_WORK_TREE": other.path, "GIT_INDEX_FILE": there / "index",
        "GIT_OBJECT_DIRECTORY": there / "objects", "GIT_COMMON_DIR": there, "GIT_PREFIX": "src/",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": there / "objects", "GIT_NAMESPACE": "n",
        "GIT_CONFIG_COUNT": 1, "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": spy,
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor={spy}'", "GIT_CONFIG": there / "config",
        "GIT_CONFIG_GLOBAL": there / "config", "GIT_CONFIG_SYSTEM": there / "config",
        "GIT_EXTERNAL_DIFF": spy, "GIT_PAGER": spy, "GIT_SSH": spy, "GIT_SSH_COMMAND": spy,
        "GIT_ASKPASS": spy, "GIT_EDITOR": spy, "GIT_PROXY_COMMAND": spy, "GIT_EXEC_PATH": tmp_path,
        "GIT_TEMPLATE_DIR": tmp_path, "GIT_REPLACE_REF_BASE": "refs/heads/",
        "GIT_QUARANTINE_PATH": tmp_path, "GIT_CEILING_DIRECTORIES": target.repo.path.parent,
        "GIT_SHALLOW_FILE": "/dev/null",
        "GIT_GRAFT_FILE": "/dev/null", "GIT_ATTR_SOURCE": "HEAD", "GIT_LITERAL_PATHSPECS": 1,
        "GIT_GLOB_PATHSPECS": 1, "GIT_ICASE_PATHSPECS": 1, "GIT_DEFAULT_HASH": "sha256",
        "GIT_DIFF_OPTS": "--unified=0", "GIT_NO_REPLACE_OBJECTS": 0, "GIT_TRACE": trace,
        "GIT_TRACE_SETUP": trace, "GIT_TRACE_PACKET": trace, "GIT_TRACE2": trace,
        "GIT_TRACE2_EVENT": trace, "GIT_TRACE2_PERF": trace, "GIT_TRACE_REFS": trace,
        "GIT_ALLOW_PROTOCOL": "ext", "GIT_FLUSH": 0, "GIT_PROTOCOL": "version=1",
        "GIT_INTERNAL_SUPER_PREFIX": "x/", "GIT_IMPLICIT_WORK_TREE": 0,
    }  # fmt: skip
    given = {key: str(value) for key, value in variables.items()}
    assert target.answers(variables=given) == target.truth
    assert not trace.exists()
    assert not (tmp_path / "started").exists()


# --- attributes and ignored files -----------------------------------------------------------------

HIDES = (
    "* binary -diff -text -merge linguist-generated linguist-vendored linguist-documentation"
    " export-ignore export-subst working-tree-encoding=ISO-8859-1 diff=spy filter=spy ident\n"
)


@pytest.mark.parametrize("where", ["the branch", "info/attributes", "core.attributesFile"])
def test_attributes(target: Target, tmp_path: Path, where: str) -> None:
    """A branch, or a local agent, calls all files binary, generated and vendored: the change's text
    is read and the base establishes what it did.
    """
    repo = target.repo
    if where == "the branch":
        repo.commit({".gitattributes": HIDES, "docs/.gitattributes": HIDES}, "Set attributes")
    elif where == "info/attributes":
        (repo.path / ".git/info/attributes").write_text(HIDES)
    else:
        (tmp_path / "attributes").write_text(HIDES)
        repo.git("config", "core.attributesFile", str(tmp_path / "attributes"))
    assert repo.git("check-attr", "diff", NOTES).endswith("diff: spy")
    assert target.answers() == target.truth
    (repo.path / ADDED).write_text(f"# Added\n\nfor the {COINED_TOO} account.\n")
    assert COINED_TOO.lower() in scan(repo, "--worktree").names


@pytest.mark.parametrize("by", [".gitignore", "info/exclude", "assume-unchanged", "skip-worktree"])
def test_what_git_is_told_to_overlook_is_not_in_the_working_tree(target: Target, by: str) -> None:
    """A branch, or a local agent, has git overlook files. `--worktree` reads what git would take,
    so that it does not read these; once git has taken one, it is found.
    """
    repo, path = target.repo, "src/hidden.py" if by.startswith((".", "info")) else ADDED
    if by == ".gitignore":
        repo.commit({".gitignore": "hidden.py\n"})
    elif by == "info/exclude":
        (repo.path / ".git/info/exclude").write_text("hidden.py\n")
    else:
        repo.git("update-index", f"--{by}", ADDED)
    repo.write({path: f"# for the {COINED_TOO} account.\n"})
    assert scan(repo, "--worktree").names == set()
    if path == ADDED:
        repo.git("update-index", f"--no-{by}", ADDED)
    repo.git("add", "-f", path)
    assert COINED_TOO.lower() in scan(repo, "--staged").names


# --- the rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [
        f'reserved = ["{COINED}"]\n', '[classes]\n"docs/**" = "generated"\n', 'base = "feature"\n',
        'level = "pedantic"\n', 'unscanned = "fail"\n', "\0 no policy at all",
    ],
    ids=["reserved", "classes", "base", "level", "unscanned", "broken"],
)  # fmt: skip
def test_rules_that_the_branch_brings(target: Target, policy: str) -> None:
    """A branch brings rules for itself: those of the base hold."""
    target.repo.commit({POLICY: policy}, "Set the rules")
    assert target.answers() == target.truth


def test_branch_from_the_time_of_looser_rules(make_repo: MakeRepo) -> None:
    """A branch starts from an old commit, when the rules still let the name pass: the rules at the
    tip of the base's branch hold.
    """
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in COINED)  # the old tree lacks the word
    repo = make_repo({**ORDINARY, POLICY: f'reserved = ["{escaped}"]\n'})
    repo.git("branch", "feature")
    repo.commit({POLICY: "reserved = []\n"}, "Tighten the rules")
    repo.git("checkout", "-q", "feature")
    repo.commit({ADDED: f"# Added\n\nfor the {COINED} account.\n"}, "Add a page")
    row = json.loads(check(repo.path).stdout.splitlines()[0])
    assert (row["basis"], row["base"]) == ("unknown", repo.git("merge-base", "HEAD", "main"))
    assert scan(repo).names == {LOWER}
    repo.git("update-ref", "refs/heads/main", row["base"])
    assert scan(repo).names == set(), "the old rules did let it pass"


# --- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["symbolic-ref", "update-ref", "remote", "variable"])
def test_base_moved_onto_the_change(
    pattern: Target, target: Target, tmp_path: Path, by: str
) -> None:
    """A local agent makes its own commit the base. Here the answer changes, and it says by which
    base; a fresh clone with a given base is not moved.
    """
    repo, head = target.repo, target.repo.git("rev-parse", "HEAD")
    variables: dict[str, str] = {}
    if by == "symbolic-ref":
        repo.git("update-ref", "refs/remotes/origin/mine", head)
        repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/mine")
        said = "origin/mine"
    elif by == "update-ref":
        repo.git("update-ref", "refs/remotes/origin/main", head)
        said = "origin/main"
    elif by == "remote":
        repo.git("remote", "add", "upstream", str(repo.path))
        repo.git("update-ref", "refs/remotes/upstream/main", head)
        said = "upstream/main"
    else:
        variables, said = {"ORGGUARD_BASE": head}, "ORGGUARD_BASE"
    row = json.loads(check(repo.path, variables).stdout.splitlines()[0])
    done = scan(repo, stdin=b"", **variables)
    assert (row["basis"], row["base"]) == ("established", head)
    assert (done.code, done.document["base"]) == (0, head)
    assert said in row["base_reason"]
    assert said in done.err
    upstream = object.__new__(Repo)
    upstream.path = pattern.repo.path.parent / "upstream"
    fresh = upstream.clone(tmp_path / "fresh")
    fresh.git("fetch", "-q", str(repo.path), "feature")
    fresh.git("checkout", "-q", "FETCH_HEAD")
    given = scan(fresh, "--base=origin/main")
    assert (given.names, given.document["base"]) == ({LOWER}, target.truth.base)


@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/--output=leak", "refs/heads/HEAD", "refs/tags/HEAD", "refs/heads/-h",
        "refs/heads/origin/main", "refs/tags/origin/main", "refs/heads/refs/remotes/origin/main",
        "refs/remotes/origin/--all", "{base}",
    ],
)  # fmt: skip
def test_reference_with_a_misleading_name(target: Target, ref: str) -> None:
    """A branch, or a local agent, names a reference like an option, like HEAD, like the remote's
    branch or like a commit: git is asked by full names, and nothing moves.
    """
    full = ref if ref.startswith("refs/") else f"refs/heads/{target.truth.base}"
    target.repo.git("update-ref", full, "HEAD")
    assert target.answers() == target.truth
    assert not (target.repo.path / "leak").exists()


@pytest.mark.parametrize("kind", ["tags", "heads"])
def test_tag_named_like_the_given_base(target: Target, kind: str) -> None:
    """Whoever may push a tag or branch calls it `origin/main`, as the base that CI gives: where two
    references have that name there is no answer.
    """
    target.repo.git("update-ref", f"refs/{kind}/origin/main", "HEAD")
    done = orgguard_scan(target.repo, "--base=origin/main")
    assert (done.code, done.out) == (3, "")
    assert {"refs/remotes/", f"refs/{kind}/"} <= set(done.err.split())
    for ref in ("refs/remotes/origin/main", "remotes/origin/main"):
        assert scan(target.repo, f"--base={ref}").names == {LOWER}


def test_abbreviated_id_that_two_commits_share(target: Target) -> None:
    """Whoever makes commits makes one that begins like the base that was given: there is no answer,
    whatever the other commit holds.
    """
    repo = target.repo
    stream = b"".join(
        b"commit refs/heads/many\ncommitter A <a@example.com> %d +0000\ndata 0\n\n" % number
        for number in range(1_000)
    )
    run_with_input(repo, stream, "fast-import", "--quiet")
    short: dict[str, str] = {}
    shared = next(
        oid[:4]
        for oid in repo.git("rev-list", "many").split()
        if short.setdefault(oid[:4], oid) != oid
    )
    for option in ("--base", "--head"):
        done = orgguard_scan(repo, f"{option}={shared}")
        assert (done.code, done.out) == (3, "")


# --- who and where --------------------------------------------------------------------------------


def test_repository_of_another_user(target: Target, tmp_path: Path) -> None:
    """Another user owns the repository, and so its settings: there is no answer. An ordinary user
    cannot give files away, so that git is told by a switch of its own tests who owns them.
    """
    variables = {}
    if os.geteuid() == 0:
        for path in (target.repo.path, target.repo.path / ".git"):
            os.chown(path, 65534, 65534)
    else:
        real = shutil.which("git")
        (tmp_path / "bin").mkdir()
        shim = tmp_path / "bin/git"
        shim.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\n')
        shim.chmod(0o755)
        variables = {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
    assert "the repository belongs to another user" in target.refuses(variables)


PATHS = {
    "new line": "docs/a\nb.md", "quotes": "docs/\"a'`$(touch x).md", "dash": "--output=x.md",
    "dots": "docs/..a/.../b.md", "colon": ":(exclude)docs/a.md", "glob": "docs/[*?]/**.md",
    "escape": "docs/\x1b[2J.md", "bytes": "docs/\udcff.md",
    "long": f"docs/{'x' * 200}/" * 20 + "a.md",
}  # fmt: skip


@pytest.mark.parametrize("kind", PATHS)
def test_file_with_a_misleading_path(target: Target, kind: str) -> None:
    """A branch gives its files names that mislead programs: their text is read, and what the base
    holds under such a name establishes as any other.
    """
    repo, text = target.repo, os.fsencode(f"for the {COINED_TOO} account.\n")
    path = os.fsencode(PATHS[kind])
    row = b"100644 blob %s\t%s\0" % (
        run_with_input(repo, text, "hash-object", "-w", "--stdin").encode(), path,
    )  # fmt: skip
    run_with_input(repo, row, "update-index", "-z", "--index-info")
    assert COINED_TOO.lower() in scan(repo, "--staged").names
    repo.git("commit", "-q", "-m", "Add a page")
    assert target.answers().found == {LOWER, COINED_TOO.lower()}
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert target_basis(repo)[COINED] == "established"


def target_basis(repo: Repo) -> dict[str, str]:
    rows = [json.loads(row) for row in check(repo.path).stdout.splitlines()]
    return {row["name"]: row["basis"] for row in rows}


def test_tree_with_parents_for_names(target: Target) -> None:
    """A branch has a tree whose paths lead out of the repository: nothing outside is read."""
    repo = target.repo
    outside = repo.path.parent / "outside.md"
    outside.write_text(f"for the {FOURTH} account.\n")
    blob = run_with_input(
        repo, f"for the {COINED} account.\n".encode(), "hash-object", "-w", "--stdin"
    )
    inner = b"100644 outside.md\0" + bytes.fromhex(blob)
    tree = run_with_input(repo, inner, "hash-object", "-t", "tree", "-w", "--stdin", "--literally")
    top = b"40000 ..\0" + bytes.fromhex(tree)
    tree = run_with_input(repo, top, "hash-object", "-t", "tree", "-w", "--stdin", "--literally")
    commit = repo.git("commit-tree", tree, "-p", "HEAD", "-m", "Lead out")
    repo.git("update-ref", "refs/heads/feature", commit)
    done = scan(repo)
    assert LOWER in done.names
    assert FOURTH.lower() not in done.names
    repo.git("update-ref", "refs/remotes/origin/main", commit)
    assert FOURTH.lower() not in scan(repo, "--base=origin/main~1").names


def test_run_below_the_top_in_a_worktree_and_beside_a_submodule(
    target: Target, project: Repo, tmp_path: Path
) -> None:
    """Nobody attacks, but OrgGuard is started elsewhere: the answers are the repository's, and in a
    submodule they are the submodule's.
    """
    repo = target.repo
    assert target.answers(repo.path / "docs") == target.truth
    repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "feature")
    assert target.answers(tmp_path / "linked") == target.truth
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"file://{project.path}",
             "inner")  # fmt: skip
    row = json.loads(check(repo.path / "inner").stdout.splitlines()[0])
    assert (row["base"], row["basis"]) == (project.git("rev-parse", "HEAD"), "unknown")
    assert scan(repo.path / "inner").code == 0

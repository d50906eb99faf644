"""What the door to git reads of a tree, and what cannot mislead it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import git
import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Base
from orgguard_mcp.repository import MAX_BLOB, Repository, Tree
from tests.names import COINED
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]


def base_of(directory: Path) -> Base:
    with Repository(directory) as repository:
        return repository.base()


def tree_of(directory: Path, commit: str) -> Tree:
    with Repository(directory) as repository:
        return repository.tree(commit)


# --- the tree -------------------------------------------------------------------------------------


def test_tree_lists_what_an_independent_reader_lists(project: Repo) -> None:
    inner = project.git("rev-parse", "HEAD")
    (project.path / "link").symlink_to("a.py")
    odd = os.fsencode(project.path) + b"/caf\xe9 \xff.txt"
    Path(os.fsdecode(odd)).write_bytes(b"\xff\r\n")
    project.write({"new\nline/tab\t.py": "x\r\n", 'quo"te.py': "", "dé/ü.py": "y"})
    project.git("add", "-A")
    project.git("update-index", "--add", "--cacheinfo", f"160000,{inner},sub/module")
    project.git("commit", "-q", "-m", "Odd")
    tree = tree_of(project.path, "HEAD")
    with git.Repo(project.path) as repo:
        found = [(item.type, item.mode, item.path) for item in repo.commit().tree.traverse()]
    blobs = {path for kind, _, path in found if kind == "blob"}
    assert {*(entry.path for entry in tree.files), "link"} == blobs
    assert [entry.path for entry in tree.symlinks] == ["link"]
    assert tree.submodules == [path for kind, _, path in found if kind == "submodule"]
    assert tree.submodules == ["sub/module"]


def test_blobs_are_read_byte_by_byte_whatever_their_line_ends_and_encoding(project: Repo) -> None:
    contents: dict[str, str | bytes] = {"crlf": b"a\r\nb\r\n", "bin": bytes(range(256)), "no": b""}
    project.git("config", "core.autocrlf", "false")
    commit = project.commit(contents)
    project.git("config", "core.autocrlf", "true")
    with Repository(project.path) as repository:
        assert {path: repository.read(commit, path) for path in contents} == contents
        oids = {entry.path: entry.oid for entry in repository.tree(commit).files}
        streamed = dict(repository.blobs(oids.values()))
        assert {path: streamed[oids[path]] for path in contents} == contents


def test_reading_what_is_no_file_tells_missing_from_unreadable(project: Repo) -> None:
    commit = project.commit({"d/x": "1", "big": b"x" * (MAX_BLOB + 1), "most": b"x" * MAX_BLOB})
    with Repository(project.path) as repository:
        assert repository.read(commit, "gone") is None
        assert repository.read(commit, "a.py\nHEAD:d/x") is None
        assert repository.read(commit, "d") == b""
        assert repository.read(commit, "big") == b""
        assert len(repository.read(commit, "most") or b"") == MAX_BLOB
        assert repository.read(commit, "d/x") == b"1"


def test_a_file_is_the_same_whether_it_is_walked_to_or_listed(project: Repo) -> None:
    """Git sorts a folder as if its name ended in a slash: before ``d0``, after ``d-e``."""
    inner = project.git("rev-parse", "HEAD")
    odd = os.fsdecode(b"caf\xe9 \xff.txt")
    (project.path / odd).write_bytes(b"\xff\r\n")
    (project.path / "link").symlink_to("d/e")
    project.write({"d/e": "1", "d/e.py": "2", "d-e": "3", "d.e": "4", "d0": "5", "dé/ü.py": "6"})
    project.write({"new\nline": "7", "tab\t.py": "8", "d/sub/.gitattributes": "", "zz": "9"})
    project.git("add", "-A")
    project.git("update-index", "--add", "--cacheinfo", f"160000,{inner},sub/module")
    project.git("commit", "-q", "-m", "Odd")
    commit = project.git("rev-parse", "HEAD")
    with Repository(project.path) as repository:
        there = [entry.path for entry in repository.tree(commit).files]
        paths = [*there, "link", "sub/module", "", "A", "d/f", "d/../zz", "d/e/f", "zzz"]
        walked = [repository.read(commit, path) for path in paths]
        listed = repository.snapshot(commit)
        listed.expect_many()
        assert listed.read(paths) == walked
        many = repository.snapshot(commit)
        assert [many.read(paths) for _ in range(70)] == [walked] * 70
        folder = repository.snapshot(commit)
        assert folder.read(["d"]) == [b""]
        folder.expect_many()
        assert folder.read(["d"]) == [None]
    found = dict(zip(paths, walked, strict=True))
    assert [found[path] for path in ("d/e", "d-e", "link", odd)] == [
        b"1",
        b"3",
        b"d/e",
        b"\xff\r\n",
    ]
    assert [path for path in there if found[path] is None] == ["new\nline"]


def test_many_threads_may_read_at_once(project: Repo) -> None:
    files: dict[str, str | bytes] = {f"f{n}": f"{n}\n" * (n + 1) for n in range(50)}
    commit = project.commit(files)
    with Repository(project.path) as repository, ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda path: repository.read(commit, path), [*files] * 4))
    assert read == [str(text).encode() for text in files.values()] * 4


# --- a hostile surrounding ------------------------------------------------------------------------


def test_gits_own_variables_point_elsewhere_and_change_nothing(
    fork: Repo, make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = base_of(fork.path)
    other = make_repo({"b.py": "2\n"})
    for variable, value in {
        "GIT_DIR": other.path / ".git", "GIT_WORK_TREE": other.path, "GIT_PREFIX": "b/",
        "GIT_INDEX_FILE": other.path / ".git" / "index", "GIT_COMMON_DIR": other.path / ".git",
        "GIT_OBJECT_DIRECTORY": other.path / ".git" / "objects", "GIT_NAMESPACE": "n",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "true",
        "GIT_CONFIG_PARAMETERS": "'core.bare=true'", "GIT_CEILING_DIRECTORIES": fork.path,
        "GIT_SHALLOW_FILE": other.path / "b.py", "GIT_TRACE": "1", "GIT_EXEC_PATH": "/nowhere",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, str(value))
    with Repository(fork.path / ".git" / "..") as repository:
        assert repository.base() == expected
        assert [entry.path for entry in repository.tree(expected.commit).files] == ["a.py"]
        assert repository.common_dir.resolve() == fork.path / ".git"


def test_real_hook_of_a_linked_worktree_sees_the_same_base(fork: Repo, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    fork.git("worktree", "add", "-q", "-b", "other", str(linked), "HEAD")
    hook = fork.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    code = "import sys; from orgguard_mcp.repository import Repository as R; "
    code += "sys.stdout.write(R('.').base().commit)"
    hook.write_text(f'#!/bin/sh\nenv > "{tmp_path}/env"\n"{sys.executable}" -c "{code}" >hooked\n')
    hook.chmod(0o755)
    git.Repo(linked).git.commit("--allow-empty", "-q", "-m", "Hooked")
    assert "GIT_INDEX_FILE=" in (tmp_path / "env").read_text()
    assert (linked / "hooked").read_text() == base_of(fork.path).commit


def test_program_in_the_repositorys_settings_is_never_started(fork: Repo, tmp_path: Path) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.alternateRefsCommand"):
        fork.git("config", key, str(spy))
    for command in ("rev-parse", "ls-tree", "cat-file", "merge-base"):
        fork.git("config", f"alias.{command}", f"!{spy}")
    with Guard(fork.path) as guard:
        guard.check(COINED)
    assert not (tmp_path / "started").exists()
    fork.git("status")  # the trap does snap
    assert (tmp_path / "started").exists()


def test_replace_references_do_not_change_what_the_base_holds(fork: Repo) -> None:
    base = base_of(fork.path)
    fork.git("replace", base.commit, "HEAD")
    assert "mine.py" in fork.git("ls-tree", "--name-only", base.commit)  # git itself is fooled
    assert [entry.path for entry in tree_of(fork.path, base.commit).files] == ["a.py"]


def test_grafts_do_not_move_the_base_onto_the_change(fork: Repo) -> None:
    base, head = base_of(fork.path), fork.git("rev-parse", "HEAD")
    tip = fork.git("rev-parse", "origin/main")
    (fork.path / ".git" / "info" / "grafts").write_text(f"{tip} {head}\n")
    assert fork.git("merge-base", "HEAD", "origin/main") == head  # git itself is fooled
    assert base_of(fork.path) == base


@pytest.mark.parametrize("size", [MAX_BLOB, MAX_BLOB + 1, 2 * MAX_BLOB, 2 * MAX_BLOB + 1])
def test_large_file_is_passed_over_and_the_next_one_still_read(project: Repo, size: int) -> None:
    commit = project.commit({"large.bin": b"x" * size, "small.py": "2\n"})
    with Repository(project.path) as repository:
        large = repository.read(commit, "large.bin")
        assert large == (b"x" * size if size <= MAX_BLOB else b"")
        assert repository.read(commit, "small.py") == b"2\n"
        assert repository.read(commit, "gone.py") is None

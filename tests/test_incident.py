"""`orgguard incident`: a name that is out is found wherever this repository keeps it, and the
report does not let it out again.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orgguard_mcp import archives
from orgguard_mcp.archives import Inner, texts
from tests.human import Human
from tests.names import COINED, COINED_TOO, CYRILLIC_TWIN, THIRD, TWO_WORDS
from tests.simulator import Repo

WORD = COINED.lower()


class Looked(NamedTuple):
    """One `orgguard incident`: its exit code and output."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    def traces(self, surface: str) -> list[dict[str, Any]]:
        """What was found on *surface*."""
        return [trace for trace in self.document["traces"] if trace["surface"] == surface]

    def trace(self, surface: str) -> dict[str, Any]:
        """The one thing found on *surface*."""
        (trace,) = self.traces(surface)
        return trace

    @property
    def surfaces(self) -> set[str]:
        return {trace["surface"] for trace in self.document["traces"]}

    @property
    def advice(self) -> str:
        """Every step, a line each."""
        steps = self.document["steps"]
        return "\n".join(line for step in steps for line in (step["do"], *step["how"]))

    @property
    def not_seen(self) -> str:
        return "\n".join(f"{u['what']}: {u['how_to_look']}" for u in self.document["not_seen"])


def run(repo: Repo, *options: str, name: str = COINED, **environment: str) -> Looked:
    """Run `orgguard incident` with *name* on standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "incident", *options],
        cwd=repo.path, input=name.encode(), capture_output=True, check=False, timeout=60,
        env={**os.environ, **environment},
    )  # fmt: skip
    return Looked(done.returncode, done.stdout.decode(), done.stderr.decode())


def look(repo: Repo, *options: str, name: str = COINED) -> Looked:
    """The report as JSON, with the name."""
    looked = run(repo, "--format=json", "--reveal", *options, name=name)
    assert looked.err == ""
    return looked


@pytest.fixture
def pushed(project: Repo, tmp_path: Path) -> Repo:
    """A clone whose branch `feature` is pushed, without the name."""
    clone = project.clone(tmp_path / "clone")
    clone.git("checkout", "-q", "-b", "feature")
    clone.commit({"b.py": "2\n"})
    clone.git("push", "-q", "-u", "origin", "feature")
    return clone


def wheel(**members: str) -> bytes:
    """A zip archive of *members*."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return packed.getvalue()


def tarball(member: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo(member)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


# --- each surface ---------------------------------------------------------------------------------


def test_a_name_that_is_nowhere_is_not_found(project: Repo) -> None:
    looked = look(project)
    assert (looked.code, looked.document["traces"], looked.document["steps"]) == (0, [], [])
    assert "nothing in this clone holds it" in run(project).out


def test_a_deleted_branch_is_found_by_the_reflog(project: Repo) -> None:
    project.git("checkout", "-q", "-b", "feature")
    commit = project.commit({"b.py": f"x = '{COINED}'\n"})
    project.git("checkout", "-q", "main")
    project.git("branch", "-q", "-D", "feature")

    looked = look(project)

    assert looked.code == 1
    assert looked.surfaces == {"content"}
    trace = looked.trace("content")
    assert (trace["what"], trace["object"], trace["date"]) == ("b.py", commit, "2026-01-02")
    assert (trace["refs"], trace["public"]) == (["reflog of HEAD"], "no")
    assert "git reflog expire" in looked.advice
    assert "force" not in looked.advice
    assert "commit --amend" not in looked.advice


def test_a_message_of_a_pushed_branch_is_public(pushed: Repo) -> None:
    commit = pushed.commit({"b.py": "3\n"}, f"Ask {COINED}")
    pushed.git("push", "-q")

    looked = look(pushed)

    trace = looked.trace("commit_message")
    assert (trace["object"], trace["public"]) == (commit, "yes")
    assert trace["refs"] == ["feature", "origin/feature"]
    assert f"git rebase -i {commit[:7]}^" in looked.advice
    assert "git push --force-with-lease" in looked.advice
    assert "filter-repo" not in looked.advice
    assert "Rewrite the commits that are not pushed" not in looked.advice


def test_a_message_that_is_not_pushed_is_rewritten_here(pushed: Repo) -> None:
    pushed.commit({"b.py": "3\n"}, f"Ask {COINED}")
    looked = look(pushed)
    assert looked.trace("commit_message")["public"] == "no"
    assert "git commit --amend" in looked.advice
    assert "force" not in looked.advice
    assert "Tell the people" not in looked.advice


def test_what_was_pushed_once_and_replaced_is_still_public(pushed: Repo) -> None:
    commit = pushed.commit({"c.py": f"{COINED} = 1\n"})
    pushed.git("push", "-q")
    pushed.git("reset", "-q", "--hard", "HEAD~1")
    pushed.git("push", "-q", "--force")

    trace = look(pushed).trace("content")

    assert (trace["object"], trace["public"]) == (commit, "yes")
    assert "reflog of origin/feature" in trace["refs"]


def test_a_tags_message_and_name_are_found(pushed: Repo) -> None:
    pushed.git("tag", "-a", "v1", "-m", f"For {COINED}")
    pushed.git("tag", f"{WORD}-2")
    looked = look(pushed)
    message = looked.trace("tag_message")
    assert message["object"] == pushed.git("rev-parse", "v1")
    assert (message["refs"], message["public"]) == (["tag v1"], "maybe")
    assert looked.trace("tag")["what"] == f"tag {WORD}-2"
    assert "git ls-remote --tags" in looked.advice


def test_a_tag_of_a_repository_without_remotes_is_not_pushed(project: Repo) -> None:
    project.git("tag", "-a", "v1", "-m", f"For {COINED}")
    looked = look(project)
    assert looked.trace("tag_message")["public"] == "no"
    assert "git tag -d" in looked.advice
    assert "ls-remote" not in looked.advice


def test_a_stash_is_found_also_an_older_one(project: Repo) -> None:
    project.write({"a.py": f"{COINED}\n"})
    project.git("stash", "-q")
    project.write({"a.py": "other\n"})
    project.git("stash", "-q")
    looked = look(project)
    assert looked.trace("content")["refs"] == ["reflog of stash"]
    assert "git stash drop" in looked.advice
    assert "commit --amend" not in looked.advice


def test_a_path_is_found_though_no_file_holds_the_name(project: Repo) -> None:
    commit = project.commit({f"clients/{WORD}_sdk/a.txt": "1\n"})
    project.commit({f"clients/{WORD}_sdk/b.txt": "2\n"})
    looked = look(project)
    assert looked.trace("tip")["what"] == f"clients/{WORD}_sdk"
    assert [t["what"] for t in looked.traces("path") if t["object"] == commit] == [
        f"clients/{WORD}_sdk/a.txt"
    ]
    assert "content" not in looked.surfaces


def test_a_branch_name_is_found(pushed: Repo) -> None:
    pushed.git("branch", f"fix/{WORD}")
    looked = look(pushed)
    assert (looked.trace("branch")["what"], looked.trace("branch")["public"]) == (
        f"fix/{WORD}",
        "no",
    )
    assert "git branch -m" in looked.advice
    pushed.git("push", "-q", "origin", f"fix/{WORD}")
    assert "Rename the pushed branch" in look(pushed).advice


def test_the_author_is_found(project: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", f"dev@{WORD}.com")
    commit = project.commit({"b.py": "2\n"})
    assert look(project).trace("identity")["object"] == commit


@pytest.mark.parametrize("ignored", [True, False])
def test_a_wheel_in_dist_is_unpacked(project: Repo, ignored: bool) -> None:
    project.commit({".gitignore": "dist/\n" if ignored else "other\n"})
    project.write({"dist/pkg-1.whl": wheel(pkg__a="1", pkg__b=f"x = '{COINED}'")})
    looked = look(project)
    assert looked.surfaces == {"build"}
    assert looked.trace("build")["what"] == "dist/pkg-1.whl!pkg/b"
    assert "Delete the build outputs" in looked.advice
    assert "git gc" not in looked.advice


def test_an_ignored_package_of_others_is_not_read_and_that_is_said(project: Repo) -> None:
    project.commit({".gitignore": "node_modules/\n"})
    project.write({"node_modules/x/dist/a.js": COINED})
    looked = look(project)
    assert looked.surfaces == set()
    assert "1 ignored file, not among build outputs" in looked.not_seen


def test_the_index_and_the_working_tree_are_found(project: Repo) -> None:
    project.write({"staged.py": COINED, "new.py": COINED})
    project.git("add", "staged.py")
    looked = look(project)
    assert looked.trace("index")["what"] == "staged.py"
    assert {t["what"] for t in looked.traces("worktree")} == {"staged.py", "new.py"}
    assert "git add" in looked.advice


def test_what_was_amended_away_is_found_in_the_store(project: Repo) -> None:
    project.commit({"b.py": f"x = '{COINED}'\n"}, f"For {COINED}")
    project.write({"b.py": "x = 1\n"})
    project.git("add", ".")
    project.git("commit", "-q", "--amend", "-m", "Change")
    project.git("reflog", "expire", "--expire=now", "--all")
    looked = look(project)
    assert looked.surfaces == {"commit_message", "content"}
    assert all(t["refs"] == [] and t["public"] == "no" for t in looked.document["traces"])
    assert "no reference reaches it" in run(project).out

    project.git("gc", "-q", "--prune=now")
    assert look(project).code == 0


def test_what_was_staged_once_is_found_in_the_store(project: Repo) -> None:
    project.write({"b.py": COINED})
    project.git("add", "b.py")
    blob = project.git("rev-parse", ":b.py")
    project.git("rm", "-q", "--cached", "b.py")
    (project.path / "b.py").unlink()
    assert look(project).trace("object")["object"] == blob


def test_a_merge_that_brings_the_name_itself_is_found(project: Repo) -> None:
    project.git("checkout", "-q", "-b", "side")
    project.commit({"b.py": "2\n"})
    project.git("checkout", "-q", "main")
    project.commit({"c.py": "3\n"})
    project.git("merge", "-q", "--no-commit", "side")
    commit = project.commit({"b.py": f"{COINED}\n"}, "Merge")
    assert look(project).trace("content")["object"] == commit


def test_every_reference_that_holds_it_at_its_tip_is_told(pushed: Repo) -> None:
    pushed.commit({"deep/er/b.py": f"{COINED}\n"})
    pushed.git("push", "-q")
    pushed.git("tag", "v1")
    pushed.git("checkout", "-q", "-b", "mended")
    pushed.commit({"deep/er/b.py": "1\n"})
    tip = look(pushed).trace("tip")
    assert tip["what"] == "deep/er/b.py"
    assert set(tip["refs"]) >= {"feature", "origin/feature", "tag v1"}
    assert "mended" not in tip["refs"]


# --- what counts as the name ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"{COINED}Client", f"{WORD}_client", f"api.{WORD}.com", COINED.upper(), CYRILLIC_TWIN,
        "x" * 9000 + f" {COINED} " + "y" * 9000,
    ],
)  # fmt: skip
def test_spellings_of_a_name_are_the_name(project: Repo, text: str) -> None:
    project.commit({"b.py": f"x = '{text}'\n"})
    assert look(project).surfaces == {"tip", "content"}


@pytest.mark.parametrize("name", [TWO_WORDS, "harborfinch", "HarborFinch", f"{TWO_WORDS}, Inc."])
def test_a_name_of_two_words_is_found_however_they_are_joined(project: Repo, name: str) -> None:
    project.commit({"b.py": f"x = '{TWO_WORDS}'\n", "c.py": "harbor_finch = 1\n"})
    assert {t["what"] for t in look(project, name=name).traces("tip")} == {"b.py", "c.py"}


def test_the_words_of_a_coined_name_are_found_apart(project: Repo) -> None:
    project.commit({"b.py": f"{COINED_TOO}_{THIRD} = 1\n".lower()})
    assert look(project, name=f"{COINED_TOO} {THIRD}").surfaces == {"tip", "content"}


def test_a_foreign_line_that_many_files_have_is_found_in_each(project: Repo) -> None:
    line = f"für {COINED}\n"
    project.commit({"a.py": line, "b.py": f"# ä\n{line}", "c.py": "# ä\n"})
    assert {t["what"] for t in look(project).traces("tip")} == {"a.py", "b.py"}


def test_a_part_of_another_word_is_not_the_name(project: Repo) -> None:
    project.commit({"b.py": f"{WORD}ery = 1\n"})
    assert look(project).code == 0


def test_a_program_holds_a_name_in_its_strings(project: Repo) -> None:
    project.commit({"b.bin": bytes(range(256)) * 9 + COINED.encode() + bytes(range(256))})
    assert look(project).surfaces == {"tip", "content"}


# --- what a clone lacks ---------------------------------------------------------------------------


@pytest.fixture
def mended(project: Repo) -> Repo:
    """A project whose history holds the name, and whose tip does not."""
    project.commit({"a.py": f"{COINED}\n"}, "Add")
    project.commit({"a.py": "1\n"}, "Mend")
    project.git("config", "uploadpack.allowFilter", "true")
    return project


def test_a_whole_clone_finds_it(mended: Repo, tmp_path: Path) -> None:
    clone = mended.clone(tmp_path / "clone")
    trace = look(clone).trace("content")
    assert (trace["refs"], trace["public"]) == (["main", "origin/main"], "yes")


@pytest.mark.parametrize(
    ("option", "lack"),
    [
        ("--depth=1", "git fetch --unshallow"),
        ("--filter=blob:none", "git fetch --refetch --no-filter"),
        ("--filter=tree:0", "git fetch --refetch --no-filter"),
    ],
)
def test_a_clone_without_all_of_it_never_says_clean(
    mended: Repo, tmp_path: Path, option: str, lack: str
) -> None:
    clone = mended.clone(tmp_path / "clone", option)
    looked = look(clone)
    assert (looked.code, looked.document["complete"]) == (3, False)
    assert lack in looked.not_seen
    assert "this clone, which is not all of it, holds it" in run(clone).out


def test_a_partial_clone_tells_what_it_has(mended: Repo, tmp_path: Path) -> None:
    mended.commit({f"{WORD}/b.py": "1\n"})
    clone = mended.clone(tmp_path / "clone", "--filter=blob:none")
    looked = look(clone)
    assert looked.code == 1
    assert looked.trace("path")["public"] == "yes"


def test_a_clone_without_trees_says_that_it_cannot_tell_commits(
    mended: Repo, tmp_path: Path
) -> None:
    mended.commit({"b.py": f"{COINED}\n"})
    looked = look(mended.clone(tmp_path / "clone", "--filter=tree:0"))
    assert looked.code == 1
    assert looked.trace("tip")["what"] == "b.py"
    assert "which commits brought a file in: run `git fetch --refetch" in looked.not_seen


def test_a_bare_repository_is_read(mended: Repo, tmp_path: Path) -> None:
    bare = mended.clone(tmp_path / "bare", "--bare")
    looked = look(bare)
    trace = looked.trace("content")
    assert (trace["refs"], trace["public"]) == (["main"], "maybe")


def test_a_repository_without_a_commit_is_read(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo()
    assert look(repo).code == 0
    repo.write({"a.py": COINED})
    assert look(repo).surfaces == {"worktree"}


def test_submodules_lfs_files_and_other_working_trees_are_named(
    project: Repo, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    other = make_repo({"x.py": "1\n"})
    project.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path),
        "lib/other",
    )  # fmt: skip
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    project.commit({"big.bin": pointer})
    project.git("worktree", "add", "-q", str(tmp_path / "second"))
    not_seen = look(project).not_seen
    assert "1 submodule, kept elsewhere: lib/other" in not_seen
    assert "1 LFS file, kept elsewhere: big.bin" in not_seen
    assert "1 other working tree" in not_seen


def test_what_is_too_large_or_damaged_is_named(project: Repo) -> None:
    project.write({"dist/a.whl": b"PK\x03\x04 damaged", "big.txt": COINED + "x" * (5 << 20)})
    project.git("add", "big.txt")
    not_seen = look(project).not_seen
    assert "1 object larger than 4 MB" in not_seen
    assert "archives, or members of them, that are damaged" in not_seen


# --- steps that fit the host ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said", "unsaid"),
    [
        ("git@github.com:o/r.git", ["support.github.com", "gh api"], ["GitLab", "glab"]),
        ("https://token@gitlab.example.com/o/r", ["Remove blobs", "glab api"], ["gh api"]),
        ("ssh://git@git.example.com:22/o/r", ["ask who runs the host"], ["gh api", "glab"]),
    ],
)
def test_steps_fit_the_host(pushed: Repo, url: str, said: list[str], unsaid: list[str]) -> None:
    pushed.commit({"b.py": f"{COINED}\n"})
    pushed.git("push", "-q")
    pushed.git("remote", "set-url", "origin", url)
    looked = look(pushed)
    for text in said:
        assert text in looked.advice + looked.not_seen
    for text in unsaid:
        assert text not in looked.advice + looked.not_seen
    assert "token" not in looked.out


def test_steps_fit_what_the_repository_has(pushed: Repo) -> None:
    pushed.commit({"b.py": f"{COINED}\n"})
    pushed.git("push", "-q")
    bare = look(pushed).advice
    assert "artifacts" not in bare
    assert "yank" not in bare
    pushed.commit({".github/workflows/ci.yml": "on: push\n", "package.json": "{}\n"})
    full = look(pushed).advice
    assert "artifacts" in full
    assert "npm unpublish" in full
    assert "PyPI" not in full


def test_several_shared_branches_are_rewritten_by_a_tool(pushed: Repo) -> None:
    pushed.commit({f"{WORD}.py": f"{COINED}\n"}, f"For {COINED}")
    pushed.git("push", "-q")
    pushed.git("push", "-q", "origin", "HEAD:refs/heads/other")
    (line,) = [line for line in look(pushed).advice.split("\n") if "git filter-repo" in line]
    for option in ("--replace-text", "--replace-message", "--paths-from-file"):
        assert option in line
    assert "--mailmap" not in line


# --- the name stays in ----------------------------------------------------------------------------


@pytest.fixture
def git_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments of every git that is started from now on."""
    log, folder = tmp_path / "git.log", tmp_path / "bin"
    folder.mkdir()
    script = folder / "git"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{log}"\nexec {shutil.which("git")} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


@pytest.fixture
def everywhere(pushed: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository that holds the name on every surface."""
    pushed.git("checkout", "-q", "-b", f"fix/{WORD}")
    monkeypatch.setenv("GIT_AUTHOR_NAME", f"{COINED} Bot")
    pushed.commit({f"{WORD}/{COINED}Client.py": COINED, ".gitignore": "dist/\n"}, f"For {COINED}")
    pushed.git("tag", "-a", f"{WORD}-1", "-m", COINED)
    pushed.git("push", "-q", "origin", "HEAD", "--tags")
    pushed.write({"b.py": COINED})
    pushed.git("stash", "-q")
    pushed.write({f"new-{WORD}.py": COINED, f"dist/{WORD}.whl": wheel(zorblatt__x=COINED)})
    pushed.git("add", f"new-{WORD}.py")
    pushed.git("remote", "add", WORD, f"https://git.{WORD}.com/o/r")
    return pushed


@pytest.mark.parametrize("options", [(), ("--format=json",)])
def test_nothing_repeats_the_name(
    everywhere: Repo, git_log: Path, options: tuple[str, ...]
) -> None:
    looked = run(everywhere, *options)
    assert looked.code == 1
    assert WORD not in (looked.out + looked.err).casefold()
    assert "cat-file" in git_log.read_text()
    assert WORD not in git_log.read_text().casefold()


def test_every_surface_is_in_the_report(everywhere: Repo) -> None:
    assert look(everywhere).surfaces == {
        "branch", "tag", "tag_message", "commit_message", "identity", "tip", "path", "content",
        "reflog", "index", "worktree", "build",
    }  # fmt: skip
    assert COINED in run(everywhere, "--reveal").out


def test_an_error_does_not_repeat_the_name(project: Repo) -> None:
    project.write({f"{WORD}/.git": "gitdir: nowhere\n"})  # git's complaint quotes the path
    looked = run(project, f"--repo={WORD}")
    assert looked.code == 3
    assert "/•••/nowhere" in looked.err
    assert WORD not in (looked.out + looked.err).casefold()


def test_a_name_as_an_argument_is_refused_and_not_repeated(project: Repo) -> None:
    looked = run(project, COINED, name="")
    assert (looked.code, looked.out) == (2, "")
    assert "a name is not taken as an argument" in looked.err
    assert WORD not in looked.err.casefold()


@pytest.mark.parametrize("given", ["", "\n", f"{COINED}\nother\n", "!!\n", "x" * 5000])
def test_one_name_is_needed(project: Repo, given: str) -> None:
    looked = run(project, name=given)
    assert (looked.code, looked.out) == (2, "")
    assert "\nhint: pass" in looked.err
    assert WORD not in looked.err.casefold()


def test_a_name_is_typed_and_shown_on_ones_own_terminal(project: Repo) -> None:
    project.commit({"b.py": f"{COINED}\n"})
    with Human(project.path, command="incident") as human:
        human.sees("Name to look for: ")
        human.types(COINED)
        human.sees(f"`{COINED}`: found in 2 places")
        assert human.leaves() == 1


def test_a_directory_that_is_no_repository_cannot_be_looked_at(tmp_path: Path) -> None:
    place = object.__new__(Repo)
    place.path = tmp_path
    assert run(place).code == 3


def test_nothing_is_changed(everywhere: Repo) -> None:
    def state() -> tuple[str, ...]:
        return (
            everywhere.git("for-each-ref"), everywhere.git("count-objects", "-v"),
            everywhere.git("status", "--porcelain", "--ignored"),
            everywhere.git("reflog", "show", "--all"),
        )  # fmt: skip

    before = state()
    run(everywhere)
    assert state() == before
    assert not (everywhere.path / ".git/orgguard").exists()


def test_the_documents_keys_are_stable(everywhere: Repo) -> None:
    document = run(everywhere, "--format=json").document
    assert list(document) == [
        "found", "complete", "ordinary_word", "traces", "steps", "not_seen", "looked_at", "remotes",
    ]  # fmt: skip
    assert list(document["traces"][0]) == ["surface", "what", "object", "date", "refs", "public"]
    assert list(document["steps"][0]) == ["do", "how"]
    assert list(document["not_seen"][0]) == ["what", "how_to_look"]


# --- archives -------------------------------------------------------------------------------------


def test_archives_within_archives_are_read() -> None:
    data = tarball("sdist.tar.gz", tarball("pkg/a.py", b"text"))
    assert list(texts(data)) == [Inner("sdist.tar.gz!/pkg/a.py", "text")]


def test_an_archive_is_read_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER", 100)
    monkeypatch.setattr(archives, "MAX_UNPACKED", 250)
    data = wheel(large="x" * 101, a="a" * 100, b="b" * 100, c="c")
    assert [(inner.member, inner.text is None) for inner in texts(data)] == [
        ("large", True), ("a", False), ("", True),
    ]  # fmt: skip

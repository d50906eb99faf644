"""Reading a change: what it would publish, all of that, nothing else, and what was not read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp import diff
from orgguard_mcp.change import MAX_SKIPPED, SURFACES, Change, Sources, read_change
from orgguard_mcp.diff import MAX_LINES
from orgguard_mcp.errors import RepositoryError, UsageError
from orgguard_mcp.lines import MAX_LINE
from orgguard_mcp.model import Artifact, Coverage, Skipped, Surface
from orgguard_mcp.repository import Repository
from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
CODE, DOCS, DATA, PATH = Surface.CODE, Surface.DOCS, Surface.DATA, Surface.PATH
MESSAGE, BRANCH, TAG = Surface.COMMIT_MESSAGE, Surface.BRANCH, Surface.TAG
TITLE, BODY = Surface.PR_TITLE, Surface.PR_BODY
IN_FILES = {CODE, DOCS, DATA}


class Scan:
    """What one reading found."""

    def __init__(self, directory: Path, sources: Sources, base: str | None) -> None:
        with Repository(directory) as repository:
            chosen = repository.base(base, head=sources.head)
            self.change = read_change(repository, chosen, sources)
            self.artifacts = list(self.change)
            self.rows = {row.surface: row for row in self.change.coverage}

    def of(self, *surfaces: Surface) -> list[str]:
        """The lines of *surfaces*."""
        return [text for a in self.artifacts if a.surface in surfaces for _, text in a.lines]

    def files(self) -> dict[str, list[tuple[int, str]]]:
        """The added lines of each file."""
        found: dict[str, list[tuple[int, str]]] = {}
        for artifact in self.artifacts:
            if artifact.surface in IN_FILES:
                found.setdefault(artifact.path, []).extend(artifact.lines)
        return found

    def skipped(self, *surfaces: Surface) -> dict[str, str]:
        """What was not scanned, and why."""
        return {s.what: s.reason for row in self.rows.values() for s in row.skipped
                if row.surface in (surfaces or IN_FILES)}  # fmt: skip


def scan(repo: Repo | Path, base: str | None = "HEAD~1", sources: Sources | None = None) -> Scan:
    return Scan(repo.path if isinstance(repo, Repo) else repo, sources or Sources(), base)


def staged(repo: Repo | Path) -> Scan:
    return scan(repo, "HEAD", Sources(staged=True))


def worktree(repo: Repo | Path) -> Scan:
    return scan(repo, "HEAD", Sources(worktree=True))


# --- which lines a change adds --------------------------------------------------------------------


def test_only_added_lines_and_new_paths_are_read_with_their_numbers(project: Repo) -> None:
    project.commit({"a.py": "one\ntwo\nthree\n", "docs/x.md": "old\n"})
    project.commit(
        {"a.py": f"one\n{COINED}\n\n  \nthree\nfour", "docs/x.md": "old\nnew\n", "n.csv": "x,y\n"}
    )
    found = scan(project)
    assert found.files() == {
        "a.py": [(2, COINED), (6, "four")], "docs/x.md": [(2, "new")], "n.csv": [(1, "x,y")]
    }  # fmt: skip
    assert found.of(PATH) == ["n.csv"]
    assert (found.of(CODE), found.of(DOCS), found.of(DATA)) == ([COINED, "four"], ["new"], ["x,y"])
    assert found.change.head == project.git("rev-parse", "HEAD")


def test_change_is_read_from_the_merge_base_not_from_the_tip(fork: Repo) -> None:
    found = scan(fork, None)
    assert found.files() == {"mine.py": [(1, f"{COINED} = 1")]}
    assert found.of(PATH) == ["mine.py"]
    assert found.of(BRANCH) == ["feature"]


def test_given_head_has_its_own_merge_base_even_in_a_bare_clone(
    fork: Repo, project: Repo, tmp_path: Path
) -> None:
    fork.git("push", "-q", "origin", "feature")
    bare = project.clone(tmp_path / "bare", "--bare")
    found = scan(bare, "main", Sources(head="feature"))
    assert found.files() == {"mine.py": [(1, f"{COINED} = 1")]}
    assert found.of(BRANCH) == ["feature"]
    assert found.change.head == fork.git("rev-parse", "feature")
    assert scan(bare, None, Sources(head="feature")).files() == found.files()


def test_head_or_base_that_the_clone_does_not_have_is_an_error_with_a_next_step(
    fork: Repo, tmp_path: Path, project: Repo
) -> None:
    for head, base in (("gone", None), ("0" * 40, "origin/main"), ("--all", None), (None, "gone")):
        with pytest.raises(RepositoryError) as caught:
            scan(fork, base, Sources(head=head))
        assert caught.value.exit_code == 3
        assert head == "--all" or "git fetch" in caught.value.hint
    fork.git("push", "-q", "origin", "feature")
    shallow = project.clone(tmp_path / "s", "--depth=1", "--no-single-branch")
    with pytest.raises(RepositoryError) as caught:
        scan(shallow, "origin/main", Sources(head="origin/feature"))
    assert "--unshallow" in caught.value.hint


def test_lines_that_moved_or_were_indented_are_quiet(project: Repo) -> None:
    project.commit({"a.py": f"{COINED}\n{COINED_TOO}\nkept\n", "b.py": "b\n"})
    project.commit({"a.py": f"kept\n    {COINED_TOO}\n", "b.py": f"b\n\t{COINED}  \r\nnew\n"})
    assert scan(project).files() == {"b.py": [(3, "new")]}


def test_line_copied_from_a_file_that_keeps_it_is_read(project: Repo) -> None:
    project.commit({"a.py": f"{COINED}\nx\n"})
    project.commit({"a.py": f"{COINED}\ny\n", "b.py": f"{COINED}\n"})
    assert scan(project).files() == {"a.py": [(2, "y")], "b.py": [(1, COINED)]}


def test_renamed_file_gives_its_new_path_and_what_was_edited(project: Repo) -> None:
    lines = "".join(f"line {n}\n" for n in range(40))
    project.commit({"old/a.py": lines, "old/b.py": f"{COINED}\n", "c.py": "c\n"})
    project.git("mv", "old", COINED_TOO.lower())
    project.commit({f"{COINED_TOO.lower()}/a.py": f"{lines}edited\n"})
    found = scan(project)
    assert found.files() == {f"{COINED_TOO.lower()}/a.py": [(41, "edited")]}
    assert sorted(found.of(PATH)) == [f"{COINED_TOO.lower()}/a.py", f"{COINED_TOO.lower()}/b.py"]


def test_line_of_a_renamed_file_that_is_copied_elsewhere_is_read(project: Repo) -> None:
    project.commit({"old.py": f"{COINED}\nx\n"})
    project.git("mv", "old.py", "new.py")
    project.commit({"b.py": f"{COINED}\n"})
    assert scan(project).files() == {"b.py": [(1, COINED)]}


def test_more_removed_lines_than_are_remembered_make_noise_but_hide_nothing(
    project: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit({f"{n}.py": f"{n} old\n" for n in range(9)})
    for n in range(9):
        project.git("rm", "-q", f"{n}.py")
    project.commit({"all.py": "".join(f"{n} old\n" for n in range(9)) + COINED})
    assert scan(project).of(CODE) == [COINED]
    monkeypatch.setattr(diff, "MAX_REMOVED", 3)
    found = scan(project).of(CODE)
    assert found[-1] == COINED
    assert len(found) > 1


def test_mode_changes_and_deletions_add_nothing(project: Repo) -> None:
    project.commit({"a.py": "1\n", "b.py": "2\n", "tool": "#!/bin/sh\n"})
    project.git("rm", "-q", "b.py")
    project.git("update-index", "--chmod=+x", "tool")
    project.git("commit", "-q", "-m", "Change")
    found = scan(project)
    assert found.artifacts == [a for a in found.artifacts if a.surface in {MESSAGE, BRANCH}]


# --- what cannot mislead the reader ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["new\nline.py", "tab\t.py", 'quo"te.py', "back\\slash.py", " b/ b/x.py", "a => b.py", "-x.py",
     "dé/ü.py", "caf\udce9.py", ":(top)x.py", "b/b/b.py", "x.py "],
)  # fmt: skip
def test_file_of_any_name_is_read(project: Repo, name: str) -> None:
    project.commit({name: f"{COINED}\n"})
    found = scan(project)
    assert found.files() == {name: [(1, COINED)]}
    assert [a.path for a in found.artifacts if a.surface is PATH] == [name]
    project.write({name: f"{COINED}\n{THIRD}\n"})
    assert worktree(project).files() == {name: [(2, THIRD)]}


def test_path_in_another_encoding_is_shown_readable(project: Repo) -> None:
    project.commit({"W\udce9lbr\udcfcck.py": ""})
    assert scan(project).of(PATH) == ["Wélbrück.py"]


def test_content_that_looks_like_a_diff_is_content(project: Repo) -> None:
    fake = [f"+++ b/{COINED}.py", "diff --git a/x b/x", "@@ -1 +1 @@", "--- a/x", "\\ No newline",
            "Binary files a/x and b/x differ", "-gone", "+", f"+{COINED}"]  # fmt: skip
    project.commit({"a.py": "\n".join(fake)})
    assert scan(project).files() == {"a.py": list(enumerate(fake, 1))}


@pytest.mark.parametrize("attribute", ["binary", "-diff", "-text", "diff=spy", "filter=spy",
                                       "linguist-generated", "export-ignore", "ident"])  # fmt: skip
def test_attributes_of_the_change_hide_no_text(
    project: Repo, tmp_path: Path, attribute: str
) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\ncat\n")
    spy.chmod(0o755)
    project.commit({".gitattributes": f"* {attribute}\n", "a.txt": "1\n"})
    for key in ("diff.external", "diff.spy.textconv", "diff.spy.command", "filter.spy.clean",
                "filter.spy.smudge", "filter.spy.process", "core.pager", "core.fsmonitor",
                "gpg.program", "core.editor"):  # fmt: skip
        project.git("config", key, str(spy))
    project.write({"a.txt": f"1\n{COINED}\n"})
    assert worktree(project).files() == {"a.txt": [(2, COINED)]}
    assert not (tmp_path / "started").exists()
    project.git("-c", "core.fsmonitor=", "-c", "filter.spy.process=", "commit", "-qam", "Change")
    (tmp_path / "started").unlink(missing_ok=True)
    assert scan(project).files() == {"a.txt": [(2, COINED)]}
    assert staged(project).files() == {}
    assert not (tmp_path / "started").exists()


def test_users_diff_settings_change_nothing(project: Repo) -> None:
    project.commit({"deep/a.py": "1\n2\n3\n", "z.py": f"{COINED}\n"})
    project.commit({"deep/a.py": f"1\n{THIRD}\n3\n", "z.py": "0\n", "y.py": f"{FOURTH}\n"})
    expected = scan(project)
    for key, value in {
        "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "core.quotePath": "true",
        "diff.renames": "copies", "diff.algorithm": "patience", "diff.interHunkContext": "9",
        "diff.context": "9", "diff.relative": "true", "diff.orderFile": "gone",
        "color.ui": "always", "diff.ignoreSubmodules": "all",
        "diff.wordRegex": ".", "diff.submodule": "log", "log.showSignature": "true",
        "log.follow": "true", "i18n.logOutputEncoding": "utf-16", "status.relativePaths": "true",
        "status.showUntrackedFiles": "no", "core.attributesFile": "/dev/null",
    }.items():  # fmt: skip
        project.git("config", key, value)
    assert scan(project.path / "deep").artifacts == expected.artifacts
    project.write({"new.py": f"{COINED_TOO}\n"})
    assert worktree(project.path / "deep").files() == {"new.py": [(1, COINED_TOO)]}


def test_replace_references_and_gits_variables_do_not_hide_the_change(
    project: Repo, make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project.git("rev-parse", "HEAD")
    head = project.commit({"a.py": f"1\n{COINED}\n"}, f"Add {THIRD}")
    project.git("replace", head, before)
    other = make_repo({"b.py": "2\n"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    found = scan(project, before)
    assert found.files() == {"a.py": [(2, COINED)]}
    assert found.of(MESSAGE) == [f"Add {THIRD}"]


def test_objects_of_an_alternate_are_read(fork: Repo, tmp_path: Path) -> None:
    borrower = fork.clone(tmp_path / "borrower", "--shared", "--branch=feature")
    assert scan(borrower, "HEAD~1").files() == {"mine.py": [(1, f"{COINED} = 1")]}


# --- kinds of files -------------------------------------------------------------------------------


def test_binary_file_gives_its_name_and_is_said_to_be_unread(project: Repo) -> None:
    project.commit({f"{COINED}.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40})
    found = scan(project)
    assert found.of(PATH) == [f"{COINED}.png"]
    assert found.files() == {}
    assert "binary" in found.skipped(CODE)[f"{COINED}.png"]


def test_one_nul_byte_hides_no_text(project: Repo) -> None:
    project.commit({"a.py": f"x\0\n{COINED}\n"})
    assert "Bin" in project.git("diff", "--stat", "HEAD~1")  # git shows nothing of it
    assert scan(project).files() == {"a.py": [(1, "x\0"), (2, COINED)]}


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"],
)
def test_added_line_is_found_in_any_encoding(project: Repo, encoding: str) -> None:
    old, new = "erste Zeile\r\nzweite Zeile\r\n", "erste Zeile\r\nWélbrück AG\r\nzweite Zeile\r\n"
    project.commit({"a.txt": old.encode(encoding)})
    project.commit({"a.txt": new.encode(encoding)})
    assert scan(project).files() == {"a.txt": [(2, "Wélbrück AG")]}


def test_same_text_in_another_encoding_adds_nothing(project: Repo) -> None:
    project.commit({"a.txt": "Wélbrück\nx\n".encode("utf-16")})
    project.commit({"a.txt": "Wélbrück\r\nx\r\n"})
    assert scan(project).files() == {}


def test_unknown_encoding_is_read_for_latin_names_and_said_to_be_doubtful(project: Repo) -> None:
    project.commit({"a.txt": f"株式会社テスト \n{COINED}\n日本語です".encode("shift_jis")})
    found = scan(project)
    assert COINED in found.of(DOCS)
    assert "only names in Latin letters" in found.skipped(DOCS)["a.txt"]


def test_only_line_feeds_count_lines(project: Repo) -> None:
    project.commit(
        {"a.py": f"one\r\n2\f3\x0b4\x1c5\u2028{COINED}\x85\nx\rold mac {THIRD}\rz\n{FOURTH}"}
    )
    assert scan(project).files()["a.py"] == [
        (1, "one"), (2, f"2\f3\x0b4\x1c5\u2028{COINED}\x85"), (3, "x"), (3, f"old mac {THIRD}"),
        (3, "z"), (4, FOURTH),
    ]  # fmt: skip


def test_line_of_ten_megabytes_is_read_in_pieces_that_cut_no_name(project: Repo) -> None:
    row = "".join(f"{COINED}{n:06d}," for n in range(700_000))
    project.commit({"a.json": f"first\n{row}\nlast"})
    lines = scan(project).files()["a.json"]
    assert max(len(text) for _, text in lines) <= MAX_LINE
    assert [number for number, _ in lines] == [1, *[2] * (len(lines) - 2), 3]
    whole = {word for _, text in lines for word in text.split(",")}
    assert whole >= set(row.split(","))
    assert whole - set(row.split(",")) == {"first", "last"}  # and no piece begins within a word


def test_too_large_file_is_said_to_be_unread(
    project: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "MAX_CONTENT", 1000)
    project.commit({"big.py": "x" * 1001, "most.py": COINED + "y" * (1000 - len(COINED))})
    for found in (scan(project), worktree_of_new_files(project)):
        assert "too large" in found.skipped(CODE)["big.py"]
        assert [*found.files()] == ["most.py"]
        assert sorted(found.of(PATH)) == ["big.py", "most.py"]


def worktree_of_new_files(repo: Repo) -> Scan:
    repo.git("reset", "-q", "--soft", "HEAD~1")
    repo.git("reset", "-q")
    return worktree(repo)


def test_symbolic_link_gives_its_target_and_is_not_followed(project: Repo, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(THIRD)
    (project.path / "link.py").symlink_to(f"../{COINED}")
    (project.path / "out.py").symlink_to(tmp_path / "outside")
    expected = {"link.py": [(1, f"../{COINED}")], "out.py": [(1, str(tmp_path / "outside"))]}
    found = worktree(project)
    assert found.files() == expected
    assert set(found.of(DATA)) == {text for lines in expected.values() for _, text in lines}
    project.commit()
    assert scan(project).files() == expected
    (project.path / "link.py").unlink()
    project.commit({"link.py": f"{FOURTH}\n"})  # a file in a link's place
    assert scan(project).files() == {"link.py": [(1, FOURTH)]}


def test_submodule_gives_its_path_and_address_and_is_said_to_be_unread(project: Repo) -> None:
    inner = project.git("rev-parse", "HEAD")
    project.write(
        {".gitmodules": f'[submodule "s"]\n\turl = https://{COINED}.example/s\n\tignore = all\n'}
    )
    project.git("add", "-A")
    project.git("update-index", "--add", "--cacheinfo", f"160000,{inner},libs/{COINED_TOO}")
    project.git("commit", "-q", "-m", "Change")
    found = scan(project)
    assert f"libs/{COINED_TOO}" in found.of(PATH)
    assert f"\turl = https://{COINED}.example/s" in found.files()[".gitmodules"][1]
    assert "submodule" in found.skipped()[f"libs/{COINED_TOO}"]
    other = project.git("rev-parse", "HEAD")
    project.git("update-index", "--cacheinfo", f"160000,{other},libs/{COINED_TOO}")
    assert "submodule" in staged(project).skipped()[f"libs/{COINED_TOO}"]


def test_submodule_is_not_entered_since_its_settings_may_start_programs(
    project: Repo, tmp_path: Path
) -> None:
    inner = Repo(project.path / "sub")
    inner.commit({"b.py": "1\n", ".gitattributes": "* filter=spy\n"})
    project.commit()
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\ncat\n")
    spy.chmod(0o755)
    inner.git("config", "filter.spy.clean", str(spy))
    inner.write({"b.py": "2\n"})
    assert worktree(project).files() == {}
    assert not (tmp_path / "started").exists()
    project.git("diff")  # the trap does snap
    assert (tmp_path / "started").exists()


def test_file_kept_in_git_lfs_is_said_to_be_unread(project: Repo) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    project.commit({"a.csv": pointer})
    assert "Git LFS" in scan(project).skipped(DATA)["a.csv"]


def test_notebook_is_read_as_its_cells_text_with_the_jsons_line_numbers(project: Repo) -> None:
    cells = [
        '{"cells": [', '  {"cell_type": "markdown", "metadata": {},', '   "source": [',
        rf'    "# A \"{COINED}\" title\n",', '    "plain"', "   ]},",
        '  {"cell_type": "code", "metadata": {"tags": ["t"]},',
        '   "outputs": [', r'     {"text": "out\u0020put\nof two lines"}', "   ],",
        '   "source": [', rf'    "client = \"{COINED_TOO}\"\n",', rf'    "\t{THIRD}\\n"', "   ]}",
        "]}",
    ]  # fmt: skip
    project.commit({"a.ipynb": "\n".join(cells)})
    found = scan(project)
    lines = found.files()["a.ipynb"]
    assert {
        (4, f'# A "{COINED}" title'), (5, "plain"), (9, '     {"text": "out put'),
        (9, 'of two lines"}'), (12, f'client = "{COINED_TOO}"'), (13, f"\t{THIRD}\\n"),
    } <= {*lines}  # fmt: skip
    assert f'# A "{COINED}" title' in found.of(DOCS)
    assert f'client = "{COINED_TOO}"' in found.of(CODE)
    assert 'of two lines"}' in found.of(DATA)


def test_hostile_notebook_is_read_in_linear_time(project: Repo) -> None:
    project.commit({"a.ipynb": '"' + r"\"" * 300_000 + COINED + "\\"})
    assert COINED in "".join(scan(project).of(CODE))


# --- size -----------------------------------------------------------------------------------------


def test_file_comes_in_artifacts_of_bounded_size_and_counts_once(project: Repo) -> None:
    rows = [f"row {n}" for n in range(MAX_LINES * 2 + 3)]
    project.commit({"a.csv": "\n".join(rows)})
    found = scan(project)
    assert [len(a.lines) for a in found.artifacts if a.surface is DATA] == [MAX_LINES, MAX_LINES, 3]
    assert found.files() == {"a.csv": list(enumerate(rows, 1))}
    assert found.rows[DATA] == Coverage(DATA, 1)


def test_memory_does_not_grow_with_the_number_of_files(make_repo: MakeRepo) -> None:
    def peak(files: int) -> int:
        repo = make_repo({"a.py": "1\n"})
        repo.commit(
            {f"{n}.py": "".join(f"file {n} row {m}\n" for m in range(4000)) for n in range(files)}
        )
        with Repository(repo.path) as repository:
            change = read_change(repository, repository.base("HEAD~1"), Sources())
            tracemalloc.start()
            lines = sum(len(artifact.lines) for artifact in change)
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert lines >= files * 4000
        return size

    assert peak(24) < peak(4) * 1.3


# --- commit messages, branches and tags -----------------------------------------------------------


def test_every_commits_message_is_read_with_merges_and_trailers(fork: Repo) -> None:
    second = fork.commit(
        None, f"Subject\n\nBody {COINED}\n# no comment\n\nReported-by: {THIRD} <x@y.z>"
    )
    fork.git("merge", "-q", "-m", f"Merge {FOURTH}", "origin/main")
    head = fork.commit(None, "Last")
    found = scan(fork, "origin/main")
    by_commit = {a.path: a.lines for a in found.artifacts if a.surface is MESSAGE}
    assert len(by_commit) == 4
    assert by_commit[head] == ((1, "Last"),)
    assert by_commit[second] == ((1, "Subject"), (3, f"Body {COINED}"), (4, "# no comment"),
                                 (6, f"Reported-by: {THIRD} <x@y.z>"))  # fmt: skip
    assert f"Merge {FOURTH}" in found.of(MESSAGE)
    assert found.rows[MESSAGE] == Coverage(MESSAGE, 4)


@pytest.mark.parametrize(
    "encoding", ["iso-8859-1", "windows-1251", "shift_jis", "unknown-1", "cp037"]
)
def test_message_in_a_declared_encoding_is_read(project: Repo, encoding: str) -> None:
    text = {"windows-1251": "Зурбатт", "shift_jis": "テスト"}.get(encoding, f"{COINED}")
    python = encoding if encoding in {"windows-1251", "shift_jis"} else "utf-8"
    project.write({"m": f"{text}\n".encode(python)})
    project.git("-c", f"i18n.commitEncoding={encoding}", "commit", "--allow-empty", "-qF", "m")
    assert scan(project).of(MESSAGE) == [text]


def test_branch_is_the_given_one_the_events_or_the_current_one(
    project: Repo, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    event.write_text(
        f'{{"pull_request": {{"title": "t", "body": null, "head": {{"ref": "{THIRD}"}}}}}}'
    )
    project.git("checkout", "-q", "-b", f"add-{COINED}")
    assert scan(project, "HEAD").of(BRANCH) == [f"add-{COINED}"]
    assert scan(project, "HEAD", Sources(branch="")).of(BRANCH) == [f"add-{COINED}"]
    assert scan(project, "HEAD", Sources(branch="x")).of(BRANCH) == ["x"]
    assert scan(project, "HEAD", Sources(event=event)).of(BRANCH) == [THIRD]
    project.git("checkout", "-q", "--detach")
    found = scan(project, "HEAD")
    assert found.of(BRANCH) == []
    assert "detached" in found.skipped(BRANCH)["branch"]


def test_branch_is_known_before_the_first_commit(make_repo: MakeRepo) -> None:
    repo = make_repo(branch=f"add/{COINED}")
    assert staged_first(repo).of(BRANCH) == [f"add/{COINED}"]


def staged_first(repo: Repo) -> Scan:
    return scan(repo, None, Sources(staged=True))


def test_tags_on_the_change_are_read_and_others_are_not(project: Repo) -> None:
    project.git("tag", "before")
    project.commit(None, "Change")
    project.git("tag", f"v1-{COINED}")
    project.git("tag", "-a", "v2", "-m", f"For {THIRD}\n\nand more")
    found = scan(project, "HEAD~1", Sources(tags=("given", f"v1-{COINED}")))
    assert sorted(a.lines for a in found.artifacts if a.surface is TAG) == [
        ((0, "given"),), ((0, f"v1-{COINED}"),), ((0, "v2"),),
    ]  # fmt: skip
    note = project.git("rev-parse", "v2")
    assert [a.lines for a in found.artifacts if a.path == note] == [
        ((1, f"For {THIRD}"), (3, "and more"))
    ]


# --- the staging area and the working tree --------------------------------------------------------


def test_staged_lines_are_read_and_unstaged_ones_are_not(project: Repo) -> None:
    project.write({"a.py": f"1\n{COINED}\n"}).git("add", "-A")
    project.write({"a.py": f"1\n{COINED}\n{THIRD}\n", "b.py": FOURTH})
    found = staged(project)
    assert found.files() == {"a.py": [(2, COINED)]}
    assert found.change.head == ""
    assert "no message was given" in found.skipped(MESSAGE)["commit message"]
    assert worktree(project).files() == {"a.py": [(2, COINED), (3, THIRD)], "b.py": [(1, FOURTH)]}


def test_repository_without_a_commit_is_read_against_nothing(make_repo: MakeRepo) -> None:
    repo = make_repo()
    assert all(
        row.scanned == 0 for row in scan(repo, None).rows.values() if row.surface is not BRANCH
    )
    assert "no commit yet" in scan(repo, None).skipped(CODE)["code"]
    repo.write({"a.py": f"{COINED}\n"}).git("add", "-A")
    repo.write({"b.py": f"{THIRD}\n"})
    assert staged_first(repo).files() == {"a.py": [(1, COINED)]}
    both = scan(repo, None, Sources(worktree=True)).files()
    assert both == {"a.py": [(1, COINED)], "b.py": [(1, THIRD)]}


def test_first_commit_with_sha256_is_read(tmp_path: Path) -> None:
    subprocess.run(
        ["git", "init", "-q", "--object-format=sha256", str(tmp_path / "r")], check=True, timeout=60
    )
    (tmp_path / "r" / "a.py").write_text(COINED)
    assert scan(tmp_path / "r", None, Sources(worktree=True)).of(CODE) == [COINED]


def test_conflict_is_said_to_be_unread_in_the_index_and_read_in_the_tree(project: Repo) -> None:
    project.git("checkout", "-q", "-b", "one")
    project.commit({"a.py": f"{COINED}\n"})
    project.git("checkout", "-q", "-b", "two", "HEAD~1")
    project.commit({"a.py": "2\n"})
    with pytest.raises(AssertionError):
        project.git("merge", "one")
    project.write({"b.py": "2\n"}).git("add", "b.py")  # the conflict may yet keep that line
    found = staged(project)
    assert "conflict" in found.skipped(CODE)["a.py"]
    assert found.files() == {"b.py": [(1, "2")]}
    assert COINED in worktree(project).of(CODE)


def test_ignored_files_are_not_read_and_a_file_taken_out_of_the_index_is_no_news(
    project: Repo,
) -> None:
    project.commit({".gitignore": "*.log\n", "kept.py": f"{COINED}\n"})
    project.git("rm", "-q", "--cached", "kept.py")
    project.write({"x.log": THIRD, "kept.py": f"{COINED}\n{FOURTH}\n"})
    found = worktree(project)
    assert found.files() == {"kept.py": [(2, FOURTH)]}
    assert found.of(PATH) == []


def test_what_is_no_readable_file_is_said_to_be_unread(project: Repo) -> None:
    Repo(project.path / "nested").commit({"a.py": COINED})
    project.commit({"pipe.py": "1\n", "secret.py": "1\n", "loop.py": "1\n"})
    for name in ("pipe.py", "secret.py", "loop.py"):
        (project.path / name).unlink()
    os.mkfifo(project.path / "pipe.py")
    project.write({"secret.py": COINED})
    (project.path / "secret.py").chmod(0)
    (project.path / "loop.py").symlink_to("loop.py")
    found = worktree(project)
    if os.geteuid():
        assert "could not be read" in found.skipped()["secret.py"]
    assert found.files().get("loop.py") == [(1, "loop.py")]
    assert "pipe.py" not in found.files()


def test_linked_worktree_is_read_like_any_other(project: Repo, tmp_path: Path) -> None:
    """scrypster/muninndb#845: a guard that looked for its file by top level skipped worktrees."""
    linked = tmp_path / "linked"
    project.git("worktree", "add", "-q", "-b", "other", str(linked))
    (linked / "a.py").write_text(f"1\n{COINED}\n")
    assert worktree(linked).files() == {"a.py": [(2, COINED)]}
    subprocess.run(["git", "-C", str(linked), "add", "-A"], check=True, timeout=60)
    assert staged(linked).files() == {"a.py": [(2, COINED)]}
    assert staged(project).files() == {}


def test_working_tree_of_a_bare_repository_is_an_error(project: Repo, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError):
        worktree(project.clone(tmp_path / "bare", "--bare"))


# --- in hooks -------------------------------------------------------------------------------------

HOOK = """#!/bin/sh
cd "{repo}" && exec "{python}" -c '
import sys, json
from pathlib import Path
from orgguard_mcp.change import Sources, read_change
from orgguard_mcp.repository import Repository
with Repository(".") as repository:
    given = {{"message_file": Path(sys.argv[1])}} if sys.argv[1:] else {{"staged": True}}
    change = read_change(repository, repository.base("HEAD"), Sources(**given))
    lines = [text for a in change if a.surface.value in sys.argv[0:] + ["code", "commit-message"]
             for _, text in a.lines]
    Path("{seen}").write_text(json.dumps(lines))
' "$@"
"""


def hooked(repo: Repo, name: str, seen: Path) -> None:
    hook = repo.path / ".git" / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(repo=repo.path, python=sys.executable, seen=seen))
    hook.chmod(0o755)


@pytest.mark.parametrize("command", [["-a"], ["a.py"], ["--only", "a.py"], ["--include", "a.py"]])
def test_hook_reads_the_index_that_the_commit_is_made_of(
    project: Repo, tmp_path: Path, command: list[str]
) -> None:
    hooked(project, "pre-commit", tmp_path / "seen")
    project.write({"a.py": f"1\n{COINED}\n"})  # not added: only the commit's own index has it
    project.git("commit", "-q", "-m", "Change", *command)
    assert (tmp_path / "seen").read_text() == f'["{COINED}"]'


def test_index_of_another_place_is_not_read_and_that_is_said(
    project: Repo, make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_repo({"b.py": f"{THIRD}\n"})
    project.write({"a.py": f"1\n{COINED}\n"}).git("add", "-A")
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git" / "index"))
    found = staged(project)
    assert found.files() == {"a.py": [(2, COINED)]}
    assert "the usual one was read" in found.skipped(CODE)["the index named by GIT_INDEX_FILE"]
    monkeypatch.setenv("GIT_INDEX_FILE", str(project.path / ".git" / "index"))
    assert staged(project).skipped() == {}


def test_reading_does_not_depend_on_what_stdin_is(project: Repo, tmp_path: Path) -> None:
    """GetKlai/klai#1531: a guard that asked `isatty` passed a real table, since git redirects."""
    hooked(project, "pre-commit", tmp_path / "seen")
    project.write({"a.py": f"{COINED}\n"}).git("add", "-A")
    for stdin in (subprocess.DEVNULL, subprocess.PIPE):
        (tmp_path / "seen").unlink(missing_ok=True)
        subprocess.run(
            [project.path / ".git/hooks/pre-commit"], stdin=stdin, check=True, timeout=60,
            cwd=project.path,
        )  # fmt: skip
        assert COINED in (tmp_path / "seen").read_text()


EDITOR = f"""#!/bin/sh
printf '%s\\n' '{COINED}' '# {THIRD}' | cat - "$1" >"$1.new" && mv "$1.new" "$1"
"""


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, ["-m", f"{COINED}\n\n# {THIRD}"]),
        ({}, ["-F", "message"]),
        ({}, []),
        ({"commit.verbose": "true"}, []),
        ({"commit.cleanup": "strip"}, ["-m", f"{COINED}\n\n# {THIRD}"]),
        ({"commit.cleanup": "scissors"}, []),
        ({"commit.cleanup": "whitespace"}, []),
        ({"commit.cleanup": "verbatim"}, []),
        ({"core.commentChar": ";"}, []),
        ({"core.commentChar": "auto"}, []),
    ],
)
def test_message_being_written_is_read_as_git_will_keep_it(
    project: Repo, tmp_path: Path, settings: dict[str, str], arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    hooked(project, "commit-msg", tmp_path / "seen")
    editor = tmp_path / "editor"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    monkeypatch.setenv("GIT_EDITOR", str(editor))
    for key, value in settings.items():
        project.git("config", key, value)
    project.write({"message": f"{COINED}\n# {THIRD}\n", "a.py": f"1\n{FOURTH}\n"}).git(
        "add", "a.py"
    )
    project.git("commit", "-q", *arguments)
    kept = [line for line in project.git("log", "-1", "--format=%B").split("\n") if line.strip()]
    seen = json.loads((tmp_path / "seen").read_text())
    assert COINED in seen
    assert set(kept) <= set(seen)  # what git keeps is read
    if settings.get("commit.cleanup") != "verbatim":
        assert seen == kept  # and what it drops is not


def test_message_file_outside_a_hook_keeps_its_comments(project: Repo, tmp_path: Path) -> None:
    (tmp_path / "m").write_text(f"Subject\n\n# {COINED}\n")
    found = scan(project, "HEAD", Sources(message_file=tmp_path / "m"))
    assert [a.lines for a in found.artifacts] == [((1, "Subject"), (3, f"# {COINED}"))]
    assert found.rows[MESSAGE] == Coverage(MESSAGE, 1)
    assert found.skipped() == dict.fromkeys(
        ("code", "docs", "data"), "not asked for: only the given text was"
    )


# --- coverage: silence is never a pass ------------------------------------------------------------


def test_each_surface_has_its_row_and_what_was_not_given_its_reason(project: Repo) -> None:
    """prism#476, mogui-ADE-orchestrator#29: green, while texts and messages went unread."""
    found = scan(project, "HEAD")
    assert tuple(found.rows) == SURFACES
    assert "--event" in found.skipped(TITLE)["pr title"]
    assert "--pr-text" in found.skipped(BODY)["pr body"]


@pytest.mark.parametrize("surface", SURFACES)
def test_given_text_is_all_that_is_read(project: Repo, surface: Surface) -> None:
    found = scan(project, "HEAD", Sources(text=(surface, COINED)))
    assert [(a.surface, [text for _, text in a.lines]) for a in found.artifacts] == [
        (surface, [COINED])
    ]
    assert found.rows[surface] == Coverage(surface, 1)
    for other in set(SURFACES) - {surface}:
        assert found.rows[other].scanned == 0
        assert "not asked for" in found.rows[other].skipped[0].reason


def test_pull_requests_text_is_read_from_event_and_file(project: Repo, tmp_path: Path) -> None:
    pull = {"title": f"Add {COINED}", "body": f"x\r\n<!-- {THIRD} -->", "head": {}}
    (tmp_path / "e.json").write_text(json.dumps({"pull_request": pull}))
    (tmp_path / "body.md").write_bytes(f"Title: no\n{FOURTH}\n".encode("utf-16"))
    sources = Sources(event=tmp_path / "e.json", pr_text=tmp_path / "body.md")
    found = scan(project, "HEAD", sources)
    assert found.of(TITLE) == [f"Add {COINED}"]
    assert found.of(BODY) == ["x", f"<!-- {THIRD} -->", "Title: no", FOURTH]
    assert found.rows[BODY] == Coverage(BODY, 2)


def test_empty_body_counts_as_read_and_an_event_without_one_does_not(
    project: Repo, tmp_path: Path
) -> None:
    event = tmp_path / "e.json"
    event.write_text('{"pull_request": {"title": "T", "body": null}}')
    assert scan(project, "HEAD", Sources(event=event)).rows[BODY] == Coverage(BODY, 1)
    event.write_text('{"schedule": "* * * * *"}')
    found = scan(project, "HEAD", Sources(event=event))
    assert found.skipped(TITLE) == {"pr title": "the event has none"}
    assert found.rows[BODY].scanned == 0


def test_pushed_commits_that_the_clone_does_not_have_are_read_from_the_event(
    project: Repo, tmp_path: Path
) -> None:
    head = project.commit({"b.py": "2\n"}, "Mine")
    (tmp_path / "e.json").write_text(
        f'{{"ref": "refs/tags/{COINED}", "commits": [{{"id": "{head}", "message": "Mine"}},'
        f' {{"id": "{"1" * 40}", "message": "Theirs {THIRD}"}}]}}'
    )
    found = scan(project, "HEAD~1", Sources(event=tmp_path / "e.json"))
    assert found.of(MESSAGE) == ["Mine", f"Theirs {THIRD}"]
    assert found.of(TAG) == [COINED]


@pytest.mark.parametrize("field", ["event", "pr_text", "message_file"])
def test_file_that_cannot_be_read_is_an_error_with_a_next_step(
    project: Repo, tmp_path: Path, field: str
) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(UsageError) as caught:
            scan(project, "HEAD", Sources(**{field: path}))  # type: ignore[arg-type]
        assert caught.value.cause
        assert caught.value.hint


def test_sources_that_exclude_each_other_are_refused(project: Repo) -> None:
    for sources in (Sources(staged=True, worktree=True), Sources(head="HEAD", staged=True)):
        with pytest.raises(UsageError):
            scan(project, "HEAD", sources)


def test_reading_that_did_not_end_says_so_and_a_new_one_starts_over(project: Repo) -> None:
    project.commit({"b.py": "2\n", "c.py": "3\n"})
    with Repository(project.path) as repository:
        change = read_change(repository, repository.base("HEAD~1"), Sources())
        assert all(row.skipped for row in change.coverage)
        next(iter(change))
        assert all(row.skipped for row in change.coverage)
        first, second = list(change), list(change)
    assert first == second
    assert {row.surface: row for row in change.coverage}[CODE] == Coverage(CODE, 2)


def test_long_list_of_skipped_files_ends_with_their_number(project: Repo) -> None:
    project.commit({f"{n}.png": b"\0\1\2\3" * 8 for n in range(MAX_SKIPPED + 7)})
    rows = scan(project).rows[CODE].skipped
    assert len(rows) == MAX_SKIPPED + 1
    assert rows[-1] == Skipped("7 more", rows[0].reason)


def lose(repo: Repo, *specs: str) -> None:
    """Remove objects, as an incomplete copy of the repository lacks them."""
    for spec in specs:
        oid = repo.git("rev-parse", spec)
        (repo.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()


def test_missing_content_is_skipped_with_its_reason_and_the_rest_is_read(project: Repo) -> None:
    project.commit({"b.py": f"{COINED}\n", "c.py": f"{COINED_TOO}\n", "d.py": f"{THIRD}\n"})
    lose(project, "HEAD:b.py", "HEAD:d.py")
    found = scan(project)
    assert found.files() == {"c.py": [(1, COINED_TOO)]}
    assert found.of(PATH) == ["b.py", "c.py", "d.py"]
    assert found.skipped() == dict.fromkeys(["b.py", "d.py"], "its content is not in this clone")


def test_all_of_a_file_counts_as_added_when_its_old_content_is_missing(project: Repo) -> None:
    project.commit({"b.py": f"{COINED}\n"})
    project.commit({"b.py": f"{COINED}\n{THIRD}\n"})
    lose(project, "HEAD~1:b.py")
    assert scan(project).files() == {"b.py": [(1, COINED), (2, THIRD)]}


def test_partial_clone_is_read_as_far_as_it_goes(project: Repo, tmp_path: Path) -> None:
    big = "".join(f"{n}\n" for n in range(3000))
    project.commit({"b.py": f"{COINED}\n", "big.py": big, "c.py": f"{THIRD}\n", "huge.py": big * 2})
    project.git("config", "uploadpack.allowFilter", "true")
    partial = project.clone(tmp_path / "partial", "--filter=blob:limit=1k", "--no-checkout")
    found = scan(partial)
    assert found.files() == {"b.py": [(1, COINED)], "c.py": [(1, THIRD)]}
    reason = "its content is not in this clone"
    assert found.skipped() == {"big.py": reason, "huge.py": reason}


def test_partial_clone_without_any_content_is_an_error_that_says_how_to_complete_it(
    project: Repo, tmp_path: Path
) -> None:
    project.commit({"b.py": f"{COINED}\n"})
    project.git("config", "uploadpack.allowFilter", "true")
    partial = project.clone(tmp_path / "partial", "--filter=blob:none", "--no-checkout")
    with pytest.raises(RepositoryError) as caught:
        scan(partial)
    assert "--refetch" in caught.value.hint


def test_lines_of_a_file_that_grew_too_large_to_read_do_not_count_as_removed(
    project: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "MAX_CONTENT", 1000)
    project.commit({"big.py": f"{COINED}\n"})
    project.commit({"big.py": f"{COINED}\n" + "x" * 1000, "new.py": f"{COINED}\n"})
    assert scan(project).files() == {"new.py": [(1, COINED)]}


def test_change_is_typed_as_an_iterable_of_artifacts(project: Repo) -> None:
    with Repository(project.path) as repository:
        change = read_change(repository, repository.base("HEAD"), Sources())
        assert isinstance(change, Change)
        assert all(isinstance(artifact, Artifact) for artifact in change)

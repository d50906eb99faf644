"""Reading a change, for any two trees: against what git itself calls added, and a plain oracle."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgguard_mcp import lines
from orgguard_mcp.change import Sources, read_change
from orgguard_mcp.errors import UsageError
from orgguard_mcp.event import parse_event
from orgguard_mcp.lines import MAX_LINE, OVERLAP, decode, notebook_text, numbered, pieces
from orgguard_mcp.messages import Cleanup, written
from orgguard_mcp.model import Surface
from orgguard_mcp.repository import Repository
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo

Tree = dict[str, tuple[str, str]]
"""Of each path the mode and the content."""

NAMES = ["a.py", " b/ b/x", 'q"uo\\te.md', "new\nline.csv", "tab\t", "\udce9\udcff.py", "d/e", "-z"]
LINES = ["", " ", "x", "  x", "y\t", "+x", "-x", "+++ b/a.py", "--- a/a.py", "@@ -1 +1,2 @@",
         "diff --git a/a.py b/a.py", "\\ No newline at end of file", f"{COINED}", f"\t{COINED} ",
         f"é {COINED_TOO}", "\f", "a\u2028b", "rename from a.py", ":100644"]  # fmt: skip

contents = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    st.lists(st.sampled_from(LINES), max_size=7), st.sampled_from(["\n", "\r\n"]), st.booleans(),
)  # fmt: skip
trees = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.sampled_from(["100644", "100755"]), contents), max_size=5
)


def history(directory: Path, *states: Tree) -> None:
    """A repository with a commit for each of *states*."""
    stream = b""
    for state in states:
        stream += (
            b"commit refs/heads/main\ncommitter A <a@example.com> 0 +0000\ndata 0\ndeleteall\n"
        )
        for path, (mode, content) in state.items():
            quoted = "".join(f"\\{byte:03o}" for byte in os.fsencode(path))
            data = content.encode()
            stream += f'M {mode} inline "{quoted}"\ndata {len(data)}\n'.encode() + data + b"\n"
    repo = Repo(directory)
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=repo.path, input=stream, check=True, timeout=60
    )


def bare(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def expected(old: Tree, new: Tree, *, ids: bool = True) -> dict[str, list[tuple[int, str]]]:
    """The added lines by the rule, said as plainly as can be. A file that moved whole removed no
    line; but that is told by object *ids*, which files of the working tree do not have.
    """
    before = {path: content for path, (_, content) in old.items()}
    after = {path: content for path, (_, content) in new.items()}
    changed = {path: content for path, content in after.items() if before.get(path) != content}
    gone = {path: content for path, content in before.items() if path not in after}
    removed: set[str] = set()
    for path, content in before.items():
        moved = ids and path in gone and content in changed.values()
        if after.get(path) != content and not moved:
            removed |= {*bare(content)} - {*bare(after.get(path, ""))}
    found = {}
    for path, content in changed.items():
        quiet = removed | {*bare(before.get(path, ""))}
        lines = [
            (number, line.removesuffix("\r"))
            for number, line in enumerate(content.split("\n"), 1)
            if line.strip() and line.strip() not in quiet
        ]
        if lines and content not in gone.values():
            found[path] = lines
    return found


def added_by_git(directory: Path, path: str) -> set[str]:
    """The lines that `git diff` marks as added in *path*, without white space around."""
    done = subprocess.run(
        ["git", "--literal-pathspecs", "diff", "-U0", "--text", "--no-renames", "HEAD~1", "HEAD",
         "--", path], cwd=directory, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    rows = done.stdout.decode().partition("\n@@")[2].split("\n")
    return {row[1:].strip() for row in rows if row.startswith("+")}


@settings(max_examples=60)
@given(trees, trees)
def test_added_lines_of_any_two_trees(old: Tree, new: Tree) -> None:
    with tempfile.TemporaryDirectory() as directory:
        history(Path(directory), old, new)
        with Repository(directory) as repository:
            artifacts = list(read_change(repository, repository.base("HEAD~1"), Sources()))
        files: dict[str, list[tuple[int, str]]] = {}
        for artifact in artifacts:
            if artifact.surface in {Surface.CODE, Surface.DOCS, Surface.DATA}:
                files.setdefault(artifact.path, []).extend(artifact.lines)
        assert files == expected(old, new)
        paths = {artifact.path for artifact in artifacts if artifact.surface is Surface.PATH}
        assert paths == new.keys() - old.keys()
        for path, lines in files.items():
            assert {line.strip() for _, line in lines} <= added_by_git(Path(directory), path)


@settings(max_examples=25)
@given(trees, trees)
def test_working_tree_and_index_are_read_as_the_commit_that_they_would_make(
    old: Tree, new: Tree
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        history(Path(directory), old, new)
        repo = Repo(Path(directory))
        repo.git("config", "core.autocrlf", "false")
        repo.git("read-tree", "HEAD")
        repo.git("checkout-index", "-a")
        repo.git("update-ref", "refs/heads/main", "HEAD~1")
        with Repository(directory) as repository:
            base = repository.base("HEAD")
            for sources in (Sources(staged=True), Sources(worktree=True)):
                found: dict[str, list[tuple[int, str]]] = {}
                for artifact in read_change(repository, base, sources):
                    if artifact.surface in {Surface.CODE, Surface.DOCS, Surface.DATA}:
                        found.setdefault(artifact.path, []).extend(artifact.lines)
                wanted = expected(old, new, ids=sources.staged)
                assert {p: found.get(p) for p in wanted} == wanted


# --- text -----------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Co"]), max_size=60)
latin = st.text("abc defghij\nklmno", min_size=30, max_size=200)


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(data: bytes) -> None:
    read = decode(data)
    assert read is None or isinstance(read.text, str)


@given(words)
def test_utf_8_is_read_as_it_is(text: str) -> None:
    assert decode(text.encode()) == ((text.removeprefix("\ufeff"), ""))


@given(latin, st.sampled_from(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]), st.booleans())
def test_wide_text_is_read_with_and_without_a_mark(text: str, encoding: str, marked: bool) -> None:
    read = decode((("\ufeff" if marked else "") + text).encode(encoding))
    assert read is not None
    assert read.text == text


@pytest.mark.parametrize("before", range(MAX_LINE - OVERLAP, MAX_LINE + 1, 16))
def test_name_across_a_cut_within_one_endless_word_lies_whole_in_a_piece(before: int) -> None:
    name = "N" * OVERLAP
    assert any(name in piece for piece in pieces("x" * before + name + "x" * MAX_LINE))


def test_byte_order_that_makes_more_sense_is_taken() -> None:
    text = "\u4100\u4200\u4300 in plain words"  # in the other order, these are A, B and C
    for encoding in ("utf-16-le", "utf-16-be"):
        assert decode(text.encode(encoding)) == (text, "")


@given(st.text("ab \n\r\f\u2028\x85\x1c", max_size=80), st.sampled_from([1, 3, 1 << 20]))
def test_lines_are_numbered_by_line_feeds(text: str, chunk: int) -> None:
    before, lines._CHUNK = lines._CHUNK, chunk
    try:
        found = list(numbered(text))
    finally:
        lines._CHUNK = before
    assert found == [
        (number, part)
        for number, line in enumerate(text.split("\n"), 1)
        for part in line.split("\r")
        if part.strip()
    ]


@settings(max_examples=60)
@given(
    st.integers(1, 3 * MAX_LINE), st.integers(1, OVERLAP), st.sampled_from(["x", "x ", "xyz,"]),
    st.integers(1, 2), st.integers(-2 * OVERLAP, OVERLAP),
)  # fmt: skip
def test_whatever_is_short_lies_whole_in_one_piece(
    length: int, short: int, filler: str, cut_number: int, near: int
) -> None:
    place = cut_number * MAX_LINE + near
    line = (filler * length)[:length]
    name = "N" * short
    line = line[:place] + name + line[place:]
    cut = list(pieces(line))
    assert all(len(piece) <= MAX_LINE for piece in cut)
    assert any(name in piece for piece in cut)
    assert cut[0] == line[: len(cut[0])]
    assert line.endswith(cut[-1])
    assert all(piece in line for piece in cut)


@given(st.text('"\\nu0041{}:, a', max_size=60))
def test_any_line_of_a_notebook_can_be_read(line: str) -> None:
    assert all(isinstance(part, str) for part in notebook_text(line))


SCISSORS = f"# {'-' * 24} >8 {'-' * 24}"
message_lines = st.lists(st.sampled_from(["# a", "; b", "c", "", SCISSORS]), max_size=8)


@given(message_lines, st.sampled_from(["", "#", ";", "auto"]), st.booleans())
def test_message_keeps_its_line_numbers_and_all_but_comments(
    lines: list[str], comment: str, scissors: bool
) -> None:
    kept = written("\n".join(lines), Cleanup(comment, scissors)).split("\n")
    assert len(kept) <= max(1, len(lines))
    assert all(now in {"", was} for now, was in zip(kept, lines, strict=False))
    assert kept.count("c") == lines.count("c") or scissors


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["pull_request", "title", "body", "head", "ref", "commits", "id", "message", "release",
         "tag_name", "merge_group", "head_ref", "head_commit", "comment", "deleted", "ref_type"]),
        inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_any_json_is_an_event_or_a_usage_error(value: object) -> None:
    data = json.dumps(value).encode()
    with suppress(UsageError):
        event = parse_event(data)
        texts = (*event.titles, *event.bodies, *event.branches, *event.tags)
        assert all(isinstance(text, str) for text in texts)
        assert all(isinstance(part, str) for pair in event.messages for part in pair)

"""What edits and commands are read as: only what is new, wherever it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgguard_mcp.hooks import edits, patch, shell
from orgguard_mcp.hooks.action import Moment
from orgguard_mcp.hooks.programs import only_reads
from orgguard_mcp.hooks.tools import action
from orgguard_mcp.model import Artifact, Surface
from tests.hooks.hooked import claude, guarded
from tests.names import COINED

OLD = "one\ntwo\nthree\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(OLD)
    return tmp_path


def _lines(artifacts: list[Artifact]) -> dict[str, list[tuple[int, str]]]:
    """The new lines by file name, and the new paths with line 0."""
    found: dict[str, list[tuple[int, str]]] = {}
    for one in artifacts:
        path = one.surface is Surface.PATH
        lines = [(0, "")] if path else list(one.lines)
        found.setdefault(Path(one.path).name, []).extend(lines)
    return found


def test_writing_adds_only_lines_that_the_file_lacks(folder: Path) -> None:
    found = edits.edited({"file_path": "a.py", "content": OLD + "four\n"}, str(folder))
    assert _lines(found) == {"a.py": [(4, "four")]}


def test_a_new_file_adds_its_path(folder: Path) -> None:
    found = edits.edited({"file_path": "b.py", "content": "one\n"}, str(folder))
    assert _lines(found) == {"b.py": [(0, ""), (1, "one")]}


def test_an_edit_adds_the_whole_line_that_it_touches(folder: Path) -> None:
    given = {"file_path": "a.py", "old_string": "wo", "new_string": "wenty"}
    assert _lines(edits.edited(given, str(folder))) == {"a.py": [(2, "twenty")]}


def test_edits_are_played_one_after_the_other(folder: Path) -> None:
    steps = [{"old_string": "two", "new_string": "x"}, {"old_string": "x", "new_string": "yz"}]
    given = {"file_path": "a.py", "edits": steps}
    assert _lines(edits.edited(given, str(folder))) == {"a.py": [(2, "yz")]}


def test_an_edit_that_does_not_fit_is_read_as_given(folder: Path) -> None:
    given = {"file_path": "a.py", "old_string": "nine\nten", "new_string": "nine\nnew"}
    assert _lines(edits.edited(given, str(folder))) == {"a.py": [(2, "new")]}


def test_taking_a_line_out_adds_nothing(folder: Path) -> None:
    given = {"file_path": "a.py", "old_string": "two\n", "new_string": ""}
    assert _lines(edits.edited(given, str(folder))) == {}


def test_an_edit_of_unknown_form_is_read_whole(folder: Path) -> None:
    found = edits.edited({"path": "a.py", "body": f"{COINED} did this"}, str(folder))
    assert [line for one in found for line in one.lines] == [(1, "a.py"), (1, f"{COINED} did this")]


PATCH = """*** Begin Patch
*** Add File: new.py
+first
+second
*** Update File: a.py
*** Move to: c.py
@@
 one
-two
+2
 three
+four
*** Delete File: gone.py
*** End Patch
"""


def test_every_form_of_a_patch(folder: Path) -> None:
    found = _lines(edits.edited({"command": PATCH}, str(folder)))
    assert found == {
        "new.py": [(0, ""), (1, "first"), (2, "second")],
        "c.py": [(0, ""), (2, "2"), (4, "four")],
    }


def test_what_a_patch_claims_to_keep_or_move_counts_only_if_the_file_has_it() -> None:
    text = "*** Begin Patch\n*** Update File: a\n@@\n-moved\n+moved\n+kept\n*** End Patch"
    assert [one.lines for one in patch.added(text, lambda _: ["kept"])] == [((1, "moved"),)]


def test_what_is_no_part_of_a_patch_counts_as_added() -> None:
    text = "*** Begin Patch\n*** Add File: a\nno sign\n*** Odd: x\n*** End Patch"
    (added,) = patch.added(text, lambda _: [])
    assert [line for _, line in added.lines] == ["no sign", "*** Odd: x"]


@pytest.mark.parametrize(
    ("command", "free"),
    [
        ("grep -rn 'x' src | head -3", True), ("cat a.py && ls -la", True),
        ("git grep -i name", True), ("orgguard check Name", True),
        ("grep x a > b", False), ("grep $(gh x) a", False), ("cat a | gh pr create -F -", False),
        ("git grep -Ovim x", False), ("rg --pre ./x y", False), ("echo x", False),
        ("git log --output=x", False), ("orgguard check x; gh pr create", False),
        ("ls `gh x`", False), ("cat a\ngh pr create", False),
    ],
)  # fmt: skip
def test_only_what_surely_reads_is_free(command: str, free: bool) -> None:
    assert only_reads(command) is free
    given = action(Moment.BEFORE, "Bash", {"command": command}, "/")
    assert (given is None) is free


@pytest.mark.parametrize(
    "command",
    ["git commit -m \"don't $(cat <<'E'\nit's\nE\n)\" && echo 'open", "# don't\ngh x --body 'a b'",
     'echo "a\\"b c" <<X\nnever ended', "a\\\nb 'c d'\"e f\"", "\\", "'", '"', "<<A\nA",
     "x<<-E\n\tE y"],
)  # fmt: skip
def test_every_word_of_a_command_is_read(command: str, tmp_path: Path) -> None:
    """No quoting, right or wrong, hides a word."""
    words = [
        word for word in ("it's", "open", "gh", "a", "b", "never", "c", "e") if word in command
    ]
    read = "\n".join(
        text for one in shell.artifacts(command, str(tmp_path)) for _, text in one.lines
    )
    for word in words:
        assert word.strip("'") in read


def test_a_name_that_is_taken_out_by_a_whole_write_is_let_go(tmp_path: Path) -> None:
    repo = guarded(tmp_path / "repo")
    repo.write({"a.md": f"{COINED} asked for this.\nRates.\n"})
    kept = {"file_path": f"{repo.path}/a.md", "content": "Rates.\n"}
    assert claude(repo, "Write", kept).code == 0


def test_a_name_in_two_files_of_one_patch_is_stopped(tmp_path: Path) -> None:
    repo = guarded(tmp_path / "repo")
    added = "".join(f"*** Add File: {name}.md\n+{COINED} asked for this.\n" for name in "ab")
    text = f"*** Begin Patch\n{added}*** End Patch\n"
    answered = claude(repo, "apply_patch", {"command": text})
    assert answered.code == 2
    assert "a.md:1, b.md:1" in answered.err

"""For any existing file: init twice is init once, nothing else changes, and undo restores it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from orgguard_mcp.setup.files import WorkingTree
from orgguard_mcp.setup.journal import Journal
from orgguard_mcp.setup.jsonc import _COMMENT, JsonDocument, _blanked
from orgguard_mcp.setup.plan import plan, undo_plan
from orgguard_mcp.setup.texts import Text, UnusableFileError
from orgguard_mcp.setup.toml import TomlDocument
from tests.setup.initialised import FILES

KEYS = st.sampled_from(["a", "b", "mcpServers", "mcp", "servers", "hooks", "version", '\u00e9 "q"'])
PLAIN = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
INDENTS = st.sampled_from([None, 0, 1, 2, 4, "\t"])
COMMENTS = st.sampled_from(["", " ", '// a, } "b"\n', '/* { " , */', "/* a\n b */", "\n\n"])


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """A JSON object in somebody's layout."""
    text = json.dumps(draw(OBJECTS), indent=draw(INDENTS), ensure_ascii=draw(st.booleans()))
    return text + draw(st.sampled_from(["", "\n", " \n\n"]))


@st.composite
def jsonc_texts(draw: st.DrawFn) -> str:
    """The same with comments and trailing commas, at any place where they may be."""
    text = draw(json_texts())
    pieces, in_string, escaped = [draw(COMMENTS)], False, False
    for char in text:
        closes = char in "}]" and not in_string
        if closes and _filled("".join(pieces)) and draw(st.booleans()):
            pieces.append(",")
        pieces.append(char)
        in_string = in_string ^ (char == '"' and not escaped)
        escaped = char == "\\" and not escaped
        if char in "{}[]," and not in_string:
            pieces.append(draw(COMMENTS))
    return "".join(pieces)


def _filled(text: str) -> bool:
    """Whether the container that *text* ends in has something in it, so that a comma may follow."""
    return _blanked(_COMMENT, text).rstrip()[-1:] not in "{[,"


NAMES = st.sampled_from(["a", "b-c", "mcp_servers", "hooks", '"q.r"'])
SCALARS = st.sampled_from(["1", '"x"', "'y'", "true", "[1, 2]", "[ ]", "{a = 1}", "1979-05-27"])
TOML_LINES = st.one_of(
    st.builds("{} = {}".format, NAMES, SCALARS),
    st.builds("{}.{} = {}".format, NAMES, NAMES, SCALARS),
    st.builds("  [{}]  # c".format, NAMES),
    st.builds("[{}.{}]".format, NAMES, NAMES),
    st.builds("[[{}.{}]]".format, NAMES, st.sampled_from(["PreToolUse", "Stop", "x"])),
    st.just('[[hooks.PreToolUse.hooks]]\ncommand = "theirs"'),
    st.sampled_from(["", "# a comment", "  # [x]"]),
)


@st.composite
def toml_texts(draw: st.DrawFn) -> str:
    """TOML that a client could have; newlines of one kind or mixed."""
    text = ""
    for line in draw(st.lists(TOML_LINES, max_size=10)):
        try:
            tomllib.loads(text + line + "\n")
        except tomllib.TOMLDecodeError:
            continue
        text += line + draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return text.removesuffix("\n") if draw(st.booleans()) else text


MARKDOWN = st.text(
    st.sampled_from("a#- \n\r\t`<!>\u00e9\u200b") | st.characters(codec="utf-8"), max_size=60
)


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tree")


def write(tree: WorkingTree, journal: Journal, clients: list[str]) -> list[str]:
    """What init does, in this process; the files that it would not touch."""
    planned = plan(tree, clients, [], force=False)
    for one in planned.changes:
        journal.add(one.path, one.before, one.after, tree.missing_folders(one.file))
        tree.write(one.file, one.before, one.after)
    return [path for path, _ in planned.problems]


def there_and_back(top: Path, path: str, data: bytes) -> bytes | None:
    """Init twice and undo in a tree that has *data* at *path*; what init made of it, None when it
    was skipped.
    """
    shutil.rmtree(top)
    (top / path).parent.mkdir(parents=True)
    (top / path).write_bytes(data)
    tree, journal = WorkingTree(top), Journal(top / ".git/init")
    clients = [name for name, paths in FILES.items() if path in paths]
    skipped = write(tree, journal, clients)
    once = (top / path).read_bytes()
    steps = len(journal.steps)
    assert write(tree, journal, clients) == skipped
    assert (once, steps) == ((top / path).read_bytes(), len(journal.steps))
    undone = undo_plan(tree, journal)
    assert undone.problems == []
    for one in undone.changes:
        tree.write(one.file, one.before, one.after)
    assert (top / path).read_bytes() == data
    left = {str(one.relative_to(top)) for one in top.rglob("*") if one.is_file()}
    assert {one for one in left if not one.startswith(".git/")} == {path}
    assert (path in skipped) <= (once == data)
    return None if path in skipped else once


MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])


@given(text=json_texts(), mark=MARKS, path=st.sampled_from([".mcp.json", ".claude/settings.json"]))
@settings(max_examples=100)
def test_any_json(top: Path, text: str, mark: bytes, path: str) -> None:
    after = there_and_back(top, path, mark + text.encode())
    if after is not None:
        check_added(json.loads(text), json.loads(after.decode("utf-8-sig")))


@given(text=jsonc_texts(), newline=st.sampled_from(["\n", "\r\n"]))
@example(text='{"a": {}, // x\n "hooks": {"BeforeTool": []/* y */, }, }', newline="\n")
@settings(max_examples=120)
def test_any_json_with_comments(top: Path, text: str, newline: str) -> None:
    text = text.replace("\n", newline)
    after = there_and_back(top, ".gemini/settings.json", text.encode())
    if after is not None:
        new = after.decode()
        before = JsonDocument(Text(text), comments=True).value
        check_added(before, JsonDocument(Text(new), comments=True).value)
        assert subsequence(text, new)


@given(text=toml_texts())
@example(text="mcp_servers = {a = {b = 1}}\nhooks.PreToolUse = []\n")
@settings(max_examples=120)
def test_any_toml(top: Path, text: str) -> None:
    after = there_and_back(top, ".codex/config.toml", text.encode())
    if after is not None:
        check_added(tomllib.loads(text), tomllib.loads(after.decode()))
        assert subsequence(text, after.decode())


@given(text=MARKDOWN, mark=MARKS)
@example(text="\r", mark=b"")  # with our line break behind it, it looks like one of Windows
@settings(max_examples=100)
def test_any_markdown(top: Path, text: str, mark: bytes) -> None:
    data = mark + text.encode()
    after = there_and_back(top, "AGENTS.md", data)
    assert after is not None
    assert after.startswith(data)


@given(data=st.binary(max_size=60), path=st.sampled_from(
    ["AGENTS.md", ".mcp.json", ".codex/config.toml", "opencode.json"]
))  # fmt: skip
def test_any_bytes(top: Path, data: bytes, path: str) -> None:
    there_and_back(top, path, data)


@given(text=jsonc_texts(), key=KEYS, value=VALUES)
@settings(max_examples=120)
def test_what_is_put_into_json_can_be_taken_out(text: str, key: str, value: object) -> None:
    document = JsonDocument(Text(text), comments=True)
    before = json.loads(json.dumps(document.value))
    assume(key not in before)
    document.set((key, "x"), value)
    assert document.value == {**before, key: {"x": value}}
    document.append((key, "list"), value)
    document.append((key, "list"), 1)
    assert document.value[key]["list"] == [value, 1]
    document.delete((key, "list", 0))
    assert document.value[key]["list"] == [1]
    document.delete((key,))
    assert document.value == before


@given(text=toml_texts())
@settings(max_examples=100)
def test_what_is_put_into_toml_can_be_taken_out(text: str) -> None:
    try:
        document = TomlDocument(Text(text))
        before = tomllib.loads(text)
        document.set(("fresh", "x"), {"a": "b"})
        document.delete(("fresh", "x"))
    except UnusableFileError:
        return
    assert {key: one for key, one in document.value.items() if key != "fresh"} == before


def check_added(before: object, after: object) -> None:
    """*after* has all that *before* has, at its place; lists have more at their end only."""
    if isinstance(before, dict):
        assert isinstance(after, dict)
        for key, value in before.items():
            check_added(value, after[key])
    elif isinstance(before, list):
        assert isinstance(after, list)
        assert after[: len(before)] == before
    else:
        assert after == before


def subsequence(part: str, whole: str) -> bool:
    """Whether *whole* is *part* with insertions alone."""
    rest = iter(whole)
    return all(char in rest for char in part)

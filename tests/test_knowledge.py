"""The knowledge of words: what it says, how its file is read, and what may stand in it."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp import knowledge
from orgguard_mcp.detect import shape
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.knowledge import Kind, frequency, kinds, opened, render
from orgguard_mcp.names import canonicalise, fold
from tests.names import COINED, COINED_TOO, DIGITS, FOURTH, NON_LATIN, THIRD, TWO_WORDS, WITH_SIGN

BENCH = Path(__file__).parents[1] / "bench"
LICENCES = knowledge.FILE.with_name("LICENSES.txt")
SHIPPED = knowledge.FILE.read_bytes().splitlines()[1:]
MEANING = (Kind.WORD | Kind.TECH, 19)

WORDS = st.text("abcz019é\u0436", min_size=1, max_size=12)
MEANINGS = st.tuples(st.integers(0, 1023).map(Kind), st.integers(0, 31))


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("build", Kind.WORD),
        ("building", Kind.WORD),
        ("ladies", Kind.WORD),
        ("colour", Kind.WORD),
        ("doesnt", Kind.WORD),
        ("unparseable", Kind.WORD),
        ("struct", Kind.TECH),
        ("kwargs", Kind.TECH),
        ("strcpy", Kind.TECH),
        ("utf8", Kind.TECH),
        ("flexbox", Kind.TECH),
        ("alice", Kind.GIVEN),
        ("jurgen", Kind.GIVEN),
        ("kowalski", Kind.FAMILY),
        ("berlin", Kind.PLACE),
        ("sanfrancisco", Kind.PLACE),
        ("japanese", Kind.PLACE),
        ("swahili", Kind.PLACE),
        ("und", Kind.FOREIGN),
        ("januar", Kind.FOREIGN),
        ("consectetur", Kind.FOREIGN),
        ("bsd3clause", Kind.LICENCE),
        ("agpl", Kind.LICENCE),
        ("ieee", Kind.STANDARD),
        ("eur", Kind.STANDARD),
        ("monday", Kind.PROPER),
        ("build", Kind.STEM),
        ("arrangement", Kind.STEM),
        ("1th", Kind.STEM),
        ("y", Kind.STEM),
    ],
)
def test_a_word_is_known_as_what_it_is(word: str, kind: Kind) -> None:
    assert kinds(word) & kind


@pytest.mark.parametrize("word", ["builds", "colour", "doesnt", "itd", "monday", "kwargs"])
def test_only_an_entry_of_the_american_dictionary_is_a_stem(word: str) -> None:
    assert kinds(word)
    assert not kinds(word) & Kind.STEM


def test_the_detection_learns_nothing_from_stems() -> None:
    assert shape.known("b") == 0  # a list has every letter; "Alice B" still reads as a person
    assert shape.known("build") == kinds("build") & ~Kind.STEM != Kind(0)


@pytest.mark.parametrize(
    "name",
    [COINED, COINED_TOO, THIRD, FOURTH, TWO_WORDS, WITH_SIGN, DIGITS, NON_LATIN],
    ids=ascii,
)
def test_an_invented_name_is_unknown(name: str) -> None:
    assert kinds(canonicalise(name)) == Kind(0)
    assert frequency(canonicalise(name)) == 0


@pytest.mark.parametrize(
    "text", ["", "\n", "build\n", "Build", "buildDAT", "build@", "a\nb", "\udc80"]
)
def test_what_is_no_folded_word_is_unknown(text: str) -> None:
    assert kinds(text) == Kind(0)


def test_frequency_goes_with_use() -> None:
    assert 80 >= frequency("the") > frequency("house") > frequency("wrench") > frequency("agentic")
    assert frequency("agentic") == frequency("a") == 0  # a letter is no word


def test_a_look_up_needs_the_standard_library_alone() -> None:
    code = "import sys, orgguard_mcp.knowledge as k; k.kinds('build'); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    outside = {name.split(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    assert {name for name in outside if not name.startswith(("_", "orgguard"))} == set()


# --- the file ------------------------------------------------------------------------------


def test_every_line_of_the_shipped_file_is_found() -> None:
    data = opened(knowledge.FILE)
    for line in SHIPPED[::50] + SHIPPED[:3] + SHIPPED[-3:]:
        assert data.find(line[:-3].decode()) == line[-3:]


def test_the_shipped_file_is_sorted_and_its_words_are_folded() -> None:
    assert sorted(set(SHIPPED)) == SHIPPED
    values = re.compile(rb"[A-`]{3}")
    for line in SHIPPED:
        word, value = line[:-3], line[-3:]
        assert values.fullmatch(value)
        assert 1 <= len(word) <= knowledge.LONGEST
        assert values.search(word + b"@@") is None
    for line in SHIPPED[::50]:
        word = line[:-3].decode()
        assert fold(word).casefold() == word


@given(st.dictionaries(WORDS, MEANINGS, max_size=400), WORDS)
def test_what_was_written_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, words: dict[str, tuple[Kind, int]], other: str
) -> None:
    path = tmp_path_factory.mktemp("knowledge") / "words"
    path.write_bytes(render(words))
    data = opened(path)
    asked = [*words, other]
    for word in islice(cycle(asked), 600 + len(asked)):  # the later ones by another search
        kind, level = words.get(word, (Kind(0), 0))
        assert data.find(word) == bytes(65 + n for n in (kind & 31, kind >> 5, level))


def test_a_word_is_found_wherever_its_line_begins_in_a_page(tmp_path: Path) -> None:
    long = [letter + "q" * 70 for letter in "abcdefghijklmnop"]
    for shift in range(256):
        before = [f"{n}" + "z" * 60 for n in range(shift // 64)] + ["9" + "z" * (shift % 64)]
        path = tmp_path / f"{shift}"
        path.write_bytes(render(dict.fromkeys(before + long, MEANING)))
        data = opened(path)
        for word in islice(cycle(before + long), 600):
            assert data.find(word) == b"DAT"


@pytest.mark.parametrize("size", [0, 1, 30, 32, 1000])
def test_a_file_cut_short_is_an_error(tmp_path: Path, size: int) -> None:
    whole = render({f"word{n}": MEANING for n in range(400)})
    (tmp_path / "words").write_bytes(whole[:size])
    with pytest.raises(OrgGuardError) as caught:
        opened(tmp_path / "words")
    assert caught.value.cause
    assert caught.value.hint


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OrgGuardError) as caught:
        opened(tmp_path / "words")
    assert caught.value.message.startswith("names were not looked for")
    assert caught.value.cause
    assert caught.value.hint


def test_a_file_of_another_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes(render({"word": MEANING}).replace(b"-1 ", b"-2 ", 1))
    with pytest.raises(OrgGuardError):
        opened(tmp_path / "words")


def test_a_file_without_lines_is_an_error_not_a_hang(tmp_path: Path) -> None:
    whole = render({f"word{n}": MEANING for n in range(4000)})
    header, newline, body = whole.partition(b"\n")
    (tmp_path / "words").write_bytes(header + newline + body[:-1].replace(b"\n", b"x") + b"\n")
    data = opened(tmp_path / "words")
    with pytest.raises(OrgGuardError):
        data.find("word5")


# --- its sources ---------------------------------------------------------------------------


def test_the_supplement_is_sorted_and_ships() -> None:
    kind, seen = Kind(0), set[str]()
    for line in (BENCH / "jargon.txt").read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] in Kind.__members__:
            kind, section = Kind[words[0]], list[str]()
            assert len(words) == 1
            continue
        for word in words:
            assert word not in seen
            assert not section or word > section[-1]
            assert kind in kinds(word)
            seen.add(word)
            section.append(word)
    assert seen


def test_every_package_has_its_licence_beside_the_file() -> None:
    pins = (BENCH / "knowledge_packages.txt").read_text(encoding="utf-8").splitlines()
    packages = {line.split()[1] for line in pins if line and not line.startswith("#")}
    text = LICENCES.read_text(encoding="utf-8")
    assert {package for package in packages if package not in text} == set()


def test_packages_are_pinned_by_version_and_digest() -> None:
    for line in (BENCH / "knowledge_packages.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(
            r"(npm|pip) (@cspell/)?[\w-]+ \d[\d.]*\d [0-9a-f]{64}", line
        )

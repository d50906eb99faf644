"""The report for readers: carets stand under the name, the window shows it, coverage ends all."""

from __future__ import annotations

import pytest

from orgguard_mcp.model import Basis, Coverage, Finding, Skipped, Surface
from orgguard_mcp.report import FORMATS, Options
from tests.names import COINED, COINED_TOO
from tests.scanned import at, clean, finding, report, sample

WIDE = "漢"


def shown(*findings: Finding, reveal: bool = True) -> list[str]:
    return FORMATS["human"](report(*findings), Options(reveal=reveal)).splitlines()


def source(text: str, name: str = COINED, line: int = 7) -> tuple[str, str]:
    """The source line and its carets, without the gutter."""
    lines = shown(finding(at("a.json", line, text, name)))
    marked = next(n for n, shown_line in enumerate(lines) if "^" in shown_line)
    gutter = len(str(line)) + len(" | ")
    return lines[marked - 1][gutter:], lines[marked][gutter:]


def cells(text: str) -> int:
    return sum(2 if char == WIDE else 1 for char in text)


@pytest.mark.parametrize(
    "before",
    ["", "x = ", "\t", "a\tb\t", f"{WIDE * 3} ", "e\u0301", "\x1b[2K", "\u202e", "x" * 500],
    ids=["start", "plain", "tab", "tabs", "wide", "mark", "escape", "bidi", "long"],
)
def test_the_carets_stand_under_the_name(before: str) -> None:
    line, carets = source(f"{before}{COINED} and more")
    start = line.index(COINED)
    assert carets.strip() == "^" * len(COINED)
    unseen = line[:start].count("\u0301")
    assert carets.index("^") == cells(line[:start]) - unseen


def test_a_wide_name_has_two_carets_a_character() -> None:
    assert source(f"a {WIDE * 2} b", WIDE * 2)[1] == "  ^^^^"


def test_of_a_long_line_a_window_around_the_name_is_shown() -> None:
    line, _ = source("a" * 5000 + COINED + "b" * 5000)
    assert line.startswith("…aaa")
    assert len(line) < 200
    assert "bbb … (+4," not in line  # the count is plain digits, as everywhere
    assert line.endswith("characters)")


def test_a_long_name_does_not_push_its_end_off_the_screen() -> None:
    assert len(source("q" * 5000, "q" * 5000)[0]) < 120


def test_one_block_a_name_with_the_other_places_listed() -> None:
    places = [at(f"src/f{n}.py", n, COINED) for n in range(1, 9)]
    lines = shown(finding(*places))
    assert sum(line.startswith("error[") for line in lines) == 1
    assert (
        "  = also: src/f2.py:2:1, src/f3.py:3:1, src/f4.py:4:1, src/f5.py:5:1 and 3 more" in lines
    )
    assert "1 finding in 8 places" in lines


def test_a_place_in_a_file_is_shown_before_others() -> None:
    title = at("", 1, COINED, surface=Surface.PR_TITLE)
    lines = shown(finding(title, at("src/a.py", 3, COINED)))
    assert lines[1] == " --> src/a.py:3:1"
    assert "  = also: PR title" in lines


@pytest.mark.parametrize(
    ("basis", "rule", "said"),
    [
        (Basis.UNKNOWN, "new-name", "is not in the base and has no consent"),
        (Basis.COMMON_WORD, "common-word", "is an ordinary word that the base does not use as a"),
        (Basis.PENDING, "pending-name", "has no consent yet: a human has been asked"),
        (Basis.REFUSED, "refused-name", "was refused by a human"),
        (Basis.PROTECTED, "protected-name", "is protected and must never appear"),
    ],
)
def test_the_headline_says_on_what_the_finding_rests(basis: Basis, rule: str, said: str) -> None:
    first = shown(finding(at("a.py", 1, COINED), basis=basis))[0]
    assert first.startswith(f"error[{rule}]: `{COINED}` {said}")


@pytest.mark.parametrize("basis", [b for b in Basis if b not in {"refused", "protected"}])
def test_the_help_is_to_ask_and_never_to_substitute(basis: Basis) -> None:
    text = "\n".join(shown(finding(at("a.py", 1, COINED), basis=basis)))
    assert "orgguard review" in text
    assert not any(word in text for word in ("placeholder", "replace", "rename", "instead"))


def test_hidden_there_is_no_source_line_and_no_word_of_the_human() -> None:
    text = "\n".join(shown(finding(at("a.py", 1, COINED), reason="because"), reveal=False))
    assert "^" not in text
    assert "because" not in text
    assert "name 5c1f2e9077aa is not in the base" in text
    assert "names are hidden here" in text


def test_the_gravest_come_first() -> None:
    low = finding(at("a.py", 1, COINED), score=0.2)
    high = finding(at("z.py", 1, COINED_TOO, COINED_TOO), name=COINED_TOO, score=0.8)
    refused = finding(at("y.py", 1, COINED), basis=Basis.REFUSED, score=0.1)
    lines = shown(low, high, refused)
    assert [line for line in lines if "-->" in line] == [
        " --> y.py:1:1",
        " --> z.py:1:1",
        " --> a.py:1:1",
    ]


def test_nothing_found_is_one_quiet_line_and_the_coverage() -> None:
    first, *rest = FORMATS["human"](clean(), Options()).splitlines()
    assert first == "no new names"
    assert all(line.startswith(("base ", "scanned: ", "not scanned: ", "no part")) for line in rest)


def test_where_nothing_was_scanned_nothing_is_said_to_be_clean() -> None:
    skipped = Coverage(Surface.CODE, 0, (Skipped("a.py", "too large"),))
    text = FORMATS["human"](report(coverage=(skipped,)), Options())
    assert text.startswith("nothing was scanned\n")
    assert "scanned: nothing\nnot scanned: a.py: too large\n" in text
    assert "no new names" not in text


def test_the_coverage_ends_every_report() -> None:
    lines = FORMATS["human"](sample(), Options()).splitlines()
    assert lines[-5:] == [
        "scanned: 10 code files, 2 documents, 1 data file, 19 paths, 3 commit messages,"
        " 1 branch name, 1 PR title",
        "not scanned: dist/0.min.js, dist/1.min.js, dist/2.min.js and 2 more: generated",
        "not scanned: dump/•••.bin: binary",
        "not scanned: PR body: the event has none",
        "no part of this scan: tag names",
    ]


def test_a_name_that_is_an_ordinary_word_does_not_garble_the_reasons() -> None:
    found = finding(at("a.py", 1, "ask Content", "Content"), name="Content")
    skipped = Skipped("docs/content.bin", "its content is not in this clone")
    told = report(found, coverage=(Coverage(Surface.DATA, 1, (skipped,)),))
    text = FORMATS["human"](told, Options())
    assert "not scanned: docs/•••.bin: its content is not in this clone\n" in text


def test_a_surface_that_the_scan_was_not_given_is_named() -> None:
    lines = FORMATS["human"](report(), Options()).splitlines()
    assert lines[-1] == (
        "no part of this scan: documents, data files, paths, commit messages, branch names,"
        " tag names, PR titles, PR bodies"
    )

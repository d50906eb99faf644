"""Reports: verdicts as text, for a terminal and for a machine."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.model import Base, Basis, Evidence, FileClass, Verdict
from orgguard_mcp.names import Name, canonicalise
from orgguard_mcp.report.verdicts import FORMATS, as_json, as_text, row
from orgguard_mcp.report.words import base_line
from tests.names import COINED, COINED_TOO

BASE = Base("0123456789abcdef" * 2, "the upstream default branch")
PLACE = Evidence("src/app.py", 7, FileClass.CODE)
Report = Callable[[list[Verdict]], str]
HOSTILE = "a\x1b[2J\x9b31m\u202e\u200b\u2028b"


def verdict(
    name: str = COINED,
    basis: Basis = Basis.UNKNOWN,
    why: str = "none of the base's 3 files holds it",
    evidence: tuple[Evidence, ...] = (),
    base: Base = BASE,
) -> Verdict:
    return Verdict(Name(name, canonicalise(name)), basis, why, base, evidence, {FileClass.CODE: 2})


def test_the_text_says_effect_name_basis_reason_place_and_base() -> None:
    shown = as_text([verdict(basis=Basis.ESTABLISHED, why="it is there", evidence=(PLACE,))])
    assert shown == (
        f"allow  {COINED}: established, it is there\n"
        "         src/app.py:7 (code)\n"
        "\n"
        "base 0123456, the upstream default branch\n"
    )


def test_the_text_of_several_verdicts_names_the_base_once() -> None:
    shown = as_text([verdict(), verdict(COINED_TOO, Basis.REFUSED)])
    assert shown.count("base 0123456") == 1
    assert [line.split()[0] for line in shown.splitlines() if line] == ["ask", "deny", "base"]


def test_json_has_one_object_a_line() -> None:
    first, second = map(json.loads, as_json([verdict(), verdict(COINED_TOO)]).splitlines())
    assert (first["name"], second["name"]) == (COINED, COINED_TOO)


def test_a_row_has_everything_a_machine_needs() -> None:
    assert row(verdict(evidence=(PLACE,))) == {
        "name": COINED,
        "key": COINED.lower(),
        "effect": "ask",
        "basis": "unknown",
        "why": "none of the base's 3 files holds it",
        "evidence": [{"path": "src/app.py", "line": 7, "class": "code"}],
        "files": {"code": 2},
        "base": BASE.commit,
        "base_reason": BASE.reason,
    }


def test_no_verdict_is_no_json() -> None:
    assert as_json([]) == ""


def test_a_repository_without_a_commit_has_only_a_reason() -> None:
    assert base_line(Base("", "the repository has no commit")) == "the repository has no commit"


@pytest.mark.parametrize("report", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(
    "told",
    [
        verdict(name=HOSTILE),
        verdict(why=f"it may be written only in {HOSTILE}"),
        verdict(evidence=(Evidence(HOSTILE, 1, FileClass.CODE),)),
        verdict(base=Base("0" * 40, f"base in {HOSTILE}")),
    ],
    ids=["name", "why", "path", "base"],
)
def test_no_format_shows_a_foreign_character_raw(
    report: Callable[[list[Verdict]], str], told: Verdict
) -> None:
    shown = report([told])
    assert not [c for c in shown if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Zl"}]


@pytest.mark.parametrize("report", FORMATS.values(), ids=FORMATS)
def test_every_format_can_be_written_as_utf_8(report: Report) -> None:
    assert report([verdict(name=f"{COINED}\udcff")]).encode()


@given(st.text(max_size=40), st.sampled_from(list(Basis)))
def test_json_gives_back_what_it_was_given(name: str, basis: Basis) -> None:
    told = verdict(name, basis)
    (line,) = as_json([told]).split("\n")[:-1]
    assert json.loads(line) == row(told)

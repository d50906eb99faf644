"""A change with more words than are kept at once, and what saves time with many words or names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orgguard_mcp import knowledge, portions
from orgguard_mcp.detect import gather, shape
from orgguard_mcp.fingerprints import any_of
from orgguard_mcp.guard import Guard
from orgguard_mcp.knowledge import Kind
from orgguard_mcp.lines import surface_of
from orgguard_mcp.model import Artifact, Finding
from orgguard_mcp.scan import Judged, judge
from tests.names import COINED, COINED_TOO
from tests.scanner import change

_ORDINARY = "".join(
    f"read_{a}_{b}()\n" for a in "table queue token".split() for b in "row page".split()
)
_NAMED = f"# {COINED} asked for this\n"


def _judged(tmp_path: Path, *texts: str) -> Judged:
    artifacts = [
        Artifact(surface_of(path), path, tuple(enumerate(text.splitlines(), 1)))
        for path, text in ((f"part_{number}.py", text) for number, text in enumerate(texts))
    ]
    with Guard(change(tmp_path / "repo", {"a.py": "\n"}).path) as guard:
        return judge(guard, artifacts)


def _found(judged: Judged) -> dict[str, Finding]:
    return {finding.verdict.name.surface: finding for finding in judged.findings}


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few words are kept that a change of some lines is judged in parts."""
    monkeypatch.setattr(gather, "MAX_CANDIDATES", 4)
    monkeypatch.setattr(portions, "PORTION", 30)


@pytest.mark.usefixtures("cramped")
def test_a_name_is_found_in_any_part_and_its_places_are_one_finding(tmp_path: Path) -> None:
    judged = _judged(tmp_path, _NAMED, _ORDINARY, _ORDINARY, _NAMED)
    assert {at.path for at in _found(judged)[COINED].locations} == {"part_0.py", "part_3.py"}
    assert re.match(r"the change has so many words .* in \d+ parts", judged.note)


@pytest.mark.usefixtures("cramped")
def test_no_likely_name_is_dropped_however_many_there_are(tmp_path: Path) -> None:
    names = {f"{COINED}{ending}" for ending in ("ix", "um", "or", "an", "el", "it")}
    text = "".join(f"# {name} asked for this\n" for name in names)
    assert set(_found(_judged(tmp_path, text, _ORDINARY))) == names


def test_of_a_change_that_was_judged_as_a_whole_nothing_is_said(tmp_path: Path) -> None:
    judged = _judged(tmp_path, _NAMED, _ORDINARY)
    assert list(_found(judged)) == [COINED]
    assert not judged.note


def test_words_read_all_at_once_are_those_looked_up_one_by_one() -> None:
    some = sorted(knowledge.spoken(22))[::50]
    assert all(
        knowledge.kinds(word) & Kind.WORD and knowledge.frequency(word) >= 22 for word in some
    )
    assert knowledge.spoken(35) < knowledge.spoken(22)
    assert {"table", "customer", "through"} <= knowledge.spoken(35)


def test_a_slip_is_the_same_slip_whether_few_or_many_were_looked_at() -> None:
    slips = ["custmer", "tabel", "throughh", "developmant", COINED.lower(), COINED_TOO.lower()]
    shape.misspelt.cache_clear()
    knowledge.spoken.cache_clear()
    few = [shape.misspelt(word) for word in slips]
    shape.misspelt.cache_clear()
    for number in range(50):
        shape.misspelt(f"{COINED.lower()}{chr(97 + number % 26) * (1 + number // 26)}")
    assert [shape.misspelt(word) for word in slips] == few
    assert few[-2:] == [0, 0]
    assert all(few[:-2])


def test_of_names_that_begin_alike_the_longest_is_cut_out(tmp_path: Path) -> None:
    longer = f"{COINED}ix"
    text = (
        f"# {COINED} and {longer} asked for this\n# {COINED} sends it, {longer.upper()} reads it\n"
    )
    for finding in _judged(tmp_path, text).findings:
        assert finding.fingerprint
    pattern = re.compile(any_of([COINED, longer, COINED_TOO]), re.IGNORECASE)
    assert (
        pattern.sub("-", f"{longer} {longer.upper()} {COINED.lower()}x {COINED_TOO}") == "- - -x -"
    )
    assert not re.search(any_of([]), COINED)

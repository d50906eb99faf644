"""Weighing: the score of a candidate, what is said of it, and which candidates are one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.detect import weights
from orgguard_mcp.detect.gather import TRADE_WORDS, Holdings, gather
from orgguard_mcp.detect.weigh import PEDANTIC, REGULAR, Weighed, weigh
from orgguard_mcp.detect.weights import Weights
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.fileclass import by_path
from orgguard_mcp.lines import surface_of
from orgguard_mcp.model import Artifact, Held, Surface
from tests.names import ACCENTED, COINED, COINED_TOO, THIRD, TWO_WORDS

_LOW = COINED.lower()


def _base(*words: str) -> Holdings:
    """A base that holds *words* in some files each."""

    def holdings(keys: Iterable[str]) -> Mapping[str, Held]:
        return {key: Held(files=9, establishing=9) for key in keys if key in words}

    return holdings


_NEW = _base()
"""A repository without a file."""


def _weighed(*artifacts: Artifact, base: Holdings = _NEW) -> list[Weighed]:
    classes = {a.path: by_path(a.path) for a in artifacts if a.surface.in_file}
    return list(weigh(gather(artifacts, base), base, classes.__getitem__))


def _line(text: str, path: str = "src/a.py", number: int = 7) -> Artifact:
    return Artifact(surface_of(path), path, ((number, text),))


def _reported(*artifacts: Artifact, base: Holdings = _NEW) -> list[str]:
    return [one.text for one in _weighed(*artifacts, base=base) if one.score >= REGULAR()]


MESSAGE = Surface.COMMIT_MESSAGE
LEAKS = [
    (_line(f"# a workaround for {COINED}, whose proxy strips the header"), COINED),
    (_line(f"    # {TWO_WORDS} wants the old order"), TWO_WORDS),
    (_line(f'  "vendor": "{COINED}",', "tests/data/x.json"), COINED),
    (_line(f"class {COINED}Adapter(Base):"), COINED),
    (_line(f"# contact jane@{_LOW}.com"), _LOW),
    (_line(f"# see https://api.{_LOW}.com/orders"), _LOW),
    (_line(f"- {ACCENTED} can upload larger files.", "docs/a.md"), ACCENTED),
    (Artifact(MESSAGE, "c" * 40, ((1, f"Raise the limits for {COINED}"),)), COINED),
    (Artifact(Surface.BRANCH, "", ((0, f"feature/{_LOW}-rollout"),)), _LOW),
    (
        Artifact(Surface.PATH, f"tests/data/{_LOW}.json", ((0, f"tests/data/{_LOW}.json"),)),
        _LOW,
    ),
    (Artifact(Surface.PR_BODY, "", ((1, f"{COINED} reported time-outs."),)), COINED),
]
ORDINARY = [
    _line("# the rows are sorted twice, since the cache is slow"),
    _line("def load_rows(self): return self.client.get(url)"),
    _line("# recieve all the messsages"),
    _line("see https://example.com and mail jane@example.org", "docs/a.md"),
    _line("commit 3f9c2ab17d4e88b1 of 2024-03-01", "docs/a.md"),
    Artifact(MESSAGE, "c" * 40, ((1, "Sort the rows once"), (3, "This makes it faster."))),
    Artifact(MESSAGE, "c" * 40, ((3, f"Co-authored-by: Jo <jo@{_LOW}.com>"),)),
]


@pytest.mark.parametrize(("artifact", "name"), LEAKS)
def test_a_leak_is_reported_once_and_whole(artifact: Artifact, name: str) -> None:
    assert _reported(artifact) == [name]


@pytest.mark.parametrize("artifact", ORDINARY)
def test_ordinary_text_is_not(artifact: Artifact) -> None:
    assert _reported(artifact) == []


def _path(path: str) -> Artifact:
    return Artifact(Surface.PATH, path, ((0, path),))


@pytest.mark.parametrize("path", ["clean.md", "docs/setup.md", "src/scheduler.py"])
def test_that_a_young_base_lacks_a_term_of_the_trade_says_nothing_of_a_path(path: str) -> None:
    assert _reported(_path(path)) == []


def test_a_grown_base_is_believed_and_so_is_a_folder_of_providers() -> None:
    grown = _base(*TRADE_WORDS)
    assert _reported(_path("clean.md"), base=grown) == ["clean"]
    assert "discover" in _reported(_path("integrations/discover.py"))
    assert _reported(_path(f"docs/{_LOW}.md")) == [_LOW]


def test_the_surest_comes_first_and_none_is_left_out() -> None:
    lines = (_line(f"# {COINED} sends it"), _line("def quick_sort(rows):", "b.py"))
    found = _weighed(*lines, base=_base("quick", "sort", "quicksort", "rows"))
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert scores[-1] < PEDANTIC() < REGULAR() <= scores[0]


def test_all_spellings_are_one_name_in_all_its_places() -> None:
    found = _weighed(
        _line(f"# {COINED} sends it"),
        _line(f"class {COINED}Adapter:", "src/b.py"),
        _line(f"# see https://api.{_LOW}.com", "src/c.py"),
    )
    mine = [one for one in found if _LOW in one.text.lower()]
    assert [one.text for one in mine] == [COINED]
    paths = {sighting.location.path for sighting in mine[0].sightings}
    assert paths == {"src/a.py", "src/b.py", "src/c.py"}


def test_two_names_are_two() -> None:
    lines = (f"# {COINED} sends it", f"# a hack for {COINED_TOO}", f"# {THIRD} wants it")
    found = _reported(*(_line(text, number=n) for n, text in enumerate(lines, 1)))
    assert set(found) == {COINED, COINED_TOO, THIRD}


def test_a_place_shows_the_name_and_nothing_else() -> None:
    (one,) = (w for w in _weighed(_line(f"class {COINED}Adapter:")) if w.score >= REGULAR())
    place = one.sightings[0].location
    assert place.text[place.column - 1 : place.column - 1 + place.length] == COINED


def test_the_whole_name_is_shown_rather_than_a_part() -> None:
    found = _weighed(_line(f"# approved by {COINED} Harbor today"))
    assert found[0].text == f"{COINED} Harbor"


@pytest.mark.parametrize(("artifact", "name"), LEAKS)
def test_the_reason_is_a_clause_without_the_name(artifact: Artifact, name: str) -> None:
    best = _weighed(artifact)[0]
    assert best.why
    assert best.why[0].islower()
    assert name.lower() not in best.why.lower()


def test_a_base_that_writes_the_script_has_sentences_in_it() -> None:
    line = _line("x = '保存白鷺设置失败，请重试白鷺'")
    foreign = _weighed(line)[0].score
    native = _weighed(line, base=_base("设置", "错误", "使用"))[0].score
    assert native < foreign


def test_a_misspelt_word_is_no_name() -> None:
    slip = _weighed(_line("# this seperately handles the rows"))
    assert all(one.score < REGULAR() for one in slip)


_FACTS = st.dictionaries(st.text("abc d", min_size=1).filter(str.strip), st.just(0.25))


@given(_FACTS)
def test_weights_survive_their_file(of: dict[str, float]) -> None:
    written = Weights(-1.5, 0.7, 0.2, of)
    assert weights.parse(weights.render(written)) == written


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("-1\t", "-2\t", 1),
        lambda text: text.replace("bias\t", "bias\tx"),
        lambda text: text + "0.5\tmore\n",
        lambda text: text.replace("bias\t", "bias\tnan\t"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    path = tmp_path / "weights.txt"
    path.write_text(damage(weights.FILE.read_text()))
    with pytest.raises(OrgGuardError, match="names were not looked for") as caught:
        weights.opened(path)
    assert caught.value.hint


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OrgGuardError):
        weights.opened(tmp_path / "none.txt")


@given(st.lists(st.text(max_size=50), max_size=4), st.sampled_from(["a.py", "b.md", "c.csv"]))
def test_no_text_breaks_it(lines: list[str], path: str) -> None:
    artifact = Artifact(surface_of(path), path, tuple(enumerate(lines, 1)))
    for one in _weighed(artifact):
        assert 0 <= one.score <= 1
        assert one.sightings
        assert one.text

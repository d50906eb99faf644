"""All formats of the scan: golden copies, and what holds whatever the scanned text is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgguard_mcp.model import Base, Coverage, Location, Report, Skipped, Surface
from orgguard_mcp.names import fold
from orgguard_mcp.report import FORMATS, Options, job_summary
from tests.names import ACCENTED, COINED, COINED_TOO, NON_LATIN, TWO_WORDS
from tests.scanned import clean, finding, report, sample

GOLDEN = Path(__file__).parent / "golden" / "scan"
UPDATE = os.environ.get("ORGGUARD_UPDATE_GOLDEN")  # read before the tests' environment is sealed
ALL = {**FORMATS, "summary": job_summary}
SUFFIXES = {"human": "txt", "github": "txt", "junit": "xml", "summary": "md"}
CASES = {
    "revealed": (sample(), Options(reveal=True, token="TOKEN")),
    "hidden": (sample(), Options(token="TOKEN")),
    "clean": (clean(), Options(token="TOKEN")),
}
every_format = pytest.mark.parametrize("name", ALL)


# --- golden copies --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@every_format
def test_a_report_is_as_its_golden_copy(name: str, case: str) -> None:
    """ORGGUARD_UPDATE_GOLDEN=1 writes the copies anew; read the difference before committing it."""
    found = ALL[name](*CASES[case])
    copy = GOLDEN / f"{name}-{case}.{SUFFIXES.get(name, 'json')}"
    if UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        copy.write_text(found)
    assert found == copy.read_text()


def test_there_is_no_golden_copy_of_what_is_gone() -> None:
    assert {copy.stem for copy in GOLDEN.iterdir()} == {f"{n}-{c}" for n in ALL for c in CASES}


def test_the_document_has_what_a_machine_needs() -> None:
    document = json.loads(FORMATS["json"](sample(), Options(reveal=True)))
    assert list(document) == [
        "base", "base_reason", "head", "findings", "coverage", "suppressed", "consented",
        "notes", "unchecked",
    ]  # fmt: skip
    told = document["findings"][1]
    assert list(told) == [
        "name", "fingerprint", "basis", "effect", "confidence", "level", "why", "score",
        "locations",
    ]  # fmt: skip
    assert told["name"] == COINED
    assert told["locations"][0] == {
        "surface": "data", "path": "tests/fixtures/payload.json", "line": 7, "column": 10,
    }  # fmt: skip
    assert "name" not in json.loads(FORMATS["json"](sample(), Options()))["findings"][1]


# --- whatever the text is -------------------------------------------------------------------------

SPELLINGS = [
    COINED, COINED.lower(), COINED.upper(), "Zorb-Latt", f"{COINED}GmbH", f"{COINED.lower()}.com",
    TWO_WORDS, "harbor_finch", "HarborFinch", ACCENTED, ACCENTED.upper(), NON_LATIN, COINED_TOO,
]  # fmt: skip
HOSTILE = [
    "\n::error::x", "\r\n::set-output name=a::b", "::add-mask::x", "##[error]x", "%0A::warning::",
    "\x1b[2J", "\x9b31m", "\x00", "\x0b", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800",
    "\udcff", "\ufffe", "\ufeff", "`", "```", "|", "\\", "<b>", "]]>", "&amp;", "{0}", "[a](b)",
    "%", ",", ":", "\t", "  ", "/", "//", "..", "漢", "e\u0301\u0301\u0301",
]  # fmt: skip
foreign = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=6).map("".join)
spelled = st.sampled_from(SPELLINGS)


def planted(draw: st.DrawFn, spelling: str) -> str:
    return f"{draw(foreign)} {spelling} {draw(foreign)}"


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """A report whose every text is hostile and holds each of its findings' names somewhere."""
    names = draw(st.lists(spelled, min_size=1, max_size=3, unique=True))
    findings = []
    for number, name in enumerate(names):
        places = []
        for surface in draw(st.lists(st.sampled_from(Surface), min_size=1, max_size=3)):
            before = draw(foreign)
            text = f"{before} {name} {draw(foreign)} {draw(st.sampled_from(names))}"
            path = draw(foreign) if draw(st.booleans()) else planted(draw, draw(spelled_in(names)))
            line = draw(st.integers(0, 9))
            places.append(Location(surface, path, line, len(before) + 2, len(name), text))
        told = {
            key: planted(draw, draw(spelled_in(names))) for key in ("why", "evidence", "reason")
        }
        findings.append(finding(*places, name=name, fingerprint=f"0000000{number}", **told))
    words = [planted(draw, draw(spelled_in(names))) for _ in range(3)]
    coverage = Coverage(Surface.CODE, 1, (Skipped(words[0], draw(foreign)),))
    return report(*findings, base=Base("1" * 40, words[1], words[2]), coverage=(coverage,))


def spelled_in(names: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([spelling for name in names for spelling in (name, name.upper())])


def strings(name: str, text: str) -> Iterator[str]:
    """Every text that a reader of the format gets, decoded as the format says."""
    if name in {"human", "github"}:
        yield from text.split("\n")
    elif name == "summary":
        yield from text.replace("\\", "").split("\n")
    elif name == "junit":
        for element in ET.fromstring(text).iter():  # noqa: S314  # our own output
            yield from (element.tag, element.text or "", *element.attrib.values())
    else:
        yield from leaves(json.loads(text))


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield unquote(str(value))


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, fold(text).casefold()))


@every_format
@settings(max_examples=50)
@given(told=reports())
def test_a_hidden_name_is_in_no_format(name: str, told: Report) -> None:
    shown = [letters(text) for text in strings(name, ALL[name](told, Options()))]
    for hidden in told.findings:
        for place in hidden.locations:
            written = place.text[place.column - 1 :][: place.length]
            assert [text for text in shown if letters(written) in text] == []
        assert [text for text in shown if letters(hidden.verdict.name.key) in text] == []


@every_format
@settings(max_examples=50)
@given(told=reports(), reveal=st.booleans())
def test_every_format_is_harmless_and_can_be_read_back(
    name: str, told: Report, reveal: bool
) -> None:
    options = Options(reveal=reveal, token="T")
    shown = ALL[name](told, options)
    moving = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
    assert [c for c in shown if c != "\n" and unicodedata.category(c) in moving] == []
    assert shown.encode()
    assert list(strings(name, shown)) or shown == "[]\n"  # GitLab's, where no finding has a file
    assert ALL[name](told, options) == shown


@given(told=reports(), reveal=st.booleans())
def test_scanned_text_commands_no_runner(told: Report, reveal: bool) -> None:
    first, *lines = FORMATS["github"](told, Options(reveal=reveal)).split("\n")
    token = first.removeprefix("::stop-commands::")
    end = lines.index(f"::{token}::")
    assert not any(line.lstrip().startswith("::") for line in lines[:end])
    assert all(line.startswith("::error ") for line in lines[end + 1 : -1])
    assert len(lines[end + 1 : -1]) == len(told.findings)


# --- imports --------------------------------------------------------------------------------------


def test_a_report_for_a_reader_loads_no_other_format() -> None:
    code = (
        "import sys; from tests.scanned import sample\n"
        "from orgguard_mcp.report import FORMATS, Options\n"
        "FORMATS['human'](sample(), Options(reveal=True)); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        cwd=Path(__file__).parents[1],
    ).stdout.split()  # fmt: skip
    others = {"document", "sarif", "github", "gitlab", "junit"}
    unwanted = {"xml", "secrets", *(f"orgguard_mcp.report.{n}" for n in others)}
    assert unwanted & set(loaded) == set()

"""The formats for code hosts: what each host needs, and what scanned text must not do to it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from orgguard_mcp.model import Basis, Confidence, Coverage, Finding, Report, Skipped, Surface
from orgguard_mcp.report import FORMATS, Options, job_summary
from orgguard_mcp.report.github import MAX_ANNOTATIONS
from orgguard_mcp.report.sarif import MAX_RESULTS
from tests.names import COINED, COINED_TOO
from tests.scanned import at, finding, many, report, sample

REVEAL = Options(reveal=True, token="TOKEN")
TITLE = at("", 1, f"Add {COINED}", surface=Surface.PR_TITLE)


def commands(*findings: Finding, options: Options = REVEAL) -> list[str]:
    lines = FORMATS["github"](report(*findings), options).splitlines()
    return lines[lines.index("::TOKEN::") + 1 :]


def run(told: Report, options: Options = REVEAL) -> Any:  # noqa: ANN401
    (only,) = json.loads(FORMATS["sarif"](told, options))["runs"]
    return only


def notices(told: Report, options: Options = REVEAL) -> list[str]:
    told_of = run(told, options)["invocations"][0]["toolExecutionNotifications"]
    return [notice["message"]["text"] for notice in told_of]


def suite(told: Report, options: Options = REVEAL) -> ET.Element:
    (only,) = ET.fromstring(FORMATS["junit"](told, options))  # noqa: S314  # our own output
    return only


# --- GitHub's annotations -------------------------------------------------------------------------


def test_an_annotation_has_the_place_and_escapes_what_would_end_it() -> None:
    (line,) = commands(finding(at("a,b:c%d.py", 3, f"# {COINED}")))
    assert line.startswith(
        "::error file=a%2Cb%3Ac%25d.py,line=3,col=3,endColumn=11,title=orgguard(new-name)::"
        f"`{COINED}` is not in the base"
    )


def test_a_name_with_line_ends_makes_no_second_command() -> None:
    (line,) = commands(finding(TITLE, name=f"{COINED}\n::error::x\r% done"))
    assert "\\n::error::x\\r%25 done` is not in the base" in line


@pytest.mark.parametrize(
    "place",
    [TITLE, at("a\u202eb.py", 3, COINED), at("a\nb.py", 3, COINED), at(COINED, 0, COINED)],
    ids=["title", "bidi", "line end", "no line"],
)
def test_what_cannot_be_attached_to_a_file_is_an_error_without_one(place: Any) -> None:  # noqa: ANN401
    (line,) = commands(finding(place))
    assert line.startswith("::error title=orgguard(new-name)::")


def test_a_path_that_holds_the_hidden_name_is_not_given_away_as_file() -> None:
    told = finding(at(f"src/{COINED.lower()}.py", 3, COINED))
    assert commands(told)[0].startswith("::error file=src/")
    (line,) = commands(told, options=Options(token="TOKEN"))
    assert line.startswith("::error title=")
    assert "in src/•••.py:3:1" in line


def test_another_findings_name_in_the_path_counts_as_well() -> None:
    first = finding(at(f"src/{COINED_TOO.lower()}.py", 3, COINED))
    second = finding(at("b.py", 1, COINED_TOO, COINED_TOO), name=COINED_TOO, fingerprint="2")
    lines = commands(first, second, options=Options(token="TOKEN"))
    assert [line.partition(" ")[2][:5] for line in lines] == ["file=", "title"]


def test_as_many_annotations_as_github_shows_and_the_rest_counted() -> None:
    lines = FORMATS["github"](many(MAX_ANNOTATIONS + 3), REVEAL).splitlines()
    assert sum(line.startswith("::error ") for line in lines) == MAX_ANNOTATIONS
    assert lines[-1].startswith("::warning title=orgguard::3 more findings without annotation")
    assert f"`{COINED}0`" in next(line for line in lines if line.startswith("::error "))


def test_each_log_has_a_token_of_its_own() -> None:
    first, second = (FORMATS["github"](sample(), Options()).splitlines()[0] for _ in range(2))
    assert first != second
    assert len(first.removeprefix("::stop-commands::")) == 32


# --- GitHub's job summary -------------------------------------------------------------------------


def test_scanned_text_is_no_markup_in_the_summary() -> None:
    hostile = "`` <img src=x> [a](http://example.com) **b** | _c_ @d #1 &amp;"
    told = finding(at(f"{hostile}.py", 1, COINED), name=hostile, why=hostile)
    lines = job_summary(report(told), REVEAL).splitlines()
    code = f"``` {hostile} ```"
    assert lines[2] == f"- **new-name**: {code} is not in the base and has no consent, " + (
        "confidence high"
    )
    assert lines[3] == f"  - ``` {hostile}.py:1:1 ```"
    assert lines[4] == (
        "  - \\`\\` \\<img src\\=x\\> \\[a\\]\\(http\\:\\/\\/example\\.com\\) \\*\\*b\\*\\* \\|"
        " \\_c\\_ \\@d \\#1 \\&amp;"
    )


def test_the_summary_stays_below_githubs_limit_and_ends_with_the_coverage() -> None:
    told = [
        finding(at("漢" * 100 + f"{n}.py", 1, COINED), why="漢" * 300, fingerprint=f"{n}")
        for n in range(2000)
    ]
    text = job_summary(report(*told), Options())
    assert 900_000 < len(text.encode()) < 1024 * 1024
    shown = text.count("- **new-name**")
    assert f"- and {2000 - shown:,} more findings\n" in text
    assert text.splitlines()[-1].startswith("- no part of this scan")


# --- SARIF ----------------------------------------------------------------------------------------


def empty_texts(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        if value.get("text") == "":
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from empty_texts(inner)


def test_sarif_has_what_github_requires_of_it() -> None:
    only = run(sample())
    rules = only["tool"]["driver"]["rules"]
    for rule in rules:
        assert {"id", "shortDescription", "fullDescription", "help"} <= rule.keys()
    assert list(empty_texts(only)) == []
    for result in only["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["partialFingerprints"]
        for location in result["locations"]:
            region = location["physicalLocation"]["region"]
            assert region["startLine"] >= 1
            assert 1 <= region["startColumn"] < region["endColumn"]


def test_a_uri_is_relative_and_percent_encoded() -> None:
    only = run(report(finding(at("a b/c:d#é\udcff.py", 1, COINED))))
    artifact = only["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": "a%20b/c%3Ad%23%C3%A9%FF.py", "uriBaseId": "%SRCROOT%"}


def test_columns_are_counted_as_declared() -> None:
    only = run(report(finding(at("a.py", 1, f"\U0001d11e {COINED}"))))
    assert only["columnKind"] == "unicodeCodePoints"
    region = only["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startColumn"], region["endColumn"]) == (3, 11)


@pytest.mark.parametrize(
    ("confidence", "basis", "level"),
    [
        (Confidence.HIGH, Basis.UNKNOWN, "error"),
        (Confidence.MEDIUM, Basis.UNKNOWN, "warning"),
        (Confidence.LOW, Basis.COMMON_WORD, "note"),
        (Confidence.LOW, Basis.REFUSED, "error"),
    ],
)
def test_the_level_follows_the_confidence(confidence: Confidence, basis: Basis, level: str) -> None:
    told = finding(at("a.py", 1, COINED), confidence=confidence, basis=basis)
    assert run(report(told))["results"][0]["level"] == level


def test_findings_without_a_file_are_told_beside_the_results() -> None:
    told = report(finding(TITLE))
    assert run(told)["results"] == []
    first, second, *_ = notices(told)
    assert first == "1 finding not in results: pr-title"
    assert second == f"new-name: `{COINED}` is not in the base and has no consent: PR title"


def test_sarif_tells_the_coverage() -> None:
    assert "not scanned: PR body: the event has none" in notices(sample())
    assert "no part of this scan: tag names" in notices(sample())


def test_brackets_and_braces_of_a_name_are_no_link_and_no_placeholder() -> None:
    (result,) = run(report(finding(at("a.py", 1, COINED), name="[x](y) {0}")))["results"]
    assert result["message"]["text"].startswith(r"`\[x\](y) {{0}}` is not")


def test_sarif_is_cut_at_githubs_limits_and_says_so() -> None:
    told = many(MAX_RESULTS + 2)
    text = FORMATS["sarif"](told, Options())
    assert len(json.loads(text)["runs"][0]["results"]) == MAX_RESULTS
    assert "2 more findings left out of results" in text
    assert len(gzip.compress(text.encode(), 1)) < 10_000_000


# --- GitLab ---------------------------------------------------------------------------------------


def test_gitlab_gets_what_it_reads() -> None:
    told = finding(TITLE, at("src/a.py", 3, COINED))
    assert json.loads(FORMATS["gitlab"](report(told), REVEAL)) == [
        {
            "description": f"`{COINED}` is not in the base and has no consent; also in PR title",
            "check_name": "orgguard/new-name",
            "fingerprint": "5c1f2e9077aa",
            "severity": "major",
            "location": {"path": "src/a.py", "lines": {"begin": 3}},
        }
    ]


def test_gitlabs_fingerprints_are_never_twice_the_same() -> None:
    same = [finding(at(f"{n}.py", 1, COINED)) for n in range(3)]
    entries = json.loads(FORMATS["gitlab"](report(*same), REVEAL))
    assert len({entry["fingerprint"] for entry in entries}) == 3


def test_gitlab_is_given_no_made_up_file() -> None:
    assert json.loads(FORMATS["gitlab"](report(finding(TITLE)), REVEAL)) == []


# --- JUnit ----------------------------------------------------------------------------------------


def test_junit_counts_what_it_has() -> None:
    told = suite(sample())
    cases = told.findall("testcase")
    assert told.attrib["tests"] == str(len(cases))
    assert told.attrib["failures"] == str(len(told.findall("testcase/failure"))) == "3"
    assert told.attrib["skipped"] == str(len(told.findall("testcase/skipped"))) == "7"


def test_a_surface_passes_and_what_was_not_scanned_is_skipped() -> None:
    told = suite(sample())
    passed = [case.attrib["name"] for case in told.findall("testcase") if not len(case)]
    assert passed == ["code", "docs", "data", "path", "commit-message", "branch", "pr-title"]
    skipped = told.findall("testcase/skipped")
    assert skipped[-1].attrib["message"] == "the event has none"


def test_junits_names_stay_the_same_when_the_change_moves() -> None:
    near, far = (suite(report(finding(at("a.py", n, COINED))), Options()) for n in (1, 99))
    names = [[case.attrib["name"] for case in told.findall("testcase")] for told in (near, far)]
    assert names[0] == names[1]


def test_characters_that_xml_forbids_are_escaped() -> None:
    skipped = Coverage(Surface.CODE, 0, (Skipped("\x00.py", "has \x0b"),))
    told = suite(report(finding(TITLE, name="a\x00\ufffe\ud800]]><b>&"), coverage=(skipped,)))
    assert told[-2].attrib["name"] == "code: \\x00.py"
    failure = told.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("`a\\x00\\ufffe\\ud800]]><b>&` is not")

"""A report as JUnit XML: a case passes for each surface scanned, fails for each finding, and is
skipped for whatever was not scanned.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from orgguard_mcp.display import visible
from orgguard_mcp.report import words
from orgguard_mcp.report.view import Entry, View

_LONGEST = 500


def render(view: View) -> str:
    """*view* as one test suite. Every text in it is harmless, hence legal in XML 1.0."""
    suite = Element("testsuite", name="orgguard")
    for covered in view.coverage:
        if covered.scanned:
            _case(suite, "orgguard.scanned", covered.surface.value)
    for entry in view.entries:
        _failed(suite, entry)
    for covered in view.coverage:
        for skipped in covered.skipped:
            case = _case(suite, "orgguard.not-scanned", f"{covered.surface}: {skipped.what}")
            SubElement(case, "skipped", message=_text(skipped.reason))
    if view.unchecked:
        case = _case(suite, "orgguard.not-checked", "protected names")
        SubElement(case, "error", type="unchecked", message=_text(view.unchecked))
    _summed_up(suite, view)
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: Element, group: str, name: str) -> Element:
    return SubElement(suite, "testcase", classname=group, name=_text(name), time="0")


def _failed(suite: Element, entry: Entry) -> None:
    case = _case(suite, "orgguard.findings", f"{entry.rule.id}: {words.subject(entry)}")
    if place := entry.attached:
        case.attrib |= {"file": _text(place.path), "line": str(place.line)}
    message = _text(words.headline(entry))
    failure = SubElement(case, "failure", type=entry.rule.id, message=message)
    places = [words.where(place) for place in entry.places]
    failure.text = _text("; ".join(dict.fromkeys(places)), 4000) + f"\n{entry.rule.help}\n"


def _summed_up(suite: Element, view: View) -> None:
    skipped = sum(len(covered.skipped) for covered in view.coverage)
    counts = {"tests": len(suite), "failures": len(view.entries), "skipped": skipped}
    counts["errors"] = int(bool(view.unchecked))
    suite.attrib |= {name: str(count) for name, count in counts.items()}
    told = [words.totals(view), *words.ending(view)]
    SubElement(suite, "system-out").text = "\n".join(told) + "\n"


def _text(text: str, limit: int = _LONGEST) -> str:
    return visible(text, limit)

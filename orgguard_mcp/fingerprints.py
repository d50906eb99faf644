"""Fingerprints: what tells a finding from others, and outlives that its line moves.

It is made of the places with every found name taken out, never of the name: whoever has a list of
names could look up a hash of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from orgguard_mcp.model import Finding, Location, Surface


def fingerprinted(findings: list[Finding]) -> Iterator[Finding]:
    """*findings* with an identity that outlives moved lines and tells nothing of the name."""
    if not findings:  # nor is a pattern made of nothing
        return
    extents = _extents(findings)
    texts = {written(at) for one in findings for at in one.locations}
    found = re.compile(any_of(texts), re.IGNORECASE)
    bare: dict[_Line, str] = {}
    seen: dict[str, int] = {}
    for finding in findings:
        for at in finding.locations:
            if (line := (at.surface, at.path, at.text)) not in bare:
                bare[line] = _bare(line, extents[line], found)
        places = sorted({bare[at.surface, at.path, at.text] for at in finding.locations})
        digest = hashlib.sha256("\n".join(places).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        count = seen[digest] = seen.get(digest, 0) + 1
        yield replace(finding, fingerprint=digest if count == 1 else f"{digest}-{count}")


def written(location: Location) -> str:
    """What is found at *location*, as it is written there."""
    start = location.column - 1
    return location.text[start : start + location.length]


_Line = tuple[Surface, str, str]


def _extents(findings: Iterable[Finding]) -> dict[_Line, list[tuple[int, int]]]:
    found: dict[_Line, list[tuple[int, int]]] = {}
    for finding in findings:
        for at in finding.locations:
            place = (at.surface, at.path, at.text)
            found.setdefault(place, []).append((at.column - 1, at.column - 1 + at.length))
    return found


def any_of(texts: Iterable[str]) -> str:
    """A pattern of the longest of *texts* that stands somewhere, in either case; as a tree, since
    the time for a list grows with its length.
    """
    heads: dict[str, list[str]] = {}
    for text in set(map(_lower, filter(None, texts))):
        heads.setdefault(text[0], []).append(text)
    branches = []
    for group in heads.values():
        stem = _common(min(group), max(group))
        rests = [text[len(stem) :] for text in group if text != stem]
        optional = "?" if rests and stem in group else ""
        branches.append(re.escape(stem) + (any_of(rests) + optional if rests else ""))
    return f"(?:{'|'.join(branches)})" if branches else "(?!)"


def _common(low: str, high: str) -> str:
    """What both begin with."""
    return low[: next((at for at in range(len(low)) if low[at] != high[at : at + 1]), len(low))]


def _lower(text: str) -> str:
    """*text* in lower case, unless that moves its letters."""
    return text.lower() if len(text.lower()) == len(text) else text


def _bare(line: _Line, extents: Iterable[tuple[int, int]], found: re.Pattern[str]) -> str:
    """A place without names: its surface, and its line with every found name cut out. Its path is
    left out: a folder may be named after the organisation, too.
    """
    surface, _, text = line
    for start, end in sorted(extents, reverse=True):
        text = text[:start] + "\0" + text[end:]
    return f"{surface.value}\0{found.sub(chr(0), text).strip()}"

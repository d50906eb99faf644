"""Reports of a scan, as the tests of the formats need them."""

from __future__ import annotations

from orgguard_mcp.model import (
    Base,
    Basis,
    Confidence,
    Coverage,
    Finding,
    Level,
    Location,
    Report,
    Skipped,
    Surface,
    Verdict,
)
from orgguard_mcp.names import Name, canonicalise
from tests.names import COINED, COINED_TOO, TWO_WORDS

BASE = Base("3f9c2ab" + "0" * 33, "merge-base of HEAD and the upstream default branch origin/main")
HEAD = "9ab12cd" + "0" * 33
WHY = "a capitalised word that no file of the base has"


def at(
    path: str, line: int, text: str, name: str = COINED, surface: Surface = Surface.DATA
) -> Location:
    """The place of *name* in *text*."""
    return Location(surface, path, line, text.index(name) + 1, len(name), text)


def finding(
    *places: Location,
    name: str = COINED,
    basis: Basis = Basis.UNKNOWN,
    score: float = 0.9,
    confidence: Confidence = Confidence.HIGH,
    why: str = WHY,
    evidence: str = "none of the base's 1,284 files holds it",
    reason: str = "",
    fingerprint: str = "5c1f2e9077aa",
) -> Finding:
    verdict = Verdict(Name(name, canonicalise(name)), basis, evidence, BASE, reason=reason)
    return Finding(verdict, score, confidence, Level.REGULAR, why, places, fingerprint)


def report(
    *findings: Finding,
    base: Base = BASE,
    head: str = HEAD,
    coverage: tuple[Coverage, ...] = (Coverage(Surface.CODE, 1),),
    suppressed: int = 0,
    consented: int = 0,
) -> Report:
    return Report(base, head, findings, coverage, suppressed, consented)


def many(count: int) -> Report:
    """A report of *count* findings, each of its own name and file."""
    return report(
        *(
            finding(
                at(f"src/m{n}.py", 1, f"{COINED}{n}", f"{COINED}{n}"),
                name=f"{COINED}{n}",
                score=1 - n / (count + 1),
                fingerprint=f"f{n}",
            )
            for n in range(count)
        )
    )


def sample() -> Report:
    """One report that has a bit of everything: the golden files show it."""
    csv = f"tests/fixtures/{COINED.lower()}_export.csv"
    everywhere = finding(
        at("tests/fixtures/payload.json", 7, f'\t{{"漢字": "{COINED}", "amount": 1}}'),
        at(csv, 0, csv, COINED.lower(), Surface.PATH),
        at(csv, 1, f"{COINED.upper()},1", COINED.upper()),
        at(HEAD, 3, f"Add the {COINED} export", surface=Surface.COMMIT_MESSAGE),
        at("", 1, f"Add {COINED}", surface=Surface.PR_TITLE),
        at("", 4, f"For {COINED}.", surface=Surface.PR_BODY),
    )
    refused = finding(
        at("", 0, f"feature/{COINED_TOO.lower()}", COINED_TOO.lower(), Surface.BRANCH),
        name=COINED_TOO,
        basis=Basis.REFUSED,
        score=1.0,
        evidence="a human refused it",
        reason="no customers, please",
        fingerprint="77d0a1",
    )
    word = finding(
        at(f"docs/{COINED.lower()}/index.md", 12, f"as {TWO_WORDS} does", TWO_WORDS, Surface.DOCS),
        at("src/app.py", 120, f"    # {TWO_WORDS}", TWO_WORDS, Surface.COMMENT),
        name=TWO_WORDS,
        basis=Basis.COMMON_WORD,
        score=0.4,
        confidence=Confidence.MEDIUM,
        why="two capitalised words in a comment",
        evidence="403 files hold the word, none as a name",
        fingerprint="0be3",
    )
    coverage = (
        Coverage(Surface.CODE, 10),
        Coverage(Surface.DOCS, 2),
        Coverage(
            Surface.DATA,
            1,
            (
                *(Skipped(f"dist/{n}.min.js", "generated") for n in range(5)),
                Skipped(f"dump/{COINED.lower()}.bin", "binary"),
            ),
        ),
        Coverage(Surface.PATH, 19),
        Coverage(Surface.COMMIT_MESSAGE, 3),
        Coverage(Surface.BRANCH, 1),
        Coverage(Surface.PR_TITLE, 1),
        Coverage(Surface.PR_BODY, 0, (Skipped("PR body", "the event has none"),)),
    )
    return report(word, everywhere, refused, coverage=coverage, suppressed=1, consented=2)


def clean() -> Report:
    """Nothing found, something not scanned."""
    return report(coverage=sample().coverage[3:], head="")

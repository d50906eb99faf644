"""The differential test: what `git grep` finds in the corpus against what the guard says.

    python bench/against_git_grep.py [--dir DIR] [--names TSV] [--list]

For every labelled name one `git grep -I -i -F` looks for its usual spellings in the base tree.
Where the two disagree, a rule of this file must say why; a disagreement that no rule explains is
listed as *unexplained*, and the exit code is 1. The rules read git's output alone: their idea of a
whole name, of an encoded run and of a machine-made file is written anew here, so a fault of the
index does not explain itself away. Two things are shared on purpose: the word list
(`lexicon.is_ordinary`), which is data, and the labels, which are a person's reading: a verdict that
they contradict is a row of its own, whether git agrees with it or not, and is
`established.py`'s to judge.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from corpus import add_dir_option, corpus, git
from established import NAMES, Label, answers, labels, open_guard

from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.model import Effect, Verdict
from orgguard_mcp.names import NameKey

AGREE = "agree"
WRONG = "the guard is wrong, by the label"
UNEXPLAINED = "unexplained"

LONG_LINE = 2000
"""Characters; nobody writes such a line by hand."""

_MACHINE_MADE = re.compile(
    r"""^litellm/proxy/_experimental/out/   # the compiled web interface
      | /swagger/                            # the vendored OpenAPI viewer
      | /tokenizers/                         # vocabularies
      | \.dist-info/                         # the wheel's metadata: RECORD, SBOM
      | /hf_\w+_models\.txt$                 # model ids harvested from a hub
      | /codex_bundled_models                # a dump of another program's models
      | _openapi_snapshot\.json$             # generated from the routes
      | \.lock$ | package-lock\.json$ | \.svg$""",
    re.VERBOSE,
)
_LEGAL = re.compile(r"(?i:,?\s+(?:inc|corp|corporation|gmbh|ag|se|pbc|ltd|llc|plc|motor)\.?$)")
_HOST = re.compile(r"(?i:(?:https?://)?([\w-]+)\.(?:com|ai|io|app|org|net|dev))")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_RUN = re.compile(r"[A-Za-z0-9+]+={0,2}")
_GLUE = (*"0123456789-*'’`(|",)


class Spelling(NamedTuple):
    """A name's words, and the strings that git is asked for."""

    words: tuple[str, ...]
    patterns: tuple[str, ...]
    stripped: bool  # a legal form or the rest of a host was left off

    @property
    def key(self) -> NameKey:
        """The words as one."""
        return NameKey("".join(self.words))


class Hit(NamedTuple):
    """One line that git found."""

    path: str
    line: int
    text: str


class Case(NamedTuple):
    """A name, what the guard says of it and what git finds."""

    label: Label
    verdict: Verdict
    spelling: Spelling
    hits: list[Hit]

    @property
    def allowed(self) -> bool:
        """Whether the guard lets the name through."""
        return self.verdict.effect is Effect.ALLOW


class Judged(NamedTuple):
    """A case with the class it falls into."""

    case: Case
    verdict: str


# --- asking git -------------------------------------------------------------------------------


def spell(name: str) -> Spelling:
    """The usual spellings of *name*: without legal form, joined, apart, hyphened, unaccented."""
    bare = name.removeprefix("@")
    host = _HOST.fullmatch(bare)
    core = host[1] if host else bare
    while (shorter := _LEGAL.sub("", core)) != core:
        core = shorter
    plain = _unaccented(core)
    words = tuple(word.casefold() for word in _HUMP.findall(re.sub(r"['’]", "", plain)))
    joined = {sep.join(words) for sep in ("", " ", "-", "_", ".")} | {plain.casefold()}
    if "&" in core:
        joined |= {plain.casefold().replace("&", link) for link in ("and", " and ", " & ")}
    patterns = {name.casefold(), core.casefold(), *joined}
    return Spelling(words, tuple(sorted(patterns)), core != name)


def _unaccented(text: str) -> str:
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    kept = "".join(c for c in apart if not "\u0300" <= c <= "\u036f")
    return unicodedata.normalize("NFC", kept)


def grep(directory: Path, patterns: Iterable[str]) -> list[Hit]:
    """Every line of the base tree that holds one of *patterns*, in any case."""
    asked = [argument for pattern in patterns for argument in ("-e", pattern)]
    done = subprocess.run(
        ["git", "-C", str(directory), "grep", "-I", "-i", "-F", "-n", "-z", *asked, "HEAD"],
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode > 1:
        raise SystemExit(f"git grep exited {done.returncode}: {done.stderr.decode()[:200]}")
    return [_hit(row) for row in done.stdout.split(b"\n") if row]


def _hit(row: bytes) -> Hit:
    path, line, text = row.split(b"\0", 2)
    shown = path.decode("utf-8", "replace").removeprefix("HEAD:")
    return Hit(shown, int(line), text.decode("utf-8", "replace"))


# --- reading what git found -------------------------------------------------------------------


def whole(text: str, spelling: Spelling) -> Iterator[re.Match[str]]:
    """Where *text* holds the name as a whole, with word and camelCase boundaries on both sides."""
    plain = _unaccented(text)
    gap = r"['’]?(?:[\s._&+-]|\band\b|&amp;)*"
    pattern = re.compile(gap.join(map(re.escape, spelling.words)), re.IGNORECASE)
    for match in pattern.finditer(plain):
        if _edge(plain, match.start()) and _edge(plain, match.end()):
            yield match


def _edge(text: str, at: int) -> bool:
    """Whether a word begins or ends between ``text[at - 1]`` and ``text[at]``."""
    before, after = text[max(0, at - 1) : at], text[at : at + 1]
    if not (before.isalnum() and after.isalnum()) or before.isdigit() != after.isdigit():
        return True
    if before.islower():
        return after.isupper()
    return after.isupper() and text[at + 1 : at + 2].islower()


def encoded(text: str, at: int) -> bool:
    """Whether the run of letters and digits at *at* is base64, hex or the like."""
    run = next((run for run in _RUN.finditer(text) if run.start() <= at < run.end()), None)
    if run is None:
        return False
    changes = len(_HUMP.findall(run[0]))
    return run[0].endswith("=") or (len(run[0]) >= 16 and changes >= 0.3 * len(run[0]))


def machine_made(hit: Hit) -> bool:
    """Whether nobody wrote this line by hand."""
    return _MACHINE_MADE.search(hit.path) is not None or len(hit.text) > LONG_LINE


def name_shaped(text: str, key: str) -> bool:
    """Whether *text* has *key* where only a name stands: a host, a credential, a scope, a label."""
    word = re.escape(key)
    label = r"(?:display_?name|title|vendor|provider|company|organi[sz]ation)"
    shapes = (
        rf"(?://|[@.])(?:[\w-]+\.)*{word}\.(?:com|ai|io|org|net|app|dev)\b",
        rf"\b{word}_api_(?:key|base|token)\b",
        rf"@{word}/[a-z]",
        rf"\b{word},? (?:inc|corp|gmbh|ltd|llc)\b",
        rf"[\"']{label}[\"']: ?[\"']{word}[\"']",
    )
    return re.search("|".join(shapes), text, re.IGNORECASE) is not None


# --- why they disagree ------------------------------------------------------------------------


class Sifted(NamedTuple):
    """The hits of a name that hold it as a whole, by what they are worth."""

    genuine: list[Hit]
    encoded: list[Hit]
    machine: list[Hit]


def sift(case: Case) -> Sifted:
    """Sort the whole-name hits of *case*; substrings fall through."""
    sifted = Sifted([], [], [])
    for hit in case.hits:
        found = whole(hit.text, case.spelling)
        if machine_made(hit):
            if any(found):
                sifted.machine.append(hit)
        elif places := [match.start() for match in found]:
            hidden = all(encoded(hit.text, at) for at in places)
            (sifted.encoded if hidden else sifted.genuine).append(hit)
    return sifted


def judge(case: Case, paths: list[str]) -> str:
    """The class of *case*: `AGREE`, or the reason why git and the guard differ."""
    if case.allowed != case.label.established:
        return WRONG
    sifted = sift(case)
    return _why_allowed(case, sifted, paths) if case.allowed else _why_not(case, sifted)


def _why_allowed(case: Case, sifted: Sifted, paths: list[str]) -> str:
    if not sifted.genuine:
        in_path = any(any(whole(path, case.spelling)) for path in paths)
        return "allowed: only a path has it" if in_path else UNEXPLAINED
    surface = case.label.name.casefold()
    if any(surface in hit.text.casefold() for hit in case.hits):
        return AGREE
    if case.spelling.stripped:
        return "allowed: a legal form, scope or host left off"
    return "allowed: the base splits, joins or folds it otherwise"


def _why_not(case: Case, sifted: Sifted) -> str:
    if not case.hits:
        return AGREE
    if sifted.genuine:
        return _why_ordinary(case, sifted.genuine)
    if sifted.machine:
        return "asked: only in machine-made, vendored or harvested files"
    return "asked: only in encoded text" if sifted.encoded else "asked: substrings only"


def _why_ordinary(case: Case, genuine: list[Hit]) -> str:
    if any(name_shaped(hit.text, case.spelling.key) for hit in genuine):
        return UNEXPLAINED
    if len(case.spelling.key) <= 2:
        return "asked: two letters that stand for much else"
    if all(_ending(hit.text, case.spelling) for hit in genuine):
        return "asked: only an ending set off by a sign"
    if is_ordinary(case.spelling.key):
        return "asked: an ordinary word used as a word"
    if len(case.spelling.words) > 1 and all(map(is_ordinary, map(NameKey, case.spelling.words))):
        return "asked: ordinary words side by side"
    return UNEXPLAINED


def _ending(text: str, spelling: Spelling) -> bool:
    """Whether every mention in *text* is a lower-case ending of what stands before it
    (``429-ing``, ``stalk(er)?``).
    """
    plain = _unaccented(text)
    return all(
        match[0].islower() and plain[: match.start()].endswith(_GLUE)
        for match in whole(text, spelling)
    )


# --- the run ----------------------------------------------------------------------------------


def cases(directory: Path, wanted: list[Label]) -> Iterator[Case]:
    """Each label with the guard's verdict and git's hits; progress goes to stderr."""
    with open_guard(directory) as guard:
        given = list(answers(guard, wanted))
    spellings = [spell(label.name) for label in wanted]
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda spelling: grep(directory, spelling.patterns), spellings)
        for done, (answer, spelling, hits) in enumerate(zip(given, spellings, found, strict=True)):
            if done % 25 == 0:
                passed = time.monotonic() - began
                print(f"git grep: {done} of {len(wanted)}, {passed:.0f} s", file=sys.stderr)
            yield Case(answer.label, answer.verdict, spelling, hits)


def report(judged: list[Judged], *, names: bool) -> str:
    """The classes with their counts, the names of each if wanted, then what wants explaining."""
    classes: defaultdict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        classes[each.verdict].append(each)
    lines: list[str] = []
    for reason, members in sorted(classes.items(), key=lambda item: (item[0] != AGREE, item[0])):
        lines.append(f"{len(members):>5}  {reason}")
        if names:
            lines += [f"         {each.case.label.name}" for each in members]
    for reason in (WRONG, UNEXPLAINED):
        lines += ["", f"{reason}: {len(classes.get(reason, []))}"]
        lines += [_detail(each.case) for each in classes.get(reason, [])]
    return "\n".join(lines)


def _detail(case: Case) -> str:
    shown = sift(case).genuine or case.hits
    said = "allowed" if case.allowed else "asked"
    place = f"{shown[0].path}:{shown[0].line}" if shown else "nothing"
    return f"  {case.label.name}: {said}, {case.verdict.why}; git grep has {place}"


def main() -> int:
    """Run the comparison and return its exit code."""
    parser = argparse.ArgumentParser(description="Compare the guard with git grep.")
    parser.add_argument("--names", type=Path, default=NAMES, metavar="TSV")
    parser.add_argument("--list", action="store_true", help="list the names of every class")
    add_dir_option(parser)
    options = parser.parse_args()
    directory = corpus(options.dir)
    paths = git(directory, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")
    judged = [_judged(case, paths) for case in cases(directory, labels(options.names))]
    print(report(judged, names=options.list))
    return 1 if any(each.verdict == UNEXPLAINED for each in judged) else 0


def _judged(case: Case, paths: list[str]) -> Judged:
    reason = judge(case, paths)
    kept = case.hits if reason in {WRONG, UNEXPLAINED} else []
    return Judged(case._replace(hits=kept), reason)


if __name__ == "__main__":
    sys.exit(main())

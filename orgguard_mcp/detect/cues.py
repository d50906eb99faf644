"""Cues: what the text around a span says of it.

English and code have a small grammar around organisations: they ask, send and report; fixes are
made *for* them; their team, account and contract follow their name; fixtures call them company,
vendor or customer. Each cue is a word class, never a phrase, and only points towards or away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from orgguard_mcp.detect import grammar
from orgguard_mcp.detect.prose import opening, script_runs
from orgguard_mcp.detect.spans import Form, Span
from orgguard_mcp.model import Surface

_REACH: Final = 120
"""Characters before and after a span that are looked at."""

_NAMED = (
    r"(?:vendor|provider|company|brand|organi[sz]ation|customer|partner|client|merchant|tenant"
    r"|account|manufacturer|issuer|employer|supplier|operator|retailer|seller|buyer|bank"
)
_GAP = r"s?(?:_?name)?[\"'`*]*\s*(?:[:=|]|=>|->)\s*[\"'`\[(*]*$"
_ORG_LABEL = re.compile(_NAMED + ")" + _GAP, re.IGNORECASE)
_LABEL = re.compile(
    _NAMED + r"|name|label|title|org|owner|publisher|author|user|team|sender|from|source)" + _GAP,
    re.IGNORECASE,
)
_LABEL_SIGNS = frozenset(":=|>")
_AUTHOR = re.compile(
    r"\s*(?:(?:co|re)?[- ]?(?:author|sign|commit|develop|review|ack|test|help|mentor|approv|merg)"
    r"\w*(?:[- ]off)?[- ]by|author|committer|cc|thanks-to)\s*:"
    # A person, as git writes one; a line that says more than that may say for whom.
    r"(?:\s+[^\s<>@]+){1,5}\s+<[^\s<>@]+@[^\s<>@]+>\s*",
    re.IGNORECASE,
)
_TRAILER = re.compile(r"^\s*[A-Z][A-Za-z]+(?:-[A-Za-z]+)+:\s")
_THANKS = re.compile(
    r"\b(?:thanks?|thx|kudos|credits?|contributed by|patch by|pr by)\b", re.IGNORECASE
)
_THANKED = re.compile(r"thank|thx|kudos|credit|(?:contributed|patch|pr) by", re.IGNORECASE)
_IMPORT = re.compile(
    r"^\s*(?:from\s|import\s|use\s|using\s|require|#\s*include|include\s|export\s.*\bfrom\b"
    r"|@import|package\s|const .*= require)"
)
_LINK = re.compile(r"\[[^\]]*$")
_LINKED = re.compile(r"[^\[\]]*\]\(")
_DEFINING = tuple(
    "class def func function fn struct interface enum trait type module namespace object record"
    " void public private static".split()
)
_DEFINES = re.compile(rf"\b(?:{'|'.join(_DEFINING)})\s+$")
_MARKS = frozenset("-*+|0123456789")
_ITEM = re.compile(r"^\s*(?:[-*+|]|\d+[.)])\s*(?:[\[*`\"'|(!]|\s)*$")
_BEFORE = re.compile(r"(?:([^\W\d_][\w'-]*) )?([^\W\d_][\w'-]*)[ ,]*[\"'`*_(\[]*$")
_AFTER = re.compile(
    r"(?P<own>['\u2019]s\b)?[\"'`*_)\]]*(?P<gap>[ ,]*)[(\[]?(?P<next>[^\W\d_][\w'-]*)?"
    r"(?: (?P<third>[^\W\d_][\w'-]*|\d+))?"
)
_VERSION = re.compile(r"[ @=~^>\"':-]{0,4}v?\d+\.\d+")
_LEGAL_FORM = re.compile(rf"[\"'`*]*[,.]? ?{grammar.LEGAL}")
_SAID_TO_BE = re.compile(
    # "Acme is our largest customer", "Acme, a vendor of ours"
    r"(?:[\"'`*]* (?:is|was|are|were|became|remains)|,)(?: (?:also|now|still|not))?"
    rf" (?:{'|'.join(sorted(grammar.DETERMINERS))}) (?:[\w-]+ ){{0,2}}"
    rf"(?:{'|'.join(sorted(grammar.ROLES))})\b",
    re.IGNORECASE,
)
_MEMBER = re.compile(r"[.:]{1,2}\w")
_ASSIGNED = re.compile(r"\s*(?::=|=(?!=))")
_KEY = re.compile(r"[\"'`]\s*(?:\]|:|=>)")
_MAIL_AFTER = re.compile(r"[^<>\n]{0,25}<[^<>\s]+@")
_HANDLE_NEAR = re.compile(
    r"[^@\n]{0,12}[(\[, -]@|[\])]\(https?://(?:www\.)?(?:github|twitter|gitlab)\."
)
_STOPS = frozenset(" :,.!")
_SHOUT_BEFORE = re.compile(r"\b[A-Z]{3,}[ :,.!]+$")
_SHOUT_AFTER = re.compile(r"[ :,.!]+[A-Z]{3,}\b")
_CJK_STOP = re.compile("[\u3000-\u303f\uff00-\uffef]")
_EXAMPLE = re.compile(r"example|localhost|\bfoo\b|\btest\.", re.IGNORECASE)
_HOSTS = frozenset({Form.HOST, Form.EMAIL})
_PROSE_FORMS = frozenset({Form.WORD, Form.MEMBER, Form.PHRASE, Form.SCRIPT, Form.SUBJECT})
_OBJECT_STARTS = frozenset(
    "the a an our their its his to that it us this these those"
    " every all no only some any them each".split()
)
"""Words that begin an object or a clause, so that the word before them was a verb."""


_ON = {surface: f"on {surface.value}" for surface in Surface}
_AS = {form: f"as {form.value}" for form in Form}
"""What is said of every span."""


def cues(span: Span, line: str, surface: Surface, region: str) -> Iterator[str]:
    """What the line says of *span*; *region* is the text of the stretch that holds it."""
    before = line[max(0, span.start - _REACH) : span.start]
    after = line[span.end : span.end + _REACH]
    yield _ON[surface]
    yield _AS[span.form]
    yield from _line(line, surface is Surface.COMMIT_MESSAGE)
    if _thanked(line) and _THANKS.search(before):
        yield "thanks"
    yield from _frame(span, before, after, region)
    if span.form in _PROSE_FORMS:
        yield from _grammar(opening(line, span.start), before, after)
        yield from _persons(after)
        if span.form is Form.SCRIPT:
            yield from _sentence(line, before, after)
    elif span.form is Form.IDENTIFIER:
        yield from _code(before, after)


@lru_cache(maxsize=64)
def _line(line: str, message: bool) -> tuple[str, ...]:
    """What a whole line is."""
    if message and _AUTHOR.fullmatch(line):
        return ("author trailer",)
    if message and _TRAILER.search(line):
        return ("trailer",)
    return ("import",) if _IMPORT.match(line) else ()


@lru_cache(maxsize=64)
def _thanked(line: str) -> bool:
    return _THANKED.search(line) is not None


def _frame(span: Span, before: str, after: str, region: str) -> Iterator[str]:
    """The signs around a span."""
    if len(region) < len(span.text) + 12 and region.strip(" \t.,;:!") == span.text:
        yield "alone"
    if before.rstrip(" \t\"'`[(*")[-1:] in _LABEL_SIGNS:
        if _ORG_LABEL.search(before[-60:]):
            yield "organisation label"
        elif _LABEL.search(before[-60:]):
            yield "label"
    if "[" in before and _LINK.search(before) and _LINKED.match(after):
        yield "link text"
    if before.lstrip()[:1] in _MARKS and _ITEM.match(before):
        yield "item"
    if span.form in _HOSTS and _EXAMPLE.search(before[-30:] + " " + after[:30]):
        yield "beside an example"
    if _VERSION.match(after):
        yield "version"
    if before[-1:] in "\"'`" and after[:1] in "\"'`" and before[-1:] == after[:1]:
        yield "ticked" if before[-1:] == "`" else "quoted"
    if before[-1:] in {",", ";", "\t"} or after[:1] in {",", ";", "\t"}:
        edges = {",", ";", "\t", ""}
        yield "cell" if before[-1:] in edges and after[:1] in edges else "listed"
    if before[-1:] == "." or _MEMBER.match(after):
        yield "dotted"
    if before[-1:] == "/" or after[:1] == "/":
        yield "path part"
    if _shouted(before[-30:]) or (after[:1] in _STOPS and _SHOUT_AFTER.match(after[:30])):
        yield "amid capitals"


def _shouted(before: str) -> bool:
    """Whether *before* ends in a word in capitals."""
    if before[-1:] not in _STOPS or not before.rstrip(" :,.!")[-1:].isupper():
        return False
    return _SHOUT_BEFORE.search(before) is not None


def _grammar(opens: bool, before: str, after: str) -> Iterator[str]:
    """The part that a span has in its sentence."""
    left = _BEFORE.search(_two_words(before[-80:]))
    last = left[2].lower() if left else ""
    yield from _preceded(opens, before, (left[1] or "").lower() if left else "", last)
    right = _AFTER.match(after)
    if right:
        yield from _followed(right, last)
    if _SAID_TO_BE.match(after):
        yield "after role"  # it says as much as "our customer" before the name
    if _LEGAL_FORM.match(after):
        yield "legal form"
    if before.rstrip()[-1:] == "(" or after[:1] == ")":
        yield "bracketed"


def _two_words(before: str) -> str:
    """The end of *before* with its last two words, which is all that is looked at."""
    last = before.rstrip("\"'`*_([ ,").rfind(" ")
    return before[before.rfind(" ", 0, max(last, 0)) + 1 :]


def _preceded(opens: bool, before: str, earlier: str, last: str) -> Iterator[str]:
    if opens:
        yield "opening"
    elif before[-1:].isspace() or before[-1:] in "(\"'`*_[":
        yield "within"
    if last in grammar.TOWARDS:
        yield f"after {last}" if last in grammar.TOLD_APART else "towards"
    if last in {"for", "from", "with", "of"} and earlier in grammar.REMEDIES:
        yield "made for"
    if last in {"by", "from"} and earlier in grammar.PARTICIPLES:
        yield "done by"
    if last in grammar.ADDRESSED:
        yield "addressed"
    if last in grammar.SUBORDINATORS:
        yield "opens a clause"
    if last in grammar.ROLES:
        yield "after role"
    if last in grammar.DETERMINERS:
        yield "after article"


def _followed(right: re.Match[str], last: str) -> Iterator[str]:
    following, third = (right["next"] or "").lower(), (right["third"] or "").lower()
    spaced = right["gap"] == " "
    verb = spaced and following in grammar.ACTS
    if spaced and not verb and following.endswith(("s", "ed")) and len(following) > 3:
        verb = third in _OBJECT_STARTS
    if verb:
        yield "acts"
    if spaced and following in grammar.AUXILIARIES:
        yield "auxiliary"
        verb = True
    if verb and (not last or last in grammar.SUBORDINATORS):
        yield "bare subject"
    if following in grammar.ROLES:
        yield "before role"
    if following in grammar.BELONGINGS:
        yield "has"
    if right["own"]:
        yield "possessive"


def _persons(after: str) -> Iterator[str]:
    if "<" in after and _MAIL_AFTER.match(after):
        yield "before an address"
    if ("@" in after[:14] or after[:1] in {"]", ")"}) and _HANDLE_NEAR.match(after):
        yield "before a handle"


def _sentence(line: str, before: str, after: str) -> Iterator[str]:
    """Whether a run of another script is part of a sentence in it."""
    if script_runs(line[:2000]) > 1:
        yield "amid script"
    if _CJK_STOP.match(before[-1:]) or _CJK_STOP.match(after):
        yield "beside a full-width sign"


def _code(before: str, after: str) -> Iterator[str]:
    """The part that an identifier has in code."""
    if before.rstrip().endswith(_DEFINING) and _DEFINES.search(before[-40:]):
        yield "defined"
    if after[:1] == "(":
        yield "called"
    if _ASSIGNED.match(after):
        yield "assigned"
    if _KEY.match(after):
        yield "as key"

"""Cues: what the text around a span says of it.

English and code have a small grammar around organisations: they ask, send and report; fixes are
made *for* them; their team, account and contract follow their name; fixtures call them company,
vendor or customer. Each cue is a word class, never a phrase, and only points towards or away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orgguard_mcp.detect.spans import Form, Span, opening
from orgguard_mcp.model import Surface


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTS = _words(
    "ask asks asked request requests requested report reports reported complain complains"
    " complained want wants wanted need needs needed expect expects expected require requires"
    " required say says said tell tells told use uses used run runs ran send sends sent pay pays"
    " paid buy buys bought sell sells sold sign signs signed onboard onboards onboarded migrate"
    " migrates migrated migrating provide provides provided offer offers offered support supports"
    " supported host hosts hosted own owns owned operate operates operated maintain maintains"
    " maintained sponsor sponsors sponsored acquire acquired acquires announce announced announces"
    " release released releases deploy deploys deployed hit hits saw see sees found finds"
    " discovered notice noticed experienced experiences encountered submit submits submitted"
    " deliver delivers delivered publish publishes published switch switched moved moves upgrade"
    " upgraded wrote write writes approve approved confirmed confirms agreed insists relies rely"
    " depends prefers integrates integrated exports imports launched adopted adopts"
)
"""What organisations do, as verbs after their name."""

AUXILIARIES = _words(
    "has had have is was are were will would can could may might should does did doesn't didn't"
    " can't cannot won't isn't wasn't hasn't wants"
)

TOWARDS = _words(
    "for from by at with to via on behalf of through against like behind into per inside between"
    " and or plus versus vs including"
)
"""Words before a name that make it the other side of something."""

ROLES = _words(
    "customer customers client clients partner partners vendor vendors provider providers company"
    " companies account accounts tenant tenants merchant merchants brand brands supplier suppliers"
    " retailer bank insurer agency startup firm firms organisation organization organisations"
    " organizations enterprise enterprises corporation employer sponsor sponsors user users adopter"
    " adopters prospect subscriber publisher operator reseller distributor issuer exchange airline"
    " carrier studio manufacturer maker group subsidiary team"
)
"""What organisations are, before or after their name, or as the label of a field."""

BELONGINGS = _words(
    "team teams account accounts customer customers client clients user users engineer engineers"
    " staff employee employees people folks support contract contracts invoice invoices order"
    " orders subscription tenant tenants workspace instance deployment environment onboarding"
    " integration integrations import importer imports export exporter exports feed feeds api apis"
    " sdk backend provider driver connector plugin adapter platform service services webhook"
    " webhooks portal app apps gateway cloud bank store shop warehouse catalog catalogue data"
    " payload response format portal ticket tickets incident demo pilot poc production portal"
    " marketplace endpoint endpoints credentials token login sso oauth dashboard console site"
    " website docs documentation bot channel models model payments email newsletter migration"
)
"""What organisations have, after their name."""

_LABEL = re.compile(
    r"(?:name|label|title|vendor|provider|company|brand|org|organi[sz]ation|customer|partner|client"
    r"|merchant|account|tenant|owner|publisher|manufacturer|issuer|bank|employer|author|supplier"
    r"|user|team|sender|operator|from|source)s?[\"'`*]*\s*(?:[:=|]|=>|->)\s*[\"'`\[(*]*$",
    re.IGNORECASE,
)
_ORG_LABEL = re.compile(
    r"(?:vendor|provider|company|brand|organi[sz]ation|customer|partner|client|merchant|tenant"
    r"|account|manufacturer|issuer|employer|supplier|operator)s?(?:_?name)?[\"'`*]*\s*"
    r"(?:[:=|]|=>|->)\s*[\"'`\[(*]*$",
    re.IGNORECASE,
)
_AUTHOR = re.compile(
    r"^\s*(?:(?:co|re)?[- ]?(?:author|sign|commit|develop|review|ack|test|help|mentor|approv|merg)"
    r"\w*(?:[- ]off)?[- ]by|author|committer|cc|thanks-to|on-behalf-of|change-id)\s*:",
    re.IGNORECASE,
)
_TRAILER = re.compile(r"^\s*[A-Z][A-Za-z]+(?:-[A-Za-z]+)+:\s")
_THANKS = re.compile(r"\b(?:thanks?|thx|kudos|credits?|contributed by|patch by|pr by)\b", re.I)
_IMPORT = re.compile(
    r"^\s*(?:from\s|import\s|use\s|using\s|require|#\s*include|include\s|export\s.*\bfrom\b"
    r"|@import|package\s|const .*= require)"
)
_LINK = re.compile(r"\[[^\]]*$")
_DEFINES = re.compile(
    r"\b(?:class|def|func|function|fn|struct|interface|enum|trait|type|module|namespace|object"
    r"|record|void|public|private|static)\s+$"
)
_ITEM = re.compile(r"^\s*(?:[-*+|]|\d+[.)])\s*(?:[\[*`\"'|(!]|\s)*$")
_BEFORE = re.compile(r"([^\W\d_][\w'-]*)[ ,]*[\"'`*_(\[]*$")
_AFTER = re.compile(r"[\"'`*_)\]]*(?P<own>['\u2019]s)?[ ,]*[(\[]?([^\W\d_][\w'-]*)?")
_VERSION = re.compile(r"[ @=~^>\"':-]{0,4}v?\d+\.\d+")


def cues(span: Span, line: str, surface: Surface, region: str) -> Iterator[str]:
    """What the line says of *span*; *region* is the text of the stretch that holds it."""
    before, after = line[: span.start], line[span.end :]
    yield f"on {surface.value}"
    yield f"as {span.form.value}"
    if _AUTHOR.search(line):
        yield "author trailer"
    elif surface is Surface.COMMIT_MESSAGE and _TRAILER.search(line):
        yield "trailer"
    if _THANKS.search(before[-60:]):
        yield "thanks"
    if _IMPORT.match(line):
        yield "import"
    yield from _frame(span, before, after, region)
    if span.form in {Form.WORD, Form.MEMBER, Form.PHRASE, Form.SCRIPT}:
        yield from _grammar(line, span, before, after)
    elif span.form is Form.IDENTIFIER:
        yield from _code(before, after)


def _frame(span: Span, before: str, after: str, region: str) -> Iterator[str]:
    if region.strip(" \t.,;:!") == span.text:
        yield "alone"
    if _ORG_LABEL.search(before[-60:]):
        yield "organisation label"
    elif _LABEL.search(before[-60:]):
        yield "label"
    if _LINK.search(before[-200:]) and re.match(r"[^\[\]]*\]\(", after[:200]):
        yield "link text"
    if _ITEM.match(before):
        yield "item"
    if _VERSION.match(after):
        yield "version"
    if before[-1:] in "\"'`" and after[:1] in "\"'`" and before[-1:] == after[:1]:
        yield "ticked" if before[-1:] == "`" else "quoted"
    if before[-1:] == "," or after[:1] == ",":
        yield "cell" if (before[-1:] in {",", ""} and after[:1] in {",", ""}) else "listed"
    if before[-1:] == "." or re.match(r"[.:]{1,2}\w", after):
        yield "dotted"
    if before[-1:] == "/" or after[:1] == "/":
        yield "path part"


def _grammar(line: str, span: Span, before: str, after: str) -> Iterator[str]:
    left = _BEFORE.search(before[-80:])
    right = _AFTER.match(after)
    last = left[1].lower() if left else ""
    following = (right[2] or "").lower() if right else ""
    if opening(line, span.start):
        yield "opening"
    elif before.rstrip() != before or before[-1:] in "(\"'`*_[":
        yield "within"
    if last in TOWARDS:
        yield f"after {last}" if last in {"for", "from", "by", "at", "with", "to", "of", "on"} else "towards"
    if last in ROLES:
        yield "after role"
    if last in {"the", "a", "an", "this", "that", "each", "every", "any", "no", "new", "our", "your", "its"}:
        yield "after article"
    if following in ACTS:
        yield "acts"
    if following in AUXILIARIES:
        yield "auxiliary"
    if following in ROLES:
        yield "before role"
    if following in BELONGINGS:
        yield "has"
    if right and right["own"]:
        yield "possessive"
    if re.match(r"[\"'`*]*[,.]? ?(?:Inc|LLC|Ltd|GmbH|Corp|AG|S\.A|B\.V|PLC|plc|Limited)\b", after):
        yield "legal form"
    if before.rstrip()[-1:] == "(" or after[:1] == ")":
        yield "bracketed"


def _code(before: str, after: str) -> Iterator[str]:
    if _DEFINES.search(before):
        yield "defined"
    if after[:1] == "(":
        yield "called"
    if re.match(r"\s*(?::=|=(?!=))", after):
        yield "assigned"
    if re.match(r"[\"'`]\s*(?:\]|:|=>)", after):
        yield "as key"

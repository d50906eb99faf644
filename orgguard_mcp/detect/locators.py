"""Locators: hosts, addresses, package scopes, owners on code hosts, handles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from orgguard_mcp import names, uses
from orgguard_mcp.detect.spans import Form, Span, span

_EMAIL = re.compile(
    r"(?<![\w.+-])(?P<user>[\w.+-]{1,64})@(?P<host>(?:[^\W_](?:[\w-]{0,62})\.){1,6}[^\W\d_]{2,24})"
)
_URL = re.compile(
    r"(?<!\w)(?:[a-z][a-z0-9+.-]{1,12}:)?//(?:[^\s/@\"'<>`]{1,80}@)?"
    r"(?P<host>(?:[^\W_][\w-]{0,62}\.){1,6}[^\W\d_]{2,24})(?::\d+)?(?P<path>[/?#][^\s\"'<>`)\]]*)?",
    re.IGNORECASE,
)
_TLDS = (
    "com|org|net|io|ai|app|dev|co|cloud|tech|xyz|eu|de|fr|uk|us|in|ch|nl|se|jp|cn|kr|br|it|es|pl|ru"
    "|ca|au|me|tv|be|dk|no|fi|at|cz|mx|tr|za|nz|sg|hk|tw|id|vn|ie|pt|gr|hu|ro|ua|il|ae|info|biz|so"
    "|sh|gg|to|ly|inc|finance|bank|health|store|shop|online|agency|studio|digital|systems|solutions"
    "|software|group|media|network|global|world|life|team|games|live|one|pro"
)
"""Top-level domains that stand for a host even without a scheme before it."""

_HOST = re.compile(
    rf"(?<![\w.@/$%-])(?P<host>(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,5}}(?:{_TLDS}))"
    r"(?![\w(]|\.\w)(?P<path>/[^\s\"'<>`)\]]*)?"
)
_HOST_SIGN = re.compile(rf"\.(?:{_TLDS})(?![\w(])")
_CODE_HOST = re.compile(
    r"(?:^|\.)(?:github|gitlab|bitbucket|huggingface|codeberg)\.(?:com|org|co)$"
)
_OWNER = re.compile(r"/+([\w.-]{2,40})")
_SCOPE = re.compile(r"(?<![\w.])@(?P<scope>[a-z0-9][a-z0-9-]{1,38})/(?=[a-z0-9])")
_HANDLE = re.compile(
    r"(?:(?<![\w.@/])@|\b(?:TODO|FIXME|XXX|HACK|NOTE)\(@?|\br=)(?P<handle>[A-Za-z0-9][\w-]{1,38})"
)
_HANDLE_SIGN = re.compile(r"@|O\(|E\(|X\(|K\(|r=")
_CODE_NUMBER = re.compile(r"\b[A-Z]{1,6}-?\d{3,6}\b")
_SIGN = re.compile(rf"@|//|[OEXK]\(|r=|{_HOST_SIGN.pattern}")
"""What every locator has: a search for it lets most lines pass."""

_ENCODED = re.compile(
    r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{16,}|\b(?:[0-9a-f]{7,}|[0-9A-F]{7,})\b"
)
_DIGEST = 7  # hexadecimal digits, one of them a digit: a commit or the like
_KEY = 16


def locators(line: str) -> Iterator[Span]:
    """Hosts, addresses, scopes, owners and handles of *line*."""
    if not _SIGN.search(line):
        return
    if "@" in line:
        for match in _EMAIL.finditer(line):
            yield from _host(line, match, Form.EMAIL)
            yield span(Form.HANDLE, line, match.start("user"), match.end("user"))
        for match in _SCOPE.finditer(line):
            yield span(Form.SCOPE, line, match.start("scope"), match.end("scope"))
    if "//" in line:
        yield from _addresses(_URL, line)
    if _HOST_SIGN.search(line):
        yield from _addresses(_HOST, line)
    if _HANDLE_SIGN.search(line):
        for match in _HANDLE.finditer(line):
            yield span(Form.HANDLE, line, match.start("handle"), match.end("handle"))


def _addresses(pattern: re.Pattern[str], line: str) -> Iterator[Span]:
    for match in pattern.finditer(line):
        yield from _host(line, match, Form.HOST)
        owner = _OWNER.match(match["path"] or "")
        if owner and _CODE_HOST.search(match["host"].lower()):
            at = match.start("path")
            yield span(Form.OWNER, line, at + owner.start(1), at + owner.end(1))


def _host(line: str, match: re.Match[str], form: Form) -> Iterator[Span]:
    host = match["host"]
    label = _registered(host.lower())
    if label:
        at = match.start("host") + host.lower().rfind(label + ".")
        yield span(form, line, at, at + len(label))


@lru_cache(maxsize=4096)
def _registered(host: str) -> str:
    if names.reserved_rest(host) is not None:
        return ""
    return uses.registered_label(host)


def blank(line: str) -> str:
    """*line* with its locators and encoded stretches blanked, for prose and identifiers."""
    if _SIGN.search(line):
        for pattern in (_EMAIL, _URL, _HANDLE, _HOST):
            line = pattern.sub(_spaces, line)
    line = _CODE_NUMBER.sub(_spaces, line)
    return _ENCODED.sub(_blank_encoded, line)


def _spaces(match: re.Match[str]) -> str:
    return " " * (match.end() - match.start())


def _blank_encoded(match: re.Match[str]) -> str:
    return _spaces(match) if _encoded(match[0]) else match[0]


@lru_cache(maxsize=8192)
def _encoded(run: str) -> bool:
    """Whether *run* is a digest, key or the like: hexadecimal, or changing kind too often."""
    bare = run.strip("=-_/+")
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", bare):
        return len(bare) >= _DIGEST and any(c.isdigit() for c in bare)
    if len(bare) < _KEY:
        return False
    pieces = names.PART.findall(bare)
    mixed = any(c.isdigit() for c in bare) or "+" in bare or "=" in run
    return len(pieces) > (0.2 if mixed else 0.28) * len(bare)

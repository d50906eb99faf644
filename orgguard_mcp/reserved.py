"""Reserved markers: the made-up names that every project may write. Data, and how to match it.

Sources: RFC 2606 and RFC 6761 (names), RFC 5737, RFC 3849 and RFC 9637 (addresses), RFC 3092
(metasyntactic words), and the placeholder words of the rule itself. A repository adds its own
under ``reserved`` in its policy.
"""

from __future__ import annotations

import ipaddress
import re

from orgguard_mcp import lexicon, names

NETWORKS = tuple(
    ipaddress.ip_network(block)
    for block in (
        "192.0.2.0/24",  # RFC 5737: TEST-NET-1
        "198.51.100.0/24",  # RFC 5737: TEST-NET-2
        "203.0.113.0/24",  # RFC 5737: TEST-NET-3
        "2001:db8::/32",  # RFC 3849
        "3fff::/20",  # RFC 9637
        "127.0.0.0/8",  # loopback
        "::1/128",
        "0.0.0.0/32",
    )
)

WORDS = frozenset(
    "example localhost foo bar baz qux quux quuz corge grault garply waldo fred plugh xyzzy thud"
    " foobar foobaz orgguard".split()
)
"""RFC 3092's metasyntactic words, the reserved labels used alone, and what this program's own files
and settings are called.
"""

PLACEHOLDER = re.compile(
    r"(?:team|user|tenant|org|organisation|organization|customer|client|company|vendor|partner"
    r"|account|project|workspace|group)(?:[ _-][a-z]|[ _-]?\d{1,4})",
    re.IGNORECASE,
)
"""The rule's own ``team_a``, ``user_1``, ``tenant_x``, and their like."""

TECHNICAL = frozenset(
    "api www cdn smtp imap ftp vpn git http https dev prod auth sso ssh url uri html json xml admin"
    " app apps config async param params repo dns tcp udp sql oauth webhook webhooks".split()
)
"""Words that stand around reserved hosts and that no dictionary has."""

_SCHEME, _TAIL = r"(?:[a-z][a-z0-9+.-]*://)?(?:[^\s@/]*@)?", r"(?::\d+)?(?:/\S*)?"
_URL = re.compile(rf"{_SCHEME}(\[[0-9a-f:.%]+\]|[0-9a-f:.]+?){_TAIL}", re.IGNORECASE)
_LOCALHOST = re.compile(rf"{_SCHEME}localhost{_TAIL}", re.IGNORECASE)


def is_reserved(name: names.Name, extra: frozenset[names.NameKey] = frozenset()) -> bool:
    """Whether *name* is a reserved marker, or one of the policy's *extra* keys."""
    text = names.fold(name.surface).strip()
    rest = names.reserved_rest(text)
    if rest is not None:
        return all(map(_says_nothing, rest.split()))
    return (
        name.key in WORDS
        or name.key in extra
        or PLACEHOLDER.fullmatch(text) is not None
        or _is_reserved_address(text)
        or _LOCALHOST.fullmatch(text) is not None
    )


def _says_nothing(word: str) -> bool:
    """Whether *word* beside a reserved host may name nobody: ``test`` of ``test@example.com``."""
    if PLACEHOLDER.fullmatch(word):
        return True
    keys = [names.canonicalise(run) for run in names.WORD.findall(word)]
    known = WORDS | TECHNICAL
    return all(k in known or k.isdecimal() or lexicon.is_ordinary(k) for k in keys)


def _is_reserved_address(text: str) -> bool:
    match = _URL.fullmatch(text)
    for candidate in (text, match[1] if match else ""):
        try:
            address = ipaddress.ip_address(candidate.strip("[]").partition("%")[0])
        except ValueError:
            continue
        return any(address in network for network in NETWORKS if network.version == address.version)
    return False

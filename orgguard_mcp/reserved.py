"""Reserved markers: the made-up names that every project may write. Data, and how to match it.

Sources: RFC 2606 and RFC 6761 (names), RFC 5737, RFC 3849 and RFC 9637 (addresses), RFC 3092
(metasyntactic words), and the placeholder words of the rule itself. A repository adds its own
under ``reserved`` in its policy.
"""

from __future__ import annotations

import ipaddress
import re

from orgguard_mcp import names

TOP_LEVEL = frozenset({"example", "invalid", "localhost", "test", "local"})
"""RFC 2606, RFC 6761; ``local`` is RFC 6762's."""

DOMAINS = ("example.com", "example.net", "example.org")
"""RFC 2606, section 3."""

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
    " foobar foobaz".split()
)
"""RFC 3092's metasyntactic words, and the reserved labels used alone."""

PLACEHOLDER = re.compile(
    r"(?:team|user|tenant|org|organisation|organization|customer|client|company|vendor|partner"
    r"|account|project|workspace|group)[ _-]?(?:[a-z]|\d{1,4})",
    re.IGNORECASE,
)
"""The rule's own ``team_a``, ``user_1``, ``tenant_x``, and their like."""

_MAILBOX = re.compile(r"[\w.+-]+@")
_BARE_HOST = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:[^\s@/]*@)?([\w.-]+)(?::\d+)?(?:/\S*)?", re.IGNORECASE
)


def is_reserved(name: names.Name, extra: frozenset[names.NameKey] = frozenset()) -> bool:
    """Whether *name* is a reserved marker, or one of the policy's *extra* keys."""
    text = names.fold(name.surface).strip()
    return (
        name.key in WORDS
        or name.key in extra
        or PLACEHOLDER.fullmatch(text) is not None
        or _is_reserved_address(text)
        or _is_reserved_host(text)
    )


def _is_reserved_host(text: str) -> bool:
    match = _BARE_HOST.fullmatch(text)
    if not match:
        return False
    host = match[1].casefold().strip(".")
    if "." not in host and not _MAILBOX.match(text):
        return host in WORDS
    return host.rpartition(".")[2] in TOP_LEVEL or any(
        host == domain or host.endswith("." + domain) for domain in DOMAINS
    )


def _is_reserved_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        host, _, port = text.rpartition(":")
        if not (host and port.isdecimal()):
            return False
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
    return any(address in network for network in NETWORKS if network.version == address.version)

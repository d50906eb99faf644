"""Reserved markers: what every project may write, and what only resembles it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.names import parse
from orgguard_mcp.reserved import WORDS, is_reserved
from tests.names import COINED, COINED_TOO

NETWORKS = [
    ipaddress.ip_network(block)
    for block in (
        "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20 127.0.0.0/8 ::1"
    ).split()
]
"""RFC 5737, RFC 3849, RFC 9637 and the loopbacks."""


@pytest.mark.parametrize(
    "marker",
    [
        "example.com", "www.example.org", "EXAMPLE.NET", "example.com.", "https://example.com/",
        "a.b.example", "db.test", "nowhere.invalid", "app.localhost", "printer.local",
        "localhost", "localhost:8080", "http://localhost:8080/x", "user@localhost",
        "test@example.com", "first.last+tag@mail.example.org",
        "192.0.2.1", "198.51.100.7", "203.0.113.255", "2001:db8::1", "[2001:db8::1]:443",
        "3fff::1", "127.0.0.1", "127.0.0.1:5432", "::1", "0.0.0.0:80", "http://127.0.0.1:8080/x",
        "http://[::1]:8080/", "https://192.0.2.1",
        "team_a", "user_1", "tenant_x", "Tenant X", "team-b", "org 3", "customer_42",
        "foo", "Bar", "BAZ", "qux", "foobar", "xyzzy", "example", "ｅｘａｍｐｌｅ.com",
    ],
)  # fmt: skip
def test_a_marker_is_reserved(marker: str) -> None:
    assert is_reserved(parse(marker))


@pytest.mark.parametrize(
    "near_miss",
    [
        "notexample.com", "example.com.acme.com", "myexample.org", "contest.com", "latest",
        "localhostess", "team_acme", "team rocket", "user_1a", "team_12345", "tenant_xy",
        "steam_a", "foody", "barista", "acme", "test@acme.com", "acme.com",
        "8.8.8.8", "192.0.3.1", "198.51.101.1", "203.0.114.1", "128.0.0.1", "2001:db9::1",
        "999.0.2.1", "http://8.8.8.8:53/", "GroupM", COINED,
    ],
)  # fmt: skip
def test_a_near_miss_is_not_reserved(near_miss: str) -> None:
    assert not is_reserved(parse(near_miss))


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_metasyntactic_word_is_reserved_alone_but_not_within_a_name(word: str) -> None:
    assert is_reserved(parse(word))
    assert not is_reserved(parse(f"{word} {COINED}"))


def test_a_policy_adds_its_own_markers() -> None:
    extra = frozenset({parse(COINED).key})
    assert is_reserved(parse(f"{COINED} GmbH"), extra)
    assert not is_reserved(parse(COINED_TOO), extra)


@given(st.ip_addresses().filter(lambda address: int(address) > 0))  # 0.0.0.0 is a marker, too
def test_an_address_is_reserved_just_when_a_reserved_network_has_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    inside = any(address in net for net in NETWORKS if net.version == address.version)
    assert is_reserved(parse(f"{address}")) == inside


@given(st.sampled_from(NETWORKS), st.data())
def test_every_address_of_a_reserved_network_is_reserved(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, data: st.DataObject
) -> None:
    address = data.draw(st.ip_addresses(network=network))
    assert is_reserved(parse(str(address)))


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=2, max_size=20))
def test_a_longer_label_is_another_domain(label: str) -> None:
    assert not is_reserved(parse(f"{label}example.com"))


@pytest.mark.parametrize(
    "marker", ["api.example.com", "test.example.org:8443", "https://app.example.com/users/1"]
)
def test_ordinary_words_around_a_reserved_domain_are_fine(marker: str) -> None:
    assert is_reserved(parse(marker))


@pytest.mark.parametrize(
    "hiding",
    ["{}.example.com", "{}@example.com", "https://example.com/{}", "{}.test", "api.{}.example.org"],
)
def test_a_reserved_domain_hides_no_name(hiding: str) -> None:
    name = parse(hiding.format(COINED.lower()))
    assert not is_reserved(name)
    assert COINED.lower() in name.key

"""Who may do what: a permission is as wide as its pattern, and no wider."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orgguard_mcp.access import Permission, Principal, Role, parse_permission
from orgguard_mcp.errors import UsageError
from tests.names import COINED

LETTERS = "aZ9._-/"
NAMES = st.text(LETTERS, min_size=1, max_size=12)
PATTERNS = st.text(LETTERS + "*", min_size=1, max_size=8)
ROLES = st.sampled_from(Role)


def matches(pattern: str, name: str) -> bool:
    """What a pattern says, letter by letter."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(matches(pattern[1:], name[cut:]) for cut in range(len(name) + 1))
    return name[:1] == pattern[0] and matches(pattern[1:], name[1:])


@given(ROLES, ROLES, PATTERNS, NAMES)
@example(Role.ASK, Role.ASK, "a/*", "a/Z/9")
@example(Role.ASK, Role.ASK, "a.9", "aZ9")
def test_permission_is_as_wide_as_its_pattern(
    has: Role, needs: Role, pattern: str, name: str
) -> None:
    somebody = Principal("token:1", "a label", (parse_permission(f"{has}:{pattern}"),))
    assert somebody.may(needs, name) == (has == needs and matches(pattern, name))


@given(st.lists(st.tuples(ROLES, PATTERNS), max_size=4), ROLES, NAMES)
def test_somebody_may_what_one_of_their_permissions_says(
    given_: list[tuple[Role, str]], needs: Role, name: str
) -> None:
    somebody = Principal("token:1", "", tuple(Permission(*one) for one in given_))
    assert somebody.may(needs, name) == any(
        role == needs and matches(pattern, name) for role, pattern in given_
    )


@given(ROLES, PATTERNS)
def test_permission_is_read_as_it_is_written(role: Role, pattern: str) -> None:
    permission = Permission(role, pattern)
    assert parse_permission(str(permission)) == permission


@given(ROLES, PATTERNS, st.text(LETTERS + "*?[]!", max_size=6), NAMES)
@example(Role.ASK, "a*", "aZ", "a9")
def test_permission_within_a_repository_is_for_no_other(
    role: Role, pattern: str, repository: str, name: str
) -> None:
    narrowed = Permission(role, pattern).within(repository)
    if narrowed is None:
        assert not matches(pattern, repository) or set(repository) & set("*?[]!") or not repository
    else:
        assert narrowed.allows(role, name) == (name == repository and matches(pattern, name))


def test_role_without_repositories_is_for_all() -> None:
    assert parse_permission("ask") == Permission(Role.ASK, "*")
    assert str(parse_permission("answer")) == "answer:*"


@pytest.mark.parametrize(
    "text",
    [
        "", "*", ":", "ask:", "Ask", "ASK:*", " ask", "ask :*", "read:*", "ask,answer", "asks",
        "ask:a b", "ask:[a-z]*", "ask:a?", "ask:!a", "ask:a\n", "ask:*\n", "ask:a:b", "ask:\u0430",
        "ask:" + "a" * 501, "ask:a,b",
    ],
)  # fmt: skip
def test_what_is_no_permission_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_permission(text)
    assert caught.value.cause
    assert "ask:owner/*" in caught.value.hint


@pytest.mark.parametrize("text", [COINED, f"ask:{COINED}/?"])
def test_error_does_not_repeat_what_was_given(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_permission(text)
    assert COINED not in "\n".join(caught.value.lines())


@pytest.mark.parametrize("pattern", ["", "[a-z]", "a?", "a\n"])
def test_no_permission_is_made_with_signs_of_another_kind(pattern: str) -> None:
    with pytest.raises(UsageError):
        Permission(Role.ASK, pattern)


def test_pattern_of_many_stars_is_matched_at_once() -> None:
    somebody = Principal("jwt:1", "", (parse_permission("ask:" + "*a" * 99 + "*b"),))
    assert not somebody.may(Role.ASK, "a" * 5000)


def test_it_is_cheap_to_import() -> None:
    code = "import orgguard_mcp.access, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"jwt", "cryptography", "psycopg", "pydantic", "mcp", "argparse", "json", "socket"}
    assert heavy & set(done.stdout.split()) == set()

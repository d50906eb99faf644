"""Policy: what the base's `.orgguard/policy.toml` may say, and how it is refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.approval import Rule
from orgguard_mcp.errors import PolicyError
from orgguard_mcp.fileclass import Classifier
from orgguard_mcp.model import FileClass, Level, Trust
from orgguard_mcp.names import parse
from orgguard_mcp.policy import HOLD_SECONDS, LAPSE_HOURS, PATH, Policy, parse_policy
from tests.names import COINED, COINED_TOO

KEYS = [
    "base", "reserved", "classes", "hold_seconds", "lapse_hours", "level", "unscanned",
    "trust", "grant_days", "repository", "signing_agent", "protected", "approval", "store",
]  # fmt: skip


def refusal(text: str | bytes) -> PolicyError:
    with pytest.raises(PolicyError) as raised:
        parse_policy(text.encode() if isinstance(text, str) else text)
    return raised.value


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"\r\n"])
def test_an_empty_policy_has_the_defaults(text: bytes) -> None:
    policy = parse_policy(text)
    assert policy == Policy()
    assert (policy.hold_seconds, policy.lapse_hours) == (HOLD_SECONDS, LAPSE_HOURS)
    assert (policy.level, policy.unscanned) == (Level.REGULAR, "report")


def test_a_full_policy_is_read() -> None:
    text = f"""
    base = "upstream/main"
    reserved = ["{COINED} Inc.", "{COINED_TOO}"]
    hold_seconds = 10
    lapse_hours = 1.5
    level = "pedantic"
    unscanned = "fail"
    trust = "signed"
    grant_days = 30
    repository = "example.com/team_a/app"
    signing_agent = true
    protected = "if-key"
    store = "postgresql://user_1@db.example.com/orgguard?sslmode=verify-full"
    [classes]
    "data/**" = "generated"
    "rules/*" = "agent rules"
    [[approval]]
    paths = ["billing/**", "*.sql"]
    approvers = ["ann@example.com"]
    [[approval]]
    protected = true
    people = 2
    """
    assert parse_policy(text.encode()) == Policy(
        "upstream/main",
        frozenset({parse(COINED).key, parse(COINED_TOO).key}),
        {"data/**": FileClass.GENERATED, "rules/*": FileClass.AGENT_RULES},
        10.0,
        1.5,
        Level.PEDANTIC,
        "fail",
        Trust.SIGNED,
        30.0,
        "example.com/team_a/app",
        True,
        "if-key",
        (
            Rule(paths=("billing/**", "*.sql"), approvers=("ann@example.com",)),
            Rule(protected=True, people=2),
        ),
        "postgresql://user_1@db.example.com/orgguard?sslmode=verify-full",
    )


def test_every_field_of_a_policy_can_be_written() -> None:
    assert [field.name for field in dataclasses.fields(Policy)] == KEYS


def test_a_policy_does_not_change_after_it_was_read() -> None:
    classes = parse_policy(b'classes = {"a" = "code"}').classes
    with pytest.raises(TypeError):
        classes["b"] = FileClass.CODE  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("allow = ['x']", "at allow:"),
        ("approval = {}", "at approval:"),
        ("[approval]\npeople = 2", "at approval:"),
        ("approval = [1]", "at approval:"),
        ("[[approval]]\npeople = 1\n[[approval]]\nperson = 1", "at approval[1].person:"),
        ("[[approval]]\npaths = 'x'", "at approval[0].paths:"),
        ("[[approval]]\npaths = []", "at approval[0].paths:"),
        ("[[approval]]\npaths = ['a', '!b']", "at approval[0].paths[1]:"),
        ("[[approval]]\napprovers = []", "at approval[0].approvers:"),
        ("[[approval]]\napprovers = ['a', '*']", "at approval[0].approvers[1]:"),
        ("[[approval]]\npeople = 0", "at approval[0].people:"),
        ("[[approval]]\npeople = 1.0", "at approval[0].people:"),
        ("[[approval]]\npeople = true", "at approval[0].people:"),
        ("[[approval]]\nprotected = 1", "at approval[0].protected:"),
        ("store = 'sqlite:///x'", "at store:"),
        ("store = 'postgresql://[x/'", "at store:"),
        ("store = 'postgresql://u:secret@h/x'", "at store:"),
        ("store = 'postgresql://u:@h/x'", "at store:"),
        ("store = 'postgresql://h/x?password=secret'", "at store:"),
        ("store = 'postgresql://h/x?sslPassword='", "at store:"),
        ("a.b.c = 1", "at a:"),
        ("base = 1", "at base:"),
        ("base = ' '", "at base:"),
        ("reserved = 'x'", "at reserved:"),
        ("reserved = ['x', 1]", "at reserved[1]:"),
        ("reserved = ['x', '']", "at reserved[1]:"),
        ("reserved = ['--']", "at reserved[0]:"),
        ("reserved = ['&']", "at reserved[0]:"),
        ("classes = []", "at classes:"),
        ("[classes]\n'x/*' = 1", 'at classes."x/*":'),
        ("[classes]\n'x/*' = 'vendor'", 'at classes."x/*":'),
        ("[classes]\n'!' = 'docs'", 'at classes."!":'),
        ("hold_seconds = '3'", "at hold_seconds:"),
        ("hold_seconds = true", "at hold_seconds:"),
        ("hold_seconds = -1", "at hold_seconds:"),
        ("hold_seconds = 601", "at hold_seconds:"),
        ("hold_seconds = nan", "at hold_seconds:"),
        ("hold_seconds = 1979-05-27", "at hold_seconds:"),
        (f"hold_seconds = {'9' * 400}", "at hold_seconds:"),
        ("lapse_hours = 0", "at lapse_hours:"),
        ("lapse_hours = inf", "at lapse_hours:"),
        ("lapse_hours = {}", "at lapse_hours:"),
        ("level = 'strict'", "at level:"),
        ("level = 'Pedantic'", "at level:"),
        ("level = ''", "at level:"),
        ("level = 1", "at level:"),
        ("level = ['regular']", "at level:"),
        ("unscanned = 'ignore'", "at unscanned:"),
        ("unscanned = 'report '", "at unscanned:"),
        ("unscanned = false", "at unscanned:"),
        ("trust = 'human'", "at trust:"),
        ("grant_days = 0", "at grant_days:"),
        ("repository = ''", "at repository:"),
        ("signing_agent = 'yes'", "at signing_agent:"),
        ("protected = 'optional'", "at protected:"),
    ],
    ids=lambda value: value[:30],
)
def test_a_wrong_value_is_refused_with_its_place(text: str, place: str) -> None:
    assert refusal(text).cause.startswith(place)


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("level", "regular, pedantic"),
        ("unscanned", "report, fail"),
        ("trust", "client, terminal, signed"),
        ("protected", "required, if-key"),
    ],
)
def test_a_wrong_choice_is_answered_with_the_right_ones(key: str, choices: str) -> None:
    assert refusal(f"{key} = 'x'").cause == f"at {key}: expected one of {choices}"
    for choice in choices.split(", "):
        assert getattr(parse_policy(f"{key} = '{choice}'".encode()), key) == choice


@pytest.mark.parametrize(
    "text",
    [
        b"base",
        b"base = 'a'\nbase = 'b'",
        b"\xff",
        b"\xef\xbb\xbfbase = 'a'",
        b"lapse_hours = " + b"9" * 5000,
        b"reserved = " + b"[" * 5000,
    ],
    ids=["half", "twice", "no utf-8", "byte-order mark", "digits", "nested"],
)
def test_what_is_no_toml_is_refused_as_a_document(text: bytes) -> None:
    assert refusal(text).cause.startswith("at the document:")


def test_a_refusal_says_what_was_not_done_and_the_next_step() -> None:
    error = refusal("base = 1")
    assert "names were not checked" in error.message
    assert PATH in error.hint
    assert error.exit_code == 2


def test_an_unknown_key_is_answered_with_the_known_ones() -> None:
    assert all(key in refusal("allow = 1").cause for key in KEYS)


# --- laws --------------------------------------------------------------------------------------

values = st.recursive(
    st.sampled_from(
        [
            "1",
            "-0.0",
            "1e400",
            "inf",
            "nan",
            "true",
            "'x'",
            '"\\u0000"',
            "''",
            "1979-05-27",
            "'!'",
            "'fail'",
            "'regular'",
        ]
    )
    | st.integers().map(str)
    | st.text(max_size=8).map("'{}'".format),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(inner, max_size=2).map(
            lambda items: "{" + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + "}"
        )
    ),
    max_leaves=6,
)
lines = st.tuples(st.sampled_from([*KEYS, "classes.'a'", "x", '"']), values).map(" = ".join)
documents = st.lists(lines, max_size=3).map("\n".join)


@given(documents.map(str.encode) | st.binary(max_size=80))
def test_any_bytes_are_a_policy_that_can_be_used_or_a_policy_error(text: bytes) -> None:
    try:
        policy = parse_policy(text)
    except PolicyError:
        return
    classifier = Classifier(lambda paths: [""] * len(paths), policy.classes)
    assert classifier.classify("src/a.py") in FileClass
    assert 0 <= policy.hold_seconds <= 600
    assert policy.lapse_hours > 0
    assert policy.level in Level
    assert policy.unscanned in {"report", "fail"}

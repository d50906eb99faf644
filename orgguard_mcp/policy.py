"""Policy: `.orgguard/policy.toml` as the base commit has it, never as the change would have it.

Every key is optional; an unknown key or a wrong type is an error that names its place. Checked by
hand rather than by pydantic: the hooks read policy before every write, and pydantic alone costs
six interpreter starts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from orgguard_mcp.approval import Rule
from orgguard_mcp.approvers import check_person
from orgguard_mcp.errors import ApproversError, InvalidNameError, PolicyError
from orgguard_mcp.model import FileClass, Level, Trust
from orgguard_mcp.names import NameKey, parse

PATH = ".orgguard/policy.toml"

HOLD_SECONDS = 25.0
"""How long a request waits for the human by default: below every client's limit, and below the
30 s after which Codex takes the call away from the model."""

MAX_HOLD_SECONDS = 600.0
LAPSE_HOURS = 24.0
GRANT_DAYS = 365.0

_Readers = Mapping[str, Callable[[str, Any], Any]]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the maintainers decided for this repository.

    `base` is the reference to compare with; `reserved` are more markers that anybody may write;
    `classes` maps gitignore-style patterns to file classes; `hold_seconds` is how long a request
    holds the agent's call; `lapse_hours` how long an unanswered question stays in the queue.
    `level` is how strictly a scan reports; with `unscanned` = "fail" a scan that had to pass over
    something that was there (too large, unreadable) fails as *could not check*, with "report" it
    only says so.

    `trust` is how sure it must be that a human said yes, before a name counts as consented on this
    machine. A signed grant holds for `grant_days`, in the repository that calls itself
    `repository` (empty: the one that grew from this one's first commit). With `signing_agent` an
    approver may sign through ssh-agent, which every program of theirs can reach. `protected` =
    "required" fails a scan that could not check the protected names for want of the key; with
    "if-key" it only says so.

    `approval` says where a yes needs the signatures of certain people, or of several. `store` is
    the shared store of those who have its key, unless the environment names another.
    """

    base: str | None = None
    reserved: frozenset[NameKey] = frozenset()
    classes: Mapping[str, FileClass] = field(default_factory=lambda: MappingProxyType({}))
    hold_seconds: float = HOLD_SECONDS
    lapse_hours: float = LAPSE_HOURS
    level: Level = Level.REGULAR
    unscanned: str = "report"
    trust: Trust = Trust.CLIENT
    grant_days: float = GRANT_DAYS
    repository: str = ""
    signing_agent: bool = False
    protected: str = "required"
    approval: tuple[Rule, ...] = ()
    store: str = ""


def parse_policy(text: bytes) -> Policy:
    """Read *text* as a policy.

    Raises `PolicyError`, naming the place in the document, when it is no TOML, has an unknown key
    or a value of the wrong type.
    """
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refusal("the document", str(error)) from error
    return Policy(**_fields("", document, _READERS))


def _fields(place: str, table: Mapping[str, Any], readers: _Readers) -> dict[str, Any]:
    for key in table:
        if key not in readers:
            raise _refusal(place + key, f"unknown key; known are {', '.join(readers)}")
    return {key: readers[key](place + key, value) for key, value in table.items()}


def _refusal(place: str, cause: str) -> PolicyError:
    return PolicyError(
        f"names were not checked: {PATH} cannot be used",
        cause=f"at {place}: {cause}",
        hint=f"correct {PATH} on the base branch; the base's policy is the one that counts",
    )


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _refusal(place, f"expected a non-empty string, found {_kind(value)}")
    return value


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """The strings of a list, each with its place."""
    if not isinstance(value, list):
        raise _refusal(place, f"expected a list of strings, found {_kind(value)}")
    for number, entry in enumerate(value):
        at = f"{place}[{number}]"
        yield at, _text(at, entry)


def _reserved(place: str, value: Any) -> frozenset[NameKey]:
    keys = set()
    for at, entry in _texts(place, value):
        try:
            keys.add(parse(entry).key)
        except InvalidNameError as error:
            raise _refusal(at, error.message) from error
    return frozenset(keys)


def _pattern(place: str, pattern: str) -> str:
    from orgguard_mcp.fileclass import compile_pattern  # few policies have patterns

    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise _refusal(place, f"not a gitignore-style pattern: {error}") from error
    return pattern


def _classes(place: str, value: Any) -> Mapping[str, FileClass]:
    if not isinstance(value, dict):
        raise _refusal(place, f"expected a table, found {_kind(value)}")
    classes = {}
    for pattern, entry in value.items():
        at = f'{place}."{pattern}"'
        name = _text(at, entry)
        if name not in list(FileClass):
            raise _refusal(at, f"expected one of {', '.join(FileClass)}")
        classes[_pattern(at, pattern)] = FileClass(name)
    return MappingProxyType(classes)


def _approval(place: str, value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _refusal(place, f"expected tables, each as [[{place}]], found {_kind(value)}")
    return tuple(
        Rule(**_fields(f"{place}[{number}].", entry, _RULE_READERS))
        for number, entry in enumerate(value)
    )


def _paths(place: str, value: Any) -> tuple[str, ...]:
    return _some(place, tuple(_pattern(at, pattern) for at, pattern in _texts(place, value)))


def _people(place: str, value: Any) -> tuple[str, ...]:
    people = tuple(_texts(place, value))
    for at, person in people:
        try:
            check_person(person)
        except ApproversError as error:
            raise _refusal(
                at, "expected a name or address as .orgguard/approvers has it"
            ) from error
    return _some(place, tuple(person for _, person in people))


def _some(place: str, found: tuple[str, ...]) -> tuple[str, ...]:
    """*found*, which must not be empty: that would say something else than leaving it out."""
    if not found:
        raise _refusal(place, "expected at least one; leave it out if it is not to matter")
    return found


def _count(place: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refusal(place, "expected a whole number from 1 on, found another")
    return value


def _store(place: str, value: Any) -> str:
    from urllib.parse import parse_qsl, urlsplit  # few policies name a store

    url = _line(place, value)
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or any(
            "password" in key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)
        )
    except ValueError as error:
        raise _refusal(place, "expected a database's URL") from error
    if parts.scheme not in {"postgresql", "postgres"}:
        raise _refusal(place, "expected a database's URL: postgresql://…")
    if secret:
        raise _refusal(place, "it has a password, and the policy is public: use ~/.pgpass")
    return url


def _number(low: float, high: float) -> Callable[[str, Any], float]:
    def read(place: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refusal(place, f"expected a number, found {_kind(value)}")
        if not low <= value <= high:
            raise _refusal(place, f"expected a number from {low:g} to {high:g}, found another")
        return float(value)

    return read


def _one_of(*choices: str) -> Callable[[str, Any], str]:
    def read(place: str, value: Any) -> str:
        text = _text(place, value)
        if text not in choices:
            raise _refusal(place, f"expected one of {', '.join(choices)}")
        return text

    return read


def _level(place: str, value: Any) -> Level:
    return Level(_one_of(*Level)(place, value))


def _trust(place: str, value: Any) -> Trust:
    return Trust(_one_of(*Trust)(place, value))


def _line(place: str, value: Any) -> str:
    if not (text := _text(place, value)).isprintable() or text != text.strip():
        raise _refusal(place, "expected one line of text")
    return text


def _boolean(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refusal(place, f"expected true or false, found {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "a list" if isinstance(value, list) else "another type")


_RULE_READERS: _Readers = {
    "paths": _paths,
    "protected": _boolean,
    "approvers": _people,
    "people": _count,
}
_READERS: _Readers = {
    "base": _text,
    "reserved": _reserved,
    "classes": _classes,
    "hold_seconds": _number(0, MAX_HOLD_SECONDS),
    "lapse_hours": _number(0.1, 24 * 365),
    "level": _level,
    "unscanned": _one_of("report", "fail"),
    "trust": _trust,
    "grant_days": _number(1, 3650),
    "repository": _line,
    "signing_agent": _boolean,
    "protected": _one_of("required", "if-key"),
    "approval": _approval,
    "store": _store,
}

"""Policy: `.orgguard/policy.toml` as the base commit has it, never as the change would have it.

Every key is optional; an unknown key or a wrong type is an error that names its place. Checked by
hand rather than by pydantic: the hooks read policy before every write, and pydantic alone costs
six interpreter starts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from orgguard_mcp.errors import InvalidNameError, PolicyError
from orgguard_mcp.model import FileClass, Level, Trust
from orgguard_mcp.names import NameKey, parse

PATH = ".orgguard/policy.toml"

HOLD_SECONDS = 25.0
"""How long a request waits for the human by default: below every client's limit, and below the
30 s after which Codex takes the call away from the model."""

MAX_HOLD_SECONDS = 600.0
LAPSE_HOURS = 24.0
GRANT_DAYS = 365.0


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


def parse_policy(text: bytes) -> Policy:
    """Read *text* as a policy.

    Raises `PolicyError`, naming the place in the document, when it is no TOML, has an unknown key
    or a value of the wrong type.
    """
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refusal("the document", str(error)) from error
    for key in document:
        if key not in _READERS:
            raise _refusal(key, f"unknown key; known are {', '.join(_READERS)}")
    return Policy(**{key: _READERS[key](key, value) for key, value in document.items()})


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


def _reserved(place: str, value: Any) -> frozenset[NameKey]:
    if not isinstance(value, list):
        raise _refusal(place, f"expected a list of strings, found {_kind(value)}")
    keys = set()
    for number, entry in enumerate(value):
        at = f"{place}[{number}]"
        try:
            keys.add(parse(_text(at, entry)).key)
        except InvalidNameError as error:
            raise _refusal(at, error.message) from error
    return frozenset(keys)


def _classes(place: str, value: Any) -> Mapping[str, FileClass]:
    from orgguard_mcp.fileclass import compile_pattern  # few policies have classes

    if not isinstance(value, dict):
        raise _refusal(place, f"expected a table, found {_kind(value)}")
    classes = {}
    for pattern, entry in value.items():
        at = f'{place}."{pattern}"'
        name = _text(at, entry)
        if name not in list(FileClass):
            raise _refusal(at, f"expected one of {', '.join(FileClass)}")
        try:
            compile_pattern(pattern)
        except ValueError as error:
            raise _refusal(at, f"not a gitignore-style pattern: {error}") from error
        classes[pattern] = FileClass(name)
    return MappingProxyType(classes)


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


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
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
}

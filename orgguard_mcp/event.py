"""What a continuous-integration event publishes: the JSON that GitHub lays at `GITHUB_EVENT_PATH`.

The text in it is the author's: it is read here as data, and never passes through a shell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from orgguard_mcp.errors import UsageError

MAX_EVENT = 64 << 20
"""Bytes; GitHub's own limit on an event is 25 MB."""


@dataclass(frozen=True, slots=True)
class Event:
    """The text that an event holds, by the surface that it lands on. A field that the event has
    without content (GitHub's null) is an empty text: it was looked at. `messages` are pairs of a
    commit's id and message. `forked` is set for a pull request from another repository, whose job
    is given no secret.
    """

    titles: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    forked: bool = False


_FIELDS: dict[str, tuple[str, ...]] = {
    "titles": ("pull_request.title", "issue.title", "discussion.title", "release.name"),
    "bodies": (
        "pull_request.body", "issue.body", "discussion.body", "comment.body", "review.body",
        "release.body",
    ),
    "branches": ("pull_request.head.ref", "merge_group.head_ref"),
    "tags": ("release.tag_name",),
}  # fmt: skip
"""Where events have what: the fields of GitHub's webhook payloads."""


def read_event(path: Path) -> Event:
    """The event in the file *path*; `UsageError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EVENT + 1)
    except OSError as error:
        raise _unusable(f"{path}: {error.strerror}") from error
    if len(data) > MAX_EVENT:
        raise _unusable(f"{path}: larger than {MAX_EVENT >> 20} MB")
    return parse_event(data)


def parse_event(data: bytes) -> Event:
    """The event in *data*; `UsageError` when it is not a JSON object of the expected shape."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unusable("it is no JSON") from error
    if not isinstance(event, dict):
        raise _unusable("it is no JSON object")
    if "comment" in event:  # what was said before it is not published by it
        event = {key: part for key, part in event.items() if key not in {"issue", "discussion"}}
    found = {
        surface: tuple(text for path in paths if (text := _text(event, path)) is not None)
        for surface, paths in _FIELDS.items()
    }
    branches, tags = _references(event)
    heads = tuple(ref.removeprefix("refs/heads/") for ref in found["branches"])
    return Event(
        found["titles"], found["bodies"], heads + branches, found["tags"] + tags, _messages(event),
        _is_forked(event),
    )  # fmt: skip


def _is_forked(event: dict[str, object]) -> bool:
    """Whether a pull request comes from another repository; one that was deleted is another."""
    sides = "pull_request.head.repo.full_name", "pull_request.base.repo.full_name"
    head, base = (_text(event, side) for side in sides)
    return base is not None and head != base


def _text(event: dict[str, object], path: str) -> str | None:
    """The text at *path*: empty where it is null, None where there is none."""
    node: object = event
    for key in path.split("."):
        if node is None:
            return None
        if not isinstance(node, dict):
            raise _unusable(f"`{path}` is not where GitHub has it")
        if key not in node:
            return None
        node = node[key]
    if not isinstance(node, str | None):
        raise _unusable(f"`{path}` is no text")
    return node or ""


def _references(event: dict[str, object]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The branches and tags that a push or create event publishes."""
    ref = _text(event, "ref")
    if not ref or event.get("deleted") is True:
        return (), ()
    if ref.startswith("refs/tags/") or event.get("ref_type") == "tag":
        return (), (ref.removeprefix("refs/tags/"),)
    return (ref.removeprefix("refs/heads/"),), ()


def _messages(event: dict[str, object]) -> tuple[tuple[str, str], ...]:
    """The messages of the commits in a push or merge group."""
    commits = event.get("commits") or []
    if not isinstance(commits, list):
        raise _unusable("`commits` is no list")
    group = event.get("merge_group")
    heads = [
        event.get("head_commit"),
        group.get("head_commit") if isinstance(group, dict) else None,
    ]
    found: dict[str, str] = {}
    for commit in [*commits, *heads]:
        if isinstance(commit, dict):
            found.setdefault(_text(commit, "id") or "", _text(commit, "message") or "")
        elif commit is not None:
            raise _unusable("a commit is no object")
    return tuple(found.items())


def _unusable(cause: str) -> UsageError:
    return UsageError(
        "names were not checked: the event file cannot be used",
        cause=cause,
        hint="pass the JSON file of a GitHub event with --event, in GitHub Actions"
        ' "$GITHUB_EVENT_PATH"; to scan without one, leave it out',
    )

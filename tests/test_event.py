"""What a GitHub event publishes; its payloads are cut down to the fields that matter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orgguard_mcp.errors import UsageError
from orgguard_mcp.event import MAX_EVENT, Event, parse_event, read_event
from tests.names import COINED, COINED_TOO, FOURTH, THIRD


def event(payload: object) -> Event:
    return parse_event(json.dumps(payload).encode())


PULL = {"title": COINED, "body": f"<!-- {COINED_TOO} -->", "head": {"ref": THIRD, "sha": "0"}}
COMMIT = {"id": "1" * 40, "message": f"Add {COINED}"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            {"action": "edited", "pull_request": PULL, "changes": {"title": {"from": FOURTH}}},
            Event(titles=(COINED,), bodies=(f"<!-- {COINED_TOO} -->",), branches=(THIRD,)),
        ),
        (
            {"pull_request": PULL, "review": {"body": FOURTH}},
            Event((COINED,), (f"<!-- {COINED_TOO} -->", FOURTH), (THIRD,)),
        ),
        (
            {"pull_request": PULL, "comment": {"body": FOURTH}},
            Event((COINED,), (f"<!-- {COINED_TOO} -->", FOURTH), (THIRD,)),
        ),
        ({"issue": {"title": COINED, "body": THIRD}}, Event((COINED,), (THIRD,))),
        (
            {"issue": {"title": COINED, "body": THIRD}, "comment": {"body": FOURTH}},
            Event(bodies=(FOURTH,)),
        ),
        (
            {"discussion": {"title": COINED, "body": None}},
            Event((COINED,), ("",)),
        ),
        (
            {"merge_group": {"head_ref": f"refs/heads/gh-readonly-queue/main/pr-1-{THIRD}",
                             "head_commit": COMMIT}},
            Event(branches=(f"gh-readonly-queue/main/pr-1-{THIRD}",),
                  messages=(("1" * 40, f"Add {COINED}"),)),
        ),
        (
            {"ref": f"refs/heads/{THIRD}", "commits": [COMMIT], "head_commit": COMMIT},
            Event(branches=(THIRD,), messages=(("1" * 40, f"Add {COINED}"),)),
        ),
        ({"ref": f"refs/tags/{THIRD}", "head_commit": None}, Event(tags=(THIRD,))),
        ({"ref": f"refs/heads/{THIRD}", "deleted": True, "commits": []}, Event()),
        ({"ref": THIRD, "ref_type": "tag"}, Event(tags=(THIRD,))),
        ({"ref": THIRD, "ref_type": "branch"}, Event(branches=(THIRD,))),
        (
            {"release": {"tag_name": THIRD, "name": None, "body": f"a\r\n{FOURTH}"}},
            Event(("",), (f"a\r\n{FOURTH}",), (), (THIRD,)),
        ),
        ({"schedule": "* * * * *", "inputs": None}, Event()),
        ({"pull_request": {"title": "t", "head": None}}, Event(("t",))),
    ],
)  # fmt: skip
def test_text_of_each_event_lands_on_its_surface(payload: object, expected: Event) -> None:
    assert event(payload) == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"pull_request": 1}',
     b'{"pull_request": {"title": 1}}', b'{"pull_request": {"title": ["x"]}}', b'{"commits": 1}',
     b'{"commits": ["x"]}', b'{"ref": {}}', b'{"commits": [{"message": 1}]}', b"1" * 5000],
)  # fmt: skip
def test_malformed_event_is_a_usage_error_not_an_empty_one(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        parse_event(data)
    assert caught.value.exit_code == 2
    assert caught.value.cause
    assert "--event" in caught.value.hint


def test_errors_hold_nothing_of_the_events_text() -> None:
    with pytest.raises(UsageError) as caught:
        event({"pull_request": {"title": [COINED]}})
    assert COINED not in "".join(caught.value.lines())


def test_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    with (tmp_path / "huge").open("r+b") as file:
        file.truncate(MAX_EVENT + 1)
    for name in ("gone", ".", "huge"):
        with pytest.raises(UsageError) as caught:
            read_event(tmp_path / name)
        assert caught.value.cause


def test_event_in_utf_8_with_a_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"pull_request": PULL}).encode())
    assert read_event(tmp_path / "e.json").titles == (COINED,)

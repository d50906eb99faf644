"""Limits: over any stretch of time nobody gets more than the rate and the burst allow."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orgguard_mcp import limits
from orgguard_mcp.limits import Limits

pauses = st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=200)


@given(pauses, st.floats(0.1, 10), st.integers(1, 10))
def test_no_stretch_of_time_has_more_calls_than_allowed(
    waits: list[float], rate: float, burst: int
) -> None:
    limited = Limits(rate, burst, at_once=1)
    now, admitted = 0.0, []
    for wait in waits:
        now += wait
        if not limited.enter("a", now):
            limited.leave("a")
            admitted.append(now)
    for first, start in enumerate(admitted):
        for number, end in enumerate(admitted[first:], 1):
            assert number <= burst + (end - start) * rate + 1e-6


@given(pauses, st.floats(0.1, 10), st.integers(1, 10))
@example([3.265053165931024, 0.0], 1.0, 1)
def test_who_stays_away_as_long_as_told_is_let_in(
    waits: list[float], rate: float, burst: int
) -> None:
    limited = Limits(rate, burst, at_once=1)
    now = 0.0
    for wait in waits:
        now += wait
        if seconds := limited.enter("a", now):
            now += seconds
            assert limited.enter("a", now) == 0
        limited.leave("a")


def test_calls_at_once_are_counted_for_each_caller() -> None:
    limited = Limits(rate=100, burst=100, at_once=2)
    assert [limited.enter("a", 0.0) for _ in range(3)] == [0, 0, 1]
    assert limited.enter("b", 0.0) == 0
    limited.leave("a")
    assert limited.enter("a", 0.0) == 0


def test_a_call_that_is_turned_away_costs_nothing() -> None:
    limited = Limits(rate=1, burst=2, at_once=1)
    assert limited.enter("a", 0.0) == 0
    assert limited.enter("a", 0.0) == 1  # one at once
    limited.leave("a")
    assert limited.enter("a", 0.0) == 0


def test_callers_who_are_forgotten_are_those_who_have_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_CALLERS", 3)
    limited = Limits(rate=1, burst=2, at_once=1)
    assert limited.enter("busy", 0.0) == 0
    for caller in "bcd":
        assert limited.enter(caller, 10.0) == 0
        limited.leave(caller)
    for _ in range(2):
        limited.leave("busy")
        assert limited.enter("busy", 10.0) == 0
    assert limited.enter("late", 100.0) == 0
    assert limited.enter("busy", 100.0) == 1  # its call goes on

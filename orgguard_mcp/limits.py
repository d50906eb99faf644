"""How much one caller may want of a server: calls a second, and calls at once.

A token bucket for each: it holds `burst` calls and gets `rate` of them a second. Pure: who asks
brings the time, in seconds of a clock that never goes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_CALLERS = 10_000
"""Callers that are remembered; those who want nothing at the moment are forgotten first."""

_ROUNDING = 1e-7  # of a call: who waited as long as told may lack so much


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float
    calls: int = 0


class Limits:
    """The limits of one server, the same for every caller."""

    def __init__(self, rate: float, burst: int, at_once: int) -> None:
        self._rate = rate
        self._burst = burst
        self._at_once = at_once
        self._buckets: dict[str, _Bucket] = {}

    def enter(self, caller: str, now: float) -> int:
        """Let a call of *caller* in, which must `leave`, and return 0; or for how many seconds,
        whole ones, it is to stay away.
        """
        bucket = self._bucket(caller, now)
        bucket.level = min(self._burst, bucket.level + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.calls >= self._at_once:
            return 1
        if bucket.level < 1 - _ROUNDING:
            return max(1, math.ceil((1 - bucket.level) / self._rate))
        bucket.level -= 1
        bucket.calls += 1
        return 0

    def leave(self, caller: str) -> None:
        """A call that was let in is over."""
        self._buckets[caller].calls -= 1

    def _bucket(self, caller: str, now: float) -> _Bucket:
        if caller not in self._buckets:
            if len(self._buckets) >= MAX_CALLERS:
                self._forget(now)
            self._buckets[caller] = _Bucket(self._burst, now)
        return self._buckets[caller]

    def _forget(self, now: float) -> None:
        """Forget those whose bucket is full again: they are as if they had never called."""
        full = self._burst / self._rate
        self._buckets = {
            caller: bucket
            for caller, bucket in self._buckets.items()
            if bucket.calls or now - bucket.at < full
        }

"""The weights of the facts, as `bench/detection/` fitted them and this package ships them.

``data/weights.txt`` is text, one item a line, its parts apart by a tab: the version; the bias; the
two thresholds; then ``weight<TAB>fact``, sorted by fact. What is not in it weighs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Final

from orgguard_mcp.errors import OrgGuardError

FILE: Final = Path(__file__).parents[1] / "data" / "weights.txt"
"""The weights that this package ships."""

_VERSION: Final = "orgguard-weights-1"
_HEAD: Final = ("bias", "regular", "pedantic")


@dataclass(frozen=True, slots=True)
class Weights:
    """A bias, the two thresholds of the score (0..1), and the weight of each fact."""

    bias: float
    regular: float
    pedantic: float
    of: Mapping[str, float]

    def score(self, facts: Iterable[str]) -> float:
        """How surely *facts* are those of an organisation's name: 0..1."""
        total = self.bias + math.fsum(map(self.of.get, facts, repeat(0.0)))
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, total))))


@cache
def shipped() -> Weights:
    """The weights that this package ships. Raises `OrgGuardError` unless they are whole."""
    return opened(FILE)


def opened(path: Path) -> Weights:
    """The weights at *path*. Raises `OrgGuardError` unless they are whole."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OrgGuardError(
            "names were not looked for: the weights of the detection cannot be used",
            cause=f"{path.name} is missing or damaged: {type(error).__name__}",
            hint="reinstall orgguard-mcp",
        ) from error


def parse(text: str) -> Weights:
    """The weights in *text*. Raises `ValueError` when it is not as `render` writes it."""
    version, *lines = text.splitlines()
    if version != f"{_VERSION}\t{len(lines)}":
        raise ValueError(version)
    head, rows = lines[: len(_HEAD)], lines[len(_HEAD) :]
    numbers = {name: float(value) for name, value in (line.split("\t") for line in head)}
    weights = {fact: float(value) for value, fact in (row.split("\t") for row in rows)}
    if tuple(numbers) != _HEAD or not all(
        map(math.isfinite, (*numbers.values(), *weights.values()))
    ):
        raise ValueError(version)
    return Weights(numbers["bias"], numbers["regular"], numbers["pedantic"], weights)


def render(weights: Weights) -> str:
    """The file of *weights*."""
    rows = [f"{value:.3f}\t{fact}" for fact, value in sorted(weights.of.items())]
    head = [f"{name}\t{getattr(weights, name):.4f}" for name in _HEAD]
    return "\n".join([f"{_VERSION}\t{len(head) + len(rows)}", *head, *rows]) + "\n"

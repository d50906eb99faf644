"""Coverage-guided fuzzing of the parsers that read text which somebody else wrote.

    python bench/fuzz.py decode [libFuzzer's options, such as -max_total_time=300] [CORPUS...]

A target takes bytes, reads them with the code under test, and raises when a promise is broken. What
is found belongs, made small, into `tests/fuzz/<target>/`, where the ordinary tests replay it.
Needs atheris (Python 3.11 to 3.13, Linux), which is no dependency: `pip install --group fuzz`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["orgguard_mcp"]):
    from orgguard_mcp.detect.decode import decodings, joined_literals

SEEDS = Path(__file__).parents[1] / "tests" / "fuzz"
SLACK = 100  # characters that a short text may say beyond its bound


def decode(data: bytes) -> None:
    """Nothing raises, every stretch lies in its line, and what a line says is bounded."""
    text = data.decode("utf-8", "surrogateescape")
    total = 0
    for decoded in decodings(text):
        assert 0 <= decoded.start < decoded.end <= len(text), decoded
        assert decoded.text.splitlines() == [decoded.text], decoded
        total += len(decoded.text)
    assert total <= 84 * len(text) + SLACK
    lines = text.split("\n")
    for number, decoded in joined_literals(list(enumerate(lines))):
        assert 0 <= decoded.start <= decoded.end <= len(lines[number]), decoded
        assert decoded.text.splitlines() == [decoded.text], decoded


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decode": decode,
}
"""Add a parser as one function and one row here, and its seeds as files in `tests/fuzz/`."""


def main() -> None:
    """Fuzz the target that the command line names, from its seeds."""
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"usage: python bench/fuzz.py {{{','.join(TARGETS)}}} [libFuzzer options]")
    # What is new goes into the first corpus: not into the repository.
    corpora = [] if any(Path(option).is_dir() for option in options) else [tempfile.mkdtemp()]
    atheris.Setup([sys.argv[0], *options, *corpora, str(SEEDS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

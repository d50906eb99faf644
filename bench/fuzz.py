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
    from orgguard_mcp.detect.gather import sightings
    from orgguard_mcp.errors import UsageError
    from orgguard_mcp.event import parse_event
    from orgguard_mcp.lines import decode as decode_bytes
    from orgguard_mcp.lines import file_lines, readable
    from orgguard_mcp.messages import cleanup, message, written
    from orgguard_mcp.model import Artifact, Surface

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


def event(data: bytes) -> None:
    """An event is read, or refused with a reason."""
    try:
        found = parse_event(data)
    except UsageError as error:
        if not error.cause:
            raise AssertionError("no cause") from error
        return
    for text in (*found.titles, *found.bodies, *found.branches, *found.tags):
        assert isinstance(text, str), text


def messages(data: bytes) -> None:
    """A commit has a message; what git would keep of a written one is part of it."""
    text = message(data)
    for mode in ("strip", "verbatim", "scissors", "whitespace", "default"):
        for editor in (True, False):
            kept = written(text, cleanup(editor=editor, mode=mode, comment="auto"))
            assert set(kept.split()) <= set(text.split()), (mode, editor)


def files(data: bytes) -> None:
    """Bytes are a text or binary; each line is numbered within the text."""
    text = decode_bytes(data)
    if text is None:
        return
    for path in ("a.py", "a.md", "a.json", "a.ipynb"):
        for _, number, line in file_lines(path, text.text):
            assert number >= 1, number
            assert "\n" not in line, line


def spans(data: bytes) -> None:
    """Every sighting lies in its line, whatever the file type."""
    lines = tuple(enumerate(readable(data).split("\n"), 1))
    for surface, path in ((Surface.CODE, "a.py"), (Surface.CODE, "a.c"), (Surface.DOCS, "a.md"),
                          (Surface.DATA, "a.json"), (Surface.COMMIT_MESSAGE, "")):  # fmt: skip
        for seen in sightings(Artifact(surface, path, lines)):
            at = seen.location
            assert at.column >= 1, at
            assert at.length >= 1, at
            assert at.column - 1 + at.length <= len(at.text), at


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decode": decode,
    "event": event,
    "files": files,
    "messages": messages,
    "spans": spans,
}
"""Add a parser as one function and one row, and its seeds as files in `tests/fuzz/<target>/`."""


def main() -> None:
    """Fuzz the target that the command line names, from its seeds."""
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"usage: python bench/fuzz.py {{{','.join(TARGETS)}}} [libFuzzer options]")
    # What is new goes into the first corpus: not into the repository.
    corpora = [] if any(Path(option).is_dir() for option in options) else [tempfile.mkdtemp()]
    seeds = [str(SEEDS / name)] if (SEEDS / name).is_dir() else []
    atheris.Setup([sys.argv[0], *options, *corpora, *seeds], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

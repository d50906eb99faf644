"""A large change is read by several processes: what is found is the same, and what one of them did
not read is no pass.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgguard_mcp import crew, portions
from orgguard_mcp import scan as scanning
from orgguard_mcp.detect import gather
from orgguard_mcp.errors import UNCHECKED, OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.lines import surface_of
from orgguard_mcp.model import Artifact, Level, Surface
from orgguard_mcp.scan import Judged, judge
from tests.names import COINED, COINED_TOO, NON_LATIN, THIRD, TWO_WORDS
from tests.scanner import change

ROOT = Path(__file__).parents[1]
LINES = [
    f"# {COINED} asked for this, and so did {TWO_WORDS}",
    f"def fetch_{COINED.lower()}_rows(client: {COINED_TOO}Client) -> None:",
    f'    url = "https://api.{THIRD.lower()}.com/v1"',
    f'    key = "{base64.b64encode(f"asked by {COINED_TOO} today".encode()).decode()}"',
    f'    name = "{THIRD[:4]}" + "{THIRD[4:]}"',
    f"Reviewed-by: {COINED} Person <person@example.com>",
    f"/* {NON_LATIN} and its accounts",
    "   open until here */",
    "for row in table.rows_of(page): queue.push(row)",
    "The queue keeps a page of rows, until the table was read.",
    "",
]
SURFACES = (Surface.CODE, Surface.DOCS, Surface.DATA, Surface.COMMIT_MESSAGE, Surface.PR_BODY)
PATHS = {Surface.CODE: "src/part_{}.c", Surface.DOCS: "docs/{}.md", Surface.DATA: "{}.json"}


def _artifacts(pieces: Sequence[tuple[Surface, Sequence[str]]]) -> list[Artifact]:
    return [
        Artifact(where, PATHS.get(where, "{}").format(number), tuple(enumerate(lines, 1)))
        for number, (where, lines) in enumerate(pieces)
    ]


def _own_text() -> list[Artifact]:
    """This package and its documents: text that people wrote."""
    files = [*sorted(ROOT.glob("orgguard_mcp/detect/*.py")), *sorted(ROOT.glob("docs/*.md"))[:6]]
    return [
        Artifact(
            surface_of(path.name), path.name, tuple(enumerate(path.read_text().splitlines(), 1))
        )
        for path in files
    ]


def helpers() -> list[psutil.Process]:
    """The helpers of this process."""
    return [one for one in psutil.Process().children() if "crew" in " ".join(_command(one))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.ZombieProcess:  # git, which has said all
        return []


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    repo = change(tmp_path_factory.mktemp("crew") / "repo", {"a.py": "\n"})
    with Guard(repo.path) as guard:
        guard.prepare()
        yield guard


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions are so small that a few lines make several."""
    monkeypatch.setattr(portions, "PORTION", 300)
    monkeypatch.setattr(crew, "ALONE", 0)


def _with_helpers(count: int, ask: Callable[[], Judged]) -> Judged:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "processors", lambda: count)
        return ask()


def _both(guard: Guard, artifacts: Sequence[Artifact], helpers: int = 2) -> tuple[Judged, Judged]:
    """What one process finds, and what several do."""

    def ask() -> Judged:
        return judge(guard, artifacts, Level.PEDANTIC)

    return _with_helpers(1, ask), _with_helpers(helpers, ask)


# --- the same findings ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_find_in_real_text_what_one_finds(guard: Guard, count: int) -> None:
    alone, together = _both(guard, _own_text(), count)
    assert len(alone.findings) > 20
    assert together == alone


@settings(max_examples=25)
@given(
    pieces=st.lists(
        st.tuples(st.sampled_from(SURFACES), st.lists(st.sampled_from(LINES), max_size=40)),
        min_size=2, max_size=12,
    )
)  # fmt: skip
def test_several_processes_find_in_any_text_what_one_finds(
    guard: Guard, pieces: list[tuple[Surface, list[str]]]
) -> None:
    alone, together = _both(guard, _artifacts(pieces))
    assert together == alone


def test_portions_leave_no_trace_in_what_is_found(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for size in (1, 10_000, 1 << 30):
        monkeypatch.setattr(portions, "PORTION", size)
        found.append(_with_helpers(1, lambda: judge(guard, _own_text(), Level.PEDANTIC)))
    assert found[0] == found[1] == found[2]


def test_words_that_were_forgotten_are_told_of_again(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MAX_CANDIDATES", 4)
    alone, together = _both(guard, _own_text(), 3)
    assert "judged in" in alone.note
    assert together == alone


def test_what_is_decoded_has_one_bound_for_all(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = [(Surface.CODE, LINES[3:5] * 2)] * 9
    monkeypatch.setattr(portions, "PORTION", 20)
    unbound, _ = _both(guard, _artifacts(text))
    monkeypatch.setattr(scanning, "MAX_DECODED", 5)
    alone, together = _both(guard, _artifacts(text))
    assert together == alone != unbound


def test_a_teller_knows_what_it_told_until_that_is_forgotten(guard: Guard) -> None:
    gatherer = gather.Gatherer(guard.holdings)
    gathered = gather.Gathered(lambda _: ())
    many = _artifacts([(Surface.CODE, [f"fetch_{COINED.lower()}_rows()"] * 40)])
    gathered.add(gatherer.gather(many))
    later = gatherer.gather(many)
    assert not any(one.seen().sightings for one in later)
    assert not gathered.lacks(later)  # there is no room for more places
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "MAX_CANDIDATES", 0)
        gathered = gather.Gathered(lambda _: ())
        gathered.add(later)
    assert gathered.lacks(later)
    gatherer.forget()
    assert not gathered.lacks(gatherer.gather(many))


def test_what_a_message_says_does_not_depend_on_who_read_those_before(guard: Guard) -> None:
    before = _artifacts([(Surface.COMMIT_MESSAGE, [f"{COINED} asked for this"] * 40)])
    signed = f"Reviewed-by: {COINED} Person <{COINED.lower()}@example.com>"
    message = _artifacts([(Surface.COMMIT_MESSAGE, [LINES[0], signed, LINES[0]])])
    gatherer = gather.Gatherer(guard.holdings)
    gatherer.gather(before)
    told, alone = gatherer.gather(message), gather.gather(message, guard.holdings)
    assert [one.seen() for one in told] == [one.seen() for one in alone]
    assert [one.places for one in told] == [one.places for one in alone]


# --- portions -------------------------------------------------------------------------------------


def test_a_long_artifact_is_cut_between_lines_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "LONGEST", 600)
    lines = tuple((number // 3, "x" * 90) for number in range(60))
    cut = list(chain.from_iterable(portions.portions([Artifact(Surface.CODE, "a.c", lines)])))
    assert tuple(line for one in cut for line in one.lines) == lines
    ends = [(one.lines[-1][0], two.lines[0][0]) for one, two in pairwise(cut)]
    assert len(ends) > 5
    assert all(before < after for before, after in ends)


# --- no pass, and nobody left ---------------------------------------------------------------------


def test_a_helper_that_was_killed_makes_the_scan_fail(guard: Guard) -> None:
    def kill(_: int) -> None:
        for one in helpers():
            one.kill()

    with pytest.raises(OrgGuardError, match="names were not checked") as failed:
        _with_helpers(2, lambda: judge(guard, _own_text(), progress=kill))
    assert failed.value.exit_code == UNCHECKED
    assert helpers() == []


@pytest.mark.parametrize("executable", ["/nonexistent/python", "/bin/true", "/bin/cat"])
def test_a_scan_whose_helpers_do_not_answer_could_not_check(
    tmp_path: Path, executable: str
) -> None:
    repo = change(tmp_path / "repo", {"a.py": "\n".join(LINES) * 4})
    code = (
        "import sys; from orgguard_mcp import crew, portions, program;"
        "crew.ALONE, portions.PORTION, crew.processors = 0, 9, lambda: 2;"
        "sys.executable = sys.argv.pop(1); sys.exit(program.run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, executable, "scan", "--repo", str(repo.path)],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == UNCHECKED
    assert b"names were not checked" in done.stderr
    assert not done.stdout


def test_an_interrupted_scan_leaves_nobody_behind(guard: Guard) -> None:
    seen: list[psutil.Process] = []

    def interrupt(_: int) -> None:
        if not seen and (found := helpers()):
            seen.extend(found)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        _with_helpers(2, lambda: judge(guard, _own_text(), progress=interrupt))
    assert len(seen) == 2
    assert not any(map(psutil.Process.is_running, seen))


def test_a_killed_scan_leaves_nobody_behind(tmp_path: Path) -> None:
    repo = change(tmp_path / "repo", {"a.py": "\n".join(LINES) * 40})
    code = (
        "import os, sys; from orgguard_mcp import crew, portions\n"
        "from orgguard_mcp.guard import Guard; from orgguard_mcp.scan import scan\n"
        "from orgguard_mcp.change import Sources; from tests.test_crew import helpers\n"
        "crew.ALONE, portions.PORTION, crew.processors = 0, 9, lambda: 2\n"
        "def end(_):\n"
        "    found = [one.pid for one in helpers()]\n"
        "    if len(found) == 2: print(*found, flush=True); os.kill(os.getpid(), 9)\n"
        "with Guard(sys.argv[1]) as guard: scan(guard, Sources(head='HEAD'), None, end)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(repo.path)], cwd=ROOT, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    left = [int(pid) for pid in done.stdout.split()]
    assert len(left) == 2
    alive = [psutil.Process(pid) for pid in left if psutil.pid_exists(pid)]
    assert psutil.wait_procs(alive, timeout=30)[1] == []

"""The index's cache: it saves work, mends itself, and can never let a name through."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp import build
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis, Effect
from orgguard_mcp.storage import segments
from orgguard_mcp.storage.catalogue import FORMAT, TREES_KEPT
from orgguard_mcp.tokenise import key_hash
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
Counts = list[tuple[int, int]]
SPAWN = multiprocessing.get_context("spawn")


def cache_of(repo: Repo) -> Path:
    return repo.path / ".git" / "orgguard" / "index.sqlite3"


def segment_of(repo: Repo) -> Path:
    """The last segment that was made."""
    made = cache_of(repo).parent.glob("index-*.segment")
    return max(made, key=lambda path: int(path.stem.partition("-")[2]))


def check(repo: Repo, name: str) -> tuple[Basis, list[str], Counts]:
    """What the guard says, where it saw it, and what it had to read for that."""
    counts: Counts = []
    with Guard(repo.path) as guard:
        guard.prepare(lambda done, total: counts.append((done, total)))
        verdict = guard.check(name)
    return verdict.basis, [str(place) for place in verdict.evidence], counts


# --- only what is new -----------------------------------------------------------------------------


def test_only_blobs_never_seen_are_read_when_the_base_moves(make_repo: MakeRepo) -> None:
    repo = make_repo({f"f{n}.py": f"{n}\n" for n in range(7)})
    assert check(repo, COINED)[2] == [(7, 7)]
    assert check(repo, COINED)[2] == []
    repo.commit({"f0.py": f"{COINED}\n", "moved.py": "1\n"})
    assert check(repo, COINED) == (Basis.ESTABLISHED, ["f0.py:1"], [(1, 1)])
    repo.git("checkout", "-q", "-B", "main", "HEAD~1")
    assert check(repo, COINED) == (Basis.UNKNOWN, [], [])


def test_name_that_left_the_base_is_established_no_more(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n", f"{COINED_TOO}.py": "1\n"})
    assert check(repo, COINED)[0] is check(repo, COINED_TOO)[0] is Basis.ESTABLISHED
    repo.git("rm", "-q", "-r", ".")
    repo.commit({"b.py": "2\n"})
    assert check(repo, COINED)[0] is check(repo, COINED_TOO)[0] is Basis.UNKNOWN


def test_cache_is_for_the_owners_eyes_alone(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    before = os.umask(0)
    try:
        with Guard(repo.path) as guard:
            guard.prepare()
            state = cache_of(repo).parent
            modes = {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()}
    finally:
        os.umask(before)
    assert state.stat().st_mode & 0o777 == 0o700
    assert {"index.sqlite3", "index.lock", "index-1.segment"} <= set(modes)
    assert set(modes.values()) == {0o600}


# --- several processes ----------------------------------------------------------------------------


def _build(directory: Path, at_once: object, results: object) -> None:
    counts: Counts = []
    with Guard(directory) as guard:
        at_once.wait()  # type: ignore[attr-defined]  # a barrier
        guard.prepare(lambda done, total: counts.append((done, total)))
        verdict = guard.check(COINED)
    results.put((counts[-1:], verdict.basis.value, [str(e) for e in verdict.evidence]))  # type: ignore[attr-defined]


def test_processes_that_start_at_once_share_one_build(make_repo: MakeRepo) -> None:
    repo = make_repo({f"f{n}.py": f"{COINED}\n{n}\n" for n in range(300)})
    at_once, results = SPAWN.Barrier(6), SPAWN.Queue()
    builders = [
        SPAWN.Process(target=_build, args=(repo.path, at_once, results), daemon=True)
        for _ in range(6)
    ]
    for builder in builders:
        builder.start()
    found = [results.get(timeout=60) for _ in builders]
    for builder in builders:
        builder.join()
    built = [counts for counts, _, _ in found if counts]
    assert built == [[(300, 300)]]
    assert {basis for _, basis, _ in found} == {"established"}
    assert len({tuple(evidence) for _, _, evidence in found}) == 1
    with sqlite3.connect(cache_of(repo)) as cache:
        assert cache.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert cache.execute("SELECT count(*) FROM blob").fetchone() == (300,)
        assert cache.execute("SELECT count(*) FROM tree").fetchone() == (1,)
    cache.close()


def blobs_kept(cache: Path) -> int:
    with sqlite3.connect(cache) as database:
        count = database.execute("SELECT count(*) FROM blob").fetchone()[0]
    database.close()
    return int(count)


def _build_and_die(directory: Path, cache: Path, before: int) -> None:
    build.WORTH_BYTES, build.SEGMENT_BYTES = 1, 400  # a hundred blobs in each of several segments

    def kill(done: int, total: int) -> None:
        if blobs_kept(cache) > before:
            os.kill(os.getpid(), signal.SIGKILL)

    with Guard(directory) as guard:
        guard.prepare(kill)


def test_killed_build_goes_on_where_it_stopped(make_repo: MakeRepo) -> None:
    files: dict[str, str | bytes] = {f"f{n}.py": f"{n}\n" for n in range(500)}
    repo = make_repo({**files, "z.py": f"{COINED}\n"})
    kept = 0
    for _ in range(2):
        args = repo.path, cache_of(repo), kept
        builder = SPAWN.Process(target=_build_and_die, args=args)
        builder.start()
        builder.join()
        assert builder.exitcode == -signal.SIGKILL
        assert kept < blobs_kept(cache_of(repo)) < 501
        kept = blobs_kept(cache_of(repo))
    basis, evidence, counts = check(repo, COINED)
    assert counts[-1] == (501 - kept, 501 - kept)
    assert (basis, evidence) == (Basis.ESTABLISHED, ["z.py:1"])


def _build_on_a_full_disk(directory: Path, bytes_left: int, results: object) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing more than that is an error
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))
    build.WORTH_BYTES = 1
    try:
        with Guard(directory) as guard:
            said = guard.check(COINED).effect.value
    except OrgGuardError as error:
        said = f"{error.exit_code} {error.hint}"
    results.put(said)  # type: ignore[attr-defined]


@pytest.mark.parametrize("bytes_left", [100, 5_000, 30_000])
def test_full_disk_is_an_error_that_says_so_and_later_mended(
    make_repo: MakeRepo, bytes_left: int
) -> None:
    text = "\n".join(f"word{n} other{n * n}" for n in range(4000))
    repo = make_repo({"a.py": text, "b.py": f"{COINED}\n"})
    results = SPAWN.Queue()
    builder = SPAWN.Process(target=_build_on_a_full_disk, args=(repo.path, bytes_left, results))
    builder.start()
    said = results.get(timeout=60)
    builder.join()
    assert said.startswith("3 free disk space")
    assert check(repo, COINED)[:2] == (Basis.ESTABLISHED, ["b.py:1"])
    assert not list(cache_of(repo).parent.glob("*.new"))


def test_base_that_others_pushed_out_of_the_cache_is_read_again(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n"})
    with Guard(repo.path) as guard:
        assert guard.check(COINED).basis is Basis.ESTABLISHED
        for number in range(TREES_KEPT):
            repo.commit({"b.py": f"{number}\n"})
            check(repo, COINED_TOO)
        assert guard.check(COINED).basis is Basis.ESTABLISHED


# --- damage ---------------------------------------------------------------------------------------

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut to half": lambda data: data[: len(data) // 2],
    "cut within the header": lambda data: data[:50],
    "garbage": lambda data: random.Random(1).randbytes(len(data)),  # noqa: S311
    "text": lambda _: b"this is no database\n" * 99,
    "all zero after the header": lambda data: data[:100] + bytes(len(data) - 100),
    "empty": lambda _: b"",
    "schema no SQL": lambda data: data.replace(b"CREATE TABLE", b"CREATE TABEL"),
    "schema no UTF-8": lambda data: data.replace(b"CREATE TABLE", b"CR\xc5ATE TABLE"[:12]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_cache_is_built_anew(make_repo: MakeRepo, damage: Callable[[bytes], bytes]) -> None:
    repo = make_repo({"a.py": "1\n", "b.py": f"{COINED}\n"})
    check(repo, COINED)
    cache_of(repo).write_bytes(damage(cache_of(repo).read_bytes()))
    assert check(repo, COINED)[:2] == (Basis.ESTABLISHED, ["b.py:1"])
    assert check(repo, COINED_TOO)[0] is Basis.UNKNOWN
    with sqlite3.connect(cache_of(repo)) as cache:
        assert cache.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    cache.close()


def alter(repo: Repo, *statements: str, values: tuple[object, ...] = ()) -> None:
    with sqlite3.connect(cache_of(repo)) as cache:
        for statement in statements:
            cache.execute(statement, values)
    cache.close()


@pytest.mark.parametrize("version", [0, FORMAT - 1, FORMAT + 1, 999])
def test_cache_of_another_format_is_built_anew(make_repo: MakeRepo, version: int) -> None:
    repo = make_repo({"a.py": f"{COINED}\n"})
    check(repo, COINED)
    alter(repo, f"PRAGMA user_version = {version}", "CREATE TABLE other (x)")
    assert check(repo, COINED) == (Basis.ESTABLISHED, ["a.py:1"], [(1, 1)])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segment SET number = 7",
        "UPDATE segment SET first = 7",
        "UPDATE file SET path = 7",
        "UPDATE file SET kind = 7",
        "UPDATE name SET file = 'x'",
        "UPDATE folder SET path = 7",
        "UPDATE tree SET standing = 7",
        "UPDATE tree SET standing = x''",
        "DROP TABLE segment",
    ],
)
def test_row_of_the_wrong_kind_is_mended_or_an_error_never_a_crash(
    make_repo: MakeRepo, statement: str
) -> None:
    repo = make_repo({"src/a.py": f"{COINED}\n"})
    check(repo, COINED)
    alter(repo, statement)
    try:
        assert check(repo, COINED)[0] in {Basis.ESTABLISHED, Basis.UNKNOWN}
    except OrgGuardError as error:
        assert error.hint  # noqa: PT017  # either is right


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_segment_is_built_anew_or_as_it_was(
    make_repo: MakeRepo, damage: Callable[[bytes], bytes]
) -> None:
    repo = make_repo({"a.py": "1\n", "b.py": f"{COINED}\n"})
    check(repo, COINED)
    segment_of(repo).write_bytes(damage(segment_of(repo).read_bytes()))
    assert check(repo, COINED)[:2] == (Basis.ESTABLISHED, ["b.py:1"])


def test_segment_that_is_gone_is_built_anew(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n", "b.py": f"{COINED}\n"})
    check(repo, COINED)
    segment_of(repo).unlink()
    assert check(repo, COINED)[:2] == (Basis.ESTABLISHED, ["b.py:1"])


@pytest.mark.parametrize("file", [cache_of, segment_of], ids=["catalogue", "segment"])
def test_flipped_bits_hide_a_name_at_worst(
    make_repo: MakeRepo, file: Callable[[Repo], Path]
) -> None:
    repo = make_repo({"a.py": f"{COINED}\n", "vendor/b.py": f"{THIRD}\n"})
    check(repo, COINED)
    intact = file(repo).read_bytes()
    skipped = 4096 if file is cache_of else 0
    chance = random.Random(7)  # noqa: S311
    said = set()
    for _ in range(60):
        flipped = bytearray(intact)
        for _ in range(chance.choice([1, 8, 64])):
            # Past the schema's page: that one has its own tests.
            flipped[chance.randrange(skipped, len(flipped))] ^= 1 << chance.randrange(8)
        file(repo).write_bytes(flipped)
        try:
            with Guard(repo.path) as guard:
                assert guard.check(COINED_TOO).effect is Effect.ASK
                assert guard.check(THIRD).effect is Effect.ASK
                said.add(guard.check(COINED).basis)
        except OrgGuardError as error:
            assert error.hint  # noqa: PT017
    assert Basis.ESTABLISHED in said
    assert said <= {Basis.ESTABLISHED, Basis.UNKNOWN}


def test_object_that_git_cannot_read_never_passes_for_an_empty_one(make_repo: MakeRepo) -> None:
    numbers = "".join(f"{n * n}\n" for n in range(3000))
    repo = make_repo({"f0.py": f"{COINED}\n{numbers}", "f1.py": f"{THIRD}\n"})
    oid = repo.git("rev-parse", "HEAD:f0.py")
    loose = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    loose.chmod(0o644)
    loose.write_bytes(loose.read_bytes()[:-12] + bytes(12))
    for _ in range(2):  # and no half-read base is taken for a whole one later
        try:
            assert check(repo, THIRD)[0] is Basis.ESTABLISHED  # the readable rest, or an error
        except OrgGuardError as error:
            assert error.hint  # noqa: PT017


# --- forgery --------------------------------------------------------------------------------------


def forge_posting(repo: Repo, key: str) -> None:
    """A segment that says that every blob holds *key* in every use."""
    held = {key_hash(key, use): range(2) for use in range(3)}
    segments.write(segment_of(repo), 2, [segments.encode(held, 2)])


def forge_path(repo: Repo, key: str, path: str) -> None:
    values = "99, ?, 1, 0, 'code', 1, 1, 999"
    alter(repo, f"INSERT INTO file VALUES ({values})", values=(path.encode(),))
    alter(repo, "INSERT INTO name VALUES (?, 99)", values=(key,))


@pytest.mark.parametrize("name", [COINED, "Target", "Harborfinch"])
def test_forged_row_that_a_blob_holds_a_name_establishes_nothing(
    make_repo: MakeRepo, name: str
) -> None:
    repo = make_repo({"a.py": "1\n", "b.py": "2\n"})
    check(repo, name)
    forge_posting(repo, name.casefold())
    with Guard(repo.path) as guard:
        assert guard.check(name).effect is Effect.ASK
        assert guard.check(name).files  # the forgery was read


@pytest.mark.parametrize(
    "path", ["{}.py", "{}/../a.py", "./{}/../a.py", "src/../{}/../a.py", "../{}/a.py", "a.py/{}"]
)
def test_forged_path_establishes_nothing(make_repo: MakeRepo, path: str) -> None:
    repo = make_repo({"a.py": "1\n", "src/b.py": "2\n"})
    check(repo, COINED)
    forge_path(repo, COINED.casefold(), path.format(COINED.casefold()))
    assert check(repo, COINED)[:2] == (Basis.UNKNOWN, [])


def test_cache_that_hides_the_attributes_does_not_lift_a_vendored_file(
    make_repo: MakeRepo,
) -> None:
    repo = make_repo({".gitattributes": "lib/** linguist-vendored\n", "lib/a.js": f"{COINED}\n"})
    assert check(repo, COINED)[0] is Basis.UNKNOWN
    alter(repo, "DELETE FROM name WHERE key LIKE '%attributes%'")
    alter(repo, "DELETE FROM file WHERE path LIKE '%attributes%'")
    alter(repo, "UPDATE file SET kind = 'code', establishes = 1")
    assert check(repo, COINED)[0] is Basis.UNKNOWN

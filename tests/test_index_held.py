"""What the index tells of many keys at once: by the tree of the base alone, counted to a limit."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import HELD_ENOUGH, Held
from orgguard_mcp.storage.catalogue import TREES_KEPT
from tests.names import COINED, COINED_TOO, FOURTH, NON_LATIN, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
KEY, OTHER = COINED.casefold(), COINED_TOO.casefold()


def held(repo: Repo, *keys: str) -> dict[str, Held]:
    with Guard(repo.path) as guard:
        found = guard.holdings(keys)
        assert guard.holds(keys) == set(found)
        return found


def test_each_key_is_told_in_how_many_files_it_stands(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {"a.py": f"{COINED}\n", "b.py": f"{COINED}\n{COINED_TOO}\n", "c.py": f"{NON_LATIN}\n"}
    )
    found = held(repo, KEY, OTHER, NON_LATIN.casefold(), THIRD.casefold())
    assert {key: has.files for key, has in found.items()} == {
        KEY: 2, OTHER: 1, NON_LATIN.casefold(): 1,
    }  # fmt: skip


def test_files_with_one_content_count_each(make_repo: MakeRepo) -> None:
    assert held(make_repo({f"{n}.py": COINED for n in range(4)}), KEY)[KEY].files == 4


def test_files_that_establish_nothing_are_told_apart(make_repo: MakeRepo) -> None:
    repo = make_repo({f"vendor/{n}.py": f"{COINED} {n}\n" for n in range(3)})
    repo.commit(
        {
            "kept/lib.py": f"{COINED} lib\n",
            "third/lib.py": f"{COINED} lib\n",  # of one content, so one blob
            ".gitattributes": "third/** linguist-vendored\n",
        }
    )
    assert held(repo, KEY)[KEY] == Held(files=5, establishing=1)


def test_counting_stops_when_it_is_enough(make_repo: MakeRepo) -> None:
    files = {f"{n}.py": f"{COINED} {n}\n" for n in range(HELD_ENOUGH + 5)}
    assert held(make_repo(files), KEY)[KEY].files == HELD_ENOUGH


def test_uses_of_a_word_and_paths_are_told_apart(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {
            "a.py": 'url = "https://api.target.com/v1"\nclass Target: ...\n',
            "b.md": "Stores such as Target. So we use Target and others.\n",
            "src/target/c.py": "target = 1\n",
            "src/target.py": "pass\n",
        }
    )
    assert held(repo, "target")["target"] == Held(
        files=3, establishing=3, named=1, proper=1, defined=1, places=2
    )


def test_key_of_a_path_alone_has_places(make_repo: MakeRepo) -> None:
    assert held(make_repo({f"{COINED}/a.py": "1\n"}), KEY) == {KEY: Held(places=1)}


def test_only_the_tree_of_the_base_counts(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n", f"{COINED_TOO}.py": "1\n"})
    assert set(held(repo, KEY, OTHER)) == {KEY, OTHER}
    repo.git("rm", "-q", "-r", ".")
    repo.commit({"b.py": "2\n"})
    assert held(repo, KEY, OTHER) == {}


def test_index_follows_the_base_that_moved(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n"})
    with Guard(repo.path) as guard:
        assert guard.holdings([KEY])[KEY].files == 1
        repo.commit({"b.py": f"{COINED} too\n"})
        guard.refresh()
        assert guard.holdings([KEY])[KEY].files == 2


@pytest.mark.parametrize("count", [499, 500, 501, 1_203])
def test_more_keys_than_one_query_takes(make_repo: MakeRepo, count: int) -> None:
    pairs = itertools.islice(itertools.product(ascii_lowercase, repeat=3), count)
    words = [THIRD.casefold() + "".join(pair) for pair in pairs]
    repo = make_repo({"a.py": "\n".join(words)})
    assert set(held(repo, *words, FOURTH.casefold())) == set(words)


def test_keys_are_taken_from_any_iterable_and_strange_ones_are_just_not_held(
    make_repo: MakeRepo,
) -> None:
    repo = make_repo({"a.py": f"{COINED}\n"})
    with Guard(repo.path) as guard:
        strange = ["", "\0", "\udc80", "'; DROP TABLE posting", "%", KEY, KEY]
        assert set(guard.holdings(iter(strange))) == {KEY}
        assert guard.holdings([]) == {}


def test_base_without_a_commit_holds_nothing(tmp_path: Path) -> None:
    assert held(Repo(tmp_path / "empty"), KEY) == {}


def test_base_that_others_pushed_out_of_the_cache_is_read_again(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n"})
    with Guard(repo.path) as guard:
        assert guard.holdings([OTHER]) == {}
        for number in range(TREES_KEPT):
            repo.commit({"a.py": f"{COINED}\n", f"{number}.py": f"{COINED} {number}\n"})
            held(repo, KEY)
        assert guard.holdings([KEY])[KEY].files == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tree SET standing = 7",
        "DROP TABLE name",
        "DROP TABLE folder",
        "DELETE FROM tree",
    ],
)
def test_damaged_cache_is_built_anew(make_repo: MakeRepo, statement: str) -> None:
    repo = make_repo({f"{COINED}.py": f"{COINED}\n"})
    whole = Held(files=1, establishing=1, places=1)
    with Guard(repo.path) as guard:
        assert guard.holdings([OTHER]) == {}
        with sqlite3.connect(repo.path / ".git" / "orgguard" / "index.sqlite3") as cache:
            cache.execute(statement)
        cache.close()
        assert guard.holdings([KEY]) == {KEY: whole}


def test_what_was_asked_before_is_not_looked_up_again(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n"})
    with Guard(repo.path) as guard:
        first = guard.holdings([KEY, OTHER])
        with sqlite3.connect(repo.path / ".git" / "orgguard" / "index.sqlite3") as cache:
            cache.execute("DELETE FROM tree")
        cache.close()
        assert guard.holdings([OTHER, KEY]) == first
        with sqlite3.connect(repo.path / ".git" / "orgguard" / "index.sqlite3") as cache:
            assert cache.execute("SELECT count(*) FROM tree").fetchone() == (0,)
        cache.close()

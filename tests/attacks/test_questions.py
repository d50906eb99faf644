"""What a malicious client can put into a question, and what the human still decides."""

from __future__ import annotations

from collections.abc import Callable

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Ask, Asker, Basis
from tests.human import Human
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]


def ask(guard: Guard, name: str, excerpt: str = "", asker: Asker | None = None) -> None:
    guard.request(name, [Ask("src/app.py:3", excerpt, "", asker or Asker("client"), 0.0)])


def test_an_excerpt_that_hides_a_second_name(make_repo: MakeRepo) -> None:
    """A client asks for one name and shows another: the question says so, and the answer does not
    cover it.
    """
    repo = make_repo({"src/app.py": "x = 1\n"})
    with Guard(repo.path) as guard:
        ask(guard, COINED, f'# as {COINED} and {COINED_TOO} Inc. asked\nVENDOR = "{COINED}"')
        with Human(repo.path, "--no-wait") as human:
            human.sees("not covered by your answer: ")
            shown = human.sees("\n")
            human.grants()
            human.leaves()
        assert COINED_TOO in shown
        assert guard.check(COINED).basis is Basis.CONSENTED
        assert guard.check(COINED_TOO).basis is Basis.UNKNOWN


def test_a_client_that_asks_too_much_is_refused_at_once(make_repo: MakeRepo) -> None:
    """A client floods the queue: one key refuses all that it asked, and nobody else's questions."""
    repo = make_repo({"src/app.py": "x = 1\n"})
    flood = [f"{COINED}{number}" for number in range(30)]
    with Guard(repo.path) as guard:
        for name in flood:
            ask(guard, name, asker=Asker("loud", 4_000_000, 1.0))
        ask(guard, THIRD, asker=Asker("quiet", 4_000_001, 1.0))
        with Human(repo.path, "--no-wait") as human:
            human.question()
            human.types("a")
            human.sees("A word to the agent")
            human.types("ask for less")
            assert human.question() == THIRD
            human.types("q")
            human.leaves()
        assert {guard.check(name).basis for name in flood} == {Basis.REFUSED}
        assert guard.check(flood[0]).reason == "ask for less"
        assert guard.check(THIRD).basis is Basis.PENDING


def test_another_spelling_is_the_same_question(make_repo: MakeRepo) -> None:
    """A client asks for one name in many spellings: one question, of which one answer is all."""
    repo = make_repo({"src/app.py": "x = 1\n"})
    with Guard(repo.path) as guard:
        for spelling in (COINED, COINED.upper(), f"{COINED} GmbH", f"@{COINED}", f"{COINED}.com"):
            ask(guard, spelling)
        assert len(guard.ledger.pending()) == 1

"""Approval rules: whose signatures a name needs, where, and how many; up to CI's word on it."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orgguard_mcp import endorse, notary
from orgguard_mcp.approval import Approval, Lack, People, Rule, joined
from orgguard_mcp.approvers import Approvers, parse_approvers
from orgguard_mcp.errors import LedgerError
from orgguard_mcp.grantbook import GrantBook, Rules
from orgguard_mcp.grants import DIRECTORY, Grant
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Basis, Decision, Effect, Place, Request, Scope
from orgguard_mcp.names import canonicalise, parse
from orgguard_mcp.policy import PATH as POLICY
from orgguard_mcp.protected import ENVIRONMENT_KEY, Key, sealed
from orgguard_mcp.protected import PATH as PROTECTED
from tests.approver import Approver, approved, ci, files_of
from tests.human import COMMAND
from tests.names import COINED
from tests.scanner import Files, scan
from tests.simulator import Repo

KEY = canonicalise(COINED)
HERE = "this"
ANN, BOB, CAROL = (f"{name}@example.com" for name in ("ann", "bob", "carol"))
LEDGER, OTHER = "billing/ledger.py", "src/client.py"
TWO = "[[approval]]\npeople = 2\n"
BILLING = f'[[approval]]\npaths = ["billing/**"]\napprovers = ["{ANN}", "{BOB}"]\npeople = 2\n'


class Team(NamedTuple):
    """Three people who may sign."""

    ann: Approver
    bob: Approver
    carol: Approver

    @property
    def approvers(self) -> Approvers:
        return parse_approvers("\n".join(one.line for one in self).encode())


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Team:
    folder = tmp_path_factory.mktemp("team")
    return Team(*(Approver(folder / who[:3], who) for who in (ANN, BOB, CAROL)))


# --- which rules fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        (LEDGER, True),
        ("billing/a/b.py", True),
        ("billing", False),
        ("src/billing/x.py", False),
        (OTHER, False),
        ("commit message", False),
        (None, True),  # it may be such a file
        ("", False),  # it is no file
    ],
)
def test_a_rule_for_files_fits_those_and_what_is_not_known(path: str | None, fits: bool) -> None:
    assert Rule(paths=("billing/**",)).fits(Place(path), protected=False) is fits
    assert Rule(paths=("docs/", "/billing/**")).fits(Place(path), protected=True) is fits
    assert Rule().fits(Place(path), protected=False)


@pytest.mark.parametrize("path", [LEDGER, None, ""])
def test_a_rule_for_protected_names_fits_no_other(path: str | None) -> None:
    assert not Rule(protected=True).fits(Place(path), protected=False)
    assert Rule(protected=True).fits(Place(path), protected=True)


# --- who is counted -------------------------------------------------------------------------------


def people(*lines: str) -> People:
    """Those of *lines*, each of people and the number of a key: ``ann,bob 1``."""
    listed = (line.split() for line in lines)
    return People(parse_approvers("".join(LINE.format(*one) for one in listed).encode()))


KEYS = tuple(f"AAAAC3NzaC1lZDI1NTE5AAAAI{digit * 43}" for digit in "ABCDEFGH")
LINE = '{0} namespaces="orgguard" ssh-ed25519 {1}\n'


def listed(*lines: str) -> People:
    return people(*(f"{names} {KEYS[int(key)]}" for names, key in map(str.split, lines)))


@pytest.mark.parametrize(
    ("lines", "rule", "signed", "met"),
    [
        (["a 0", "b 1"], Rule(people=2), "a", False),
        (["a 0", "b 1"], Rule(people=2), "a b", True),
        (["a 0", "a 1"], Rule(people=2), "a a", False),  # one person with two keys
        (["a 0", "A 1"], Rule(people=2), "a A", False),
        (["A 0"], Rule(approvers=("a",)), "A", True),
        (["a,b 0"], Rule(people=2), "a b", False),  # one key, whoever uses it
        (["a 0", "b 0"], Rule(people=2), "a b", False),
        (["a,b 0", "b 1", "c 2"], Rule(people=2), "a b", False),
        (["a,b 0", "b 1", "c 2"], Rule(people=2), "a c", True),
        (["a,b 0", "b,c 1"], Rule(people=2), "a c", False),  # b may be both
        (["a 0", "b 1"], Rule(approvers=("b",)), "a", False),
        (["a 0", "b 1"], Rule(approvers=("B",)), "b", True),
        (["a,home 0", "b 1"], Rule(approvers=("home",)), "a", True),  # the same key's other name
        (["a,b 0", "b,c 1"], Rule(approvers=("a",)), "c", False),  # c has no key of a's
        (["a 0", "b 1"], Rule(approvers=("c",)), "a b", False),
        (["a 0", "b 1"], Rule(people=3), "a b", False),
        ([], Rule(), "", False),
    ],
)
def test_people_are_counted(lines: list[str], rule: Rule, signed: str, met: bool) -> None:
    approval = listed(*lines).approval([rule], signed.split())
    assert (approval.met, approval.ruled) == (met, True)


def test_one_signature_counts_for_each_rule_that_it_fits() -> None:
    rules = [Rule(approvers=("a", "b")), Rule(people=2), Rule(approvers=("c",))]
    team = listed("a 0", "b 1", "c 2")
    assert team.approval(rules, ["a", "c"]).met
    assert not team.approval(rules, ["a", "b"]).met
    assert not team.approval(rules, ["c"]).met


def test_without_a_rule_one_signature_is_enough() -> None:
    team = listed("a 0")
    assert team.approval([], ["a"]) == Approval(("a",))
    assert team.approval([], ["a"]).met
    assert not team.approval([], []).met


@pytest.mark.parametrize(
    ("rule", "signed", "words"),
    [
        (Rule(people=2), "", "2 of a, b, c must sign"),
        (Rule(people=2), "a", "a signed; 1 more of b, c must sign"),
        (Rule(people=3), "c a", "a and c signed; b must sign"),
        (Rule(approvers=("b",)), "a", "a signed; b must sign"),
        (
            Rule(approvers=("b", "d"), people=2), "b",
            "b signed; 1 more must sign, and the base lists too few who may (nobody): its policy"
            " and its approvers have to be made to agree",
        ),
        (Rule(people=2), "a b", "a and b signed"),
    ],
)  # fmt: skip
def test_what_lacks_is_said(rule: Rule, signed: str, words: str) -> None:
    approval = listed("a 0", "b 1", "c 2").approval([rule], signed.split())
    assert str(approval) == words


def test_who_signed_is_waited_for_no_longer() -> None:
    team = listed("a,home 0", "b 1", "c 2")
    approval = team.approval([Rule(approvers=("home", "b"), people=2)], ["b"])
    assert [one for one in ("a", "A", "home", "b", "c", "") if approval.waits_for(one)] == [
        "a", "A", "home",
    ]  # fmt: skip


def test_of_several_places_all_must_be_met() -> None:
    lack = Lack(1, ("b",), frozenset({"b"}))
    together = joined([Approval(("a",), (), ruled=True), Approval(("c",), (lack, lack))])
    assert together == Approval(("a", "c"), (lack,), ruled=True)
    assert not together.met
    assert not joined([]).ruled


rules = st.builds(
    Rule,
    approvers=st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map(tuple),
    people=st.integers(1, 3),
)
lines = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "a,b", "b,c"]), st.integers(0, 4)), max_size=5
)


@given(lines, st.lists(rules, max_size=3), rules, st.lists(st.sampled_from("abcd"), max_size=4))
def test_another_rule_or_one_signature_less_never_weakens(
    lines: list[tuple[str, int]], few: list[Rule], more: Rule, signed: list[str]
) -> None:
    team = listed(*(f"{names} {key}" for names, key in lines))
    signed = [one for one in signed if any(one in names.split(",") for names, _ in lines)]
    if team.approval([*few, more], signed).met:
        assert team.approval(few, signed).met
        assert team.approval([more], signed).met
    if signed and team.approval(few, signed[1:]).met:
        assert team.approval(few, signed).met


# --- the book of grants ---------------------------------------------------------------------------

PLACES = [Place(path, branch) for path in (LEDGER, OTHER, None, "") for branch in ("one", "two")]
SCOPES = {"all": Scope(), "ledger": Scope((LEDGER,)), "other": Scope((OTHER,)),
          "one": Scope(branch="one")}  # fmt: skip
RULED = (
    Rule(paths=("billing/**",), approvers=(ANN, BOB), people=2),
    Rule(paths=("src/**",), people=2),
    Rule(approvers=(ANN, CAROL)),
)
COVERS: dict[str, Callable[[Place], bool]] = {
    "all": lambda _: True,
    "ledger": lambda place: place.path == LEDGER,
    "other": lambda place: place.path == OTHER,
    "one": lambda place: place.branch == "one",
}


class Signatures(RuleBasedStateMachine):
    """Grants come, go and are withdrawn; plain sets of people are the oracle."""

    def __init__(self, approvers: Approvers, pool: dict[tuple[str, str], Grant]) -> None:
        super().__init__()
        self.approvers, self.pool = approvers, pool
        self.there: set[tuple[str, str]] = set()
        self.withdrawn: set[tuple[str, str]] = set()

    @rule(person=st.sampled_from([ANN, BOB, CAROL]), scope=st.sampled_from(list(SCOPES)))
    def sign(self, person: str, scope: str) -> None:
        self.there.add((person, scope))

    @precondition(lambda self: self.there)
    @rule(data=st.data(), marked=st.booleans())
    def end(self, data: st.DataObject, marked: bool) -> None:
        one = data.draw(st.sampled_from(sorted(self.there)))
        if marked:
            self.withdrawn.add(one)
        else:
            self.there.remove(one)

    @invariant()
    def the_book_says_what_the_sets_say(self) -> None:
        files = {self.pool[one].file_name: self.pool[one].text.encode() for one in self.there}
        files |= {f"{self.pool[one].id}.withdrawn": b"" for one in self.withdrawn}
        book = GrantBook(files, Rules(self.approvers, HERE, approval=RULED))
        for place in PLACES:
            valid = self.there - self.withdrawn
            signed = {person for person, scope in valid if COVERS[scope](place)}
            met = bool(signed & {ANN, CAROL})
            if place.path in {LEDGER, None}:
                met = met and {ANN, BOB} <= signed
            if place.path in {OTHER, None}:
                met = met and len(signed) > 1
            assert (book.find(KEY, place) is not None) is met, (place, signed)
            assert set(book.approval(KEY, place).signed) == signed


def test_the_book_agrees_with_a_plain_model(team: Team) -> None:
    pool = {
        (one.person, name): one.grant(HERE, COINED, scope)
        for one in team
        for name, scope in SCOPES.items()
    }

    class Machine(Signatures):
        def __init__(self) -> None:
            super().__init__(team.approvers, pool)

    run_state_machine_as_test(Machine, settings=settings(max_examples=12, stateful_step_count=10))


def test_a_book_is_narrow_where_rules_are_for_files(team: Team) -> None:
    files = {one.file_name: one.text.encode() for one in [team.ann.grant(HERE, COINED)]}
    for approval, narrow in ((RULED, True), ((Rule(people=2),), False)):
        book = GrantBook(files, Rules(team.approvers, HERE, approval=approval))
        assert book.narrow is narrow


def test_an_expired_signature_is_not_counted(team: Team) -> None:
    past = team.bob.grant(HERE, COINED, decided_at=time.time() - 31 * 86400, days=30)
    both = (team.ann.grant(HERE, COINED), past)
    files = {one.file_name: one.text.encode() for one in both}
    book = GrantBook(files, Rules(team.approvers, HERE, approval=(Rule(people=2),)))
    assert book.find(KEY, Place(OTHER)) is None
    assert book.approval(KEY, Place(OTHER)).signed == (ANN,)


# --- CI -------------------------------------------------------------------------------------------


def naming(path: str) -> Files:
    return {path: f'VENDOR = "{COINED} GmbH"\n'}


@pytest.fixture
def judged(team: Team, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """What a CI job says of a change with the name in *path*, and grants of *signers*: exit code,
    and what it tells people.
    """

    def judge(
        policy: str, path: str, *signers: Approver, message: str = "Change",
        scope: Scope | None = None, files: Files | None = None, base: Files | None = None,
        **said: object,
    ) -> tuple[int, str]:  # fmt: skip
        work = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        repo = approved(work / "repo", *team, base={POLICY: policy, **(base or {})})
        granted = [one.grant(repo, COINED, scope, **said) for one in signers]
        repo.commit({**naming(path), **files_of(*granted), **(files or {})}, message)
        done = scan(ci(repo, work / "ci"), "--dry-run")
        return done.code, " ".join(done.err.split())

    return judge


Judged = Callable[..., tuple[int, str]]


def test_ci_refuses_one_signature_of_two_and_takes_both(team: Team, judged: Judged) -> None:
    code, why = judged(TWO, OTHER, team.ann)
    assert code == 1
    assert f"{ANN} signed; 1 more of {BOB}, {CAROL} must sign" in why
    assert judged(TWO, OTHER, team.ann, team.ann)[0] == 1
    assert judged(TWO, OTHER, team.ann, team.carol)[0] == 0


def test_ci_asks_for_more_in_certain_files_alone(team: Team, judged: Judged) -> None:
    assert judged(BILLING, OTHER, team.carol)[0] == 0
    code, why = judged(BILLING, LEDGER, team.carol, team.ann)
    assert code == 1
    assert f"{ANN} and {CAROL} signed; {BOB} must sign" in why
    assert judged(BILLING, LEDGER, team.bob, team.ann)[0] == 0


def test_ci_asks_for_no_more_in_a_message(team: Team, judged: Judged) -> None:
    message = f"For {COINED} GmbH\n\nThe {COINED} account is new."
    assert judged(BILLING, OTHER, message=message)[0] == 1
    assert judged(BILLING, OTHER, team.carol, message=message)[0] == 0
    assert judged(TWO, OTHER, team.carol, message=message)[0] == 1


def test_signatures_of_different_scopes_meet_at_the_place(team: Team, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *team, base={POLICY: TWO})
    grants = (
        team.ann.grant(repo, COINED, Scope((OTHER,))),
        team.bob.grant(repo, COINED, Scope(branch="feature")),
    )
    repo.commit({**naming(OTHER), **files_of(*grants)})
    clone = ci(repo, tmp_path / "ci")
    assert scan(clone, "--dry-run").code == 0
    assert scan(clone, "--dry-run", "--branch", "other").code == 1
    repo.commit(naming(LEDGER))
    left = scan(ci(repo, tmp_path / "again"), "--dry-run").places(COINED)
    assert {place.path for place in left} == {LEDGER}


def test_a_withdrawn_signature_is_one_less(team: Team, judged: Judged, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *team, base={POLICY: TWO})
    both = team.ann.grant(repo, COINED), team.bob.grant(repo, COINED)
    repo.commit({**naming(OTHER), **files_of(*both)})
    assert scan(ci(repo, tmp_path / "before"), "--dry-run").code == 0
    repo.commit({f"{DIRECTORY}/{both[0].id}.withdrawn": ""})
    assert scan(ci(repo, tmp_path / "after"), "--dry-run").code == 1


@pytest.mark.parametrize("protection", [True, False])
def test_a_rule_for_protected_names_is_for_those_alone(
    team: Team, judged: Judged, monkeypatch: pytest.MonkeyPatch, protection: bool
) -> None:
    secret = "0123456789abcdef" * 4
    monkeypatch.setenv(ENVIRONMENT_KEY, secret)
    listed = sealed([parse(COINED)], Key(secret)) if protection else b""
    base = {PROTECTED: listed} if protection else {}
    policy = "[[approval]]\nprotected = true\npeople = 2\n"
    lifting = {"base": base, "lifts_protection": True}
    code, why = judged(policy, OTHER, team.ann, **lifting)
    assert code == (1 if protection else 0)
    assert (f"{ANN} signed; 1 more of" in why) is protection
    assert judged(policy, OTHER, team.ann, team.bob, **lifting)[0] == 0
    plain = judged(policy, OTHER, team.ann, team.bob, base=base)
    assert plain[0] == (1 if protection else 0)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ('[[approval]]\napprovers = ["dan@example.com"]\n', "1 must sign, and the base lists too"),
        ("[[approval]]\npeople = 4\n", "2 more must sign, and the base lists too few who may"),
    ],
)
def test_a_rule_that_nobody_can_meet_lets_nothing_pass_and_says_so(
    team: Team, judged: Judged, policy: str, words: str
) -> None:
    code, why = judged(policy, OTHER, team.ann, team.bob)
    assert code == 1
    assert words in why
    assert judged(policy, "docs/a.md", files={"docs/a.md": "plain text\n"})[0] == 0


def test_doctor_tells_of_a_rule_that_nobody_can_meet(team: Team, tmp_path: Path) -> None:
    policy = BILLING + "[[approval]]\npeople = 4\n"
    repo = approved(tmp_path / "repo", *team, base={POLICY: policy})
    with Guard(repo.path) as guard:
        (told,) = guard.notary.contradictions()
    assert told.startswith("BROKEN: rule 2: 4 must sign, and the base lists too few who may")
    done = subprocess.run(
        [*COMMAND, "doctor"], cwd=repo.path, capture_output=True, text=True, check=False, timeout=60
    )
    assert re.search(r"^approval +BROKEN: rule 2", done.stdout, re.MULTILINE)


# --- on a machine ---------------------------------------------------------------------------------


def ask(guard: Guard, *places: str, name: str = COINED) -> Request:
    """Have an agent ask about *name* for *places*."""
    guard.request(name, [Ask(place, "", "", Asker(), 1.0) for place in places])
    request = guard.ledger.open_request(canonicalise(name))
    assert request
    return request


def countersign(guard: Guard, request: Request, grant: Grant) -> Decision | None:
    """Give a yes whose signature is *grant*, as `Guard.decide` does once it is signed."""
    decision = Decision(
        request.id, request.name.key, Answer.GRANT, Scope(), "", "terminal", grant.approver,
        time.time(),
    )  # fmt: skip
    return guard._countersign(request, decision, grant)


@pytest.fixture
def repo(team: Team, tmp_path: Path) -> Repo:
    return approved(tmp_path / "repo", *team, base={POLICY: TWO})


@pytest.mark.parametrize("channel", ["elicitation", "terminal"])
def test_an_unsigned_yes_leaves_the_question_open(repo: Repo, channel: str) -> None:
    with Guard(repo.path) as guard:
        request = ask(guard, OTHER)
        assert guard.decide(request, Answer.GRANT, channel=channel) is None
        verdict = guard.check(COINED, OTHER)
        assert (verdict.basis, verdict.request_id) == (Basis.PENDING, request.id)
        assert verdict.why.endswith(f"not answered yet; 2 of {ANN}, {BOB}, {CAROL} must sign")
        assert guard.ledger.pending() == [request]
        assert guard.decide(request, Answer.REFUSE, channel=channel)
        assert guard.check(COINED, OTHER).basis is Basis.REFUSED


def test_an_unsigned_yes_from_before_the_rule_does_not_count(team: Team, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *team)
    with Guard(repo.path) as guard:
        guard.decide(ask(guard, LEDGER), Answer.GRANT, channel="terminal")
        assert guard.check(COINED, LEDGER).basis is Basis.CONSENTED
    repo.git("checkout", "-q", "main")
    repo.commit({POLICY: BILLING})
    with Guard(repo.path) as guard:
        assert guard.check(COINED, OTHER).basis is Basis.CONSENTED
        verdict = guard.check(COINED, LEDGER)
        assert (verdict.basis, verdict.request_id) == (Basis.PENDING, "")
        assert verdict.why.endswith(
            f"a human allowed it in this repository; {ANN}, {BOB} must sign"
        )
        assert [yes.request.name.key for yes in endorse.unsigned(guard, ANN)] == [KEY]
        assert endorse.unsigned(guard, CAROL) == []
        assert ask(guard, LEDGER) in guard.ledger.pending()  # those who may sign see it


def test_without_approvers_a_rule_lets_nothing_pass(tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", base={POLICY: TWO})
    with Guard(repo.path) as guard:
        assert guard.decide(ask(guard, OTHER), Answer.GRANT, channel="terminal") is None
        verdict = guard.check(COINED, OTHER)
        assert verdict.effect is Effect.ASK
        assert "the base lists too few who may (nobody)" in verdict.why


def test_a_first_signature_is_kept_and_a_second_decides(repo: Repo, team: Team) -> None:
    with Guard(repo.path) as guard:
        request = ask(guard, OTHER)
        assert countersign(guard, request, team.ann.grant(repo, COINED)) is None
        assert guard.ledger.pending() == [request]
        verdict = guard.check(COINED, OTHER)
        assert (verdict.basis, verdict.request_id) == (Basis.PENDING, request.id)
        assert verdict.why == f"{ANN} signed; 1 more of {BOB}, {CAROL} must sign"
        assert countersign(guard, request, team.ann.grant(repo, COINED)) is None  # once more
        stands = countersign(guard, request, team.bob.grant(repo, COINED))
        assert stands == guard.ledger.decision_on(request.id)
        verdict = guard.check(COINED, OTHER)
        assert (verdict.basis, verdict.why) == (
            Basis.CONSENTED, f"{ANN} and {BOB} allowed it here, signed",
        )  # fmt: skip
        assert guard.ledger.pending() == []
    assert len(list((repo.path / DIRECTORY).glob("*.grant"))) == 3


def test_all_places_of_a_question_must_be_met(team: Team, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *team, base={POLICY: BILLING})
    with Guard(repo.path) as guard:
        request = ask(guard, OTHER, f"{LEDGER}:3")
        assert countersign(guard, request, team.ann.grant(repo, COINED)) is None
        assert guard.check(COINED, OTHER).basis is Basis.CONSENTED
        assert guard.check(COINED, LEDGER).basis is Basis.PENDING
        narrow = team.bob.grant(repo, COINED, Scope((OTHER,)))
        assert countersign(guard, request, narrow) is None
        assert countersign(guard, request, team.bob.grant(repo, COINED, Scope((LEDGER,))))


def test_a_refusal_ends_it_at_once_and_for_all(repo: Repo, team: Team) -> None:
    with Guard(repo.path) as guard:
        request = ask(guard, OTHER)
        countersign(guard, request, team.ann.grant(repo, COINED))
        refusal = guard.decide(request, Answer.REFUSE, channel="terminal")
        assert countersign(guard, request, team.bob.grant(repo, COINED)) == refusal
        assert guard.check(COINED, OTHER).basis is Basis.REFUSED
        assert len(guard.ledger.attached()) == 1


def test_a_signature_that_came_by_git_is_counted_with_one_given_here(
    repo: Repo, team: Team
) -> None:
    repo.commit(files_of(team.ann.grant(repo, COINED)))
    with Guard(repo.path) as guard:
        assert guard.check(COINED, OTHER).basis is Basis.PENDING
        assert not guard.has_ledger
        request = ask(guard, OTHER)  # nobody was asked here yet
        assert countersign(guard, request, team.bob.grant(repo, COINED))
        assert guard.check(COINED, OTHER).basis is Basis.CONSENTED


def test_a_withdrawn_signature_is_asked_for_again(repo: Repo, team: Team) -> None:
    with Guard(repo.path) as guard:
        request = ask(guard, OTHER)
        grants = [one.grant(repo, COINED) for one in (team.ann, team.bob)]
        for grant in grants:
            countersign(guard, request, grant)
        notary.withdraw(grants[0], repo.path)
        assert guard.check(COINED, OTHER).why == f"{BOB} signed; 1 more of {ANN}, {CAROL} must sign"
        again = ask(guard, OTHER)
        assert again.id != request.id
        assert countersign(guard, again, team.carol.grant(repo, COINED))
        assert guard.check(COINED, OTHER).basis is Basis.CONSENTED


# --- on several machines --------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def machines(
    request: pytest.FixtureRequest, repo: Repo, tmp_path: Path
) -> Iterator[tuple[Path, Path]]:
    """Two places with one queue: a clone twice, or two clones that share a store."""
    if request.param == "sqlite":
        yield repo.path, repo.path
        return
    request.getfixturevalue("shared")
    other = repo.clone(tmp_path / "other", "--branch", "feature")
    other.git("remote", "set-head", "origin", "main")
    yield repo.path, other.path


def test_a_withdrawal_counts_on_every_machine(
    machines: tuple[Path, Path], repo: Repo, team: Team
) -> None:
    with Guard(machines[0]) as one, Guard(machines[1]) as other:
        request = ask(one, OTHER)
        for grant in (team.ann.grant(repo, COINED), team.bob.grant(repo, COINED)):
            countersign(one, request, grant)
        assert other.check(COINED, OTHER).basis is Basis.CONSENTED
        assert endorse.withdraw(one, COINED) == 2
        for guard in (one, other):
            assert guard.check(COINED, OTHER).basis is Basis.PENDING
            assert guard.grants.about(KEY) == []
            assert {fault.why for fault in guard.grants.faults} == {"it was withdrawn"}


def test_two_who_sign_at_the_same_moment_decide_once(
    machines: tuple[Path, Path], repo: Repo, team: Team
) -> None:
    """Whoever counts last sees both signatures, and only one decision is recorded."""
    rounds = 8
    names = [f"{COINED}{number}" for number in range(rounds)]
    signed = [(team.ann.grant(repo, name), team.bob.grant(repo, name)) for name in names]
    with Guard(machines[0]) as one, Guard(machines[1]) as other:
        requests = [ask(one, OTHER, name=name) for name in names]
        start = threading.Barrier(2, timeout=60)

        def sign(guard: Guard, mine: int) -> None:
            for request, grants in zip(requests, signed, strict=True):
                start.wait()
                countersign(guard, request, grants[mine])

        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(sign, one, 0), pool.submit(sign, other, 1)]:
                done.result(120)
        assert one.ledger.pending() == []
        assert [d.request_id for d in one.ledger.decisions()] == [r.id for r in requests]
        assert len(other.ledger.attached()) == 2 * rounds
        assert all(other.check(name, OTHER).basis is Basis.CONSENTED for name in names)


# --- the policy's store ---------------------------------------------------------------------------


def named(tmp_path: Path, url: str) -> Repo:
    repo = Repo(tmp_path / "named")
    repo.commit({"a.py": "1\n", POLICY: f'store = "{url}"\n'})
    return repo


def test_the_policys_store_is_used_by_who_has_its_key(
    url: str, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = named(tmp_path, url)
    own = repo.path / ".git/orgguard/ledger.sqlite3"
    with Guard(repo.path) as stranger:
        ask(stranger, OTHER)
        assert own.exists()
    monkeypatch.setenv("ORGGUARD_STORE_KEY_FILE", str(key_file))
    with Guard(repo.path) as insider:
        assert insider.check(COINED).basis is Basis.UNKNOWN
        ask(insider, OTHER)
    monkeypatch.setenv("ORGGUARD_STORE", url)
    with Guard(repo.clone(tmp_path / "clone").path) as colleague:
        assert colleague.check(COINED).basis is Basis.PENDING


def test_the_environments_store_wins(shared: str, tmp_path: Path) -> None:
    repo = named(tmp_path, "postgresql://db.invalid/nowhere")
    with Guard(repo.path) as guard:
        asked = ask(guard, OTHER)
        assert guard.ledger.pending() == [asked]


def test_without_the_policys_store_nothing_is_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = named(tmp_path, "postgresql://db.invalid/nowhere")
    monkeypatch.setenv("ORGGUARD_STORE_KEY_FILE", str(tmp_path / "nowhere"))
    with Guard(repo.path) as guard, pytest.raises(LedgerError, match="the store was not opened"):
        guard.check(COINED)

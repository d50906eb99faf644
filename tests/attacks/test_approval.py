"""Attacks on approval rules: to pass with fewer people than the base's policy asks for, scanned as
CI does, in a fresh clone.

Each differs in one thing from `test_nothing_is_attacked`, where two people signed.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from orgguard_mcp.approvers import PATH as APPROVERS
from orgguard_mcp.approvers import line_for
from orgguard_mcp.grants import DIRECTORY, Grant
from orgguard_mcp.model import Scope
from orgguard_mcp.policy import PATH as POLICY
from tests.approver import Approver, approved, ci, files_of
from tests.names import COINED, COINED_TOO
from tests.scanner import Files, Scan, scan
from tests.simulator import Repo

ADA, BEA = "ada@example.com", "bea@example.com"
TWO = "[[approval]]\npeople = 2\n"
BILLING = '[[approval]]\npaths = ["billing/**"]\npeople = 2\n'
FILE = "billing/ledger.py"
NAMING: Files = {FILE: f'VENDOR = "{COINED} GmbH"\n'}


class People(NamedTuple):
    """Two people with keys, and another key of Ada's."""

    ada: Approver
    bea: Approver
    more: Approver


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> People:
    folder = tmp_path_factory.mktemp("people")
    return People(
        Approver(folder / "ada", ADA), Approver(folder / "bea", BEA), Approver(folder / "more", ADA)
    )


class Target(NamedTuple):
    """A repository whose base wants two people, with a branch "feature" checked out."""

    repo: Repo
    people: People
    place: Path

    def scan(self, *grants: Grant, files: Files | None = None) -> Scan:
        """Commit the name with *grants* and *files*, and scan the branch in a fresh clone."""
        self.repo.commit({**NAMING, **files_of(*grants), **(files or {})})
        return scan(ci(self.repo, self.place / secrets.token_hex(4)), "--dry-run")


@pytest.fixture
def target(people: People, tmp_path: Path) -> Target:
    return Target(approved(tmp_path / "repo", *people, base={POLICY: TWO}), people, tmp_path)


def fails(done: Scan) -> None:
    assert done.code == 1
    assert COINED.lower() in done.names


def test_nothing_is_attacked(target: Target) -> None:
    ada, bea, _ = target.people
    assert target.scan(ada.grant(target.repo, COINED), bea.grant(target.repo, COINED)).code == 0


def test_one_person_signs_twice(target: Target) -> None:
    ada, _, more = target.people
    grants = [one.grant(target.repo, COINED) for one in (ada, ada, more)]
    done = target.scan(*grants, *more.sign([more.draft(target.repo, COINED)]))
    fails(done)
    assert f"{ADA} signed; {BEA} must sign" in " ".join(done.err.split())


@pytest.mark.parametrize("lines", ["one line", "two lines"])
def test_one_key_signs_under_two_names(people: People, tmp_path: Path, lines: str) -> None:
    """Whoever holds a key that is listed for two people is one of them, not both."""
    key = people.ada.public
    listed = [f"{ADA},{BEA}"] if lines == "one line" else [ADA, BEA]
    text = "".join(f"{line_for(names, key)}\n" for names in listed)
    repo = approved(tmp_path / "repo", base={POLICY: TWO, APPROVERS: text})
    both = [people.ada.grant(repo, COINED, approver=name) for name in (ADA, BEA)]
    fails(Target(repo, people, tmp_path).scan(*both))


def test_the_first_signature_is_copied_under_the_others_name(target: Target) -> None:
    ada = target.people.ada
    own = ada.grant(target.repo, COINED)
    forged = replace(ada.grant(target.repo, COINED), approver=BEA)
    fails(target.scan(own, forged, ada.grant(target.repo, COINED, approver=BEA)))


@pytest.mark.parametrize(
    ("name", "scope", "changes"),
    [
        (COINED, Scope(("src/other.py",)), {}),
        (COINED, Scope(branch="another"), {}),
        (COINED_TOO, Scope(), {}),
        (COINED, Scope(), {"repository": "elsewhere"}),
        (COINED, Scope(), {"days": 1, "decided_at": time.time() - 3 * 86400}),
    ],
    ids=["another file", "another branch", "another name", "another repository", "expired"],
)
def test_the_second_signature_is_for_something_else(
    target: Target, name: str, scope: Scope, changes: dict[str, object]
) -> None:
    ada, bea, _ = target.people
    fails(
        target.scan(ada.grant(target.repo, COINED), bea.grant(target.repo, name, scope, **changes))
    )


def test_a_withdrawn_signature_is_put_back(target: Target) -> None:
    ada, bea, _ = target.people
    grants = ada.grant(target.repo, COINED), bea.grant(target.repo, COINED)
    target.repo.git("checkout", "-q", "main")
    target.repo.commit({f"{DIRECTORY}/{grants[1].id}.withdrawn": ""}, "Withdraw")
    target.repo.git("checkout", "-q", "feature")
    fails(target.scan(*grants))


@pytest.mark.parametrize("policy", ["", BILLING.replace("billing", "docs"), "[[approval]]\n"])
def test_a_branch_edits_the_rule(target: Target, policy: str) -> None:
    fails(target.scan(target.people.ada.grant(target.repo, COINED), files={POLICY: policy}))


def test_a_branch_starts_before_the_rule(people: People, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *people)
    repo.git("checkout", "-q", "main")
    repo.commit({POLICY: TWO}, "Two, from now on")
    repo.git("checkout", "-q", "feature")
    fails(Target(repo, people, tmp_path).scan(people.ada.grant(repo, COINED)))


@pytest.mark.parametrize("path", ["billing/a b.py", "billing/x/.hidden", "billing/é.py", FILE])
def test_a_path_is_spelled_so_that_the_rule_would_miss_it(
    people: People, tmp_path: Path, path: str
) -> None:
    repo = approved(tmp_path / "repo", *people, base={POLICY: BILLING})
    repo.commit({**files_of(people.ada.grant(repo, COINED)), path: NAMING[FILE]})
    fails(scan(ci(repo, tmp_path / "ci"), "--dry-run"))


def test_the_name_is_in_the_path_itself(people: People, tmp_path: Path) -> None:
    repo = approved(tmp_path / "repo", *people, base={POLICY: BILLING})
    path = f"billing/{COINED.lower()}_client.py"
    repo.commit({**files_of(people.ada.grant(repo, COINED)), path: "import os\n"})
    fails(scan(ci(repo, tmp_path / "ci"), "--dry-run"))

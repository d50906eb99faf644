"""Attacks on who decides: a branch that appoints its own approver, or loosens the rules.

Each is scanned as CI does, in a fresh clone. What the tip of main says counts, whatever the branch
has, and the scan says that the branch would change it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orgguard_mcp.approvers import PATH as APPROVERS
from orgguard_mcp.grants import DIRECTORY
from orgguard_mcp.model import Answer
from orgguard_mcp.policy import PATH as POLICY
from tests.approver import Approver, approved, files_of
from tests.attacks.test_grants import NAMING, UNSIGNED, Target, check, found_in
from tests.names import COINED, THIRD
from tests.scanner import FORMATS, Files, Scan, decide, orgguard_scan, scan
from tests.simulator import Repo

LOWER = COINED.lower()
EDITS = "this change edits {}: that counts once it is on the base's branch"
UNSIGNED_NOTE = f"does not count: {UNSIGNED}"


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.fixture(scope="module")
def eve(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    """Who is nobody here: her key is the attacker's."""
    return Approver(tmp_path_factory.mktemp("eve"), "eve@example.com")


@pytest.fixture
def target(ada: Approver, tmp_path: Path) -> Target:
    return Target(approved(tmp_path / "project", ada), ada, tmp_path)


def told(done: Scan) -> list[str]:
    """The scan's notes, without the ids in them."""
    return [
        note if "grant " not in note else note[note.index("does not count") :]
        for note in done.document["notes"]
    ]


def seen(done: Scan, *notes: str) -> None:
    """See that the name is found, and that exactly *notes* are said."""
    assert done.code == 1, done.said
    assert LOWER in done.names
    assert told(done) == list(notes)
    for note in done.document["notes"]:
        assert note in done.err


# --- appointing -----------------------------------------------------------------------------------


def test_a_branch_appoints_its_own_approver(target: Target, eve: Approver) -> None:
    files = files_of(eve.grant(target.repo, COINED))
    lists: Files = {APPROVERS: f"{eve.line}\n"}
    seen(target.scan({**files, **lists}), EDITS.format(APPROVERS), UNSIGNED_NOTE)
    assert check(target.clone()) == ["unknown"]
    target.on_main(lists)  # once the maintainers took the line over, it counts
    assert scan(target.clone(), "--dry-run").code == 0


def test_a_branch_appoints_the_first_approver_of_all(tmp_path: Path, eve: Approver) -> None:
    repo = approved(tmp_path / "project")
    target = Target(repo, eve, tmp_path)
    lists: Files = {APPROVERS: f"{eve.line}\n"}
    seen(target.scan({**files_of(target.grant()), **lists}), EDITS.format(APPROVERS))
    assert check(target.clone()) == ["unknown"]


def test_an_approver_is_appointed_in_an_earlier_commit_of_the_branch(
    target: Target, eve: Approver
) -> None:
    target.repo.commit({APPROVERS: f"{eve.line}\n"}, "Appoint")
    target.repo.commit({**NAMING, **files_of(eve.grant(target.repo, COINED))})
    target.repo.commit({APPROVERS: f"{target.ada.line}\n"}, "Put back")
    seen(scan(target.clone(), "--dry-run"), UNSIGNED_NOTE)


def test_a_branch_says_that_it_is_the_base(target: Target, eve: Approver) -> None:
    """A policy of the branch names the branch itself as base."""
    files: Files = {APPROVERS: f"{eve.line}\n", POLICY: 'base = "origin/feature"\n'}
    done = target.scan({**files_of(eve.grant(target.repo, COINED)), **files})
    seen(done, EDITS.format(f"{APPROVERS}, {POLICY}"), UNSIGNED_NOTE)
    assert "origin/main" in done.document["base_reason"]


def test_a_branch_from_an_old_commit_with_a_removed_approver(
    tmp_path: Path, ada: Approver, eve: Approver
) -> None:
    target = Target(approved(tmp_path / "project", ada, eve), ada, tmp_path)
    target.on_main({APPROVERS: f"{ada.line}\n"})
    target.on_main({"src/more.py": "1\n"})
    seen(target.scan(files_of(eve.grant(target.repo, COINED))), UNSIGNED_NOTE)
    assert check(target.clone()) == ["unknown"]


def test_a_branch_from_before_there_were_approvers(tmp_path: Path, ada: Approver) -> None:
    """Main lists its first approver after the branch started: that is the rule from then on."""
    repo = Repo(tmp_path / "project")
    target = Target(repo, ada, tmp_path)
    repo.commit({"src/app.py": "import os\n"}, "Start")
    repo.git("checkout", "-q", "-b", "feature")
    target.on_main({APPROVERS: f"{ada.line}\n"})
    assert target.scan(files_of(target.grant())).code == 0


# --- taking away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nobody\n"])
def test_a_branch_empties_the_list(target: Target, text: str) -> None:
    """Nothing is loosened by it: main's list still counts, for the better and the worse."""
    seen(target.scan({APPROVERS: text}), EDITS.format(APPROVERS))
    done = target.scan({APPROVERS: text, **files_of(target.grant())})
    assert (done.code, told(done)) == (0, [EDITS.format(APPROVERS)])


def test_a_branch_removes_the_list(target: Target) -> None:
    target.repo.git("rm", "-q", APPROVERS)
    seen(target.scan(), EDITS.format(APPROVERS))


def test_a_branch_makes_the_list_unreadable(target: Target) -> None:
    seen(target.scan({APPROVERS: b"\xff\0 not a list\n"}), EDITS.format(APPROVERS))


@pytest.mark.parametrize("path", [APPROVERS, POLICY])
def test_a_branch_puts_a_link_in_the_place_of_a_rule(
    target: Target, eve: Approver, path: str
) -> None:
    rule = target.repo.path / path
    rule.unlink(missing_ok=True)
    rule.symlink_to("../kept")
    files: Files = {"kept": f"{eve.line}\n" if path == APPROVERS else 'reserved = ["Zorblatt"]\n'}
    done = target.scan({**files, **files_of(eve.grant(target.repo, COINED))})
    seen(done, EDITS.format(path), UNSIGNED_NOTE)


def test_a_branch_moves_the_rules_folder_behind_a_link(target: Target, eve: Approver) -> None:
    target.repo.git("mv", ".orgguard", "rules")
    target.repo.write({"rules/approvers": f"{eve.line}\n"})
    (target.repo.path / ".orgguard").symlink_to("rules")
    done = target.scan({
        path.replace(".orgguard", "rules"): text
        for path, text in files_of(eve.grant(target.repo, COINED)).items()
    })  # fmt: skip
    seen(done, EDITS.format(APPROVERS))


def test_a_list_on_main_that_cannot_be_read_stops_the_scan(target: Target) -> None:
    """No grant counts and none is said not to: somebody has to mend the list first."""
    target.on_main({APPROVERS: f'*@{THIRD.lower()}.com namespaces="orgguard" ssh-ed25519 AAAA\n'})
    target.repo.commit({**NAMING, **files_of(target.grant())})
    done = scan(target.clone(), "--dry-run")
    assert (done.code, done.out) == (2, "")
    assert "error: no signature was checked: .orgguard/approvers cannot be used" in done.err
    assert "at line 1: " in done.err
    assert THIRD.lower() not in done.err.lower()


def test_a_name_in_the_list_is_found(target: Target, eve: Approver) -> None:
    line = eve.line.replace("example.com", f"{THIRD.lower()}.com")
    done = target.scan({APPROVERS: f"{target.ada.line}\n{line}\n"})
    found_in(done, THIRD, APPROVERS)


# --- loosening ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        'trust = "client"',
        'repository = "elsewhere"',
        "signing_agent = true",
        "grant_days = 3650",
        f'reserved = ["{COINED}"]',
        'level = "regular"\nunscanned = "report"',
        'protected = "if-key"',
    ],
)
def test_a_branch_loosens_the_policy(target: Target, eve: Approver, rule: str) -> None:
    files = files_of(target.ada.grant("elsewhere", COINED))
    done = target.scan({POLICY: f"{rule}\n", **files})
    seen(done, EDITS.format(POLICY), "does not count: it was signed for another repository")


def test_a_branch_breaks_the_policy(target: Target) -> None:
    """An unusable policy on a branch is said; it neither stops the scan nor loosens it."""
    seen(target.scan({POLICY: "trust =\n"}), EDITS.format(POLICY))


def test_a_yes_on_this_machine_is_not_enough_where_main_wants_signatures(
    ada: Approver, tmp_path: Path
) -> None:
    """The branch lowers `trust`; what a human said here waits for a signature all the same."""
    repo = approved(tmp_path / "project", ada, base={POLICY: 'trust = "signed"\n'})
    repo.commit({**NAMING, POLICY: 'trust = "client"\n'})
    decide(repo, COINED, Answer.GRANT)
    done = scan(repo)
    assert (done.code, done.findings[LOWER]["basis"]) == (1, "pending")
    assert "an approver has to sign that" in done.err
    assert EDITS.format(POLICY) in done.document["notes"]
    repo.commit(files_of(ada.grant(repo, COINED)))
    assert scan(repo).code == 0


# --- what is said ---------------------------------------------------------------------------------


def test_every_format_says_that_a_rule_is_edited(target: Target, eve: Approver) -> None:
    target.repo.commit({APPROVERS: f"{eve.line}\n", POLICY: "hold_seconds = 1\n"})
    clone = target.clone()
    for form in FORMATS:
        done = orgguard_scan(clone, "--dry-run", "--format", form)
        assert EDITS.format(f"{APPROVERS}, {POLICY}") in done.said


def test_a_change_that_edits_no_rule_says_nothing(target: Target) -> None:
    files: Files = {".orgguard/README.md": "# Rules\n", f"{DIRECTORY}/README.md": "# Grants\n"}
    target.repo.commit({"docs/more.md": "# More\n", ".orgguard.md": "1\n", **files})
    assert scan(target.clone(), "--dry-run").document["notes"] == []


def test_staged_edits_of_rules_are_said_too(target: Target, eve: Approver) -> None:
    target.repo.write({**NAMING, APPROVERS: f"{eve.line}\n"}).git("add", "-A")
    done = scan(target.repo, "--dry-run", "--staged")
    seen(done, EDITS.format(APPROVERS))

"""Attacks with grants: replayed, altered, forged or planted files, scanned as CI does, in a fresh
clone that knows nothing but what was pushed.

Each differs in one thing from `test_nothing_is_attacked`, where the grant counts.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from orgguard_mcp.approvers import PATH as APPROVERS
from orgguard_mcp.grants import DIRECTORY, Grant
from orgguard_mcp.model import Scope
from orgguard_mcp.policy import PATH as POLICY
from tests.approver import Approver, approved, ci, files_of
from tests.names import COINED, COINED_TOO, THIRD
from tests.scanner import Files, Scan, scan
from tests.simulator import Repo

LOWER = COINED.lower()
NOTES = "docs/notes.md"
NAMING: Files = {NOTES: f"# Notes\n\nFor the {COINED} account.\n"}
DAY = 86400


class Target(NamedTuple):
    """A repository whose main lists `ada`, with a branch "feature" checked out."""

    repo: Repo
    ada: Approver
    place: Path

    def grant(self, name: str = COINED, scope: Scope | None = None, **changes: object) -> Grant:
        return self.ada.grant(self.repo, name, scope, **changes)

    def clone(self, *options: str, branch: str = "feature") -> Repo:
        return ci(self.repo, self.place / secrets.token_hex(4), *options, branch=branch)

    def scan(self, files: Files | None = None, *, branch: str = "feature") -> Scan:
        """Commit *files* with the name, and scan the branch in a fresh clone."""
        self.repo.commit({**NAMING, **(files or {})})
        return scan(self.clone(branch=branch), "--dry-run")

    def on_main(self, files: Files, *remove: str) -> None:
        """Let main go on by one commit; the branch stays where it is."""
        self.repo.git("checkout", "-q", "main")
        for path in remove:
            self.repo.git("rm", "-q", path)
        self.repo.commit(files, "Go on")
        self.repo.git("checkout", "-q", "feature")


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.fixture
def target(ada: Approver, tmp_path: Path) -> Target:
    return Target(approved(tmp_path / "project", ada), ada, tmp_path)


def check(where: Repo) -> list[str]:
    """The bases on which `orgguard check` answers, of the name that the attacks are about."""
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "check", "--format=json", COINED],
        cwd=where.path, capture_output=True, check=False, timeout=60, env=os.environ,
    )  # fmt: skip
    return [json.loads(row)["basis"] for row in done.stdout.splitlines()]


def notes(done: Scan) -> list[str]:
    return list(done.document["notes"])


def repelled(done: Scan, *said: str) -> None:
    """See that the name is found in its file, and that the grants' faults are *said*, not shown."""
    assert done.code == 1, done.said
    assert NOTES in {place.path for place in done.places(COINED)}
    assert [note.partition(" does not count: ")[2] for note in notes(done)] == list(said)
    assert LOWER not in " ".join(notes(done)).lower()


def repelled_everywhere(target: Target, files: Files, *said: str) -> None:
    repelled(target.scan(files), *said)
    assert check(target.clone()) == ["unknown"]


def test_nothing_is_attacked(target: Target) -> None:
    """Nobody attacks: the grant counts. Without it, the name is found."""
    grant = target.grant()
    done = target.scan(files_of(grant))
    assert (done.code, done.names, notes(done)) == (0, set(), [])
    assert done.document["consented"] == 1
    assert check(target.clone()) == ["consented"]
    target.repo.git("rm", "-q", "-r", DIRECTORY)
    repelled_everywhere(target, {})


# --- replayed -------------------------------------------------------------------------------------


def test_for_another_name(target: Target) -> None:
    repelled_everywhere(target, files_of(target.grant(COINED_TOO), target.grant(f"{COINED}x")))


def test_for_another_path(target: Target) -> None:
    repelled_everywhere(target, files_of(target.grant(scope=Scope(("docs/other.md", "docs")))))


def test_for_one_path_and_a_message_beside_it(target: Target) -> None:
    """The file is allowed to say it; the commit's message is no file."""
    grant = target.grant(scope=Scope((NOTES,)))
    assert target.scan(files_of(grant)).code == 0
    target.repo.commit({}, f"Sync the {COINED} account")
    done = scan(target.clone(), "--dry-run")
    assert (done.code, [place.surface for place in done.places(COINED)]) == (1, ["commit-message"])


def test_on_another_branch(target: Target) -> None:
    grant = target.grant(scope=Scope(branch="feature"))
    assert target.scan(files_of(grant)).code == 0
    for branch in ("feature-2", "Feature", "feature/x2"):
        target.repo.git("checkout", "-q", "-b", branch.replace("feature/", "f/"))
        clone = target.clone(branch=branch.replace("feature/", "f/"))
        repelled(scan(clone, "--dry-run"))
        assert check(clone) == ["unknown"]


def test_on_a_head_that_no_branch_is_known_of(target: Target) -> None:
    target.repo.commit({**NAMING, **files_of(target.grant(scope=Scope(branch="feature")))})
    clone = target.clone()
    clone.git("checkout", "-q", "--detach")
    repelled(scan(clone, "--dry-run"))
    assert scan(clone, "--dry-run", "--branch=feature").code == 0


def test_after_its_change_was_merged(target: Target) -> None:
    grant = target.grant(scope=Scope(branch="feature"))
    target.on_main(files_of(grant))
    repelled_everywhere(target, files_of(grant), "it was for one change, which is merged")


def test_in_another_repository(target: Target, ada: Approver, tmp_path: Path) -> None:
    other = approved(tmp_path / "other", ada, base={"src/other.py": "1\n"})
    repelled_everywhere(
        target, files_of(ada.grant(other, COINED)), "it was signed for another repository"
    )


def test_in_a_repository_that_has_another_name(ada: Approver, tmp_path: Path) -> None:
    policy: Files = {POLICY: 'repository = "example.com/team_a/app"\n'}
    target = Target(approved(tmp_path / "project", ada, base=policy), ada, tmp_path)
    other = approved(
        tmp_path / "other", ada, base={POLICY: 'repository = "example.com/team_a/app2"\n'}
    )
    for foreign in (target.grant(), ada.grant(other, COINED), *(
        ada.grant(name, COINED) for name in ("example.com/team_a/app2", "example.com/team_a/App")
    )):  # fmt: skip
        repelled(target.scan(files_of(foreign)), "it was signed for another repository")
        target.repo.git("rm", "-q", "-r", DIRECTORY)
    assert target.scan(files_of(ada.grant("example.com/team_a/app", COINED))).code == 0


def test_after_it_expired(target: Target) -> None:
    expired = target.grant(decided_at=time.time() - 31 * DAY, days=30)
    repelled_everywhere(target, files_of(expired), "it has expired")


def test_before_it_was_signed(target: Target) -> None:
    future = target.grant(decided_at=time.time() + DAY)
    repelled_everywhere(target, files_of(future), "it was signed in the future")


def test_after_it_was_withdrawn(target: Target) -> None:
    grant = target.grant()
    target.repo.commit(files_of(grant))
    target.on_main({f"{DIRECTORY}/{grant.id}.withdrawn": ""})
    repelled_everywhere(target, {}, "it was withdrawn")


def test_brought_back_after_it_was_withdrawn(target: Target) -> None:
    """Main had it, deleted it and left a mark; the branch brings the file back, not the mark."""
    grant = target.grant()
    (file,) = files_of(grant)
    target.on_main(files_of(grant))
    target.on_main({f"{DIRECTORY}/{grant.id}.withdrawn": ""}, file)
    target.repo.git("merge", "-q", "main")
    (target.repo.path / DIRECTORY / f"{grant.id}.withdrawn").unlink()
    repelled_everywhere(target, files_of(grant), "it was withdrawn")


# --- altered --------------------------------------------------------------------------------------

UNSIGNED = "its signature is not that of an approver whom the base lists"


def test_with_a_wider_scope(target: Target) -> None:
    grant = target.grant(scope=Scope(branch="other"))
    wider = replace(grant, scope="repository", within=())
    repelled_everywhere(target, files_of(wider), UNSIGNED)


def test_with_a_later_end(target: Target) -> None:
    expired = target.grant(decided_at=time.time() - 31 * DAY, days=30)
    longer = replace(expired, expires_at=expired.expires_at + 365 * DAY)
    repelled_everywhere(target, files_of(longer), UNSIGNED)


def test_with_another_repository(target: Target, ada: Approver) -> None:
    moved = replace(ada.grant("root:other", COINED), repository=target.grant().repository)
    repelled_everywhere(target, files_of(moved), UNSIGNED)


def test_truncated(target: Target) -> None:
    grant = target.grant()
    (file,) = files_of(grant)
    lines = grant.text.splitlines(keepends=True)
    for kept in (3, len(lines) - 1):
        files: Files = {file: "".join(lines[:kept])}
        why = (
            "it does not begin with a statement of this version"
            if kept == 3
            else "it does not end with a signature"
        )
        repelled(target.scan(files), why)


def test_copied_under_another_name(target: Target) -> None:
    files: Files = {f"{DIRECTORY}/{'0' * 32}.grant": target.grant().text}
    repelled_everywhere(target, files, "it is a copy under another name")


# --- signed by somebody else ----------------------------------------------------------------------


def test_signed_by_whom_the_branch_alone_lists(target: Target, tmp_path: Path) -> None:
    eve = Approver(tmp_path / "eve", "eve@example.com")
    files = files_of(eve.grant(target.repo, COINED))
    done = target.scan({**files, APPROVERS: f"{target.ada.line}\n{eve.line}\n"})
    assert done.code == 1
    assert LOWER in done.names
    assert "this change edits .orgguard/approvers: " in notes(done)[0]
    assert notes(done)[1].endswith(UNSIGNED)
    assert check(target.clone()) == ["unknown"]


def test_signed_by_a_stranger_in_an_approvers_name(target: Target, tmp_path: Path) -> None:
    eve = Approver(tmp_path / "eve", target.ada.person)
    repelled_everywhere(target, files_of(eve.grant(target.repo, COINED)), UNSIGNED)


def test_signed_by_one_approver_for_another(target: Target, tmp_path: Path) -> None:
    bob = Approver(tmp_path / "bob", "bob@example.com")
    target.on_main({APPROVERS: f"{target.ada.line}\n{bob.line}\n"})
    assert target.scan(files_of(bob.grant(target.repo, COINED))).code == 0
    target.repo.git("rm", "-q", "-r", DIRECTORY)
    mixed = bob.grant(target.repo, COINED, approver=target.ada.person)
    repelled_everywhere(target, files_of(mixed), UNSIGNED)


def test_signed_by_whom_the_base_no_longer_lists(target: Target, tmp_path: Path) -> None:
    """The branch started when the base listed the signer; the tip of main counts."""
    grant = target.grant()
    target.repo.commit(files_of(grant))
    bob = Approver(tmp_path / "bob", "bob@example.com")
    target.on_main({APPROVERS: f"{bob.line}\n"})
    repelled_everywhere(target, {}, UNSIGNED)


@pytest.mark.parametrize("namespace", ["git", "file"])
def test_signed_for_something_else(target: Target, namespace: str) -> None:
    draft = target.ada.draft(target.repo, COINED)
    repelled_everywhere(target, files_of(*target.ada.sign([draft], namespace)), UNSIGNED)


def test_signed_with_a_key_whose_time_is_over(target: Target) -> None:
    over = target.ada.line.replace('"orgguard"', '"orgguard",valid-before="20250101"')
    target.on_main({APPROVERS: f"{over}\n"})
    repelled_everywhere(target, files_of(target.grant()), UNSIGNED)


def test_signed_with_nothing(target: Target) -> None:
    grant = target.grant()
    bare: Files = {f"{DIRECTORY}/{grant.file_name}": grant.statement}
    repelled_everywhere(target, bare, "it does not end with a signature")


# --- planted --------------------------------------------------------------------------------------


def test_as_a_symbolic_link(target: Target) -> None:
    grant = target.grant()
    folder = target.repo.path / DIRECTORY
    folder.mkdir(parents=True)
    (folder / grant.file_name).symlink_to("../../kept")
    repelled_everywhere(target, {"kept": grant.text})


def test_in_a_folder_that_is_a_symbolic_link(target: Target) -> None:
    (target.repo.path / DIRECTORY).symlink_to("../kept")
    repelled(target.scan({f"kept/{Path(path).name}": text for path, text in
                          files_of(target.grant()).items()}))  # fmt: skip


def test_in_a_submodule(target: Target, tmp_path: Path) -> None:
    module = Repo(tmp_path / "module")
    grant = target.grant()
    commit = module.commit({grant.file_name: grant.text})
    target.repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{DIRECTORY}")
    target.repo.git("commit", "-q", "-m", "Add a module")
    target.repo.write(NAMING).git("add", NOTES)
    target.repo.git("commit", "-q", "-m", "Change")
    clone = target.clone()
    repelled(scan(clone, "--dry-run"))
    assert check(clone) == ["unknown"]


@pytest.mark.parametrize("folder", [f"{DIRECTORY}/more", ".orgguard", ".orgguard/Grants", "grants"])
def test_in_another_folder(target: Target, folder: str) -> None:
    grant = target.grant()
    repelled_everywhere(target, {f"{folder}/{grant.file_name}": grant.text})


def test_in_a_folder_beneath_that_is_staged(target: Target) -> None:
    grant = target.grant()
    target.repo.write({**NAMING, f"{DIRECTORY}/more/{grant.file_name}": grant.text})
    target.repo.git("add", "-A")
    repelled(scan(target.repo, "--dry-run", "--staged"))
    target.repo.write(files_of(grant)).git("add", "-A")
    assert LOWER not in scan(target.repo, "--dry-run", "--staged").names


def test_many_files_that_are_no_grants(target: Target) -> None:
    """Junk is set aside, and the one real grant among it counts."""
    junk: Files = {f"{DIRECTORY}/{n:032x}.grant": b"\xff" + os.urandom(300) for n in range(200)}
    started = time.monotonic()
    repelled(target.scan(junk), *["it is no text"] * 200)
    assert not target.scan(files_of(target.grant())).names & {LOWER}
    assert time.monotonic() - started < 60


def test_many_grants_that_nobody_signed(target: Target) -> None:
    """Each costs one run of ssh-keygen."""
    grant = target.grant()
    forged = [replace(grant, id=f"{n:032x}") for n in range(100)]
    started = time.monotonic()
    repelled(target.scan(files_of(*forged)), *[UNSIGNED] * 100)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (100 << 10, ["it does not begin with a statement of this version"]),
        (5 << 20, []),  # too large to be looked at among the grants
    ],
)
def test_a_grant_that_is_too_large(target: Target, size: int, said: list[str]) -> None:
    grant = target.grant()
    (file,) = files_of(grant)
    started = time.monotonic()
    repelled(target.scan({file: grant.text + "0" * size}), *said)
    assert time.monotonic() - started < 60


# --- a name hidden among the grants ---------------------------------------------------------------


def found_in(done: Scan, name: str, *paths: str) -> None:
    """See that *name* is found in *paths*, and that no note has it."""
    assert done.code == 1
    assert any(name.lower() in found for found in done.names), done.said
    places = {place["path"] for one in done.document["findings"] for place in one["locations"]}
    assert set(paths) <= places
    assert name.lower() not in " ".join(notes(done)).lower()


def planted(target: Target, grants: Iterable[Grant]) -> tuple[Scan, list[str]]:
    """The scan of a change that brings in *grants* alone, and their files."""
    files = files_of(*grants)
    target.repo.commit(files)
    return scan(target.clone(), "--dry-run"), list(files)


@pytest.mark.parametrize(
    "field",
    [
        {"repository": f"{THIRD} Inc."},
        {"approver": f"ada@{THIRD.lower()}.com"},
    ],
)
def test_in_a_field_of_an_unsigned_grant(target: Target, field: dict[str, str]) -> None:
    done, paths = planted(target, [replace(target.grant(), **field)])
    found_in(done, THIRD, *paths)


def test_in_a_field_of_a_grant_that_a_stranger_signed(target: Target, tmp_path: Path) -> None:
    eve = Approver(tmp_path / "eve", target.ada.person)
    done, paths = planted(target, [eve.grant(f"{THIRD} Inc.", COINED)])
    found_in(done, THIRD, *paths)


def armour(data: bytes) -> str:
    """*data* as ssh-keygen writes a signature."""
    text = base64.b64encode(data).decode()
    lines = "".join(f"{text[at : at + 70]}\n" for at in range(0, len(text), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}-----END SSH SIGNATURE-----\n"


def test_in_the_letters_of_a_signature(target: Target) -> None:
    """The armour is base64: whatever no approver signed may decode to words."""
    spelt = armour(f"For the {THIRD} account.".encode())
    done, paths = planted(target, [replace(target.grant(), signature=spelt)])
    found_in(done, THIRD, *paths)


def test_in_the_part_of_a_signature_that_is_not_signed(target: Target) -> None:
    """ssh-keygen leaves SSHSIG's reserved field out of what it signs and verifies."""
    grant = target.grant()
    data = base64.b64decode("".join(grant.signature.split("\n")[1:-2]))
    words = f"For the {THIRD} account.".encode()
    at = data.index(b"orgguard") + len(b"orgguard")
    assert data[at : at + 4] == bytes(4)
    slipped = data[:at] + len(words).to_bytes(4, "big") + words + data[at + 4 :]
    changed = replace(grant, signature=armour(slipped))
    assert target.ada.approvers
    repelled_everywhere(target, files_of(changed), "it does not end with a signature")


def test_in_the_digits_of_a_number(target: Target) -> None:
    said = f"For the {THIRD} account.".encode().hex().ljust(64, "2")
    done, paths = planted(target, [replace(target.grant(), log=said)])
    found_in(done, THIRD, *paths)


def test_in_a_files_name(target: Target) -> None:
    name = f"{DIRECTORY}/{THIRD.lower()}.grant"
    done = target.scan({name: target.grant().text})
    found_in(done, THIRD, name)
    mark = f"{DIRECTORY}/{THIRD.lower()}.withdrawn"
    target.repo.git("mv", name, mark)
    (target.repo.path / mark).write_text("")
    found_in(target.scan(), THIRD, mark)


def test_in_a_mark_that_is_not_empty(target: Target) -> None:
    mark = f"{DIRECTORY}/{'0' * 32}.withdrawn"
    done = target.scan({mark: f"Withdrawn as {THIRD} asked for it.\n"})
    found_in(done, THIRD, mark)


def test_in_a_link_that_is_named_as_a_grant(target: Target) -> None:
    grant = target.grant()
    folder = target.repo.path / DIRECTORY
    folder.mkdir(parents=True)
    (folder / grant.file_name).symlink_to(f"../{THIRD.lower()}-account")
    found_in(target.scan(), THIRD, f"{DIRECTORY}/{grant.file_name}")


# --- a clone that does not know enough ------------------------------------------------------------


def test_in_a_shallow_clone_nothing_is_allowed(target: Target) -> None:
    """A grant names the repository by its first commit, which such a clone does not have."""
    target.on_main({"src/more.py": "1\n"})
    target.repo.git("merge", "-q", "main")
    target.repo.commit({**NAMING, **files_of(target.grant())})
    clone = target.clone("--depth=2", "--no-single-branch")
    done = scan(clone, "--dry-run")
    assert (done.code, done.out) == (3, "")
    assert "error: no signature was checked: " in done.err
    assert "the clone is shallow" in done.err
    assert "hint: run `git fetch --unshallow`" in done.err
    assert "fetch-depth: 0" in done.err
    clone.git("fetch", "-q", "--unshallow")
    assert scan(clone, "--dry-run").code == 0


def test_a_repository_with_a_name_needs_no_history(ada: Approver, tmp_path: Path) -> None:
    policy: Files = {POLICY: 'repository = "example.com/team_a/app"\n'}
    target = Target(approved(tmp_path / "project", ada, base=policy), ada, tmp_path)
    target.on_main({"src/more.py": "1\n"})
    target.repo.git("merge", "-q", "main")
    target.repo.commit({**NAMING, **files_of(ada.grant("example.com/team_a/app", COINED))})
    clone = target.clone("--depth=2", "--no-single-branch")
    assert (clone.path / ".git" / "shallow").exists()
    assert scan(clone, "--dry-run").code == 0


def test_without_ssh_keygen_nothing_is_allowed(target: Target, tmp_path: Path) -> None:
    target.repo.commit({**NAMING, **files_of(target.grant())})
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(git_itself())
    done = scan(target.clone(), "--dry-run", PATH=str(tools))
    assert (done.code, done.out) == (3, "")
    assert "ssh-keygen is not installed" in done.err


def git_itself() -> Path:
    """The program that the tests call git."""
    return next(
        Path(folder, "git")
        for folder in os.environ["PATH"].split(":")
        if Path(folder, "git").is_file()
    )

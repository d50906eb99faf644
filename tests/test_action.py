"""What we ship for continuous integration, run for real: the steps of action.yml with bash, as
GitHub's runner does, and the script of the GitLab template with sh.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from orgguard_mcp.names import parse
from orgguard_mcp.protected import PATH as PROTECTED
from orgguard_mcp.protected import Key, sealed
from tests.names import COINED, COINED_TOO, THIRD
from tests.scanner import ORDINARY, Files
from tests.simulator import Repo

ROOT = Path(__file__).parents[1]
ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / "orgguard_mcp" / "templates" / "github-workflow.yml"
GITLAB = ROOT / "orgguard_mcp" / "templates" / "gitlab.yml"
KEY = "0123456789abcdef" * 4
NAMES = re.compile("|".join((COINED, COINED_TOO, THIRD)), re.IGNORECASE)


def document(path: Path) -> dict[str, Any]:
    return dict(yaml.load(path.read_text(), yaml.BaseLoader))  # noqa: S506  # all values as text


# --- GitHub's runner ------------------------------------------------------------------------------


class Ran(NamedTuple):
    """What a job's run of the action came to."""

    code: int
    log: str
    summary: str
    outputs: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """The workflow commands that the runner obeys."""
        obeyed, token = [], ""
        for line in self.log.splitlines():
            if token:
                token = "" if line == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif re.match(r"\s*::|.*##\[", line):
                obeyed.append(line)
        return obeyed


def expanded(template: str, inputs: Mapping[str, str], event: dict[str, Any]) -> str:
    """*template* with its expressions evaluated; only look-ups are known here."""

    def value(found: re.Match[str]) -> str:
        root, _, path = found[1].partition(".")
        node: Any = {"inputs": inputs, "github": {"event": event}}[root]
        for key in path.split("."):
            node = node.get(key) if isinstance(node, dict) else None
        return node or ""

    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, template)


def step(run: dict[str, Any], cwd: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run one step of the action as GitHub does, and return its exit code and log."""
    assert run["shell"] == "bash"
    assert "${{" not in run["run"]
    script = Path(environment["RUNNER_TEMP"]) / "step.sh"
    script.write_text(run["run"])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
        cwd=cwd, env={**os.environ, **environment}, check=False, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout.decode()


class Runner:
    """A machine on which the action's first step has installed OrgGuard."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary

    def install(self, workspace: Path) -> str:
        """Run the first step in *workspace*."""
        first, _ = document(ACTION)["runs"]["steps"]
        code, log = step(first, workspace, self._environment)
        assert code == 0, log
        return log

    @property
    def _environment(self) -> dict[str, str]:
        return {"RUNNER_TEMP": str(self.temporary), "GITHUB_ACTION_PATH": str(ROOT), "CI": "true"}

    def run(
        self, repo: Repo, event: dict[str, Any], given: Mapping[str, str] | None = None,
        **github: str,
    ) -> Ran:  # fmt: skip
        """Run the scan in *repo* with the inputs *given*."""
        told = document(ACTION)
        files = {name: self.temporary / name for name in ("event", "summary", "output")}
        files["event"].write_text(json.dumps(event))
        for name in ("summary", "output"):
            files[name].write_text("")
        inputs = {key: value["default"] for key, value in told["inputs"].items()} | dict(
            given or {}
        )
        scan = told["runs"]["steps"][1]
        environment = {
            **self._environment, "GITHUB_EVENT_PATH": str(files["event"]),
            "GITHUB_STEP_SUMMARY": str(files["summary"]), "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_BASE_REF": "", "GITHUB_REF": "", **github,
            **{key: expanded(value, inputs, event) for key, value in scan["env"].items()},
        }  # fmt: skip
        code, log = step(scan, repo.path, environment)
        lines = files["output"].read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return Ran(code, log, files["summary"].read_text(), outputs)


SHADOWS = ("venv", "pip", "orgguard_mcp", "sitecustomize", "json", "encodings")
"""Modules that Python would take from a branch if it looked there."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Runner:
    """Installed once, from a folder that tries to be run instead."""
    hostile = tmp_path_factory.mktemp("branch")
    for name in SHADOWS:
        (hostile / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (hostile / name / file).write_text("raise SystemExit('the branch was run')\n")
    made = Runner(tmp_path_factory.mktemp("runner"))
    assert "the branch was run" not in made.install(hostile)
    return made


# --- what a job checks out ------------------------------------------------------------------------


def origin(path: Path, base: Files | None = None) -> Repo:
    repo = Repo(path / "origin")
    repo.commit({**ORDINARY, **(base or {})}, "Start")
    return repo


def propose(repo: Repo, files: Files | None = None, message: str = "Change", *,
            branch: str = "feature") -> Repo:  # fmt: skip
    """Push a branch of one more commit to *repo*."""
    known = repo.git("branch", "--list", branch)
    repo.git("checkout", "-q", *([] if known else ["-b"]), branch)
    repo.commit(files or {"src/app.py": f"{ORDINARY['src/app.py']!s}\n\nlimit = 3\n"}, message)
    repo.git("checkout", "-q", "main")
    return repo


def checkout(repo: Repo, branch: str = "feature", *depth: str, merge: bool = True) -> Repo:
    """What actions/checkout makes: for a pull request the merge of its branch, detached; nothing
    says which branch is the default one.
    """
    if merge:
        repo.git("checkout", "-q", "--detach", "main")
        repo.git("merge", "-q", "--no-ff", "-m", "Merge 1 into 0", branch)
        repo.git("branch", "-f", "merged")
        repo.git("checkout", "-q", "main")
    job = Repo(repo.path.parent / "job")
    job.git("remote", "add", "origin", f"file://{repo.path}")
    wanted = ["merged" if merge else branch] if depth else []
    job.git("fetch", "-q", *depth, "origin", *wanted)
    job.git("checkout", "-q", "--detach", "FETCH_HEAD" if depth else
            f"origin/{'merged' if merge else branch}")  # fmt: skip
    return job


def pull(title: str = "Add a limit", body: str | None = "It counts.", *, action: str = "opened",
         branch: str = "feature", head: str = "o/r") -> dict[str, Any]:  # fmt: skip
    return {
        "action": action,
        "repository": {"default_branch": "main"},
        "pull_request": {
            "title": title, "body": body,
            "head": {"ref": branch, "repo": {"full_name": head}},
            "base": {"ref": "main", "repo": {"full_name": "o/r"}},
        },
    }  # fmt: skip


PULL = {"GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/1/merge"}
PUSHED = {"GITHUB_REF": "refs/heads/main"}


@pytest.fixture
def clean(tmp_path: Path) -> Repo:
    """A job's checkout of a pull request without a new name."""
    return checkout(propose(origin(tmp_path)))


# --- pull requests --------------------------------------------------------------------------------


def test_a_clean_pull_request_passes_and_says_what_was_scanned(runner: Runner, clean: Repo) -> None:
    ran = runner.run(clean, pull(), **PULL)
    assert ran.code == 0, ran.log
    assert "1 PR title, 1 PR body" in ran.log
    assert "merge\\-base of HEAD and the origin\\/main" in ran.summary
    assert (ran.outputs, ran.commands) == ({"findings": "0"}, [])


def test_a_name_in_the_body_alone_fails_with_an_annotation(runner: Runner, clean: Repo) -> None:
    """prism#476, phoenix#4739: the pull request's own text went unread."""
    ran = runner.run(clean, pull(body=f"Some words.\n\n{COINED} asked for this"), **PULL)
    assert ran.code == 1
    (command,) = ran.commands
    assert command.startswith("::error title=orgguard(new-name)::")
    assert "PR body line 3" in command
    assert ran.outputs == {"findings": "1"}


def test_what_was_found_is_printed_nowhere(runner: Runner, tmp_path: Path) -> None:
    """mnemiq#6, pick#72: the log of a public job repeated the match."""
    files: Files = {f"src/{COINED.lower()}.py": f"# {COINED} asked for this\n"}
    job = checkout(propose(origin(tmp_path), files, f"For {COINED}"))
    ran = runner.run(job, pull(f"Add {COINED}", branch=f"{COINED}/export"), **PULL)
    assert ran.code == 1
    assert not NAMES.search(ran.log + ran.summary + str(ran.outputs))


def test_an_edit_is_scanned_as_it_is_now(runner: Runner, clean: Repo) -> None:
    """immich-autotag#93: a mended body stayed red, and an edit after approval was never scanned."""
    before = {"changes": {"body": {"from": f"{COINED} asked for this"}}}
    assert runner.run(clean, {**pull(action="edited"), **before}, **PULL).code == 0
    after = pull(f"Add the {COINED} export", action="edited")
    assert runner.run(clean, after, **PULL).code == 1


def test_a_file_mended_by_a_later_commit_needs_no_forced_push(
    runner: Runner, tmp_path: Path
) -> None:
    """phoenix#3785: a scan of every commit kept such a pull request red for ever."""
    repo = propose(origin(tmp_path), {"src/a.py": f"# {COINED} asked for this\n"})
    job = checkout(propose(repo, {"src/a.py": "# a customer asked for this\n"}))
    assert runner.run(job, pull(), **PULL).code == 0


def test_an_earlier_push_of_the_branch_establishes_nothing(runner: Runner, tmp_path: Path) -> None:
    repo = propose(origin(tmp_path), {"src/a.py": f"# {COINED} asked for this\n"})
    before = repo.git("rev-parse", "feature")
    job = checkout(propose(repo), merge=False)
    event = {"ref": "refs/heads/feature", "before": before, **pull()}
    del event["pull_request"]
    assert runner.run(job, event, GITHUB_REF="refs/heads/feature").code == 1


@pytest.mark.parametrize(
    "path",
    [".orgguard/policy.toml", ".github/workflows/orgguard.yml", "action.yml", "AGENTS.md",
     "tests/names.py", "orgguard_mcp/names.py"],
)  # fmt: skip
def test_the_scanner_exempts_nothing_of_its_own(runner: Runner, tmp_path: Path, path: str) -> None:
    """prism#302: the guard's own files were let through, and shipped a real name."""
    job = checkout(propose(origin(tmp_path), {path: f"# {COINED} asked for this\n"}))
    assert runner.run(job, pull(), **PULL).code == 1


# --- forks and the key ----------------------------------------------------------------------------

LIST: Files = {PROTECTED: sealed([parse(THIRD)], Key(KEY))}


def test_a_fork_without_the_secret_is_not_red_for_it(runner: Runner, tmp_path: Path) -> None:
    """mnemiq#6: outsiders went red, since a fork is given no secret."""
    job = checkout(propose(origin(tmp_path, LIST)))
    ran = runner.run(job, pull(head="fork/r"), {"protected-key": ""}, **PULL)
    assert ran.code == 0, ran.log
    assert "the protected names were not checked: a fork" in ran.log
    ran = runner.run(job, pull(f"Add {COINED}", head="fork/r"), {"protected-key": ""}, **PULL)
    assert ran.code == 1


def test_the_key_reaches_the_scan_and_its_absence_is_no_pass(
    runner: Runner, tmp_path: Path
) -> None:
    files: Files = {"src/a.py": f"merge_{THIRD.lower()}_rows = 1\n"}
    job = checkout(propose(origin(tmp_path, LIST), files))
    ran = runner.run(job, pull(), {"protected-key": KEY}, **PULL)
    assert (ran.code, "orgguard(protected-name)" in ran.log) == (1, True)
    clean_job = checkout(propose(origin(tmp_path / "b", LIST)))
    assert runner.run(clean_job, pull(), **PULL).code == 3


def test_a_list_that_is_committed_tells_no_name() -> None:
    """pick#72, failproofai#702: the guard published its own list. civitai#4486: a key with a line
    break matched nothing and passed; here it is refused (see test_protected.py).
    """
    text = LIST[PROTECTED]
    assert isinstance(text, bytes)
    assert THIRD.lower().encode() not in text.lower()
    assert sealed([parse(THIRD)], Key("f" * 64)) != text


# --- other events ---------------------------------------------------------------------------------


def test_a_merge_group_is_compared_with_the_branch_it_goes_into(
    runner: Runner, tmp_path: Path
) -> None:
    repo = propose(origin(tmp_path), message=f"Add the {COINED} export")
    repo.git("branch", "-m", "main", "trunk")
    job = checkout(repo, merge=False)
    group = {"base_ref": "refs/heads/trunk", "head_ref": "refs/heads/gh-readonly-queue/trunk/pr-1"}
    event = {"action": "checks_requested", "merge_group": group}
    ran = runner.run(job, event, GITHUB_REF="refs/heads/gh-readonly-queue/trunk/pr-1")
    assert ran.code == 1
    assert "the origin/trunk (from --base)" in ran.log


def test_a_push_to_the_default_branch_is_compared_with_what_it_was(
    runner: Runner, tmp_path: Path
) -> None:
    repo = origin(tmp_path)
    before = repo.git("rev-parse", "HEAD")
    repo.commit({"src/a.py": f"# {COINED} asked for this\n"})
    event = {"ref": "refs/heads/main", "before": before, "repository": {"default_branch": "main"}}
    job = checkout(repo, "main", merge=False)
    assert runner.run(job, event, **PUSHED).code == 1
    event["before"] = "1" * 40  # a forced push: what the branch was is not in the clone
    assert runner.run(job, event, **PUSHED).code == 3


def test_a_shallow_clone_is_no_pass_and_says_how_to_fetch(runner: Runner, tmp_path: Path) -> None:
    job = checkout(propose(origin(tmp_path)), "feature", "--depth=1")
    ran = runner.run(job, pull(), **PULL)
    assert ran.code == 3
    assert "`fetch-depth: 0`" in ran.log
    assert ran.outputs == {}


# --- inputs ---------------------------------------------------------------------------------------


def test_each_input_does_what_it_says(runner: Runner, clean: Repo, tmp_path: Path) -> None:
    named = pull(body=f"{COINED} asked for this")
    assert runner.run(clean, named, {"fail-on": "nothing"}, **PULL).code == 0
    assert runner.run(clean, named, {"fail-on": "noise"}, **PULL).code == 2
    assert runner.run(clean, named, {"level": "loud"}, **PULL).code == 2
    assert runner.run(clean, named, {"base": "gone"}, **PULL).code == 3
    ran = runner.run(clean, named, {"args": "--reveal --branch x"}, **PULL)
    assert COINED in ran.log


def test_findings_are_written_as_sarif_too(runner: Runner, tmp_path: Path) -> None:
    job = checkout(propose(origin(tmp_path), {"src/a.py": f"# {COINED} asked for this\n"}))
    sarif = tmp_path / "found.sarif"
    assert runner.run(job, pull(), {"sarif-file": str(sarif)}, **PULL).code == 1
    (run,) = json.loads(sarif.read_text())["runs"]
    assert len(run["results"]) == 1
    assert not NAMES.search(sarif.read_text())
    unchecked = {"sarif-file": str(sarif), "base": "gone"}
    assert (runner.run(job, pull(), unchecked, **PULL).code, sarif.exists()) == (3, False)


# --- a hostile author -----------------------------------------------------------------------------

HOSTILE = [
    "$(touch x)", "`touch x`", "'; touch x; '", '"; touch x; "', "a\ntouch x\n", "${IFS}touch x",
    "\n::set-output name=findings::7", "\r\n::error::forged", "::stop-commands::x",
    "%0A::notice::x", "\n##[set-output name=findings]7", "--exit-zero", "-x",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_an_authors_words_are_run_nowhere(runner: Runner, clean: Repo, text: str) -> None:
    before = sorted(clean.path.iterdir())
    event = pull(f"{text} {COINED}", f"{text}\n{COINED} asked for this", branch=text)
    ran = runner.run(clean, event, **PULL, GITHUB_HEAD_REF=text)
    assert ran.code == 1
    assert sorted(clean.path.iterdir()) == before
    assert ran.outputs == {"findings": f"{len(ran.commands)}"}
    assert all(command.startswith("::error title=orgguard(") for command in ran.commands)


def test_files_of_the_branch_are_run_nowhere(runner: Runner, tmp_path: Path) -> None:
    shadows: Files = {
        f"{name}/{file}": "raise SystemExit('the branch was run')\n"
        for name in SHADOWS
        for file in ("__init__.py", "__main__.py")
    }
    ran = runner.run(checkout(propose(origin(tmp_path), shadows)), pull(), **PULL)
    assert ("scanned:" in ran.log, "the branch was run" in ran.log) == (True, False)


# --- the files themselves -------------------------------------------------------------------------


def test_the_action_takes_what_others_wrote_by_the_environment_alone() -> None:
    steps = document(ACTION)["runs"]["steps"]
    assert all("${{" not in one["run"] for one in steps)
    assert not re.search(r"eval|GITHUB_HEAD_REF|github\.head_ref|pull_request", ACTION.read_text())


def test_the_workflow_listens_to_all_that_publishes_text() -> None:
    workflow = document(WORKFLOW)
    assert set(workflow["on"]) == {"pull_request", "merge_group", "push"}
    assert {"opened", "synchronize", "reopened", "edited", "ready_for_review"} == set(
        workflow["on"]["pull_request"]["types"]
    )
    steps = workflow["jobs"]["names"]["steps"]
    assert steps[0]["with"]["fetch-depth"] == "0"
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one["uses"]) for one in steps)
    assert "secrets." not in WORKFLOW.read_text()


def test_nothing_that_we_ship_for_github_can_be_turned_against_it() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--persona=pedantic", ACTION, WORKFLOW],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# --- GitLab ---------------------------------------------------------------------------------------


def script_of(page: str, start: str) -> str:
    """The block of *page* whose first line begins with *start*."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if block.startswith(start))


@pytest.mark.parametrize(("title", "code"), [("Add a limit", 0), (f"Add the {COINED} export", 1)])
def test_the_recipe_for_any_other_system_works_as_it_stands(
    clean: Repo, tmp_path: Path, title: str, code: int
) -> None:
    given = {
        "TITLE": title, "BODY": "It counts.", "BRANCH": "feature", "TARGET": "main", "CI": "true",
        "TMPDIR": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        ["sh", "-e", "-c", script_of("docs/ci.md", "git fetch origin")], cwd=clean.path,
        env={**os.environ, **given}, check=False, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "1 branch name, 0 tag names, 1 PR title, 1 PR body" in done.stdout


class Merge(NamedTuple):
    """What a job of the GitLab template came to."""

    code: int
    log: str
    quality: list[dict[str, Any]]


@pytest.fixture
def scripts(tmp_path: Path) -> list[str]:
    """The template's script, with the folder for OrgGuard moved to where it is installed."""
    folder = tmp_path / "orgguard"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "orgguard").symlink_to(Path(sys.executable).with_name("orgguard"))
    return [
        line.replace("/tmp/orgguard", str(folder))  # noqa: S108
        for line in document(GITLAB)["orgguard"]["script"]
    ]


def merge_request(scripts: list[str], job: Repo, **variables: str) -> Merge:
    given = {
        "CI": "true", "CI_MERGE_REQUEST_TITLE": "Add a limit",
        "CI_MERGE_REQUEST_DESCRIPTION": "It counts.",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", **variables,
    }  # fmt: skip
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(scripts)], cwd=job.path, env={**os.environ, **given},
        check=False, timeout=60, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    report = job.path / "gl-code-quality-report.json"
    quality = json.loads(report.read_text() or "[]") if report.exists() else []
    return Merge(done.returncode, done.stdout.decode(), quality)


def test_gitlabs_script_passes_what_is_clean(scripts: list[str], clean: Repo) -> None:
    ran = merge_request(scripts, clean)
    assert (ran.code, ran.quality) == (0, []), ran.log
    assert "1 branch name, 0 tag names, 1 PR title, 1 PR body" in ran.log


@pytest.mark.parametrize(
    ("variable", "text", "where"),
    [
        ("CI_MERGE_REQUEST_TITLE", f"Add the {COINED} export", "PR title"),
        ("CI_MERGE_REQUEST_DESCRIPTION", f"x\n{COINED} asked for this", "PR body line 2"),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", f"feature/{COINED.lower()}-export", "branch name"),
    ],
)
def test_gitlabs_script_finds_a_name_in_the_merge_requests_text(
    scripts: list[str], clean: Repo, variable: str, text: str, where: str
) -> None:
    ran = merge_request(scripts, clean, **{variable: text})
    assert (ran.code, where in ran.log) == (1, True), ran.log
    assert not NAMES.search(ran.log)


def test_gitlabs_script_writes_the_code_quality_report(scripts: list[str], tmp_path: Path) -> None:
    job = checkout(propose(origin(tmp_path), {"src/a.py": f"# {COINED} asked for this\n"}))
    ran = merge_request(scripts, job)
    assert (ran.code, ran.quality[0]["location"]["path"]) == (1, "src/a.py")


def test_gitlabs_script_passes_no_description_that_was_cut(scripts: list[str], clean: Repo) -> None:
    ran = merge_request(scripts, clean, CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED="true")
    assert (ran.code, "hint: shorten" in ran.log) == (3, True)


@pytest.mark.parametrize("text", HOSTILE)
def test_gitlabs_script_runs_no_authors_words(scripts: list[str], clean: Repo, text: str) -> None:
    ran = merge_request(
        scripts, clean, CI_MERGE_REQUEST_TITLE=f"{text} {COINED}",
        CI_MERGE_REQUEST_DESCRIPTION=text, CI_MERGE_REQUEST_SOURCE_BRANCH_NAME=text,
    )  # fmt: skip
    assert ran.code == 1, ran.log
    assert not (clean.path / "x").exists()


def test_gitlabs_job_has_the_history_and_the_release_that_it_needs() -> None:
    import tomllib

    job = document(GITLAB)["orgguard"]
    assert job["variables"]["GIT_DEPTH"] == "0"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert job["variables"]["ORGGUARD"] == f"{project['name']}=={project['version']}"
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]

"""What to do about a name that is out: the steps that fit what was found, and nothing else. Pure.

Nothing here runs anything, and no command here has the name among its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from orgguard_mcp.display import plural
from orgguard_mcp.incident.traces import Incident, Place, Public, Trace, Unseen

_NAME = "../name.txt"  # holds the name, outside the repository
_RULES = "../rules.txt"

_FILES = (Place.TIP, Place.CONTENT, Place.PATH)
_MESSAGES = (Place.COMMIT_MESSAGE, Place.IDENTITY)
_HISTORY = (Place.CONTENT, Place.PATH, *_MESSAGES)
_CI = (
    ".github",
    ".gitlab-ci.yml",
    ".circleci",
    "azure-pipelines.yml",
    "Jenkinsfile",
    ".travis.yml",
)
_REGISTRIES = {
    "PyPI": ("pyproject.toml", "setup.py"),
    "npm": ("package.json",),
    "crates.io": ("Cargo.toml",),
    "the container registry": ("Dockerfile", "Containerfile"),
}


class Step(NamedTuple):
    """One step: what to do, and how, a line each."""

    what: str
    how: tuple[str, ...]


class _Facts:
    """What the steps depend on."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        self.out = [trace for trace in incident.traces if trace.public is not Public.NO]
        self.sure = any(trace.public is Public.YES for trace in self.out)
        hosts = incident.hosts.values()
        self.github = any("github" in host or host.endswith(".ghe.com") for host in hosts)
        self.gitlab = any("gitlab" in host for host in hosts)

    def local(self, *places: Place) -> list[Trace]:
        return [t for t in self.incident.at(*places) if t.public is Public.NO]

    def shared(self, *places: Place) -> list[Trace]:
        return [trace for trace in self.out if trace.place in places]

    @property
    def change(self) -> str:
        """What the host calls a proposed change."""
        return "merge request" if self.gitlab and not self.github else "pull request"


def steps(incident: Incident) -> list[Step]:
    """What to do, in order; nothing where nothing was found."""
    if not incident.traces:
        return []
    facts = _Facts(incident)
    found = [_quietly(facts), *_at_hand(facts), *_not_pushed(facts)]
    if facts.out:
        found += [*_pushed(facts), *_copies(facts), _people(facts)]
    return [*found, *_forgetting(facts), _again(facts)]


def _quietly(facts: _Facts) -> Step:
    return Step(
        "Do not write the name again while you mend it",
        (
            f"the mending commit's message, branch and {facts.change} must not carry it: say"
            ' "remove a name"',
            f"where a tool asks for it, put it into a file outside the repository ({_NAME}),"
            " not on a command line",
        ),
    )


# --- what only this clone has ---------------------------------------------------------------------


def _at_hand(facts: _Facts) -> Iterator[Step]:
    if facts.incident.at(Place.WORKTREE, Place.INDEX, Place.TIP):
        how = ["edit the files listed above, `git mv` the paths, then `git add` and look again"]
        if facts.incident.at(Place.TIP):
            how.append("a new commit takes it off the tip only: the steps below are for the rest")
        yield Step("Take it out of the files", tuple(how))
    if built := facts.incident.at(Place.BUILD):
        yield Step(
            "Delete the build outputs and build them anew",
            (f"{plural(len(built), 'file')} above; nothing of them may be uploaded",),
        )


def _not_pushed(facts: _Facts) -> Iterator[Step]:
    names, tags = facts.local(Place.BRANCH), facts.local(Place.TAG, Place.TAG_MESSAGE)
    commits = [t for t in facts.local(*_HISTORY) if t.refs and not _passing(t)]
    if names:
        yield Step(
            "Rename the branch, which is not pushed",
            ("switch to it, then `git branch -m NEW-NAME`: the old name is no argument",),
        )
    if commits:
        yield Step("Rewrite the commits that are not pushed", _rewriting(commits))
    if tags:
        yield Step(
            "Make the tags anew, which are not pushed",
            ("`git tag -d` the old one; the new one's name and message without the name",),
        )
    if any(
        "stash" in trace.refs or "reflog of stash" in trace.refs for trace in facts.incident.traces
    ):
        yield Step(
            "Drop the stash",
            ("`git stash list`, take what you need, then `git stash drop stash@{N}`",),
        )


def _forgetting(facts: _Facts) -> Iterator[Step]:
    in_files = {Place.WORKTREE, Place.INDEX, Place.BUILD}
    if any(trace.place not in in_files for trace in facts.incident.traces):
        yield Step(
            "Make this clone forget what nothing reaches any more",
            (
                "`git reflog expire --expire=now --all`, then `git gc --prune=now`",
                "this drops every stash but the latest, and all that only a reflog could bring"
                " back: save what you need first",
            ),
        )


def _passing(trace: Trace) -> bool:
    """Whether only a stash or a reflog reaches it: there is no branch to rewrite."""
    return all(ref == "stash" or ref.startswith("reflog of ") for ref in trace.refs)


def _rewriting(commits: list[Trace]) -> tuple[str, ...]:
    oldest = min(commits, key=lambda trace: trace.when)
    return (
        "the last commit of a branch: mend the files, then `git commit --amend`",
        f"older ones: `git rebase -i {oldest.oid[:7]}^` (`--root` for a first commit); `edit` those"
        " whose files hold it, `reword` those whose messages do",
    )


# --- what others can read -------------------------------------------------------------------------


def _pushed(facts: _Facts) -> Iterator[Step]:
    sure = "was pushed: count it as public" if facts.sure else "may be pushed: count it as public"
    if commits := facts.shared(*_HISTORY, Place.TAG_MESSAGE):
        yield Step(f"Rewrite the history that {sure}", tuple(_filter(facts, commits)))
    if facts.shared(Place.BRANCH):
        yield Step(
            "Rename the pushed branch",
            (
                "push it under a new name and delete the old one on the host's page of branches",
                f"a {facts.change} from it shows the old name for good: close it, open a new one,"
                " and ask the host to delete the old one",
            ),
        )
    if facts.shared(Place.TAG, Place.TAG_MESSAGE):
        yield Step(
            "Delete the tag on the host, with its release",
            (
                "`git ls-remote --tags` shows whether it was pushed; delete it on the host's page",
                "clones keep a tag that the host has no more: tell those who fetched it",
            ),
        )
    yield _review(facts)
    if any(trace.oid for trace in facts.out):
        yield _by_id(facts)
    if present := [file for file in _CI if file in facts.incident.files]:
        yield _ci(facts, present)


def _filter(facts: _Facts, commits: list[Trace]) -> Iterator[str]:
    remotes = tuple(f"{remote}/" for remote in facts.incident.hosts)
    shared = {ref for t in commits for ref in t.refs if ref.startswith((*remotes, "tag "))}
    if len(shared) == 1 and not facts.shared(Place.TAG_MESSAGE):
        yield "one pushed branch holds it: " + _rewriting(commits)[1]
        yield "then `git push --force-with-lease`"
        return
    places = {trace.place for trace in commits}
    options = ["--sensitive-data-removal"]
    if Place.CONTENT in places:
        options.append(f"--replace-text {_RULES}")
    if Place.COMMIT_MESSAGE in places or Place.TAG_MESSAGE in places:
        options.append(f"--replace-message {_RULES}")
    if Place.PATH in places:
        options.append("--paths-from-file ../paths.txt")
    if Place.IDENTITY in places:
        options.append("--mailmap ../mailmap.txt")
    yield "stop merging; in a fresh clone: `git filter-repo " + " ".join(options) + "`"
    yield f"a line of {_RULES}: `regex:(?i)THE-NAME==>NEUTRAL-WORD`" + (
        "; of paths.txt: `OLD/PATH==>NEW/PATH`" if Place.PATH in places else ""
    )
    yield "then `git push --force --mirror origin`; protected branches must let you"


def _review(facts: _Facts) -> Step:
    how = [
        "titles and descriptions, comments and reviews; a squash merge's message is made of them"
    ]
    if facts.github:
        how.append(
            'an edit keeps the old text: in the "edited" list of each text delete the old revision;'
            " a changed title stays in the timeline, so ask the host's support"
        )
    elif facts.gitlab:
        how.append(
            "an edit keeps the old text: delete the version in the description's history; a changed"
            " title stays in the activity, so delete the merge request"
        )
    else:
        how.append("an edit may keep the old text: look for its history, and delete that, too")
    how.append("mails and chat messages that told of it have gone out: an edit recalls none")
    return Step(f"Mend the text of each {facts.change} of these commits", tuple(how))


def _by_id(facts: _Facts) -> Step:
    oldest = min((t for t in facts.out if t.oid), key=lambda trace: (trace.when, trace.oid))
    how = []
    if facts.github:
        how += [
            "a force-push takes no commit away: refs/pull/*, forks and its id still show it",
            "ask support.github.com to remove it (sensitive data): the repository, how many pull"
            f" requests hold it, the first changed commit ({oldest.oid[:7]}, or as git filter-repo"
            " says)",
            "say there that a name, unlike a key, cannot be rotated; do not write the name",
        ]
    if facts.gitlab:
        how += [
            "a force-push takes no commit away: refs/merge-requests/*, refs/keep-around/* keep it",
            "Settings, Repository, Repository maintenance: `Remove blobs` with the objects' ids"
            " (`--format json` has them), or `Redact text`; then Housekeeping, which prunes",
        ]
    if not how:
        how = [
            "a force-push takes no commit away: hosts keep what their own references reach",
            "ask who runs the host to delete those and to prune"
            f" (first commit {oldest.oid[:7]}); do not write the name",
        ]
    return Step("Have the host forget the old commits", tuple(how))


def _ci(facts: _Facts, present: list[str]) -> Step:
    how = [f"this repository has {', '.join(present)}: logs quote messages, branches and tests"]
    if facts.github:
        how += [
            "`gh run list --commit SHA` for the commits above, then `gh run delete ID`: its logs"
            " and artifacts go with it",
            "`gh cache delete --all`",
        ]
    elif facts.gitlab:
        how.append("`glab ci delete ID` for their pipelines, and Clear runner caches")
    else:
        how.append("delete the runs of the commits above with logs and artifacts; empty the caches")
    return Step("Delete logs, artifacts and caches of CI", tuple(how))


def _copies(facts: _Facts) -> Iterator[Step]:
    files = facts.incident.files
    known = [name for name, tells in _REGISTRIES.items() if not files.isdisjoint(tells)]
    if known and (facts.incident.at(*_FILES, Place.BUILD)):
        yield Step(
            f"Remove what was published from these files ({', '.join(known)})",
            (*_unpublishing(known), "whoever has downloaded it keeps it, mirrors too"),
        )
    remotes = facts.incident.hosts
    more = f"; this clone knows {len(remotes)} remotes: do it on each" if len(remotes) > 1 else ""
    yield Step(
        "Go after the copies",
        (
            f"forks and mirrors: ask their owners to delete or rewrite them{more}",
            "search engines and web archives: ask them to drop the pages, once these are gone",
        ),
    )


def _unpublishing(known: list[str]) -> Iterator[str]:
    yield "a yank unpublishes nothing: the files stay to be downloaded"
    if "PyPI" in known:
        yield "PyPI: delete the release; its version can never be used again"
    if "npm" in known:
        yield "npm: `npm unpublish` within 72 hours, later on conditions only; else ask its support"
    if "crates.io" in known:
        yield "crates.io: deletes a crate on conditions only; else ask its team"
    if "the container registry" in known:
        yield "containers: delete the tags and the untagged layers"


def _people(facts: _Facts) -> Step:
    since = min((trace.when for trace in facts.out if trace.when), default=0)
    when = f" since {day(since)} at the earliest" if since else ""
    return Step(
        "Tell the people concerned",
        (
            f"what was read cannot be unsaid: tell the organisation, or who is bound to it, what"
            f" could be read{when}",
            "rotate what stood beside the name: keys, host names, tenant and account numbers",
            "have everybody with a clone fetch it anew: one old branch, merged, brings it all back",
        ),
    )


def _again(facts: _Facts) -> Step:
    where = "here and in a fresh clone" if facts.out else "here"
    return Step("Look again", (f"`orgguard incident < {_NAME}` {where}: it ends with exit code 0",))


# --- what was not seen ----------------------------------------------------------------------------


def beyond(incident: Incident) -> list[Unseen]:
    """What no clone can see, and how to look: with the name read from a file."""
    facts = _Facts(incident)
    if not incident.hosts:
        return []
    found = []
    if any(trace.oid and not trace.refs for trace in incident.at(*_HISTORY)):
        found.append(_UNREACHED)
    if facts.github:
        found += _BEYOND_GITHUB
    if facts.gitlab:
        found += _BEYOND_GITLAB
    if not (facts.github or facts.gitlab):
        found += _BEYOND_OTHER
    return [*found, *_BEYOND_ALL]


_GREP = f"grep -inFf {_NAME}"
_UNREACHED = Unseen(
    "whether the host still shows the commits that no reference here reaches",
    "open its page of the commit, or `git fetch origin SHA`",
)
_BEYOND_GITHUB = [
    Unseen(
        "titles and bodies of pull requests and issues",
        f"`gh api --paginate 'repos/{{owner}}/{{repo}}/issues?state=all' | {_GREP}`",
    ),
    Unseen(
        "comments, reviews and the edit history of all texts",
        f"`gh api --paginate 'repos/{{owner}}/{{repo}}/issues/comments' | {_GREP}`, the same with"
        " pulls/comments; old revisions on the page only",
    ),
    Unseen(
        "CI logs, artifacts, caches",
        f"`gh run list -L 100 --json databaseId -q '.[].databaseId'`, each: `gh run view --log ID |"
        f" {_GREP}`",
    ),
    Unseen(
        "the host's own references",
        "`git fetch origin '+refs/pull/*/head:refs/remotes/pull/*'`, then run this again",
    ),
    Unseen("forks", "`gh api --paginate 'repos/{owner}/{repo}/forks' -q '.[].full_name'`"),
    Unseen("releases, wiki, discussions", "`gh release list`; a wiki is a repository: clone it"),
]
_BEYOND_GITLAB = [
    Unseen(
        "titles and descriptions of merge requests, their history and comments",
        f"`glab api --paginate 'projects/:id/merge_requests?state=all' | {_GREP}`; old versions on"
        " the page only",
    ),
    Unseen("CI logs, artifacts, caches", f"`glab ci list`, each job: `glab ci trace ID | {_GREP}`"),
    Unseen(
        "the host's own references",
        "`git fetch origin '+refs/merge-requests/*/head:refs/remotes/mr/*'`, then run this again",
    ),
    Unseen("forks", "`glab api --paginate 'projects/:id/forks'`"),
]
_BEYOND_OTHER = [
    Unseen(
        "texts of proposed changes, their comments and edit history", "look on the host's pages"
    ),
    Unseen("CI logs, artifacts, caches", f"download the logs, then `{_GREP}`"),
    Unseen("the host's own references", f"`git ls-remote | {_GREP}`"),
    Unseen("forks", "the host's page of forks"),
]
_BEYOND_ALL = [
    Unseen(
        "published packages, mirrors, search engines",
        "download each version (`pip download`, `npm pack`) into dist/ and run this again",
    ),
]


def day(seconds: int) -> str:
    """The date of *seconds*, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")

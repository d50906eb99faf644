"""Differential: what the index says of a name, against what `git grep` finds in the same tree."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis, FileClass
from tests import names
from tests.simulator import Repo

SINGLE = (names.COINED, names.COINED_TOO, names.THIRD, names.FOURTH)
HAND_WRITTEN = ("src/a.py", "lib/b.ts", "tests/test_c.py", "docs/d.md", "settings.yaml", "e.go")
NOT_HAND_WRITTEN = {
    "package-lock.json": FileClass.LOCKFILE, "vendor/f.js": FileClass.VENDORED,
    "dist/g.js": FileClass.GENERATED, "AGENTS.md": FileClass.AGENT_RULES,
    ".cursor/rules/h.mdc": FileClass.AGENT_RULES, "marked.py": FileClass.GENERATED,
}  # fmt: skip
ATTRIBUTES = {".gitattributes": "marked.py linguist-generated\n"}
_NOISE = base64.b64encode(bytes(range(7, 250, 11))).decode().rstrip("=")

# How a name may stand in a line. The first word is the kind: it explains a disagreement with grep.
WHOLE: dict[str, Callable[[str], str]] = {
    "plain": lambda name: f"we call {name} here",
    "lower": lambda name: f"import {name.lower()}",
    "upper": lambda name: f"{name.upper()}_API_KEY = 1",
    "camel": lambda name: f"new{name}Client()",
    "snake": lambda name: f"get_{name.lower()}_client()",
    "kebab": lambda name: f'"{name.lower()}-sdk": "^1"',
    "host": lambda name: f"https://api.{name.lower()}.com/v1",
    "quoted": lambda name: f'"{name}"',
    "legal form": lambda name: f"{name} Corp",
    "glued form": lambda name: f"{name.lower()}corp",
    "possessive": lambda name: f"{name}'s own",
}
PART: dict[str, Callable[[str], str]] = {
    "substring": lambda name: f"x{name.lower()}ish",
    "encoded": lambda name: f'"{_NOISE}{name}{_NOISE}"',
    "minified": lambda name: "a;" * 800 + f" {name} " + "b;" * 800,
}
APART: dict[str, Callable[[str], str]] = {
    "split": lambda name: f"{name[:3]} {name[3:].lower()}",
    "broken": lambda name: f"{name[:3]}\n{name[3:]}",
    "accented": lambda name: name.replace("a", "á"),
    "look-alike": lambda name: name.replace("a", "а"),  # Cyrillic
    "camel apart": lambda name: f"{name[:3].lower()}{name[3:].capitalize()}",
}
FORMS = {**WHOLE, **PART, **APART}


@dataclass(frozen=True)
class Placed:
    name: str
    form: str
    path: str

    @property
    def line(self) -> str:
        return FORMS[self.form](self.name)


placements = st.lists(
    st.builds(
        Placed,
        st.sampled_from(SINGLE),
        st.sampled_from(sorted(FORMS)),
        st.sampled_from([*HAND_WRITTEN, *NOT_HAND_WRITTEN]),
    ),
    max_size=6,
)


def grep(repo: Repo, name: str, *options: str) -> set[str]:
    """The files of the base in which `git grep` finds *name*."""
    done = subprocess.run(
        ["git", "grep", "-l", "-z", "-i", *options, "-e", name, "HEAD"],
        cwd=repo.path, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode < 2, done.stderr
    return {path.removeprefix("HEAD:") for path in done.stdout.decode().split("\0") if path}


def repository(directory: str, placed: list[Placed]) -> Repo:
    files: dict[str, str] = dict.fromkeys(HAND_WRITTEN, "nothing\n") | ATTRIBUTES
    for one in placed:
        files[one.path] = files.get(one.path, "") + one.line + "\n"
    repo = Repo(Path(directory) / "repo")
    repo.commit({**files})
    return repo


@given(placements)
@example([Placed(names.COINED, "encoded", "src/a.py"), Placed(names.THIRD, "plain", "AGENTS.md")])
@example([Placed(names.COINED, form, "src/a.py") for form in ("broken", "minified")])
@example([Placed(names.COINED, form, "src/a.py") for form in sorted(PART)])
@example([Placed(names.COINED, form, "src/a.py") for form in sorted(APART)])
@settings(max_examples=25)
def test_verdict_differs_from_git_grep_only_where_a_class_explains_it(placed: list[Placed]) -> None:
    with TemporaryDirectory() as directory:
        repo = repository(directory, placed)
        with Guard(repo.path) as guard:
            for name in SINGLE:
                verdict = guard.check(name)
                anywhere = grep(repo, name, "-F")
                as_word = grep(repo, name, "-F", "-w")
                mine = [one for one in placed if one.name == name]
                if verdict.basis is Basis.ESTABLISHED:
                    unseen = {place.path for place in verdict.evidence} - anywhere
                    told = {one.path for one in mine if one.form in {"accented", "look-alike"}}
                    told |= {one.path for one in mine if one.form == "camel apart"}
                    assert unseen <= told, (name, verdict)
                    assert {place.path for place in verdict.evidence} <= set(HAND_WRITTEN)
                else:
                    unexplained = anywhere - set(NOT_HAND_WRITTEN)
                    forms = {one.form for one in mine if one.path in unexplained}
                    assert forms <= set(PART) | set(APART), (name, forms, verdict)
                whole = {one.path for one in mine if one.form in WHOLE} & set(HAND_WRITTEN)
                assert (verdict.basis is Basis.ESTABLISHED) or not whole, (name, verdict)
                plain = {p for p in as_word if p in HAND_WRITTEN and not _machine(p, mine)}
                assert (verdict.basis is Basis.ESTABLISHED) or not plain, (name, plain, verdict)


def _machine(path: str, mine: list[Placed]) -> bool:
    """Whether all that stands in *path* is a substring, lies in a machine-made stretch, or is
    two words.
    """
    return {one.form for one in mine if one.path == path} <= {*PART, "split", "broken"}


@given(st.sampled_from(sorted(FORMS)), st.sampled_from([*HAND_WRITTEN, *NOT_HAND_WRITTEN]))
@settings(max_examples=30)
def test_one_placement_is_judged_by_its_form_and_its_class(form: str, path: str) -> None:
    placed = Placed(names.COINED, form, path)
    with TemporaryDirectory() as directory:
        repo = repository(directory, [placed])
        with Guard(repo.path) as guard:
            verdict = guard.check(names.COINED)
        found = grep(repo, names.COINED, "-F")
    expected = path in HAND_WRITTEN and form not in PART and form not in {"split", "broken"}
    if form == "camel apart":
        expected = path in HAND_WRITTEN  # zorBlatt: neighbouring parts of one run are one name
    assert (verdict.basis is Basis.ESTABLISHED) is expected, (form, path, verdict)
    assert (path in found) is (form in WHOLE or form in PART or form == "camel apart")
    if expected:
        assert [(e.path, e.line) for e in verdict.evidence] == [(path, 2)]
    elif path in NOT_HAND_WRITTEN and (form in WHOLE or form in {"accented", "look-alike"}):
        assert verdict.files == {NOT_HAND_WRITTEN[path]: 1}


SPELLED = {
    names.TWO_WORDS: ["harborfinch", "the 'Harbor Finch' bank", "we pay at Harbor Finch."],
    names.WITH_SIGN: [names.WITH_SIGN, f"by {names.WITH_SIGN}, who", f'"{names.WITH_SIGN}"'],
    names.DIGITS: [names.DIGITS, f'"{names.DIGITS}"', "7mund_client"],
    names.ACCENTED: [names.ACCENTED, "Welbruck", "WELBRÜCK_KEY"],
    names.NON_LATIN: [names.NON_LATIN, names.NON_LATIN.upper(), f"«{names.NON_LATIN}»"],
    names.COINED: [names.CYRILLIC_TWIN],
}
NO_NAME = ["Harbor Finch", "HarborFinch()", "class HarborFinch:", "the harbor finch sings"]
"""Two ordinary words side by side, in a form that a heading or a class may have too."""


def seen(make_repo: Callable[..., Repo], name: str, line: str) -> list[str]:
    repo = make_repo({"a.py": f"nothing\n{line}\n"})
    assert grep(repo, line, "-F") == {"a.py"}
    with Guard(repo.path) as guard:
        return [str(place) for place in guard.check(name).evidence]


@pytest.mark.parametrize(("name", "line"), [(n, line) for n in SPELLED for line in SPELLED[n]])
def test_spelling_that_git_grep_finds_is_established(
    make_repo: Callable[..., Repo], name: str, line: str
) -> None:
    assert seen(make_repo, name, line) == ["a.py:2"]


@pytest.mark.parametrize("line", NO_NAME)
def test_ordinary_words_side_by_side_are_no_name_though_git_grep_finds_them(
    make_repo: Callable[..., Repo], line: str
) -> None:
    assert seen(make_repo, names.TWO_WORDS, line) == []

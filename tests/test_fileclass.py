"""File classes: which files of the base may establish a name."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.fileclass import Classifier, by_name, by_path, is_data
from orgguard_mcp.model import FileClass

CODE, DOCS, CONFIG, TEST = FileClass.CODE, FileClass.DOCS, FileClass.CONFIG, FileClass.TEST
LOCKFILE, VENDORED, GENERATED = FileClass.LOCKFILE, FileClass.VENDORED, FileClass.GENERATED


def classifier(policy: dict[str, FileClass] | None = None, **texts: str) -> Classifier:
    """A classifier over `.gitattributes` texts: the root's as *root*, that of `lib/` as *lib*."""
    files = {".gitattributes": texts.get("root", ""), "lib/.gitattributes": texts.get("lib", "")}
    return Classifier(lambda paths: [files.get(path, "") for path in paths], policy)


paths = st.lists(st.text("abv.-_A ", min_size=1, max_size=8), min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("path", "file_class"),
    [
        ("src/app.py", CODE),
        ("src/vendors/acme.py", CODE),
        ("src/distribution/app.py", CODE),
        ("latest.py", CODE),
        ("src/contest.py", CODE),
        ("README.md", DOCS),
        ("LICENSE", DOCS),
        ("docs/conf.py", DOCS),
        ("settings.yaml", CONFIG),
        ("Dockerfile", CONFIG),
        (".github/workflows/ci.yml", CONFIG),
        ("test_app.py", TEST),
        ("tests/app.py", TEST),
        ("pkg/app_test.go", TEST),
        ("src/app.spec.ts", TEST),
        ("tests/README.md", TEST),
        ("uv.lock", LOCKFILE),
        ("web/package-lock.json", LOCKFILE),
        ("go.sum", LOCKFILE),
        ("other.lock", LOCKFILE),
        ("vendor/x/y.go", VENDORED),
        ("Vendor/x.go", VENDORED),
        ("web/node_modules/a/b.js", VENDORED),
        ("third_party/README.md", VENDORED),
        ("dist/app.js", GENERATED),
        ("app.min.js", GENERATED),
        ("app_pb2.py", GENERATED),
        ("x.egg-info/PKG-INFO", GENERATED),
        ("AGENTS.md", FileClass.AGENT_RULES),
        ("sub/CLAUDE.md", FileClass.AGENT_RULES),
        (".cursor/rules/names.mdc", FileClass.AGENT_RULES),
        (".github/copilot-instructions.md", FileClass.AGENT_RULES),
        (".orgguard/policy.toml", FileClass.AGENT_RULES),
        ("vendor/CLAUDE.md", FileClass.AGENT_RULES),
    ],
)
def test_the_usual_paths(path: str, file_class: FileClass) -> None:
    assert by_path(path) is file_class


@pytest.mark.parametrize(
    ("path", "data"), [("a.csv", True), ("README.md", True), ("a.py", False), ("a.go", False)]
)
def test_data_is_told_from_code(path: str, data: bool) -> None:
    assert is_data(path) is data


# --- .gitattributes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "path", "file_class"),
    [
        ("lib/** linguist-vendored", "lib/a.py", VENDORED),
        ("lib/** linguist-vendored=true", "lib/a.py", VENDORED),
        ("*.py linguist-generated", "lib/a.py", GENERATED),
        ("lib/** linguist-vendored", "src/a.py", CODE),
        ("vendor/** -linguist-vendored", "vendor/a.py", CODE),
        ("vendor/** linguist-vendored=false", "vendor/a.md", DOCS),
        ("vendor/** !linguist-vendored", "vendor/a.py", VENDORED),
        ("dist/** -linguist-generated", "dist/a.js", CODE),
        ("dist/** -linguist-vendored", "dist/a.js", GENERATED),
        ("*.py linguist-vendored\na.py -linguist-vendored", "a.py", CODE),
        ("# *.py linguist-vendored", "a.py", CODE),
        ("*.py text eol=lf linguist-vendored\r\n", "a.py", VENDORED),
        ("*.py text", "a.py", CODE),
    ],
)
def test_gitattributes_say_what_a_file_is(
    attributes: str, path: str, file_class: FileClass
) -> None:
    assert classifier(root=attributes).classify(path) is file_class


def test_a_deeper_gitattributes_wins_within_its_folder() -> None:
    classes = classifier(root="*.py linguist-vendored", lib="*.py -linguist-vendored")
    assert classes.classify("lib/sub/a.py") is CODE
    assert classes.classify("a.py") is VENDORED
    assert classes.classify("library/a.py") is VENDORED


def test_what_tells_of_many_files_is_asked_for_once() -> None:
    asked: list[list[str]] = []

    def read(files: Sequence[str]) -> list[str]:
        asked.append(list(files))
        return ["*.md linguist-generated" if file.startswith("lib/") else "" for file in files]

    classes = Classifier(read).classes(["a.py", "lib/sub/a.md", "src/a.md"])
    assert classes == [CODE, GENERATED, DOCS]
    wanted = "", "lib/", "lib/sub/", "src/"
    assert asked == [[f"{folder}.gitattributes" for folder in wanted]]


@pytest.mark.parametrize("pattern", ["!", "\\", "["])
def test_a_pattern_that_git_cannot_use_is_passed_over(pattern: str) -> None:
    assert classifier(root=f"{pattern} linguist-vendored").classify("src/a.py") is CODE


@given(st.text(max_size=60), paths)
def test_no_gitattributes_raise(attributes: str, path: str) -> None:
    assert classifier(root=f"{attributes} linguist-vendored").classify(path) in FileClass


# --- policy ------------------------------------------------------------------------------------


def test_policy_wins_over_attributes_and_paths() -> None:
    classes = classifier({"vendor/ours/**": CODE}, root="vendor/** linguist-vendored")
    assert classes.classify("vendor/ours/a.py") is CODE
    assert classes.classify("vendor/theirs/a.py") is VENDORED


def test_a_later_pattern_wins_over_an_earlier_one() -> None:
    classes = classifier({"*.py": GENERATED, "src/*.py": CODE})
    assert classes.classify("src/a.py") is CODE
    assert classes.classify("a.py") is GENERATED


# --- laws --------------------------------------------------------------------------------------


@given(paths)
def test_without_attributes_and_policy_the_path_decides(path: str) -> None:
    assert classifier().classify(path) is by_path(path)


@given(st.text(max_size=40))
def test_any_path_has_a_class(path: str) -> None:
    assert by_name(path).establishes
    assert by_path(path) in FileClass


@given(paths)
def test_whatever_lies_in_a_vendored_folder_establishes_nothing(path: str) -> None:
    assert not by_path(f"vendor/{path}").establishes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("app/locale/de/LC_MESSAGES/django.po", GENERATED),
        ("src/locales/fr.json", GENERATED),
        ("web/app.xliff", GENERATED),
        ("src/locales/index.ts", CODE),
        ("locale.md", DOCS),
    ],
)
def test_translations_are_generated_but_their_code_is_not(path: str, expected: FileClass) -> None:
    assert by_path(path) is expected

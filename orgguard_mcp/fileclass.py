"""What each file of the base is: which class it falls into, by path and `.gitattributes`.

Lockfiles, vendored and generated files and the agent-rule files themselves establish nothing:
nobody chose the names in them. The lists follow GitHub Linguist's and each tool's own documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate

from pathspec import GitIgnoreSpec

from orgguard_mcp.model import FileClass

AGENT_RULES = frozenset(
    "agents.md claude.md claude.local.md gemini.md qwen.md codex.md copilot-instructions.md"
    " .cursorrules .windsurfrules .clinerules .roorules .goosehints conventions.md".split()
)
"""Files that tell an agent what (not) to write: their examples are no use of a name."""

AGENT_RULE_DIRS = frozenset(".cursor .claude .windsurf .clinerules .roo .orgguard".split())

LOCKFILES = frozenset(
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.lock"
    " poetry.lock pdm.lock uv.lock pipfile.lock conda-lock.yml cargo.lock go.sum composer.lock"
    " gemfile.lock podfile.lock package.resolved mix.lock pubspec.lock flake.lock gradle.lockfile"
    " packages.lock.json .terraform.lock.hcl cargo-bazel-lock.json chart.lock buf.lock".split()
)

VENDORED_DIRS = frozenset(
    "vendor third_party third-party thirdparty 3rdparty node_modules bower_components"
    " site-packages godeps _vendor carthage pods jspm_packages extern external_libs".split()
)


GENERATED_DIRS = frozenset(
    "dist out .next _next .nuxt __generated__ generated __snapshots__ htmlcov coverage".split()
)
_GENERATED = re.compile(
    r"""\.min\.(js|css|mjs)$ | \.(js|css|mjs)\.map$ | [._-]bundle\.(js|css|mjs)$ | \.snap$
      | _pb2(_grpc)?\.pyi?$ | \.pb\.(go|cc|h|swift)$ | \.g\.(dart|cs)$ | \.designer\.cs$
      | \.generated\.\w+$ | _generated\.\w+$ | \.freezed\.dart$ | ^zz_generated | \.svg$""",
    re.VERBOSE,
)
_CATALOGUE = re.compile(r"\.(po|pot|mo|xliff?|xlf|arb|strings|lproj|qm|tmx)$")
_CATALOGUE_DIRS = frozenset("locale locales l10n translations".split())
"""Translations repeat what the sources say; in other languages, other words look like names."""

_TEST_DIRS = frozenset("test tests testing spec specs __tests__ testdata fixtures e2e".split())
_TEST = re.compile(r"^(test_.*|conftest)\.py$|[._-](test|tests|spec)\.\w+$|_test\.\w+$")
_DOC_DIRS = frozenset("doc docs documentation website".split())
_DOC = re.compile(
    r"\.(md|mdx|markdown|rst|adoc|asciidoc|txt|textile|org|tex|html?|pod|man|[1-8])$"
    r"|^(readme|changelog|changes|authors|contributors|adopters|users|license|notice|copying)\b"
)
_CONFIG = re.compile(
    r"\.(ya?ml|toml|ini|cfg|conf|json[5c]?|xml|properties|env|plist|tf|tfvars|hcl|csv|tsv|grant)$"
    r"|\.withdrawn$|^\.[^.]+(rc)?$|^(dockerfile|makefile|justfile|procfile)$|^\.env"
)


PROVIDER_DIRS = frozenset(
    "providers provider integrations integration llms connectors connector vendors partners"
    " customers adopters brands merchants exchanges carriers retailers suppliers marketplaces"
    " sources destinations payment_gateways search_providers banks".split()
)
"""Directories whose entries are named after organisations."""


class Classifier:
    """Classes of a base tree's files.

    *read* gives the texts of paths of the tree, empty if it has none: the `.gitattributes` files
    are read as they are needed, unless `learn` has heard of them. *policy* maps gitignore-style
    patterns to classes and wins over everything else, later patterns first.
    """

    def __init__(
        self,
        read: Callable[[Sequence[str]], Iterable[str]],
        policy: Mapping[str, FileClass] | None = None,
    ) -> None:
        self._policy = [
            (compile_pattern(pattern), file_class)
            for pattern, file_class in reversed(list((policy or {}).items()))
        ]
        self._read = read
        self._rules: dict[str, list[_Rule]] = {}
        self.classify = lru_cache(maxsize=1 << 17)(self._classify)

    def unread(self, paths: Iterable[str]) -> list[str]:
        """The `.gitattributes` files that apply to *paths* and have not been read."""
        lowest = dict.fromkeys(path[: path.rfind("/") + 1] for path in paths)
        folders = dict.fromkeys(folder for last in lowest for folder in _around(last))
        wanted = (f"{folder}.gitattributes" for folder in folders)
        return [file for file in wanted if file not in self._rules]

    def learn(self, files: Iterable[str], texts: Iterable[str]) -> None:
        """Take the *texts* of `.gitattributes` *files*, as `unread` gives them."""
        self._rules.update(zip(files, map(_attribute_rules, texts), strict=True))

    def classes(self, paths: Sequence[str]) -> list[FileClass]:
        """The class of each of *paths*: `classify`, with one question for all that tells."""
        if files := self.unread(paths):
            self.learn(files, self._read(files))
        return list(map(self.classify, paths))

    def _classify(self, path: str) -> FileClass:
        for spec, file_class in self._policy:
            if spec.match_file(path):
                return file_class
        if files := self.unread([path]):
            self.learn(files, self._read(files))
        said = self._attributes(path)
        if said.get("linguist-vendored"):
            return FileClass.VENDORED
        if said.get("linguist-generated"):
            return FileClass.GENERATED
        guess = by_path(path)
        if guess is FileClass.VENDORED and said.get("linguist-vendored") is False:
            return by_name(path)
        if guess is FileClass.GENERATED and said.get("linguist-generated") is False:
            return by_name(path)
        return guess

    def _attributes(self, path: str) -> dict[str, bool | None]:
        """What the attributes say of *path* (git: later lines and deeper files win)."""
        said: dict[str, bool | None] = {}
        for folder in _folders(path):
            for spec, settings in self._rules[f"{folder}.gitattributes"]:
                if spec.match_file(path[len(folder) :]):
                    said.update(settings)
        return said


def _folders(path: str) -> tuple[str, ...]:
    """The folders that *path* lies in, from the root inwards, each with its final slash."""
    return _around(path[: path.rfind("/") + 1])


@lru_cache(maxsize=1 << 12)
def _around(folder: str) -> tuple[str, ...]:
    """*folder*, last, and those that it lies in."""
    return ("", *accumulate(f"{name}/" for name in folder.split("/")[:-1]))


def by_path(path: str) -> FileClass:
    """The class by the usual paths alone."""
    *folders, name = path.casefold().split("/")
    if name in AGENT_RULES or not AGENT_RULE_DIRS.isdisjoint(folders):
        return FileClass.AGENT_RULES
    if name in LOCKFILES or name.endswith(".lock"):
        return FileClass.LOCKFILE
    if not VENDORED_DIRS.isdisjoint(folders):
        return FileClass.VENDORED
    if _CATALOGUE.search(name) or (is_data(name) and not _CATALOGUE_DIRS.isdisjoint(folders)):
        return FileClass.GENERATED
    wheel = any(folder.endswith((".dist-info", ".egg-info")) for folder in folders)
    if wheel or _GENERATED.search(name) or not GENERATED_DIRS.isdisjoint(folders):
        return FileClass.GENERATED
    return by_name(path)


def is_data(path: str) -> bool:
    """Whether *path* holds data or text rather than code, so that its size tells its origin."""
    name = path.rpartition("/")[2].casefold()
    return "." not in name or _DOC.search(name) is not None or _CONFIG.search(name) is not None


def by_name(path: str) -> FileClass:
    """The class among those that establish names."""
    *folders, name = path.casefold().split("/")
    if _TEST.search(name) or not _TEST_DIRS.isdisjoint(folders):
        return FileClass.TEST
    if _DOC.search(name) or not _DOC_DIRS.isdisjoint(folders):
        return FileClass.DOCS
    if _CONFIG.search(name):
        return FileClass.CONFIG
    return FileClass.CODE


def compile_pattern(pattern: str) -> GitIgnoreSpec:
    """*pattern* in gitignore's language; `ValueError` when git could not use it."""
    spec = GitIgnoreSpec.from_lines([pattern])
    if not any(rule.include for rule in spec.patterns):
        raise ValueError("the pattern matches nothing")
    return spec


_Rule = tuple[GitIgnoreSpec, dict[str, bool | None]]


def _attribute_rules(text: str) -> list[_Rule]:
    """Every linguist line of one `.gitattributes` (gitattributes(5))."""
    rules: list[_Rule] = []
    for line in text.splitlines():
        pattern, *words = line.split() or ["#"]
        settings = dict(_settings(words))
        if settings and not pattern.startswith(("#", "!")):  # git takes no negative pattern here
            with suppress(ValueError):
                rules.append((compile_pattern(pattern), settings))
    return rules


def _settings(words: Iterable[str]) -> Iterable[tuple[str, bool | None]]:
    for word in words:
        attribute, _, value = word.lstrip("-!").partition("=")
        if attribute.startswith("linguist-"):
            said = not word.startswith("-") and value != "false"
            yield attribute, None if word.startswith("!") else said

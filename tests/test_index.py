"""What the base establishes, and what it does not: seen through the guard, on real repositories."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.index import FILES_COUNTED, MAX_EVIDENCE
from orgguard_mcp.model import Basis, Effect, FileClass, Verdict
from tests.names import ACCENTED, COINED, COINED_TOO, DIGITS, NON_LATIN, THIRD, TWO_WORDS, WITH_SIGN
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
ORDINARY = ("Target", "Linear", "Block", "Delta", "Wise", "Box", "Brave")


def check(repo: Repo, name: str) -> Verdict:
    with Guard(repo.path) as guard:
        return guard.check(name)


def places(verdict: Verdict) -> list[str]:
    return [str(place) for place in verdict.evidence]


# --- spellings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "client = AcmeClient()", "def acme_client(): ...", 'os.environ["ACME_API_KEY"]',
        '"acme-sdk": "^1.0"', "https://api.acme.com/v1", 'customer = "Acme Corp"', "acmecorp",
        "# we integrate Acme here", "newACMEClient", "acme::Client", "Acme's", "xmlns:acme='x'",
    ],
)  # fmt: skip
def test_spelling_establishes_the_name_at_its_line(make_repo: MakeRepo, text: str) -> None:
    verdict = check(make_repo({"src/a.py": f"first\n\n{text}\nlast\n"}), "Acme")
    assert (verdict.basis, verdict.effect) == (Basis.ESTABLISHED, Effect.ALLOW)
    assert places(verdict) == ["src/a.py:3"]


@pytest.mark.parametrize(
    "name", ["Acme", "ACME", "acme.com", "Acme Corp", "AcmeCorp GmbH", "@acme"]
)
def test_name_is_established_however_it_is_asked_for(make_repo: MakeRepo, name: str) -> None:
    assert check(make_repo({"a.py": "acme_client\n"}), name).basis is Basis.ESTABLISHED


@pytest.mark.parametrize("name", [ACCENTED, NON_LATIN, DIGITS, TWO_WORDS, WITH_SIGN])
def test_name_written_out_as_it_is_asked_for_is_established(make_repo: MakeRepo, name: str) -> None:
    verdict = check(make_repo({"a.py": f"x\nvendor = '{name}'\n"}), name)
    assert (verdict.basis, places(verdict)) == (Basis.ESTABLISHED, ["a.py:2"])


@pytest.mark.parametrize(
    "text",
    ["pacmen", "gacmeb", "acmeist", "ac_me", "x = 'a' 'c' 'me'", "placements of cacme", "ac me"],
)
def test_substring_establishes_nothing(make_repo: MakeRepo, text: str) -> None:
    verdict = check(make_repo({"a.py": f"{text}\n"}), "Acme")
    assert (verdict.basis, verdict.evidence) == (Basis.UNKNOWN, ())


def test_evidence_passes_over_a_substring_above_the_name(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "pacmen, acmeist = spacmek()\n\nacme = 1\n"})
    assert places(check(repo, "Acme")) == ["a.py:3"]


@pytest.mark.parametrize("path", ["src/acme/x.py", "src/acme-sdk.py", "AcmeClient.java"])
def test_path_component_establishes_the_name(make_repo: MakeRepo, path: str) -> None:
    verdict = check(make_repo({path: "1\n"}), "Acme")
    assert (verdict.basis, places(verdict)) == (Basis.ESTABLISHED, [path])


@pytest.mark.parametrize("path", ["src/spacmek.py", "ac/me.py", "vendor/acme/x.js"])
def test_part_of_a_component_or_a_vendored_path_establishes_nothing(
    make_repo: MakeRepo, path: str
) -> None:
    assert check(make_repo({path: "1\n"}), "Acme").basis is Basis.UNKNOWN


# --- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "file_class"),
    [
        ("src/a.py", FileClass.CODE), ("tests/data.py", FileClass.TEST),
        ("a.spec.ts", FileClass.TEST), ("README.md", FileClass.DOCS), ("docs/x.py", FileClass.DOCS),
        ("settings.yaml", FileClass.CONFIG), (".env", FileClass.CONFIG),
    ],
)  # fmt: skip
def test_hand_written_file_establishes_and_is_classed(
    make_repo: MakeRepo, path: str, file_class: FileClass
) -> None:
    verdict = check(make_repo({path: f"the {COINED} thing\n"}), COINED)
    assert verdict.basis is Basis.ESTABLISHED
    assert [place.file_class for place in verdict.evidence] == [file_class]
    assert verdict.files == {file_class: 1}


@pytest.mark.parametrize(
    ("path", "file_class"),
    [
        ("package-lock.json", FileClass.LOCKFILE), ("go.sum", FileClass.LOCKFILE),
        ("sub/poetry.lock", FileClass.LOCKFILE), ("vendor/a.js", FileClass.VENDORED),
        ("x/node_modules/b/c.js", FileClass.VENDORED), ("third_party/a.c", FileClass.VENDORED),
        ("a.min.js", FileClass.GENERATED), ("x_pb2.py", FileClass.GENERATED),
        ("dist/a.js", FileClass.GENERATED), ("AGENTS.md", FileClass.AGENT_RULES),
        ("pkg/CLAUDE.md", FileClass.AGENT_RULES), (".cursor/rules/a.mdc", FileClass.AGENT_RULES),
        (".github/copilot-instructions.md", FileClass.AGENT_RULES),
        ("GEMINI.md", FileClass.AGENT_RULES), (".claude/skills/x.md", FileClass.AGENT_RULES),
    ],
)  # fmt: skip
def test_file_that_nobody_wrote_names_into_establishes_nothing(
    make_repo: MakeRepo, path: str, file_class: FileClass
) -> None:
    verdict = check(make_repo({path: f"the {COINED} thing\n"}), COINED)
    assert (verdict.basis, verdict.evidence) == (Basis.UNKNOWN, ())
    assert verdict.files == {file_class: 1}
    assert "establish nothing" in verdict.why


@pytest.mark.parametrize(
    ("attributes", "path", "established"),
    [
        ({".gitattributes": "lib/** linguist-vendored\n"}, "lib/a.js", False),
        ({".gitattributes": "gen.* linguist-generated=true\n"}, "src/gen.py", False),
        ({"sub/.gitattributes": "gen.py linguist-generated\n"}, "sub/gen.py", False),
        ({"sub/.gitattributes": "gen.py linguist-generated\n"}, "gen.py", True),
        ({".gitattributes": "vendor/** -linguist-vendored\n"}, "vendor/a.py", True),
        ({".gitattributes": "a.py linguist-generated\na.py -linguist-generated\n"}, "a.py", True),
        (
            {".gitattributes": "*.py linguist-vendored\n",
             "sub/.gitattributes": "*.py linguist-vendored=false\n"}, "sub/a.py", True,
        ),
    ],
)  # fmt: skip
def test_git_attributes_decide_what_is_vendored_or_generated(
    make_repo: MakeRepo, attributes: dict[str, str], path: str, established: bool
) -> None:
    verdict = check(make_repo({**attributes, path: f"{COINED}\n"}), COINED)
    assert (verdict.basis is Basis.ESTABLISHED) is established


def test_git_attributes_of_the_change_decide_nothing(make_repo: MakeRepo) -> None:
    repo = make_repo({"vendor/a.py": f"{COINED}\n"})
    repo.git("checkout", "-q", "-b", "feature")
    repo.commit({
        ".gitattributes": "vendor/** -linguist-vendored\n",
        ".orgguard/policy.toml": '[classes]\n"vendor/**" = "code"\n',
    })  # fmt: skip
    assert check(repo, COINED).basis is Basis.UNKNOWN


def test_policy_of_the_base_can_change_classes(make_repo: MakeRepo) -> None:
    policy = '[classes]\n"docs/**" = "generated"\n"vendor/ours/**" = "code"\n'
    repo = make_repo({
        ".orgguard/policy.toml": policy, "docs/a.md": f"{COINED}\n",
        "vendor/ours/a.py": f"{COINED_TOO}\n", "vendor/b.py": f"{THIRD}\n",
    })  # fmt: skip
    assert check(repo, COINED).files == {FileClass.GENERATED: 1}
    assert check(repo, COINED).basis is Basis.UNKNOWN
    assert check(repo, COINED_TOO).basis is Basis.ESTABLISHED
    assert check(repo, THIRD).basis is Basis.UNKNOWN


def test_minified_line_establishes_nothing_but_its_neighbours_do(make_repo: MakeRepo) -> None:
    long = "var a;" * 400
    repo = make_repo({"a.js": f"{long} {COINED} {long}\n// {COINED_TOO}\n"})
    assert check(repo, COINED).basis is Basis.UNKNOWN
    assert places(check(repo, COINED_TOO)) == ["a.js:2"]


@pytest.mark.parametrize("around", [bytes(range(60)), bytes(range(7, 250, 16))])
def test_encoded_blob_establishes_nothing(make_repo: MakeRepo, around: bytes) -> None:
    encoded = base64.b64encode(around).decode().rstrip("=")
    repo = make_repo({"a.py": f'data = "{encoded}{COINED}{encoded}"\n'})
    assert check(repo, COINED).basis is Basis.UNKNOWN


def test_binary_file_establishes_nothing_and_foreign_encodings_do(make_repo: MakeRepo) -> None:
    repo = make_repo({
        "a.bin": b"\0\1" + COINED.encode(), "latin.py": b"# \xe9\n# " + COINED_TOO.encode(),
        "wide.txt": f"x\r\n{THIRD}\r\n".encode("utf-16"),
    })  # fmt: skip
    assert check(repo, COINED).basis is Basis.UNKNOWN
    assert places(check(repo, COINED_TOO)) == ["latin.py:2"]
    assert places(check(repo, THIRD)) == ["wide.txt:2"]


def test_target_of_a_symbolic_link_establishes_nothing(make_repo: MakeRepo) -> None:
    repo = make_repo()
    (repo.path / "link").symlink_to(f"../{COINED}/x")
    repo.commit()
    assert check(repo, COINED).basis is Basis.UNKNOWN


# --- ordinary words -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_word_in_ordinary_use_is_asked_about(make_repo: MakeRepo, name: str) -> None:
    word = name.lower()
    repo = make_repo({
        f"src/{word}.py": f"class {name}:\n    {word} = 1\n\n\ndef get_{word}() -> {name}: ...\n",
        "docs/a.md": f"# {name}\n\nThe {word} of a build. {name} is a setting. Use the {name}.\n",
    })  # fmt: skip
    verdict = check(repo, name)
    assert (verdict.basis, verdict.effect) == (Basis.COMMON_WORD, Effect.ASK)
    assert verdict.why.startswith("2 files hold the word, none as a name")
    assert verdict.evidence == ()


def test_ordinary_word_that_the_base_lacks_is_asked_about(make_repo: MakeRepo) -> None:
    verdict = check(make_repo({"a.py": "1\n"}), "Target")
    assert (verdict.basis, verdict.effect) == (Basis.COMMON_WORD, Effect.ASK)
    assert verdict.why


@pytest.mark.parametrize(
    ("path", "text", "place"),
    [
        ("src/providers/brave/x.py", "1\n", "src/providers/brave/x.py"),
        ("integrations/brave.py", "1\n", "integrations/brave.py"),
        ("a.py", "x\nkey = env['BRAVE_API_KEY']\n", "a.py:2"),
        ("a.py", "x\ny\nurl = 'https://api.search.brave.com/v1'\n", "a.py:3"),
        ("a.py", "mail = 'someone@brave.com'\n", "a.py:1"),
        ("docs/a.md", "Results come from Brave.\n", "docs/a.md:1"),
        ("docs/a.md", "made by Brave, Inc.\n", "docs/a.md:1"),
        ("a.json", '{"vendor": "Brave"}\n', "a.json:1"),
        ("a.js", "import x from '@brave/sdk'\n", "a.js:1"),
    ],
)
def test_ordinary_word_used_as_a_name_is_established(
    make_repo: MakeRepo, path: str, text: str, place: str
) -> None:
    verdict = check(make_repo({path: text}), "Brave")
    assert (verdict.basis, places(verdict)) == (Basis.ESTABLISHED, [place])


@pytest.mark.parametrize("text", ["deltacorp_client", "DeltaCorp", "deltagmbh", "Delta Corp. pays"])
def test_ordinary_word_with_its_legal_form_is_a_name(make_repo: MakeRepo, text: str) -> None:
    repo = make_repo({"a.py": f"delta = 1\n{text}\n", "b.py": "delta + delta\n"})
    for name in ("Delta", "Deltacorp"):
        assert check(repo, name).basis is Basis.ESTABLISHED


def test_ordinary_word_that_is_incremented_is_no_name(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "postinc = deltainc(1)\n"})
    assert check(repo, "Delta").basis is Basis.COMMON_WORD


def test_one_capital_among_many_ordinary_uses_is_too_little(make_repo: MakeRepo) -> None:
    plain: dict[str, str | bytes] = {f"s{n}.py": "the target is set\n" for n in range(9)}
    repo = make_repo({**plain, "a.md": "we ship it to Target now.\n"})
    assert check(repo, "Target").basis is Basis.COMMON_WORD


# --- evidence -------------------------------------------------------------------------------------


def test_evidence_is_a_few_lines_that_hold_the_name(make_repo: MakeRepo) -> None:
    spelled = [
        "ZORBLATT_KEY",
        "zorblattClient",
        "Zorblatt GmbH",
        "the zorblatt-sdk",
        "zorblattcorp",
    ]
    files: dict[str, str | bytes] = {
        f"{folder}/f{n}.py": "\n" * n + f"{spelled[n % 5]}\r\nend\n"
        for folder in ("src", "tests", "docs", "vendor")
        for n in range(6)
    }
    repo = make_repo(files)
    verdict = check(repo, COINED)
    assert len(verdict.evidence) == MAX_EVIDENCE
    assert sum(verdict.files.values()) == FILES_COUNTED
    for place in verdict.evidence:
        line = (repo.path / place.path).read_text().splitlines()[place.line - 1]
        assert COINED.casefold() in line.casefold()
        assert place.file_class is FileClass.CODE  # use in code tells most, and there is enough


def test_large_data_file_is_not_read_and_that_is_said(make_repo: MakeRepo) -> None:
    rows = "".join(f"row {n}\n" for n in range(60_000))
    repo = make_repo({"names.csv": f"{COINED}\n{rows}", "big.py": f"{COINED_TOO} = 1\n{rows}"})
    verdict = check(repo, COINED)
    assert verdict.basis is Basis.UNKNOWN
    assert "not read: 1 large file" in verdict.why
    assert check(repo, COINED_TOO).basis is Basis.ESTABLISHED


def test_submodule_is_not_read_and_that_is_said(make_repo: MakeRepo) -> None:
    repo, inner = make_repo({"a.py": "1\n"}), make_repo({"b.py": f"{COINED}\n"})
    allowed = ("-c", "protocol.file.allow=always")
    repo.git(*allowed, "submodule", "--quiet", "add", str(inner.path), "inner")
    repo.commit()
    verdict = check(repo, COINED)
    assert verdict.basis is Basis.UNKNOWN
    assert "not read: 1 submodule" in verdict.why

"""Built packages: a name that only a wheel, an sdist, an npm tarball, a crate or a gem holds is
found; what the base has is quiet; what cannot be read is no pass, and nothing is unpacked.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orgguard_mcp import archives
from orgguard_mcp.archives import DAMAGED, ENDLESS, Member, members
from tests.names import COINED, COINED_TOO, THIRD
from tests.scanner import ORDINARY, Files, change, orgguard_scan, scan
from tests.simulator import Repo

WORD = COINED.lower()
LINE = f"# {COINED} asked for this\n"
Content = Mapping[str, str | bytes]


def packed(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def zipped(files: Content) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, packed(text))
    return made.getvalue()


def tar(files: Content, *more: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(packed(text))
            archive.addfile(info, io.BytesIO(packed(text)))
        for info in more:
            archive.addfile(info)
    return made.getvalue()


def targz(files: Content, *more: tarfile.TarInfo) -> bytes:
    return gzip.compress(tar(files, *more))


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def gem(files: Content) -> bytes:
    return tar({"metadata.gz": gzip.compress(b"--- !ruby/object\n"), "data.tar.gz": targz(files)})


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with an ordinary base, whose working tree ignores `dist`."""
    return change(tmp_path / "r", {".gitignore": "dist/\n"})


def built(repo: Repo, name: str, data: bytes) -> str:
    repo.write({f"dist/{name}": data})
    return f"dist/{name}"


# --- what is found --------------------------------------------------------------------------------

KINDS: dict[str, Callable[[Content], bytes]] = {
    "a-1.0-py3-none-any.whl": zipped, "a-1.0.zip": zipped, "a-1.0.tar.gz": targz,
    "a-1.0.tgz": targz, "a-1.0.crate": targz, "a-1.0.tar": tar, "a-1.0.gem": gem,
    "a-1.0.tar.bz2": lambda files: bz2.compress(tar(files)),
    "a-1.0.tar.xz": lambda files: lzma.compress(tar(files)),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_name_that_only_the_package_holds_is_found(repo: Repo, name: str) -> None:
    """awesome-phone-call-agents#300: real fixtures went out in a published npm tarball."""
    package = built(repo, name, KINDS[name]({"package/dist/gen.js": f"x = 1\n// {LINE}"}))
    assert scan(repo).names == scan(repo, "--worktree").names == set()
    found = scan(repo, "--artifact", package)
    inside = "data.tar.gz!/" if name.endswith(".gem") else ""
    assert found.code == 1
    (place,) = found.places(COINED)
    assert place[1:3] == (f"{name}!/{inside}package/dist/gen.js", 2)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a-1.0.dist-info/METADATA", f"Metadata-Version: 2.4\nName: a\n\n{COINED} asked for it.\n"),
        ("a-1.0/PKG-INFO", f"Metadata-Version: 2.4\nAuthor: {COINED} Inc.\n"),
        ("package/package.json", f'{{"name": "a", "author": "{COINED} Inc."}}\n'),
        (f"package/{WORD}_client.py", ""),
        (f"package/{WORD}/", ""),
        ("package/sdist.tar.gz", targz({"a/b.py": LINE})),
        ("package/notes.py.gz", gzip.compress(LINE.encode(), mtime=0)),
        ("package/logo.svg", f"<svg><!-- made for {COINED} Inc. --></svg>\n"),
    ],
)
def test_every_member_and_its_path_are_read(repo: Repo, path: str, text: str | bytes) -> None:
    found = scan(repo, "--artifact", built(repo, "a.whl", zipped({path: text})))
    assert WORD in found.names


def test_the_packages_own_name_is_read(repo: Repo) -> None:
    package = built(repo, f"{WORD}_client-1.0-py3-none-any.whl", zipped({}))
    assert WORD in scan(repo, "--artifact", package).names


def test_several_packages_and_a_generated_file_are_read(repo: Repo) -> None:
    given = [
        built(repo, "a.whl", zipped({"a.py": LINE})),
        built(repo, "a.tar.gz", targz({"b.py": LINE.replace(COINED, COINED_TOO)})),
        built(repo, "gen.js", packed(f"// {THIRD} asked for this\n")),
    ]
    found = scan(repo, "--artifact", *given)
    assert {one.path for name in found.names for one in found.places(name)} == {
        "a.whl!/a.py", "a.tar.gz!/b.py", "gen.js",
    }  # fmt: skip


def test_packages_alone_are_all_that_is_read(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"b.py": LINE}, f"For {COINED}")
    package = built(repo, "a.whl", zipped({"a.py": "x = 1\n"}))
    alone = scan(repo, "--artifact", package)
    assert (alone.code, alone.names) == (0, set())
    assert alone.skipped("commit-message") == ["not asked for: only the given packages were"]
    assert alone.skipped("code") == alone.skipped("path") == []
    beside = scan(repo, "--artifact", package, "--head", "HEAD")
    assert {place.surface for place in beside.places(COINED)} == {"comment", "commit-message"}


def test_a_repository_without_a_commit_has_its_packages_read(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r")
    found = scan(repo, "--artifact", built(repo, "a.whl", zipped({"a.py": LINE})))
    assert found.names == {WORD}


# --- what is quiet --------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["sha1", "sha256"])
def test_what_the_base_has_is_quiet(tmp_path: Path, format_: str) -> None:
    (tmp_path / "r").mkdir()
    repo = Repo(tmp_path / "r")
    if format_ == "sha256":
        repo = Repo(tmp_path / "s")
        (tmp_path / "s/.git/config").unlink()
        repo.git("init", "-q", f"--object-format={format_}", "-b", "main")
    repo.commit({**ORDINARY, "a.py": LINE})
    files: Content = {"a/app.py": ORDINARY["src/app.py"], "a/a.py": LINE + "y = 2\n"}
    found = scan(repo, "--artifact", built(repo, "a.tar.gz", targz(files)))
    assert (found.code, found.names) == (0, set())
    (code,) = (row for row in found.document["coverage"] if row["surface"] == "code")
    assert code["scanned"] == 1  # the other is in the base as it is, and so is no news


def test_a_change_establishes_nothing_for_its_package(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"a.py": LINE})
    assert scan(repo, "--artifact", built(repo, "a.whl", zipped({"a.py": LINE}))).code == 1


# --- bounds ---------------------------------------------------------------------------------------


def read(data: bytes) -> list[Member]:
    return list(members(io.BytesIO(data)))


def test_nothing_is_unpacked_and_no_link_is_followed(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(LINE)
    files: Content = {"../../app.py": "x = 1\n", "/app.py": "x = 1\n"}
    links = [link("a", str(tmp_path / "secret")), link("b", "../../secret", tarfile.LNKTYPE)]
    before = sorted(tmp_path.rglob("app.py"))
    found = scan(repo, "--artifact", built(repo, "a.tgz", targz(files, *links)))
    assert (found.code, found.names) == (0, set())
    assert sorted(tmp_path.rglob("app.py")) == before
    named = scan(repo, "--artifact", built(repo, "b.tgz", targz({}, link("a", f"../{WORD}-sdk"))))
    assert WORD in named.names


def test_a_bomb_is_no_pass_and_costs_little(repo: Repo) -> None:
    bomb = zipped({f"{n}.txt": bytes(8 << 20) for n in range(40)})
    assert len(bomb) < 1 << 20
    ran = orgguard_scan(repo, "--artifact", built(repo, "a.whl", bomb))
    assert (ran.code, ENDLESS in ran.err) == (3, True)


def test_an_endless_header_is_not_read_into_memory() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 7 << 30
    stream = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(64 << 20))
    assert read(stream) == [Member("", None, ENDLESS)]


def test_a_lie_about_a_members_size_does_not_get_round_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER", 100)
    data = bytearray(zipped({"a.txt": "a" * 200}))
    size = (200).to_bytes(4, "little")
    data = bytearray(bytes(data).replace(size, (50).to_bytes(4, "little")))
    assert read(bytes(data))[-1] == Member("", None, DAMAGED)


@pytest.mark.parametrize("make", [zipped, targz])
def test_an_archive_is_read_within_bounds(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[Content], bytes]
) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER", 100)
    large = make({"a": "a" * 101, "b": "b" * 100})
    assert [(one.path, one.data is None) for one in read(large)] == [("a", True), ("b", False)]
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    assert read(make({"a": "", "b": "", "c": ""}))[-1] == Member("", None, ENDLESS)
    monkeypatch.setattr(archives, "MAX_UNPACKED", 50)
    assert read(make({"a": "a" * 60}))[-1] == Member("", None, ENDLESS)


def test_what_is_packed_too_deep_is_said_to_be_unread(repo: Repo) -> None:
    deep = targz({"b.tar.gz": targz({"c.tar.gz": targz({"d.py": LINE})})})
    found = scan(repo, "--artifact", built(repo, "a.tgz", deep))
    assert (found.code, found.skipped("code")) == (0, ["binary: its name alone was scanned"])


# --- what cannot be read --------------------------------------------------------------------------

WHEEL = zipped({"a.py": "x = 1\n" * 100, "b.py": "y = 1\n"})
TARBALL = tar({"a.py": "x = 1\n" * 100, "b.py": LINE})


@pytest.mark.parametrize(
    "data",
    [
        WHEEL[:-30], WHEEL[:200], b"\0" * 64 + WHEEL, os.urandom(5000), gzip.compress(TARBALL)[:-9],
        gzip.compress(TARBALL) + b"junk", TARBALL[:1536] + b"\1" * 512 + TARBALL[2048:],
        b"BZh9" + WHEEL, b"\x7fELF" + bytes(500),
    ],
)  # fmt: skip
def test_a_package_that_cannot_be_read_is_no_pass(repo: Repo, data: bytes) -> None:
    ran = orgguard_scan(repo, "--artifact", built(repo, f"{WORD}-1.0.whl", data))
    assert ran.code == 3
    assert "package 1 of 1 could not be read" in ran.err
    assert WORD not in ran.said.lower()


def test_a_damaged_member_is_said_to_be_unread_and_the_rest_is_read(repo: Repo) -> None:
    files: Content = {"t/app.zip": WHEEL[:200], "t/b.py": LINE}
    found = scan(repo, "--artifact", built(repo, "a.tgz", targz(files)))
    assert (found.names, found.skipped("code")) == ({WORD}, [DAMAGED])


@pytest.mark.parametrize("given", ["dist/gone.whl", "dist"])
def test_a_package_that_is_not_there_is_exit_2(repo: Repo, given: str) -> None:
    built(repo, "a.whl", WHEEL)
    ran = orgguard_scan(repo, "--artifact", "dist/a.whl", given)
    assert (ran.code, "package 2 of 2 cannot be read" in ran.err) == (2, True)


def test_names_of_a_package_are_hidden_like_any_other(repo: Repo) -> None:
    files: Files = {f"{WORD}/a.py": LINE}
    for output in ("human", "json", "sarif", "github", "gitlab", "junit"):
        package = built(repo, f"{WORD}.whl", zipped(files))
        ran = orgguard_scan(repo, "--format", output, "--artifact", package)
        assert (ran.code, WORD in ran.said.lower()) == (1, False)

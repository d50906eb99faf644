"""Protected names: a list of names that must never be public, which says nothing without its key.

`.orgguard/protected` holds keyed fingerprints, so it may lie in a public repository. It is read as
the newest commit of the base's branch has it, never as the change would have it. Whatever is wrong
with the list or the key is *could not check*, never a pass.

The first 128 bits of the HMAC of a name's key stand in the list for the name. A name of several
words is found by one of them, its *anchor*, of whose HMAC 32 other bits stand in the list, four
anchors in a line. So text is hashed word by word, and only beside an anchor run by run.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from operator import ge
from pathlib import Path

from orgguard_mcp import knowledge, lexicon
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.git import MAX_BLOB
from orgguard_mcp.names import WORD, Name, NameKey, fold, parts

PATH = ".orgguard/protected"
ENVIRONMENT_KEY = "ORGGUARD_PROTECTED_KEY"
ENVIRONMENT_KEY_FILE = "ORGGUARD_PROTECTED_KEY_FILE"

MAX_WORDS = 12
"""Words of a protected name; text is read in runs of so many."""

_VERSION = "orgguard-protected 1"
_KEY = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"[0-9a-f]{32}")
_LIST = re.compile(
    rf"{_VERSION}\ncanary (?P<canary>{_LINE.pattern})\n"
    rf"(?P<prints>(?:{_LINE.pattern}\n)+)seal (?P<seal>{_LINE.pattern})\n"
)
_STEP = 64
_WIDTH, _HINT = 16, 4  # bytes of a fingerprint, and of an anchor's: a wrong one costs a closer look
_CANARY, _SEAL, _DECOY = "\0canary", "\0seal ", "\0decoy "  # no name's key has a NUL


class Key:
    """The secret. It is shown nowhere: not in an error, a report or the text of this object."""

    __slots__ = ("_keyed",)

    def __init__(self, text: str) -> None:
        """Read *text*, 64 lower-case hexadecimal digits and nothing else. Raises `OrgGuardError`
        that says what is wrong with it, and never repeats it.
        """
        if not _KEY.fullmatch(text):
            raise _unusable_key(*_fault(text))
        self._keyed = hmac.new(bytes.fromhex(text), digestmod="sha256")

    def halves(self, text: str) -> tuple[bytes, bytes]:
        """The fingerprint of *text* as a name's key, and other bits of its HMAC-SHA-256."""
        keyed = self._keyed.copy()
        keyed.update(text.encode("utf-8", "surrogatepass"))
        digest = keyed.digest()
        return digest[:_WIDTH], digest[_WIDTH:]

    def line(self, text: str) -> str:
        """The fingerprint of *text*, as the list has it."""
        return self.halves(text)[0].hex()


def find_key(file: str | None = None) -> Key | None:
    """The key in *file*, else in the environment's variable or the file that it names; None where
    none is given, as in a fork's job, whose variable is empty.

    Raises `OrgGuardError` when a given key cannot be read or is no key.
    """
    text = os.environ.get(ENVIRONMENT_KEY)
    if text and not file:
        return Key(text)
    path = file or os.environ.get(ENVIRONMENT_KEY_FILE)
    return Key(_read(Path(path))) if path else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1000).decode("latin-1")
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "its path is none"
        raise _unusable_key(
            f"the key file cannot be read: {cause}", "name a readable file"
        ) from error


def _fault(text: str) -> tuple[str, str]:
    """What is wrong with a key, and what to do about it."""
    made = "give the key as `orgguard protect key` made it"
    if text.endswith(("\n", "\r")):
        return "the key ends in a line break", "store it without: printf %s, not echo"
    if re.search(r"\s", text):
        return "the key has white space in it", "store it without"
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return "the key has capital letters", made
    if len(text) != 64:
        return f"the key has {len(text)} characters, not 64", made
    return "the key has characters other than 0-9 and a-f", made


def _unusable_key(cause: str, hint: str) -> OrgGuardError:
    return OrgGuardError("protected names were not checked", cause=cause, hint=hint)


# --- the list -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Protected:
    """The list and its key. Without a list, or without its key, it holds nothing."""

    key: Key | None = None
    prints: frozenset[bytes] = frozenset()
    hints: frozenset[int] = frozenset()
    listed: bool = False

    @property
    def unchecked(self) -> bool:
        """Whether there are protected names that cannot be told for want of the key."""
        return self.listed and self.key is None

    @property
    def gap(self) -> str:
        """What a verdict's reason ends with: empty when the protected names were checked."""
        return "; the protected names were not checked: no key" if self.unchecked else ""

    def holds(self, key: str) -> bool:
        """Whether *key* is a protected name's."""
        return self.key is not None and self.key.halves(key)[0] in self.prints

    def knows(self, word: str) -> bool:
        """Whether *word* is a protected name or, very likely, the anchor of one."""
        if self.key is None:
            return False
        name, rest = self.key.halves(word)
        return name in self.prints or _hints(rest[:_HINT])[0] in self.hints


def of_base(data: bytes | None) -> Protected:
    """The list in *data*, which is None where the base has no list, with the environment's key.

    Raises `OrgGuardError` when the list or a key that is given cannot be used.
    """
    return Protected() if data is None else load(data, find_key())


def load(content: bytes, key: Key | None) -> Protected:
    """The list in *content*, to be read with *key*.

    Raises `OrgGuardError` when it is damaged, of another version, or made with another key.
    """
    if key and (whole := _as_sealed(content, key)):
        return _checked(whole, key)
    text = content.decode("latin-1")
    form = _LIST.fullmatch(text)
    if not form:
        raise _unusable_list(_damage(text))
    prints = form["prints"].split()
    if any(map(ge, prints, prints[1:])):
        raise _unusable_list("its lines are not in order")
    if key is None:
        return Protected(listed=True)
    if form["canary"] != key.line(_CANARY):
        raise _unusable_key(
            f"the key is not the one that {PATH} was made with",
            f"give that key, or import the names again with this one and commit {PATH}",
        )
    if form["seal"] != key.line(_SEAL + form["prints"]):
        raise _unusable_list("its lines are not those that were written")
    return _checked(form["prints"], key)


def _as_sealed(content: bytes, key: Key) -> str:
    """The fingerprints of *content* if *key* sealed them, for what it sealed is well formed; else
    nothing.
    """
    text = content.decode("latin-1")
    head = f"{_VERSION}\ncanary {key.line(_CANARY)}\n"
    prints, found, seal = text.removeprefix(head).rpartition("seal ")
    whole = found and text.startswith(head) and seal == f"{key.line(_SEAL + prints)}\n"
    return prints if whole else ""


def _checked(prints: str, key: Key) -> Protected:
    data = bytes.fromhex(prints)
    return Protected(key, _prints(data), frozenset(_hints(data)), listed=True)


def _prints(data: bytes) -> frozenset[bytes]:
    return frozenset(data[at : at + _WIDTH] for at in range(0, len(data), _WIDTH))


def _hints(data: bytes) -> memoryview[int]:
    return memoryview(data).cast("I")  # as numbers of this machine: they are not kept


def _damage(text: str) -> str:
    """Why *text* is no list, by line number: what the line has is not repeated."""
    lines = text.split("\n")
    if not text:
        return "it is empty, or larger than 4 MB"
    if not lines[0].startswith("orgguard-protected "):
        return "its first line is not a list's"
    if lines[0] != _VERSION:
        return "it is of a version that this OrgGuard does not read"
    if not re.fullmatch(rf"canary {_LINE.pattern}", lines[1] if lines[1:] else ""):
        return "its canary is missing"
    for number, line in enumerate(lines[2:-2], 3):
        if not _LINE.fullmatch(line):
            return f"line {number} is no fingerprint"
    return "its end is missing"


def _unusable_list(cause: str) -> OrgGuardError:
    return OrgGuardError(
        f"protected names were not checked: {PATH} cannot be used",
        cause=cause,
        hint=f"import the names again with `orgguard protect import`, and commit {PATH} to the"
        " base branch; the base's list is the one that counts",
    )


def sealed(names: Iterable[Name], key: Key) -> bytes:
    """The list of *names* under *key*: the same for the same names.

    Decoys fill it up, so that the number of its lines tells little. Raises `OrgGuardError` when it
    would be too large to be read again.
    """
    names = list(names)
    decoys = (key.halves(f"{_DECOY}{number}")[0] for number in count())
    digests = {key.halves(name.key)[0] for name in names}
    packed = _packed({key.halves(word)[1] for name in names for word in anchors(name)})
    whole = packed + next(decoys)[len(packed) % _WIDTH :]
    digests |= _prints(whole)
    wanted = -(-len(digests) // _STEP) * _STEP
    while len(digests) < wanted:
        digests.add(next(decoys))
    prints = "".join(f"{line.hex()}\n" for line in sorted(digests))
    seal = key.line(_SEAL + prints)
    data = f"{_VERSION}\ncanary {key.line(_CANARY)}\n{prints}seal {seal}\n".encode()
    if len(data) > MAX_BLOB:
        raise OrgGuardError(
            "nothing was written: the list would be too large to be read again",
            cause=f"it would have {len(data) >> 20} MB, {MAX_BLOB >> 20} are read",
            hint="import fewer names: those of former customers may go",
        )
    return data


def _packed(halves: Iterable[bytes]) -> bytes:
    """The hints of anchors, in an order that does not show in them: else their lines would."""
    return b"".join(half[:_HINT] for half in sorted(halves, key=lambda half: half[_HINT:]))


# --- anchors --------------------------------------------------------------------------------------


def anchors(name: Name) -> set[str]:
    """For each way in which *name* falls into words, the rarest of them, by which it is found."""
    cuts = [*_cuts(name), *lexicon.compounds(name.key)]
    return {min(cut, key=_commonness) for cut in cuts if len(cut) > 1}


def _cuts(name: Name) -> Iterator[tuple[str, ...]]:
    """The words of *name*: as its signs divide them, and as its capitals do; an apostrophe may
    divide it or not.
    """
    for text in (fold(name.surface), re.sub("['`]", "", fold(name.surface))):
        spoken = text.replace("&", " and ").replace("+", " plus ")
        runs = WORD.findall(spoken)
        for words in (runs, [part for run in runs for part in parts(run)]):
            yield from _spelling(name.key, [word.casefold() for word in words])


def _spelling(key: NameKey, words: list[str]) -> Iterator[tuple[str, ...]]:
    """Those of *words* side by side that are the name, without its legal form or URL."""
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            if "".join(words[start:end]) == key:
                yield tuple(words[start:end])


def word_count(name: Name) -> int:
    """Into how many words *name* falls at most."""
    return max(map(len, _cuts(name)), default=1)


@lru_cache(maxsize=1 << 14)
def _commonness(word: str) -> tuple[bool, bool, int, int]:
    spoken = word in {"and", "plus"}  # in the text it may be a sign
    return spoken, len(word) < 3 or word.isdigit(), knowledge.frequency(word), -len(word)

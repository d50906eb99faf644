"""Whether a text, a path or a file's content mentions one name, in any of the ways in which this
project reads one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from orgguard_mcp import mentions
from orgguard_mcp.archives import texts
from orgguard_mcp.lexicon import compounds
from orgguard_mcp.lines import MAX_LINE, pieces
from orgguard_mcp.names import WORD, Name, fold, parts

_MAX_SEEN = 1 << 20


class Matcher:
    """Finds *name*. Afterwards `unread` tells whether a packed text could not be read."""

    def __init__(self, name: Name) -> None:
        self._key = name.key
        words = [part.casefold() for run in WORD.findall(fold(name.surface)) for part in parts(run)]
        as_written = {tuple(words[:end]) for end in range(2, len(words) + 1)}  # less a legal form
        cuts = {cut for cut in as_written if "".join(cut) == name.key}
        self._cuts = tuple(sorted({*cuts, *compounds(name.key)}))
        self._components: dict[str, bool] = {}
        self._seen: set[int] = set()
        self.unread = False

    def text(self, text: str) -> bool:
        """Whether *text* mentions the name."""
        if text.isascii():
            return self._mentioned(_broken(text))
        fresh = self._fresh(text)
        found = self._mentioned(_broken("\n".join(fresh)))
        if not found:
            if len(self._seen) > _MAX_SEEN:
                self._seen.clear()
            self._seen.update(hash(line) for line in fresh if not line.isascii())
        return found

    def _fresh(self, text: str) -> list[str]:
        """The lines of *text* without foreign ones in which there was no name before. Folding
        costs most of all, and a history has each line in many versions of a file.
        """
        lines = text.split("\n")
        return [line for line in lines if line.isascii() or hash(line) not in self._seen]

    def _mentioned(self, text: str) -> bool:
        return any(True for _ in mentions.mentions(text, self._key, self._cuts))

    def component(self, name: str) -> bool:
        """Whether the file or directory *name* mentions the name; each is looked at once."""
        if name not in self._components:
            self._components[name] = self.text(name)
        return self._components[name]

    def path(self, path: str) -> bool:
        """Whether one component of *path* mentions the name."""
        return any(self.component(name) for name in path.split("/"))

    @property
    def in_a_path(self) -> bool:
        """Whether any component that was looked at mentions the name."""
        return any(self._components.values())

    def members(self, data: bytes) -> Iterator[str]:
        """The members of the file content *data* that hold the name; an empty one is itself."""
        for member, text in texts(data):
            self.unread |= text is None
            if self.path(member) or (text and self.text(text)):
                yield member

    def content(self, data: bytes) -> bool:
        """Whether the file content *data*, packed or not, holds the name."""
        return next(self.members(data), None) is not None


def _broken(text: str) -> str:
    """*text* without lines so long that reading one takes minutes."""
    if len(text) <= MAX_LINE or len(max(lines := text.split("\n"), key=len)) <= MAX_LINE:
        return text
    return "\n".join(piece for line in lines for piece in pieces(line))

"""Which stretches of a line are code, comment, string or prose.

A line is looked at with what the line before it left open, since a diff gives hunks and not whole
files. A small table of comment and string signs by file type does for this: what it gets wrong
costs a hint, not a name, for every stretch is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from orgguard_mcp.model import Surface


class Region(NamedTuple):
    """A stretch of a line: from `start` to `end`, of one surface."""

    surface: Surface
    start: int
    end: int


class Syntax(NamedTuple):
    """How a file type marks comments: to the end of the line, and from one sign to another."""

    line: tuple[str, ...]
    block: tuple[tuple[str, str], ...] = ()


_C = Syntax(("//",), (("/*", "*/"),))
_HASH = Syntax(("#",))
_PYTHON = Syntax(("#",), (('"""', '"""'), ("'''", "'''")))
_XML = Syntax((), (("<!--", "-->"),))
_SQL = Syntax(("--",), (("/*", "*/"),))
_LISP = Syntax((";",))
_PERCENT = Syntax(("%",))
_PHP = Syntax(("//", "#"), (("/*", "*/"),))
_HCL = Syntax(("#", "//"), (("/*", "*/"),))
_LUA = Syntax(("--",), (("--[[", "]]"),))

_BY_SYNTAX: dict[Syntax, str] = {
    _C: "c h cc cpp cxx hpp hh cs go java js jsx mjs cjs ts tsx mts cts kt kts rs scala swift dart"
    " groovy gradle m mm proto zig v sol jsonc json5 less scss sass css",
    _HASH: "sh bash zsh fish rb pl pm r yml yaml toml cfg conf ini env ex exs cr jl tcl mk cmake"
    " dockerfile makefile gemfile rakefile nix properties awk ps1 graphql coffee po",
    _PYTHON: "py pyi pyx bzl star",
    _XML: "html htm xml svg vue svelte md mdx markdown xhtml xsd xsl plist",
    _SQL: "sql hs elm ada",
    _LISP: "lisp clj cljs el scm asm",
    _PERCENT: "tex erl hrl",
    _PHP: "php",
    _HCL: "tf hcl tfvars",
    _LUA: "lua",
}
_SYNTAX = {ending: syntax for syntax, endings in _BY_SYNTAX.items() for ending in endings.split()}
_STRING = r'"(?:\\.|[^"\\])*+"|\'(?:\\.|[^\'\\])*+\'|`[^`]*+`'


def syntax_of(path: str) -> Syntax:
    """The comment signs of *path*'s file type; a type that is not known has none."""
    name = path.rpartition("/")[2].casefold()
    return _SYNTAX.get(name.rpartition(".")[2], Syntax(()))


class Reader:
    """Reads the lines of one file in order and remembers an open block comment between them."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._signs = _signs(syntax)
        self._closing = ""
        self._openings = [opening for opening, _ in syntax.block]

    def forget(self) -> None:
        """The next line does not follow the last: nothing is known to be open."""
        self._closing = ""

    def stands_alone(self, line: str) -> bool:
        """Whether *line*, the next one, neither goes on with a comment nor may open one."""
        return not self._closing and not any(opening in line for opening in self._openings)

    def regions(self, line: str) -> Iterator[Region]:
        """The stretches of *line*, in order; white space may belong to none."""
        at = 0
        if self._closing:
            end = line.find(self._closing)
            if end < 0:
                yield Region(Surface.COMMENT, 0, len(line))
                return
            at = end + len(self._closing)
            self._closing = ""
            yield Region(Surface.COMMENT, 0, end)
        elif line.lstrip().startswith(("* ", "*/")) and ("/*", "*/") in self._syntax.block:
            yield Region(Surface.COMMENT, 0, len(line))
            return
        yield from self._after(line, at)

    def _after(self, line: str, at: int) -> Iterator[Region]:
        while match := self._signs.search(line, at):
            if match.start() > at:
                yield Region(Surface.CODE, at, match.start())
            if match.lastgroup == "string":
                yield Region(Surface.STRING, match.start() + 1, match.end() - 1)
                at = match.end()
            elif match.lastgroup == "line":
                yield Region(Surface.COMMENT, match.end(), len(line))
                return
            else:
                closing = dict(self._syntax.block)[match[0]]
                end = line.find(closing, match.end())
                if end < 0:
                    self._closing = closing
                    yield Region(Surface.COMMENT, match.end(), len(line))
                    return
                yield Region(Surface.COMMENT, match.end(), end)
                at = end + len(closing)
        if at < len(line):
            yield Region(Surface.CODE, at, len(line))


@lru_cache
def _signs(syntax: Syntax) -> re.Pattern[str]:
    """What begins a comment or is a string; a `#` or `//` within a word or URL is neither."""
    blocks = "|".join(re.escape(opening) for opening, _ in syntax.block)
    lines = "|".join(rf"(?<![^\s;,(){{}}\[\]]){re.escape(sign)}+[!:]?" for sign in syntax.line)
    kinds = [f"(?P<block>{blocks})"] if blocks else []
    kinds += [f"(?P<string>{_STRING})"]
    kinds += [f"(?P<line>{lines})"] if lines else []
    return re.compile("|".join(kinds))

"""How much of real source text the knowledge of words knows, and which labelled names it hides.

    python bench/knowledge_coverage.py [--dir DIR] [--list]

Takes the standing corpus, which is not where the knowledge was chosen from, but for a dozen terms
of machine learning. A name is hidden when its key is no ordinary word and known as something else
that says "no firm": PROPER does not say that. Exits 1 when less than 95 % of the words that stand
in the text are known, or more than 5 % of the names hidden.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from corpus import add_dir_option, corpus, git
from established import labels

from orgguard_mcp.knowledge import Kind, kinds
from orgguard_mcp.names import PART, WORD, canonicalise, fold

TEXT = (".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".sql", ".txt", ".prisma")
SHORT = 2
"""Sub-tokens of so few letters are noise to any scan."""

KNOWN, HIDDEN = 0.95, 0.05


def main() -> int:
    """Print the figures; 1 when one is worse than it was."""
    parser = argparse.ArgumentParser(description="What the knowledge of words knows.")
    add_dir_option(parser)
    parser.add_argument("--list", action="store_true", help="list what is unknown and what hidden")
    options = parser.parse_args()
    seen = words(corpus(options.dir))
    unknown = Counter({word: count for word, count in seen.items() if not kinds(word)})
    known = 1 - unknown.total() / seen.total()
    print(f"words in the text     {known:.1%} of {seen.total():,} known")
    print(f"different words       {1 - len(unknown) / len(seen):.1%} of {len(seen):,} known")
    for kind in Kind:
        count = sum(count for word, count in seen.items() if kinds(word) & kind)
        print(f"  {kind.name or '':<10} {count / seen.total():6.1%} of the text")
    keys = {canonicalise(label.name): label.name for label in labels()}
    found = {name: kinds(key) & ~Kind.PROPER for key, name in keys.items()}
    hidden = {name: kind for name, kind in found.items() if kind and not kind & Kind.WORD}
    print(f"labelled names        {len(hidden)} of {len(keys)} hidden")
    if options.list:
        print("\nunknown:", *(f"{word} {count}" for word, count in unknown.most_common(300)))
        print("\nhidden:", *(f"{name} ({kind.name})" for name, kind in hidden.items()), sep="\n  ")
    return 0 if known >= KNOWN and len(hidden) <= HIDDEN * len(keys) else 1


def words(directory: Path) -> Counter[str]:
    """The sub-tokens of the corpus's hand-written text, in lower case, with their number."""
    found: Counter[str] = Counter()
    for name in git(directory, "ls-files", "-z").split("\0"):
        if name.endswith(TEXT) and "_experimental/out" not in name:
            text = fold((directory / name).read_text(encoding="utf-8", errors="replace"))
            found.update(
                part.lower()
                for run in WORD.findall(text)
                for part in PART.findall(run)
                if len(part) > SHORT and not part.isdigit()
            )
    return found


if __name__ == "__main__":
    sys.exit(main())

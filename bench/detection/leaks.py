"""Synthetic leaks: names put into text by the grammar of ``wordings.toml``. For training alone."""

from __future__ import annotations

import json
import random
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp import knowledge
from orgguard_mcp.knowledge import Kind
from orgguard_mcp.model import Artifact, Surface

_WORDINGS = tomllib.loads((Path(__file__).parent / "wordings.toml").read_text())
_SLOT = re.compile(r"\{(\w+)\}")
_KINDS = (
    "comment comment comment comment string string string identifier identifier identifier"
    " identifier identifier domain domain json yaml csv sql path path docs docs docs message"
    " message message message branch"
)
"""Where leaks go, the frequent places several times."""

_FILES = {
    "json": "t/fixtures/a.json",
    "yaml": "conf/a.yaml",
    "csv": "data/rows.csv",
    "sql": "db/seed.sql",
}
_STRINGS = (
    'log.info("%s")|raise Error("%s")|print("%s")|return fail("%s");|console.log("%s");'
    '|logger.warn(\'%s\')|echo "%s"|t.Fatal("%s")|return fmt.Errorf("%s")'
    '|throw new Error(`%s`)|_("%s")|msg = "%s"'
).split("|")
_NO_NOUN = ("ing", "ed", "ly", "est", "ous", "ive", "able", "ful", "less", "ness")
_SYLLABLES = (
    "b br c cl d dr f fl g gr h j k kl l m n p pl qu r s st t tr v w x z sh".split(),
    "a e i o u ai ea oo y".split(),
    ["", "", "n", "r", "l", "x", "m", "t", "k"],
)


class Leak(NamedTuple):
    """A name and the artifacts that hold it."""

    name: str
    artifacts: list[Artifact]


class Names:
    """Names to leak: the labels' (training's own), and invented ones."""

    def __init__(self, labels: Path, words: list[str]) -> None:
        rows = [json.loads(line) for line in labels.read_text().splitlines()]
        self._labelled = sorted({name["name"] for row in rows for name in row["names"]})
        self._nouns = [
            w for w in words
            if 4 <= len(w) <= 9 and not w.endswith(_NO_NOUN) and knowledge.kinds(w) & Kind.WORD
            and 30 <= knowledge.frequency(w) <= 52
        ]  # fmt: skip

    def pick(self, rng: random.Random) -> str:
        """A name: half of them as real firms have them, half invented."""
        noun, part = rng.choice(self._nouns).title(), _WORDINGS["names"]
        invented = {
            "label": (50, rng.choice(self._labelled)),
            "noun": (12, noun),
            "closing": (8, noun + _one(rng, part["closing"])),
            "pair": (6, f"{noun} {rng.choice(self._nouns).title()}"),
            "tail": (5, noun + _one(rng, part["tails"])),
            "start": (2, _one(rng, part["starts"]) + noun),
            "digits": (3, f"{rng.randrange(1, 99)}{rng.choice(['', ' '])}{noun}"),
            "coined": (4, "".join(map(rng.choice, _SYLLABLES * 2)).title()),
            "foreign": (6, _one(rng, part["foreign"])),
            "accented": (4, _one(rng, part["accented"])),
        }
        kinds = list(invented)
        weights = [invented[kind][0] for kind in kinds]
        return invented[rng.choices(kinds, weights)[0]][1]


def _one(rng: random.Random, alternatives: str) -> str:
    return rng.choice(alternatives.split("|"))


def _filled(rng: random.Random, text: str, forms: dict[str, str]) -> str:
    """*text* with its slots filled, those of what fills them, too."""
    while slot := _SLOT.search(text):
        filling = forms.get(slot[1])
        if filling is None:
            filling = _one(rng, _WORDINGS["parts"][slot[1]])
        text = text[: slot.start()] + filling + text[slot.end() :]
    return text


def leak(rng: random.Random, names: Names, code: list[str], docs: list[str]) -> Leak:
    """A leak into one to four places; *code* and *docs* are the paths of files to put it in."""
    name = names.pick(rng)
    count = rng.choice([2, 2, 3, 4]) if rng.random() < 0.2 else 1
    return Leak(name, [_artifact(rng, name, code, docs) for _ in range(count)])


def _artifact(rng: random.Random, name: str, code: list[str], docs: list[str]) -> Artifact:
    import materialise  # the benchmark's own; `facts.py` puts it on the path

    forms = materialise.forms(name)
    kind = rng.choice(_KINDS.split() if "snake" in forms else ["comment", "string", "json", "docs"])
    ending = rng.choice([".com", ".io", ".de", ".co.uk", ".ai", ".net", ".fr", ".org", ".app"])
    forms["domain"] = forms.get("squash", "") + ending
    if kind in {"comment", "string", "docs", "message"} and rng.random() < 0.3:
        forms["N"] = name.lower()
    text = _filled(rng, _one(rng, _WORDINGS["leaks"][kind]), forms)
    if kind == "path":
        return Artifact(Surface.PATH, text, ((0, text),))
    if kind == "branch":
        return Artifact(Surface.BRANCH, "", ((0, text),))
    if kind == "message":
        return Artifact(Surface.COMMIT_MESSAGE, "c" * 40, ((3, text),))
    if kind == "docs":
        return Artifact(Surface.DOCS, rng.choice(docs), ((12, text[:1].upper() + text[1:]),))
    if kind in _FILES:
        return Artifact(Surface.DATA, _FILES[kind], ((12, text),))
    path = rng.choice(code)
    sign = materialise.comment_prefix(Path(path).suffix.lower()) or "#"
    if kind in {"comment", "domain"}:
        text = f"{sign} {text}"
    elif kind == "string":
        text = rng.choice(_STRINGS) % text
    return Artifact(Surface.CODE, path, ((12, "    " * rng.randrange(3) + text),))

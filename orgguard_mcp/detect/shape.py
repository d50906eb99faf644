"""Shape: what a name's own words say of it, with the shipped knowledge and the base's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from orgguard_mcp import knowledge, lexicon
from orgguard_mcp.knowledge import Kind

ORG_WORDS = frozenset(
    "solutions systems technologies technology labs lab bank group media health healthcare analytics"
    " software consulting partners capital ventures holdings industries international global"
    " communications networks network interactive studios studio games entertainment insurance"
    " financial finance logistics pharma energy foods motors airlines telecom mobile university"
    " institute foundation college school hospital clinic press publishing books house research"
    " services digital agency security robotics dynamics works works logic ware soft tech pay mart"
    " market markets retail stores brands foundry sciences bio medical realty properties"
    " travel hotels resorts league federation association society council ministry department"
    " government cooperative collective collaborative advisors wealth invest investments trust"
    " credit union mutual assurance electric power gas oil steel auto automotive rail freight"
    " shipping supply wireless broadband tv radio news times post journal weekly commerce"
    " telematics informatics genomics therapeutics diagnostics biotech fintech engineering design"
    " designs creative productions pictures records music sports fitness kitchen pizza coffee"
    " brewing wines spirits fashion jewelry cosmetics beauty furniture homes gmbh inc llc ltd"
    " corp ag sa bv plc io ai hq".split()
)
"""Words that close the names of organisations."""

AFFIXES = frozenset(
    "a an the is has get set test tests to of on in by for with from new old my your our all any"
    " client clients api url uri rows row import imports importer export exports exporter key keys"
    " id ids name names provider service handler manager factory adapter connector integration"
    " plugin config configuration settings options option params param args default base abstract"
    " mock fake stub fixture fixtures data payload response request result results error errors"
    " exception type types model models schema utils util helper helpers hook hooks webhook"
    " webhooks callback token tokens secret secrets auth oauth login user users account accounts"
    " customer customers order orders invoice invoices list map dict array set count total num"
    " index file files path paths dir folder log logs logger json csv xml yaml yml html md txt py"
    " js ts go rb sh sql fix feat feature bugfix hotfix chore docs doc add added update updated"
    " remove removed refactor support sync async run runs job jobs task tasks worker queue event"
    " events host hosts port endpoint server backend frontend ui db database table column cache"
    " session state status enabled disabled flag mode level version v1 v2 v3 main master dev prod"
    " staging local remote internal external public private prefix suffix format parser reader"
    " writer loader sender receiver builder validator converter mapper serializer logo icon image"
    " img svg png spec specs snapshot driver sdk app apps bot bucket region zone cluster node limit"
    " limits timeout retry retries batch size interval delay rate header headers body query cmd"
    " command main class function method interface struct enum impl trait def func fn const var"
    " let static final void return yield issue ticket bug patch release notes migration".split()
)
"""Words of the trade that stand beside a name in an identifier or file name."""

Holds = Callable[[str], bool]

_VOWELS = frozenset("aeiouy")
_PREFIXES = ("un", "re", "pre", "non", "de", "dis", "mis", "sub", "super", "over", "under", "multi",
             "anti", "auto", "co", "inter", "micro", "mini", "meta", "para", "post", "semi", "pseudo",
             "hyper", "infra", "intra", "iso", "poly", "proto", "quasi", "retro", "trans", "ultra", "uni", "x", "e", "i")
_SUFFIXES = ("able", "ible", "ability", "ness", "less", "ful", "ish", "ize", "izes", "ized", "izer",
             "ization", "ise", "ised", "isation", "ify", "ified", "ifier", "ation", "ations", "er",
             "ers", "or", "ors", "ing", "ings", "ed", "d", "s", "es", "ly", "ally", "al", "ity", "ism",
             "ist", "ists", "ment", "ments", "y", "like", "wise", "ware", "ification", "ance", "ency", "ive", "n", "r")


@lru_cache(maxsize=1 << 15)
def known(word: str) -> Kind:
    """What *word* is known as."""
    return knowledge.kinds(word)


@lru_cache(maxsize=1 << 15)
def plain(word: str) -> bool:
    """Whether *word* is an ordinary word or a term of the trade: it says nothing by itself."""
    return bool(known(word) & (Kind.WORD | Kind.TECH)) or word.isdigit() or len(word) < 2


@lru_cache(maxsize=1 << 14)
def derived(word: str) -> bool:
    """Whether *word* is built from an ordinary one with a prefix or an ending."""
    return any(len(stem) > 2 and plain(stem) for stem in _stems(word))


def _stems(word: str) -> Iterator[str]:
    ends = [word, *(word.removesuffix(s) for s in _SUFFIXES if word.endswith(s))]
    ends += [e + "e" for e in ends[1:]] + [e[:-1] for e in ends[1:] if len(e) > 3 and e[-1] == e[-2]]
    ends += [e[:-1] + "y" for e in ends[1:] if e.endswith("i")]
    for end in ends:
        yield end
        for prefix in _PREFIXES:
            if end.startswith(prefix) and len(end) - len(prefix) > 2:
                yield end[len(prefix):]


@lru_cache(maxsize=1 << 14)
def misspelt(word: str) -> bool:
    """Whether *word* is one slip away from a frequent word (Damerau 1964: four kinds of slip)."""
    if len(word) < 5:
        return False
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    near = {a + b[1:] for a, b in cuts if b}
    near |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    near |= {a + c + b[1:] for a, b in cuts if b for c in letters}
    near |= {a + c + b for a, b in cuts for c in letters}
    near.discard(word)
    return any(known(w) & Kind.WORD and knowledge.frequency(w) >= 35 for w in near)


@lru_cache(maxsize=1 << 14)
def pieces(word: str) -> int:
    """Into how few ordinary words *word* falls, if it does (2 or more); 0 if it does not."""
    counts = [len(cut) for cut in lexicon.splits(word, _piece, limit=4)] if len(word) < 40 else []
    return min(counts, default=0)


def _piece(text: str) -> bool:
    if len(text) < 3:
        return text in lexicon.LINKS
    return plain(text)


def speakable(word: str) -> bool:
    """Whether *word* can be said: it has vowels, and no long run of consonants."""
    if len(word) < 3:
        return False
    if not _VOWELS & set(word):
        return False
    return re.search(r"[bcdfghjklmnpqrstvwxz]{5}|[aeiou]{4}|(.)\1\1", word) is None

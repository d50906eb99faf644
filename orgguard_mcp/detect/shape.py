"""Shape: what a name's own words say of it, with the knowledge and the base's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from orgguard_mcp import knowledge, lexicon
from orgguard_mcp.knowledge import Kind

ORG_WORDS: Final = frozenset(
    "solutions systems technologies technology labs lab bank group"
    " media health healthcare analytics"
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

AFFIXES: Final = frozenset(
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
    " let static final void return yield issue ticket bug patch release notes migration"
    " github workflows workflow"
    " change changes".split()
)
"""Words of the trade that stand beside a name in an identifier or file name."""

PLACEHOLDERS: Final = frozenset(
    "foo bar baz qux quux test tests testing dummy fake mock sample example demo hello lorem ipsum"
    " blah asdf abc xyz aaa bbb my some".split()
)
"""Words that stand for anything."""

TECHNICAL: Final = frozenset(
    "ctl cli lib libs py js ts go rs db sql http https xml json yaml csv html css api apis sdk rpc"
    " grpc tcp udp ssl tls ssh dns url uri ip io os fs gpu cpu vm"
    " k8s kube docker git ci cd ui ux id"
    " ids uid gid pid env cfg conf config util utils ext impl fn func str int bool buf ptr ref arg"
    " args param params idx num cnt len src dst tmp msg req res resp err ctx auth repo init sys dev"
    " prod mgr mgmt gen proc exec sync async meta multi sub pre post non"
    " auto re un de is has get set"
    " to es ns ms nodes node mod pkg dir file name names type types time date".split()
)
"""Pieces that technical words are put together from."""

_CLOSES_SCRIPT = re.compile(
    "(?:公司|集团|集團|银行|銀行|科技|株式会社|有限|会社|保险|保険|证券|証券|大学|大學|商事|電機"
    "|電子|电子|商会|工業|工业|建設|製作所|製菓|书店|書店|信金|信用金庫|传媒|電商|电商|网络|股份"
    "|物流|製薬|航空|鉄道|은행|그룹|전자|주식회사|대학교|상사|ホールディングス|グループ|フーズ"
    "|ストア|バンク|モバイル|システムズ)$|^株式会社"
)
"""How the names of organisations end in Chinese, Japanese and Korean, or begin."""

_LONG: Final = 8  # letters; one slip in so long a word leaves no doubt of what was meant
_MANY: Final = 10  # words whose slips are looked up one by one sooner than all words are read
_FREQUENT: Final = 35
_USUAL: Final = 22
_VOWELS = frozenset("aeiouy")
_PREFIXES = tuple(
    "un re pre non de dis mis sub super over under multi anti auto co inter micro mini meta para"
    " post semi pseudo hyper infra intra iso poly proto quasi retro trans ultra uni x e i".split()
)
_SUFFIXES = tuple(
    "able ible ability ness less ful ish ize izes ized izer ization ise ised isation ify ified"
    " ifier ation ations er ers or ors ing ings ed d s es ly ally al ity ism ist ists ment ments y"
    " like wise ware ification ance ency ive n r my".split()
)
_ENDINGS = frozenset(_SUFFIXES)
_UNSPEAKABLE = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}|[aeiou]{4}|(.)\1\1")
_LONG_PLACEHOLDERS = tuple(word for word in PLACEHOLDERS if len(word) > 2)


_PLAIN: Final = int(Kind.WORD | Kind.TECH)
_TELLING: Final = int(~Kind.STEM)


def known(word: str) -> int:
    """What *word* is known as: the bits of its `Kind`, since flags are slow to compare.

    Less STEM: that a dictionary lists a word tells no more than WORD, and it lists every letter.
    """
    return knowledge.bits(word) & _TELLING


@lru_cache(maxsize=1 << 15)
def plain(word: str) -> bool:
    """Whether *word* is an ordinary word or a term of the trade: it says nothing by itself."""
    return bool(known(word) & _PLAIN) or word.isdigit() or len(word) < 2


def technical(word: str) -> bool:
    """Whether *word* is a term of the trade, and no name besides that."""
    return Kind(known(word)) & (Kind.TECH | Kind.PROPER) == Kind.TECH


@lru_cache(maxsize=1 << 14)
def derived(word: str) -> bool:
    """Whether *word* is built from an ordinary one, or two, with a prefix or an ending."""
    return any(len(stem) > 2 and plain(stem) for stem in _stems(word)) or any(
        len(stem) > 7 and pieces(stem) for stem in _stems(word) if stem != word
    )


def _stems(word: str) -> Iterator[str]:
    ends = [word, *(word.removesuffix(s) for s in _SUFFIXES if word.endswith(s))]
    ends += [e + "e" for e in ends[1:]]
    ends += [e[:-1] for e in ends[1:] if len(e) > 3 and e[-1] == e[-2]]
    ends += [e[:-1] + "y" for e in ends[1:] if e.endswith("i")]
    for end in ends:
        yield end
        for prefix in _PREFIXES if end.startswith(_PREFIXES) else ():
            if end.startswith(prefix) and len(end) - len(prefix) > 2:
                yield end[len(prefix) :]


@lru_cache(maxsize=1 << 14)
def misspelt(word: str) -> int:
    """How surely *word* is one slip away from a frequent word (Damerau 1964: four kinds of slip):
    0 for not, 2 for a long one.
    """
    if not 5 <= len(word) <= 20 or not word.isascii():
        return 0
    least = _USUAL if len(word) >= _LONG else _FREQUENT
    if misspelt.cache_info().misses < _MANY and not knowledge.spoken.cache_info().currsize:
        near = any(
            plain(w) and knowledge.kinds(w) & Kind.WORD and knowledge.frequency(w) >= least
            for w in _near(word)
        )
    else:
        near = not knowledge.spoken(least).isdisjoint(_near(word))
    return near + (near and len(word) >= _LONG)


def read_frequent() -> None:
    """Read all frequent words, so that no slip is looked up by itself: for who has the time."""
    for least in (_USUAL, _FREQUENT):
        knowledge.spoken(least)


def _near(word: str) -> set[str]:
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    near = {a + b[1:] for a, b in cuts if b}
    near |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    near |= {a + c + b[1:] for a, b in cuts if b for c in letters}
    near |= {a + c + b for a, b in cuts for c in letters}
    near.discard(word)
    return near


@lru_cache(maxsize=1 << 14)
def pieces(word: str) -> int:
    """Into how few ordinary words *word* falls, if it does (2 or more); 0 if it does not."""
    counts = [len(cut) for cut in lexicon.splits(word, _piece, limit=4)] if len(word) < 40 else []
    return min(counts, default=0)


def _piece(text: str) -> bool:
    if len(text) < 3:
        return text in lexicon.LINKS
    return plain(text)


@lru_cache(maxsize=1 << 12)
def halves(word: str) -> tuple[tuple[str, str], ...]:
    """Every way to cut a strange word in two that leaves words: what the base is asked for, too."""
    if not word.isascii() or not word.isalpha() or not 5 <= len(word) <= 32 or plain(word):
        return ()
    return tuple((word[:at], word[at:]) for at in range(2, len(word) - 1))


def kin(word: str, held: Mapping[str, object]) -> str:
    """How *word* is made from what the base holds: "inflected", "compound", "technical", or not."""
    best = ""
    for head, tail in halves(word):
        if tail in _ENDINGS and len(head) > 3 and head in held:
            return "inflected"
        first, second = _makes(head, held), _makes(tail, held)
        if first and second:
            technical = head in TECHNICAL or tail in TECHNICAL
            best = "technical" if technical or best == "technical" else "compound"
    if not best and word.endswith("s") and word[:-1] in held and len(word) > 3:
        return "inflected"
    return best


def _makes(piece: str, held: Mapping[str, object]) -> bool:
    if len(piece) < 3 or piece in TECHNICAL:
        return piece in TECHNICAL
    return plain(piece) or (len(piece) > 3 and piece in held)


def closes_in_script(text: str) -> bool:
    """Whether *text*, in Chinese, Japanese or Korean, ends as an organisation's name does."""
    return _CLOSES_SCRIPT.search(text) is not None


def speakable(word: str) -> bool:
    """Whether *word* can be said: it has vowels, and no long run of consonants."""
    if len(word) < 3:
        return False
    if not _VOWELS & set(word):
        return False
    return _UNSPEAKABLE.search(word) is None


def has_placeholder(word: str) -> bool:
    """Whether *word* begins or ends with a word that stands for anything."""
    return word.startswith(_LONG_PLACEHOLDERS) or word.endswith(_LONG_PLACEHOLDERS)

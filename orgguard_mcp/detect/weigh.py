"""Weighing: how surely each candidate is an organisation's name, and which of them are one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from orgguard_mcp.detect import shape, spans, weights
from orgguard_mcp.detect.features import Scene, features
from orgguard_mcp.detect.gather import Candidate, Holdings, Seen
from orgguard_mcp.detect.places import Sighting, Spot
from orgguard_mcp.detect.reasons import reason
from orgguard_mcp.detect.spans import Form
from orgguard_mcp.model import FileClass, Held

INTERFACE_WORDS: Final = (
    # What user interfaces and their comments say most, in Chinese, Japanese and Korean.
    "设置 错误 使用 文件 用户 数据 配置 名称 类型 参数 返回 默认 失败"
    " 成功 删除 添加 更新 登录 密码 时间"
    " 設定 エラー 使用 ファイル ユーザー データ 名前 パラメータ 返す 既定 失敗 成功 削除 追加 更新"
    " ログイン パスワード 時間 場合 値"
    " 설정 오류 사용 파일 사용자 데이터 이름 유형 반환 기본 실패"
    " 성공 삭제 추가 로그인 비밀번호 시간"
).split()
_ENOUGH_WORDS: Final = 3
"""So many of them show that the base writes that script itself."""

_AT_ONCE: Final = 8_000  # words about which the base is asked at once
_NEARLY: Final = 0.5
_MAX_PARTS: Final = 12
_Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A name that the change may bring in: as best written there (`text`), how surely it is an
    organisation's (`score`, 0..1), what speaks for that (`why`; empty below `PEDANTIC`), and all
    its places.
    """

    text: str
    score: float
    why: str
    sightings: tuple[Sighting, ...]


def REGULAR() -> float:  # noqa: N802  # a constant that is read from a file when first asked for
    """The score from which a name is reported."""
    return weights.shipped().regular


def PEDANTIC() -> float:  # noqa: N802
    """The score from which a name is reported to those who would rather see too many."""
    return weights.shipped().pedantic


def weigh(
    candidates: Sequence[Candidate],
    holdings: Holdings,
    file_class: Callable[[str], FileClass],
    least: float = 0.0,
) -> Iterator[Weighed]:
    """The names among *candidates* whose score is *least* or more, the surest first.

    Candidates that are parts of each other, or stand in the same places, are one name.
    """
    if not candidates:  # most writes have none
        return
    shipped = weights.shipped()
    for candidate, score, facts in _scored(candidates, holdings, file_class):
        candidate.score = score
        if score >= shipped.pedantic:  # what nobody is told need not be found out
            candidate.why = reason(facts, shipped.of)
    for group in merged(candidates):
        if group[0].score >= least:
            yield _weighed(group)


def likely(
    candidates: Sequence[Candidate], holdings: Holdings, file_class: Callable[[str], FileClass]
) -> list[Candidate]:
    """Those of *candidates* that would be reported to somebody, by what was seen so far."""
    least = weights.shipped().pedantic
    scored = _scored(candidates, holdings, file_class)
    return [candidate for candidate, score, _ in scored if score >= least]


def _scored(
    candidates: Sequence[Candidate], holdings: Holdings, file_class: Callable[[str], FileClass]
) -> Iterator[tuple[Candidate, float, set[str]]]:
    """Each of *candidates* with its score, and the facts that hold of it."""
    scene = scene_of(candidates, holdings, file_class)
    for candidate in candidates:
        seen = candidate.seen()
        facts = features(seen, scene)
        yield candidate, _score(seen, facts, scene), facts


def _score(candidate: Seen, facts: set[str], scene: Scene) -> float:
    """The best score of *candidate* as a whole, of which *facts* hold, and in each file alone:
    ordinary changes repeat their own words, but a coined name does not get away by being repeated.
    """
    shipped = weights.shipped()
    whole = shipped.score(facts)
    if all(map(shape.plain, candidate.words)):
        return whole
    by_file: dict[str, list[Sighting]] = {}
    for sighting in candidate.sightings:
        by_file.setdefault(sighting.path, []).append(sighting)
    if whole >= shipped.regular or len(by_file) < 2:
        return whole
    parts = (candidate._replace(sightings=part) for part in by_file.values())
    return max(whole, *(shipped.score(features(part, scene)) for part in parts))


def scene_of(
    candidates: Sequence[Candidate], holdings: Holdings, file_class: Callable[[str], FileClass]
) -> Scene:
    """What is known of the change as a whole, and what the base holds of all that is needed."""
    held = _answers({key for c in candidates for key in (*c.words, c.key)}, holdings)
    crowd = sum(Form.SCRIPT in candidate.kept.forms for candidate in candidates)
    held.update(holdings(INTERFACE_WORDS) if crowd else {})
    odd = {
        word for c in candidates for word in c.words if word not in held and not shape.plain(word)
    }
    held.update(_answers({half for word in odd for half in chain(*shape.halves(word))}, holdings))
    return Scene(
        held,
        file_class,
        script_crowd=crowd,
        writes_script=sum(word in held for word in INTERFACE_WORDS) >= _ENOUGH_WORDS,
    )


def _answers(keys: Iterable[str], holdings: Holdings) -> dict[str, Held]:
    """What the base holds of *keys*, which it is asked in portions: it remembers what it said."""
    held: dict[str, Held] = {}
    ordered = iter(sorted(keys))
    while some := list(islice(ordered, _AT_ONCE)):
        held.update(holdings(some))
    return held


# --- one name, one group ------------------------------------------------------------------------


class _Groups:
    """Candidates by name, as they come in: each name's best first."""

    def __init__(self) -> None:
        self.groups: list[list[Candidate]] = []
        self._by_words: dict[_Words, int] = {}
        self._by_part: dict[_Words, int] = {}
        self._spots: dict[int, tuple[int, ...]] = {}
        """From where to where which group stands in a line, one after the other."""

    def add(self, candidate: Candidate) -> None:
        """Put *candidate* into its name's group, or open one."""
        home = self._home(candidate.words)
        spots = [] if home is not None else list(candidate.kept.spots)
        home = self._covering(spots) if home is None else home
        if home is not None:
            self.groups[home].append(candidate)
            return
        number = len(self.groups)
        self.groups.append([candidate])
        self._by_words.setdefault(candidate.words, number)
        for part in _parts(candidate.words):
            self._by_part.setdefault(part, number)
        for place, start, end in spots:
            self._spots[place] = (*self._spots.get(place, ()), start, end, number)

    def _home(self, words: _Words) -> int | None:
        """The group that *words* are part of, or a longer form of."""
        homes = [self._by_words[part] for part in _parts(words) if part in self._by_words]
        if words in self._by_part:
            homes.append(self._by_part[words])
        return min(homes, default=None)

    def _covering(self, spots: Iterable[Spot]) -> int | None:
        """The group that stands in the place of what stands at *spots*."""
        home = None
        for place, start, end in spots:
            known = self._spots.get(place, ())
            taken = zip(known[::3], known[1::3], known[2::3], strict=True)
            home = next((n for low, high, n in taken if start < high and low < end), None)
            if home is None:
                return None
        return home


def merged(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """*candidates* by name, each name's best first; a part of a name, or what only stands where a
    better one stands, belongs to that.
    """
    groups = _Groups()
    for candidate in sorted(candidates, key=lambda c: (-c.score, -len(c.words), c.key)):
        groups.add(candidate)
    return groups.groups


def _parts(words: _Words) -> list[_Words]:
    """*words*, and every run of them that stand side by side; of many, the whole alone."""
    if len(words) > _MAX_PARTS:
        return [words]
    size = len(words)
    return [words[at:end] for at in range(size) for end in range(at + 1, size + 1)]


def face(group: Sequence[Candidate]) -> Candidate:
    """Of the candidates of one name the one that shows it whole: the best, unless it never stands
    without a longer one that is nearly as good.
    """
    best = group[0]
    spots = list(best.kept.spots)
    whole = best
    for other in group[1:]:
        longer = len(other.key) > len(whole.key) and best.key in other.key
        if longer and other.score >= best.score * _NEARLY and _covers(other, spots):
            whole = other
    return whole


def _covers(candidate: Candidate, spots: Sequence[Spot]) -> bool:
    own = list(candidate.kept.spots)
    return all(
        any(place == where and low <= start and end <= high for where, low, high in own)
        for place, start, end in spots
    )


def _weighed(group: Sequence[Candidate]) -> Weighed:
    shown = face(group)
    sightings: list[Sighting] = []
    seen: dict[int, list[tuple[int, int]]] = {}
    for candidate in (shown, *(other for other in group if other is not shown)):
        kept = candidate.kept
        for sighting, (line, _, _) in zip(kept, kept.spots, strict=True):
            narrow = _narrowed(sighting, candidate.words)
            start, end = narrow.span.start, narrow.span.end
            taken = seen.setdefault(line, [])
            if not any(start < high and low < end for low, high in taken):
                taken.append((start, end))
                sightings.append(narrow)
    best = group[0]
    return Weighed(best_text(shown), best.score, best.why, tuple(sightings))


def _narrowed(sighting: Sighting, words: tuple[str, ...]) -> Sighting:
    """*sighting* cut down to *words*: `Acme` of `AcmeClient`."""
    span = sighting.span
    if span.words == words:
        return sighting
    parts = spans.parts_of(span.text)
    size = len(words)
    for at in range(len(parts) - size + 1):
        if tuple(part.word for part in parts[at : at + size]) == words:
            low, high = parts[at].start, parts[at + size - 1].end
            cut = span._replace(
                text=span.text[low:high], start=span.start + low, end=span.start + high, words=words
            )
            return sighting._replace(span=cut)
    return sighting


def best_text(candidate: Candidate) -> str:
    """The name as best written: as people write it sooner than as an identifier has it."""
    narrow = (_narrowed(sighting, candidate.words).span for sighting in candidate.kept)
    texts = Counter(span.text for span in narrow if span.words == candidate.words)

    def rank(text: str) -> tuple[bool, bool, int, str]:
        spoken = text[:1].isupper() and not text.isupper()
        return spoken, "_" not in text, texts[text], text

    return max(texts, key=rank, default=" ".join(candidate.words))

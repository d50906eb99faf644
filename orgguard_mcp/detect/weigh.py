"""Weighing: how surely each candidate is an organisation's name, and which of them are one name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orgguard_mcp.detect import spans, weights
from orgguard_mcp.detect.features import features
from orgguard_mcp.detect.gather import Candidate, Holdings, Sighting
from orgguard_mcp.detect.reasons import reason
from orgguard_mcp.detect.spans import Form
from orgguard_mcp.model import FileClass

_INTERFACE_WORDS: Final = (
    # What user interfaces and their comments say most, in Chinese, Japanese and Korean.
    "设置 错误 使用 文件 用户 数据 配置 名称 类型 参数 返回 默认 失败 成功 删除 添加 更新 登录 密码 时间"
    " 設定 エラー 使用 ファイル ユーザー データ 名前 パラメータ 返す 既定 失敗 成功 削除 追加 更新"
    " ログイン パスワード 時間 場合 値"
    " 설정 오류 사용 파일 사용자 데이터 이름 유형 반환 기본 실패 성공 삭제 추가 로그인 비밀번호 시간"
).split()
_ENOUGH_WORDS: Final = 3
"""So many of them show that the base writes that script itself."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A name that the change may bring in: as best written there (`text`), how surely it is an
    organisation's (`score`, 0..1), what speaks for that (`why`), and all its places.
    """

    candidate: Candidate
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
    candidates: Sequence[Candidate], holdings: Holdings, file_class: Mapping[str, FileClass]
) -> list[Weighed]:
    """The names among *candidates*, the surest first, whatever their score.

    Candidates that are parts of each other, or stand in the same places, are one name.
    """
    shipped = weights.shipped()
    keys = {key for c in candidates for key in (*c.words, c.key)}
    held = holdings({*keys, *_INTERFACE_WORDS})
    scripts = frozenset({"script"} if _writes_script(held) else ())
    crowd = sum(any(s.span.form is Form.SCRIPT for s in c.sightings) for c in candidates)
    facts = {id(c): features(c, held, file_class, crowd, scripts) for c in candidates}
    for candidate in candidates:
        candidate.score = shipped.score(facts[id(candidate)])
    return [
        _weighed(group, reason(facts[id(group[0])], shipped.of)) for group in merged(candidates)
    ]


def _writes_script(held: Mapping[str, object]) -> bool:
    return sum(word in held for word in _INTERFACE_WORDS) >= _ENOUGH_WORDS


def merged(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """*candidates* by name, each name's best first; a part of a name, or what only stands where a
    better one stands, belongs to that.
    """
    groups: list[list[Candidate]] = []
    taken: dict[tuple[str, str, int], list[tuple[int, int, int]]] = {}
    by_word: dict[str, set[int]] = {}
    for candidate in sorted(candidates, key=lambda c: (-c.score, -len(c.words), c.key)):
        number = _home(candidate, groups, by_word, taken)
        if number is None:
            number = len(groups)
            groups.append([])
            for word in candidate.words:
                by_word.setdefault(word, set()).add(number)
            for place, start, end in map(_spot, candidate.sightings):
                taken.setdefault(place, []).append((start, end, number))
        groups[number].append(candidate)
    return groups


def _home(
    candidate: Candidate,
    groups: list[list[Candidate]],
    by_word: Mapping[str, set[int]],
    taken: Mapping[tuple[str, str, int], list[tuple[int, int, int]]],
) -> int | None:
    """The group that *candidate* belongs to, if there is one."""
    near = {number for word in candidate.words for number in by_word.get(word, ())}
    for number in sorted(near):
        if _nested(candidate.words, groups[number][0].words):
            return number
    home = None
    for place, start, end in map(_spot, candidate.sightings):
        hits = (n for low, high, n in taken.get(place, ()) if start < high and low < end)
        home = next(hits, None)
        if home is None:
            return None
    return home


def _nested(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the words of one stand in the other in their order."""
    short, long = sorted((one, other), key=len)
    size = len(short)
    return any(long[at : at + size] == short for at in range(len(long) - size + 1))


def _spot(sighting: Sighting) -> tuple[tuple[str, str, int], int, int]:
    where = sighting.location
    return (where.surface.value, where.path, where.line), sighting.span.start, sighting.span.end


def _weighed(group: Sequence[Candidate], why: str) -> Weighed:
    best = group[0]
    sightings = [_narrowed(s, best.words) for s in best.sightings]
    seen = {_spot(s) for s in sightings}
    for other in group[1:]:
        for sighting in other.sightings:
            narrow = _narrowed(sighting, other.words)
            if _spot(narrow) not in seen:
                seen.add(_spot(narrow))
                sightings.append(narrow)
    return Weighed(best, _best_text(best, sightings), best.score, why, tuple(sightings))


def _narrowed(sighting: Sighting, words: tuple[str, ...]) -> Sighting:
    """*sighting* cut down to *words*: `Acme` of `AcmeClient`."""
    if sighting.span.words == words:
        return sighting
    located = spans.located(sighting.span.text)
    size = len(words)
    for at in range(len(located) - size + 1):
        if tuple(word for word, _, _ in located[at : at + size]) == words:
            low, high = located[at][1], located[at + size - 1][2]
            span = sighting.span._replace(
                text=sighting.span.text[low:high],
                start=sighting.span.start + low,
                end=sighting.span.start + high,
                words=words,
            )
            where = dataclasses.replace(
                sighting.location, column=sighting.location.column + low, length=high - low
            )
            return Sighting(span, where, sighting.cues)
    return sighting


def _best_text(candidate: Candidate, sightings: Sequence[Sighting]) -> str:
    """The name as best written: as people write it sooner than as an identifier has it."""
    texts = Counter(s.span.text for s in sightings if s.span.words == candidate.words)
    if not texts:
        return " ".join(candidate.words)

    def rank(text: str) -> tuple[bool, bool, int, str]:
        spoken = text[:1].isupper() and not text.isupper()
        return spoken, "_" not in text, texts[text], text

    return max(texts, key=rank)

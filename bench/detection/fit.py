"""Fits the weights, reports out-of-fold figures by repository, and exports. See README.md.

Trained on: the labels' names, ordinary commits, sampled ordinary commits (noisy: with less weight,
and not where the fit is sure of a name), synthetic leaks. Never on injections and collisions.
"""

from __future__ import annotations

import argparse
import collections
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from records import Reading
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from orgguard_mcp.detect.weigh import best_text, face, merged
from orgguard_mcp.detect.weights import FILE, Weights, render

STRENGTH = 0.3  # the inverse of the regularisation
WEIGHT = {"synthetic": 0.35, "sampled": 0.6}
SURE = 1.0  # the logit from which a sampled commit's candidate is taken for a name after all
RARE = 8  # a fact that fewer candidates have says nothing
SMALL = 0.05
FOLDS = 5
TARGETS = (1.0, 0.5, 0.25, 0.10, 0.09)
"""False flags per ordinary commit; the last is REGULAR's, the second PEDANTIC's."""


class Table:
    """All candidates as a sparse matrix, with what they are."""

    def __init__(self, readings: list[Reading]) -> None:
        self.readings = readings
        vocabulary: dict[str, int] = {}
        columns, ends = [], [0]
        self.at: list[tuple[int, int]] = []
        for number, reading in enumerate(readings):
            for index, row in enumerate(reading.rows):
                columns += [
                    vocabulary.setdefault(fact, len(vocabulary)) for fact in sorted(row.facts)
                ]
                ends.append(len(columns))
                self.at.append((number, index))
        shape = (len(self.at), len(vocabulary))
        matrix = csr_matrix((np.ones(len(columns)), columns, ends), shape=shape)
        self.kinds = np.array([readings[n].kind for n, _ in self.at])
        self.groups = np.array([readings[n].repo for n, _ in self.at])
        self.labels = np.array([bool(readings[n].rows[i].shows) for n, i in self.at])
        trained = matrix[np.isin(self.kinds, ["pos", "neg", "sampled", "synthetic"])]
        kept = np.asarray(trained.sum(0)).ravel() >= RARE
        self.matrix, self.facts = matrix[:, kept], np.array(list(vocabulary))[kept]
        self.names = self._by_name()

    def _by_name(self) -> list[np.ndarray]:
        """For each name to learn from, the candidates that show it."""
        found = collections.defaultdict(list)
        for number, (reading, index) in enumerate(self.at):
            row, kind = self.readings[reading].rows[index], self.readings[reading].kind
            held = {"base words", "words 1"} <= row.facts and "all plain" not in row.facts
            if kind == "pos" or (kind == "synthetic" and not held):
                for name in row.shows:
                    found[reading, name].append(number)
        return [np.array(rows) for rows in found.values()]


def fitted(table: Table, mask: np.ndarray) -> tuple[LogisticRegression, np.ndarray]:
    """A model of the rows of *mask*, and the logit of every row: fitted on all candidates of each
    name, then again on the best of each, since a name's other parts are no examples of one.
    """
    chosen = np.zeros(len(mask), bool)
    for rows in table.names:
        chosen[rows] = True
    ordinary = np.isin(table.kinds, ["neg", "sampled"])
    used = mask & (chosen | ordinary)
    share = np.array([WEIGHT.get(kind, 1.0) for kind in table.kinds])
    for last in (False, True):
        model = LogisticRegression(C=STRENGTH, max_iter=300, solver="liblinear", random_state=1)
        model.fit(table.matrix[used], table.labels[used], sample_weight=share[used])
        logits = model.decision_function(table.matrix)
        if last:
            break
        chosen[:] = False
        for rows in table.names:
            chosen[rows[np.argmax(logits[rows])]] = True
        doubtful = (table.kinds == "sampled") & (logits > SURE)
        used = mask & (chosen | ordinary) & ~doubtful
    return model, logits


class Shown(NamedTuple):
    """What a scan would show: its score, and the names of the case that it matches."""

    score: float
    names: frozenset[int]


def shown(table: Table, logits: np.ndarray) -> dict[int, list[Shown]]:
    """The merged findings of every case by the product's own rules."""
    from evaluate import match

    for (number, index), logit in zip(table.at, logits, strict=True):
        score = float(1 / (1 + np.exp(-logit)))
        table.readings[number].rows[index].candidate.score = score
    found = {}
    for number, reading in enumerate(table.readings):
        if reading.kind in {"synthetic", "sampled"}:
            continue
        groups = merged([row.candidate for row in reading.rows])
        texts = [(group[0].score, best_text(face(group))) for group in groups]
        found[number] = [
            Shown(score, frozenset(n for n, name in enumerate(reading.names) if match(text, name)))
            for score, text in texts
        ]
    return found


class Figures(NamedTuple):
    """The figures at one threshold; `hits` has (found, of how many) by what is counted."""

    flags: float
    clean: float
    hits: dict[tuple[str, ...], list[int]]


def figures(table: Table, found: dict[int, list[Shown]], threshold: float) -> Figures:
    """What a scan with *threshold* finds."""
    hits: dict[tuple[str, ...], list[int]] = collections.defaultdict(lambda: [0, 0])
    flags = []
    for number, findings in found.items():
        reading = table.readings[number]
        over = [one for one in findings if one.score >= threshold]
        if reading.kind == "neg":
            flags.append(len(over))
        seen = frozenset().union(*(one.names for one in over))
        for index, name in enumerate(reading.names):
            for key in _counted(reading, name):
                hits[key][0] += index in seen
                hits[key][1] += 1
    return Figures(float(np.mean(flags)), float(np.mean([not f for f in flags])), hits)


def _counted(reading: Reading, name: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    yield (reading.kind,)
    yield from ((reading.kind, "class", one) for one in name["classes"])
    if reading.template:
        yield reading.kind, "template", reading.template
    if name.get("only"):
        yield reading.kind, "surface", name["only"]


def threshold_for(table: Table, found: dict[int, list[Shown]], target: float) -> float:
    """The lowest threshold with no more than *target* false flags per ordinary commit."""
    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        if figures(table, found, middle).flags > target:
            low = middle
        else:
            high = middle
    return high


def main() -> None:
    """Fit, report and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readings", type=Path)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--export", action="store_true", help=f"write {FILE.name}")
    options = parser.parse_args()
    sys.path.insert(0, str(options.bench))
    table = Table(pickle.loads(options.readings.read_bytes()))  # noqa: S301
    logits = np.zeros(len(table.labels))
    for rest, fold in GroupKFold(FOLDS).split(table.matrix, table.labels, table.groups):
        mask = np.zeros(len(logits), bool)
        mask[rest] = True
        logits[fold] = fitted(table, mask)[1][fold]
    found = shown(table, logits)
    thresholds = {}
    for target in TARGETS:
        thresholds[target] = threshold_for(table, found, target)
        result = figures(table, found, thresholds[target])
        recall = {key[0]: f"{a / b:.3f}" for key, (a, b) in result.hits.items() if len(key) == 1}
        print(f"{thresholds[target]:.4f} flags {result.flags:.3f} clean {result.clean:.3f}", recall)
    for key, (a, b) in sorted(result.hits.items()):
        print(" ".join(key), f"{a}/{b}")
    if options.export:
        model, _ = fitted(table, np.ones(len(logits), bool))
        pairs = zip(table.facts.tolist(), model.coef_[0].tolist(), strict=True)
        of = {fact: weight for fact, weight in pairs if abs(weight) >= SMALL}
        bias = float(model.intercept_[0])
        FILE.write_text(render(Weights(bias, thresholds[TARGETS[-1]], thresholds[0.5], of)))


if __name__ == "__main__":
    main()

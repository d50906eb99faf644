"""The nouns: one effect for every basis, and nothing that changes after the fact."""

from __future__ import annotations

import dataclasses

import pytest

from orgguard_mcp import model
from orgguard_mcp.model import (
    EFFECTS,
    Ask,
    Asker,
    Base,
    Basis,
    Effect,
    Evidence,
    FileClass,
    Request,
    Scope,
    Verdict,
    path_of,
)  # fmt: skip
from orgguard_mcp.names import parse
from tests.names import COINED

BASE = Base("0" * 40, "the upstream default branch")
NOUNS = [noun for noun in vars(model).values() if dataclasses.is_dataclass(noun)]


def ask(where: str) -> Ask:
    return Ask(where, "", "", Asker(), 0.0)


def test_every_basis_has_one_effect() -> None:
    assert set(EFFECTS) == set(Basis)


@pytest.mark.parametrize(
    ("effect", "bases"),
    [
        (Effect.ALLOW, {Basis.RESERVED, Basis.ESTABLISHED, Basis.CONSENTED}),
        (Effect.ASK, {Basis.PENDING, Basis.COMMON_WORD, Basis.UNKNOWN}),
        (Effect.DENY, {Basis.REFUSED, Basis.PROTECTED}),
    ],
    ids=["allow", "ask", "deny"],
)
def test_the_effect_table(effect: Effect, bases: set[Basis]) -> None:
    assert {basis for basis, follows in EFFECTS.items() if follows is effect} == bases


@pytest.mark.parametrize("basis", list(Basis), ids=str)
def test_a_verdict_takes_its_effect_from_the_table(basis: Basis) -> None:
    assert Verdict(parse(COINED), basis, "", BASE).effect is EFFECTS[basis]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_every_noun_is_frozen_and_slotted(noun: type) -> None:
    assert noun.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(noun)


@pytest.mark.parametrize(
    ("file_class", "establishes"),
    [
        (FileClass.CODE, True),
        (FileClass.DOCS, True),
        (FileClass.CONFIG, True),
        (FileClass.TEST, True),
        (FileClass.LOCKFILE, False),
        (FileClass.VENDORED, False),
        (FileClass.GENERATED, False),
        (FileClass.AGENT_RULES, False),
    ],
    ids=str,
)
def test_which_classes_establish_names(file_class: FileClass, establishes: bool) -> None:
    assert file_class.establishes is establishes


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("src/a.py:7", "src/a.py"),
        ("src/a.py", "src/a.py"),
        ("./src/a.py:7", "src/a.py"),
        (" src/a.py : 7 ", "src/a.py"),
        ("src/a:b.py", "src/a:b.py"),
        ("src/a.py:", "src/a.py:"),
        ("", ""),
    ],
)
def test_the_path_of_a_place(where: str, path: str) -> None:
    assert path_of(where) == path


def test_a_request_names_each_file_once_and_in_order() -> None:
    asks = (ask("b.py:1"), ask("a.py"), ask(""), ask("./b.py:9"))
    assert Request("r", parse(COINED), BASE, 0.0, 1.0, asks).paths == ("b.py", "a.py")


@pytest.mark.parametrize(("line", "shown"), [(3, "a.py:3"), (0, "a.py")], ids=["line", "path"])
def test_evidence_is_shown_as_its_place(line: int, shown: str) -> None:
    assert str(Evidence("a.py", line, FileClass.CODE)) == shown


@pytest.mark.parametrize(
    ("scope", "words"),
    [(Scope(), "in this repository"), (Scope(("a.py", "b.py")), "in a.py, b.py")],
    ids=["everywhere", "files"],
)
def test_a_scope_in_words(scope: Scope, words: str) -> None:
    assert str(scope) == words

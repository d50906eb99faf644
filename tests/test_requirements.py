"""Each clause has tests that exist, and each acceptance test serves a clause."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.requirements import ACCEPTANCE, CLAUSES

HERE = Path(__file__).parent


def _tests_in(module: str) -> set[str]:
    tree = ast.parse((HERE / f"{module.replace('.', '/')}.py").read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        f"{module}::{node.name}"
        for node in tree.body
        if isinstance(node, functions) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_has_tests_that_exist(clause: str) -> None:
    tests = CLAUSES[clause].tests
    known = set().union(*(_tests_in(test.partition("::")[0]) for test in tests))
    assert tests
    assert set(tests) <= known


@pytest.mark.parametrize("module", ACCEPTANCE)
def test_every_acceptance_test_serves_a_clause(module: str) -> None:
    serving = {test for clause in CLAUSES.values() for test in clause.tests}
    assert _tests_in(module) <= serving


@pytest.mark.parametrize(
    "clause", [c for c in CLAUSES if c in {"stop-and-ask", "no-placeholder", "no-assumption"}]
)
def test_the_rule_is_written_where_agents_read_it(clause: str) -> None:
    rule = " ".join((HERE.parent / "AGENTS.md").read_text().split()).replace("**", "").lower()
    assert CLAUSES[clause].text.lower().removeprefix("do not ") in rule

"""The small reader of GitHub's expressions that the rehearsals of workflows go by."""

from typing import Any

import pytest

from tests.workflows.expressions import Unknown, condition, evaluate, filled

CONTEXTS = {"vars": {"TARGET": "fly", "EMPTY": ""}, "needs": {"a": {"result": "success"}}}


def functions(failed: bool) -> dict[str, Any]:
    return {
        "success": lambda: not failed,
        "failure": lambda: failed,
        "always": lambda: True,
        "cancelled": lambda: False,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("vars.TARGET", "fly"),
        ("vars.MISSING", None),
        ("needs.a.result == 'success'", True),
        ("needs.b.result == ''", True),
        ("vars.MISSING == 'fly'", False),
        ("vars.MISSING == null", True),
        ("vars.TARGET == 'FLY'", True),
        ("vars.TARGET != '' && 'a' || 'b'", "a"),
        ("vars.EMPTY != '' && 'a' || 'b'", "b"),
        ("!(true && false) || null", True),
        ('contains(fromJSON(\'["fly", "ecs"]\'), vars.TARGET)', True),
        ("contains('flying', vars.TARGET)", True),
        ("contains(fromJSON('[\"flying\"]'), vars.TARGET)", False),
        ("'it''s'", "it's"),
        ("true || false && false", True),
    ],
)
def test_a_form_that_is_used_is_read_as_github_does(text: str, value: Any) -> None:
    assert evaluate(text, CONTEXTS, functions(False)) == value


@pytest.mark.parametrize(
    "text",
    [
        "hashFiles('x')",
        "runner.os",
        "vars.TARGET == 1",
        "vars.*.x",
        "1 < 2",
        "vars['TARGET']",
        "a b",
        "(true",
        "true true",
        "",
        '"double"',
    ],
)
def test_any_other_form_is_a_failure(text: str) -> None:
    with pytest.raises(Unknown):
        evaluate(text, CONTEXTS, functions(False))


@pytest.mark.parametrize(
    ("text", "failed", "holds"),
    [
        ("vars.TARGET == 'fly'", False, True),
        ("vars.TARGET == 'fly'", True, False),
        ("${{ always() }}", True, True),
        ("${{ failure() }}", False, False),
        ("${{ !failure() && !cancelled() && vars.TARGET != '' }}", True, False),
        ("${{ !failure() && !cancelled() && vars.TARGET != '' }}", False, True),
        ("${{ !failure() && vars.EMPTY != '' }}", False, False),
    ],
)
def test_a_condition_knows_of_what_failed_before(text: str, failed: bool, holds: bool) -> None:
    assert condition(text, CONTEXTS, functions(failed)) is holds


def test_text_around_an_expression_stays() -> None:
    put = "deploy-${{ vars.TARGET }}-${{ vars.MISSING }}"
    assert filled(put, CONTEXTS, functions(False)) == "deploy-fly-"
    assert filled("${{ vars.MISSING }}", CONTEXTS, functions(False)) is None
    assert filled(7, CONTEXTS, functions(False)) == 7

"""Every way to clear roots is sound: where its conditions hold, the expression is not positive."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form import claim

from theory.claims.claim import Axis
from theory.learners import LeastSquares, LinearCLIP
from theory.proofs.expression import FLOATS, constant, evaluate, gradient, variable
from theory.proofs.obligations import Inequality, Obligation, not_positive, root_terms
from theory.proofs.statements import statements

a, b, c, d = (variable(name) for name in "abcd")
EXPRESSIONS = {
    "one root": a + b * np.sqrt(c),
    "two quotients": a / np.sqrt(c) - b / np.sqrt(d),
    "a derivative": gradient((a - 1) / np.sqrt(a**2 * c + d), ["a"])[0],
    "roots below": a - 1 / (b + np.sqrt(c)),
    "powers": (a + np.sqrt(c)) ** 3 - b * np.sqrt(c) ** 3,
    "three terms": a + np.sqrt(c) - b * np.sqrt(d),
    "a multiple of the other": a / np.sqrt(c) - 2 * a / np.sqrt(4 * c),
}
HOLDS = {"negative": np.less, "not positive": np.less_equal, "zero": lambda x, y: np.abs(x) < 1e-9}


def at_random(size: int = 4000) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    signed = draw.normal(size=(2, size))
    positive = draw.gamma(1, 1, (2, size))
    return dict(zip("abcd", [*signed, *positive], strict=True))


def holds(condition, values) -> np.ndarray:
    top, bottom = evaluate([condition.top, condition.bottom], FLOATS, values)
    return HOLDS[condition.kind](top / bottom, 0)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_way_is_sound(name, strict):
    values = at_random()
    (e,) = evaluate([EXPRESSIONS[name]], FLOATS, values)
    shown = np.zeros(len(e), bool)
    for way in not_positive(EXPRESSIONS[name], strict=strict):
        here = np.all(
            [holds(condition, values) & np.ones(len(e), bool) for condition in way], axis=0
        )
        assert (e[here] < 0).all() if strict else (e[here] <= 1e-9).all()
        shown |= here
    assert strict or shown[e <= -1e-6].all()  # the ways together cover every point


def test_other_expressions_have_no_terms():
    assert root_terms(np.exp(a), {}) is None
    assert root_terms(np.sqrt(1 + np.sqrt(a)), {}) is None
    assert not_positive(np.log(a)) == []


def test_opposite_signs_settle_a_choice():
    routes = Obligation("", (Inequality(a), Inequality(-a * b**2 / np.sqrt(c)))).routes(gradient)
    (found,) = (
        route for route in routes if len(route.conditions) == 2 and route.conditions[1].bottom is a
    )
    assert found.conditions[1].top is not constant(0)


TWO_RULES = claim(
    relation="<=",
    domain={
        "sigma_xi": 0.0,
        "p_spu": Axis(0.5, 1.0),
        "mu_spu": Axis(0.5, 4.0),
        "sigma_spu": Axis(0.1, 3.0),
    },
    subject=LinearCLIP("mean"),
    against=LeastSquares(),
)


@pytest.mark.parametrize("fields", [{"prediction": lambda w: -0.1}, {"against": None}])
def test_t1_compares_two_rules_and_nothing_else(fields):
    (statement,) = statements(replace(TWO_RULES, **fields))
    assert [obligation.lemma for obligation in statement.obligations] == [None] * len(
        statement.obligations
    )


@pytest.mark.parametrize("relation", ["<=", ">="])
@pytest.mark.parametrize("quantity", ["counter", "error-counter"])
def test_t1_as_a_lemma_is_sound_at_every_point(quantity, relation):
    """If the premises and the inequality of reliances hold, the inequality of accuracies holds."""
    (statement,) = statements(replace(TWO_RULES, quantity=quantity, relation=relation))
    obligation = statement.obligations[0]
    lemma, (alternative,) = obligation.lemma, obligation.alternatives
    draw = np.random.default_rng(1)
    values = {name: draw.random(4000) for name in obligation.coordinates}
    *premises, instead, f = evaluate(
        [*lemma.negative, *lemma.not_positive, lemma.instead.f, alternative.f], FLOATS, values
    )
    assert all(np.all(premise <= 0) for premise in premises)
    assert 100 < np.sum(instead <= 0) < 3900
    assert ((f <= 0) == (instead <= 0)).all()

"""Claims that seem provable but are false or undefined somewhere: the checker accepts none."""

from contextlib import suppress
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory import Axis, Claim, Phi, exp, sqrt
from theory.proofs.certificate import Refused
from theory.proofs.checker import check
from theory.proofs.expression import NotExpressible, constant, variable
from theory.proofs.obligations import not_positive
from theory.proofs.prover import prove
from theory.proofs.statements import statements

LOUD = {"p_spu": Axis(0.6, 0.9), "mu_spu": Axis(1.0, 3.0)}


def claim(prediction, domain=LOUD, relation="<=", **options) -> Claim:
    fields = {
        "quantity": "reliance",
        "relation": relation,
        "domain": domain,
        "prediction": prediction,
        **options,
    }
    return Claim(id="hostile", source="test", statement="", **fields)


@pytest.mark.parametrize(
    ("prediction", "domain"),
    [
        (lambda w: sqrt((w.mu_spu - 777.125) ** 2), {"mu_spu": Axis(2.0, 900.0), "p_spu": 0.9}),
        (lambda w: sqrt(w.mu_spu - 1), {"mu_spu": Axis(1.0, 2.0), "p_spu": 0.9}),
    ],
)
def test_a_root_that_vanishes_is_not_below_zero(prediction, domain):
    """One side of an "iff" is strict, so the point where the root is zero decides."""
    assert (
        prove(claim(prediction, domain, "iff", threshold=-10.0), budget=20_000).outcome != "proved"
    )
    u = variable("u")
    assert not [
        way for way in not_positive(-2 * np.sqrt(u), strict=True) if way[0].kind != "negative"
    ]


def repeated_square(start: float):
    return reduce(lambda x, _: x * x, range(60), start)


@pytest.mark.parametrize(
    "prediction",
    [
        # once proved, since a square is not negative
        lambda w: 100 + sqrt(w.mu_spu - 2) ** 2 - w.mu_spu,
        lambda w: 100 + sqrt(w.mu_spu - 2) / sqrt(w.mu_spu - 2),
        lambda w: 100 + 0 / (w.mu_spu - 2),
        lambda w: 100 + np.log(w.mu_spu - 1.5) - np.log(w.mu_spu - 1.5),
        lambda w: 1 / (sqrt(w.mu_spu) - sqrt(w.mu_spu)),
        lambda w: 100 + Phi(sqrt(w.mu_spu - 2)),
        lambda w: 100 + (1 / (w.mu_spu - 2)) ** 2,
        # Constants beyond float64, once an OverflowError.
        lambda w: 1e200 * (1e200 * w.mu_spu),
        lambda w: w.mu_spu + np.inf,
        lambda w: w.mu_spu + 2 * repeated_square(1.5 + 0 * w.mu_spu),
        # its digits double sixty times
        lambda w: w.mu_spu + 2 * repeated_square(0.7 + 0 * w.mu_spu),
    ],
)
def test_nothing_is_shown_about_a_prediction_that_is_partly_undefined_or_beyond_float64(prediction):
    assert prove(claim(prediction), budget=100_000).outcome in ("not provable", "open")


# valid at both ends; nowhere
ROOT = [lambda w: sqrt((w.mu_spu - 2) * (w.mu_spu - 2.5)), lambda w: sqrt(w.p_spu - 2)]


@pytest.mark.parametrize(
    ("prediction", "options"),
    [
        # a field that no side mentions
        (lambda w: 1 + w.mu_spu, {"domain": {**LOUD, "sigma_spu": ROOT[0]}}),
        (
            lambda w: 1 + w.mu_spu,
            {
                "domain": {
                    **LOUD,
                    "mention_spu": lambda w: 1 + 0.3 * (w.mu_spu - 1.9) * (2.5 - w.mu_spu),
                }
            },
        ),
        # equal sides
        (ROOT[1], {"relation": "iff", "threshold": lambda w: w.mu_spu * (2 * w.p_spu - 1) / 2}),
    ],
)
def test_nothing_is_shown_where_a_field_or_a_condition_is_undefined(prediction, options):
    found = prove(claim(prediction, **options), budget=100_000)
    assert (found.outcome, found.certificate) == ("not provable", None)
    assert "it is not true that" in found.reason


FORMULAS = st.recursive(
    st.sampled_from(["w.p_spu", "w.mu_spu", "0.0", "0.5", "2.0", "-1.0", "1e-300", "1e300"]),
    lambda part: st.one_of(
        st.builds("{}({})".format, st.sampled_from(["sqrt", "exp", "Phi", "np.log", "-"]), part),
        st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part),
        st.builds("({}) ** {}".format, part, st.sampled_from([0, 2, 3, -1, 0.5])),
    ),
    max_leaves=6,
)


@given(
    FORMULAS,
    st.sampled_from(["<=", ">=", "=", "iff"]),
    st.sampled_from([0, 5]),
    st.integers(0, 2**32),
)
def test_what_is_shown_of_a_random_formula_holds(formula, relation, above, seed):
    """Proofs pass the checker, and values at random points agree; an altered certificate is
    refused, or as good.
    """
    function = eval(f"lambda w: np.float64({above}) + {formula}")
    with np.errstate(all="ignore"):
        mine = claim(
            function, {"p_spu": Axis(0.5, 1.0), "mu_spu": Axis(0.0, 2.0)}, relation, threshold=5.0
        )
        proof = prove(mine, seconds=1, budget=1000)
        if proof.outcome in ("proved", "refuted"):
            assert check(proof.certificate, mine)[0] == proof.outcome
            values = mine.true_violation(
                mine.relation.points(mine, np.random.default_rng(seed).random((200, 2)))
            )
            assert proof.outcome == "refuted" or (values <= mine.tau + 1e-9).all()
            altered = bytearray(proof.certificate)
            altered[seed % len(altered)] ^= 1 << seed % 8
            with suppress(Refused):
                assert check(bytes(altered), mine)[0] == proof.outcome


@pytest.mark.parametrize(
    "prediction",
    [
        lambda w: 1e20 + 1 / sum(sqrt(w.mu_spu + k * w.p_spu) for k in range(8)),
        lambda w: (
            1e30
            + (sqrt(w.mu_spu) + sqrt(w.p_spu) + sqrt(w.mu_spu + w.p_spu) + sqrt(1 + w.p_spu)) ** 40
        ),
        lambda w: (
            1e60
            + (w.mu_spu + w.p_spu + w.sigma_inv + w.sigma_spu + w.mention_inv + w.mention_spu) ** 64
        ),
        lambda w: reduce(lambda x, _: x + sqrt(x), range(40), w.mu_spu),
        lambda w: sum(exp(w.mu_spu * k) * Phi(w.p_spu * k) for k in range(-99, 99)),
    ],
)
def test_a_formula_of_many_roots_or_terms_ends_within_its_budget(prediction):
    """Once six roots took hours: their signs add up in billions of ways."""
    domain = {
        **LOUD,
        **dict.fromkeys(("sigma_inv", "sigma_spu", "mention_inv", "mention_spu"), Axis(0.5, 1.0)),
    }
    assert prove(claim(prediction, domain), seconds=1).seconds < 10


def test_fixed_fields_are_exact():
    """In float64 sqrt(2)^2 - 2 is 4e-16, which would put the prediction above the reliance of 0
    instead of below.
    """
    domain = {"p_spu": 0.5, "mu_spu": 2.0, "sigma_inv": Axis(0.5, 1.0)}
    found = claim(
        lambda w: 1e14 * (sqrt(w.mu_spu) ** 2 - w.mu_spu) - 0.02 + 0 * w.sigma_inv,
        domain,
        tolerance=0.01,
    )
    assert prove(found, budget=10_000).outcome != "proved"
    true = claim(
        lambda w: 1e14 * (sqrt(w.mu_spu) ** 2 - w.mu_spu) + 0 * w.sigma_inv, domain, tolerance=0.01
    )
    assert prove(true).outcome == "proved"


@pytest.mark.parametrize("ends", [(64, lambda w: 100 * w.mu_spu), (lambda w: 64 * w.mu_spu, 300)])
def test_whole_numbers_between_formulas_are_not_enumerated(ends):
    domain = {"mu_spu": 2.0, "dim_image": Axis(*ends, integer=True), "p_spu": 0.9}
    with pytest.raises(NotExpressible, match="bounds depend on other fields"):
        statements(claim(lambda w: 5, domain))


def test_a_bound_depends_only_on_earlier_fields():
    """The bound of mu_spu uses the default number of classes, as in `Claim.place`, not the case's
    number.
    """
    domain = {
        "mu_spu": Axis(lambda w: w.classes / 2, 6.0),
        "p_spu": 0.9,
        "classes": Axis(2, 4, integer=True),
    }
    for statement in statements(claim(lambda w: w.mu_spu, domain)):
        low = statement.fields["mu_spu"]
        assert low is constant(1) + 5 * variable("mu_spu")

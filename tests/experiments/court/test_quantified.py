"""Claims that hold somewhere or on average, against a fine grid of the domain."""

import re

import closed_form
import numpy as np
import pytest
from closed_form import truth

from experiments.court import quantified
from experiments.court.trial import judge
from experiments.court.worst_point import CLOSED, by_formula, drawn
from experiments.inference import FRACTION, Sample
from simulator.accuracy import LEVEL
from theory.claims.claim import Axis, Claim
from theory.learners import LinearCLIP

BOX = {"p_spu": Axis(0.5, 1.0), "mu_spu": Axis(0.5, 3.0), "sigma_xi": 0.0}


def claim(relation: str, value: float, quantifier: str, **fields) -> Claim:
    usual = {
        "domain": BOX,
        "relation": relation,
        "prediction": lambda w: value,
        "quantifier": quantifier,
    }
    return closed_form.claim(**{**usual, **fields})


@pytest.fixture(scope="module")
def grid() -> np.ndarray:
    """Counter accuracy of linear CLIP at the midpoints of 90,000 equal cells."""
    side = (np.arange(300) + 0.5) / 300
    one = claim("<=", 0.0, "always")
    return truth(one, one.at(one.place(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))))


@pytest.mark.parametrize(
    ("relation", "shift", "expected"),
    [
        ("<=", 0.05, "supported"),
        ("<=", -0.05, "contradicted"),
        (">=", -0.05, "supported"),
        (">=", 0.05, "contradicted"),
        ("=", 0.0, "undecided"),  # to half a point, over a domain of many different worlds
        ("=", 0.05, "contradicted"),
    ],
)
def test_a_mean_over_worlds_is_that_of_a_fine_grid(grid, relation, shift, expected):
    """The grid's error is 1e-4; the bounds are wrong with probability 1e-6."""
    mean = float(grid.mean())
    found = judge(claim(relation, mean + shift, "on average"), error_rate=1e-6)
    assert found.verdict == expected
    assert found.point is None
    assert found.counterexample is None
    assert found.search_evaluations == quantified.WORLDS
    assert (found.p_value is not None) == (expected == "contradicted")
    if expected == "contradicted":
        assert found.p_value < 5e-7


def test_each_bound_of_a_mean_has_half_of_the_error_rate(grid):
    one = claim("<=", 0.0, "on average")
    verdict = judge(one, error_rate=1e-6)
    found = [*map(float, re.search(r"between (\S+) and (\S+);", verdict.reason).groups())]
    values = truth(one, one.at(one.place(quantified.worlds_for(one, 0))))
    assert verdict.interval == pytest.approx(
        Sample(values, support=FRACTION).bounds((1 - LEVEL) / 2), abs=1e-4
    )
    assert found == pytest.approx([*Sample(values, support=FRACTION).bounds(1e-6 / 2)], abs=1e-4)
    assert found[0] < grid.mean() < found[1] < found[0] + 0.06


@pytest.mark.parametrize(
    ("relation", "level", "expected"),
    [
        ("<=", 0.02, "supported"),
        ("<=", -0.004, "undecided"),
        (">=", -0.02, "supported"),
        (">=", 0.02, "undecided"),
    ],
)
def test_somewhere_needs_a_measured_point_with_slack(grid, relation, level, expected):
    """`level` is counted from the lowest accuracy for "<=", and from the highest for ">="."""
    end = float(grid.min() if relation == "<=" else grid.max())
    found = judge(claim(relation, end + level, "somewhere"))
    assert found.verdict == expected
    if expected == "supported":
        reached = claim(relation, end + level, "somewhere")
        at = {name: np.array([value]) for name, value in found.point.items()}
        assert reached.contains(at)
        low, high = found.interval
        assert high < end + level - 0.005 if relation == "<=" else low > end + level + 0.005
        assert float(truth(reached, reached.at(at))[0]) == pytest.approx(found.measured, abs=0.005)
    else:
        assert found.measured is None
        assert "other points are not covered" in found.reason


def test_a_point_with_slack_is_rounded_only_as_far_as_its_slack_stays():
    """The violation is -.05 at one point and grows with the distance from it; one digit would be
    .235 away.
    """

    def bump(w):
        return (
            LinearCLIP().accuracy(w).counter
            + 0.05
            - (w.p_spu - 0.7123) ** 2
            - (w.mu_spu - 1.2345) ** 2
        )

    found = judge(claim("<=", 0.0, "somewhere", prediction=bump))
    assert found.verdict == "supported"
    assert (found.point["p_spu"] - 0.7123) ** 2 + (
        found.point["mu_spu"] - 1.2345
    ) ** 2 < 0.1 * 0.045 + 1e-3


def test_all_readings_of_one_domain_and_the_search_for_a_worst_point_start_at_the_same_worlds():
    always = claim("<=", 0.5, "always")
    fast = claim("<=", 0.5, "somewhere")
    slow = claim("<=", 0.5, "on average", subject="bayes")
    unit = quantified.worlds_for(fast, 3)
    assert np.array_equal(unit[: quantified.SLOW_WORLDS], quantified.worlds_for(slow, 3))
    assert not np.array_equal(unit, quantified.worlds_for(fast, 4))
    value = truth(always, always.at(always.place(unit)))
    assert 0 <= by_formula(always, 3).violation - (value.max() - 0.5) < 1e-3
    assert np.array_equal(drawn(2, CLOSED, 3), unit)


def test_worlds_without_a_value_are_left_out_of_a_mean():
    """Where nearly every background matches, a rule with much reliance leaves the family of least
    squares.
    """
    box = {"p_spu": 0.9, "mu_spu": 0.5, "sigma_spu": Axis(0.1, 2.5), "sigma_xi": 0.0}
    fields = {
        "quantity": "effective-robustness",
        "subject": LinearCLIP("mean"),
        "against": "least-squares",
    }
    one = claim("<=", 0.5, "on average", domain=box, **fields)
    values = truth(one, one.at(one.place(quantified.worlds_for(one, 0))))
    found = judge(one)
    assert found.undefined == np.isnan(values).sum() > 100
    assert found.measured == pytest.approx(np.nanmean(values), abs=1e-12)


def test_a_claim_without_slack_anywhere_is_not_measured():
    """Every accuracy is 1/2, so the violation is exactly minus the tolerance."""
    nothing = {"p_spu": Axis(0.5, 1.0), "mu_inv": 0.0, "mu_spu": 0.0}
    found = judge(claim("<=", 0.75, "somewhere", domain=nothing, tolerance=0.25))
    assert (found.verdict, found.measured) == ("undecided", None)

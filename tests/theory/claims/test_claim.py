"""Claims: their domain, their quantity, and what counts as a violation."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from closed_form import claim as any_claim
from closed_form import truth
from hypothesis import given
from hypothesis import strategies as st
from reference import worlds_with
from shapecheck import unchecked

from simulator.tables import compositional
from simulator.world import World
from theory.claims.claim import Axis, Claim
from theory.claims.quantities import kept_axis, operator_error
from theory.claims.relations import log_slope
from theory.learners import LinearCLIP
from theory.population import block_covariance
from theory.published import lemma_d3_limit
from theory.theorems import reliance_mean, reliance_name

unit = st.floats(0, 1)


def claim(**fields) -> Claim:
    return any_claim(**{"domain": {"p_spu": Axis(0.5, 1.0), "mu_spu": 2.0}, **fields})


@pytest.mark.parametrize(
    ("scale", "stretch"),
    [("linear", lambda x: x), ("log", np.log), ("one-minus", lambda x: np.log(1 - x))],
)
@given(unit, st.floats(0.01, 0.5), st.floats(0.5, 1 - 1e-5))
def test_axes_are_even_on_their_scale(scale, stretch, t, low, high):
    value = Axis(low, high, scale).place(np.array(t))
    assert stretch(value) == pytest.approx(
        stretch(low) + t * (stretch(high) - stretch(low)), abs=1e-9
    )


@given(unit, unit)
def test_a_bound_may_depend_on_the_fields_before_it(s, t):
    c = claim(
        domain={
            "sigma_inv": Axis(0.5, 3.0),
            "sigma_spu": Axis(0.0, lambda x: x.sigma_inv),
            "p_spu": 1.0,
        }
    )
    assert c.place(np.array([[[0, 0], [0, 1]], [[1, 0], [1, 1]]]))["sigma_spu"].tolist() == [
        [0.0, 0.5],
        [0.0, 3.0],
    ]
    point = {name: float(v[0]) for name, v in c.place(np.array([[s, t]])).items()}
    assert c.contains(point)
    assert not c.contains({**point, "sigma_spu": point["sigma_inv"] + 0.01})
    assert not c.contains({**point, "sigma_inv": 0.49})
    assert not c.contains({**point, "p_spu": 0.99})


@pytest.mark.parametrize("threshold", [0.5, lambda x: 0.5])
@pytest.mark.parametrize(
    ("relation", "says", "value", "expected"),
    [
        (">=", 0.5, 0.4, 0.1),
        ("<=", 0.5, 0.4, -0.1),
        ("=", 0.5, 0.4, 0.1),
        ("slope", 0.5, 0.4, 0.1),
        ("increasing", 0.5, 0.4, 0.9),
        # on the wrong side, the violation is the distance from the threshold
        ("iff", 1.0, 0.4, 0.1),
        ("iff", -1.0, 0.6, 0.1),
        ("iff", -1.0, 0.4, -0.1),
        ("iff", 1.0, 0.6, -0.1),
    ],
)
def test_violation_of_every_relation(relation, says, value, expected, threshold):
    c = claim(
        relation=relation,
        along="p_spu",
        grid=(0.5, 0.9),
        prediction=lambda x: says,
        threshold=threshold,
    )
    assert float(c.violation(np.array(value), World())) == pytest.approx(expected)


def test_truth_of_each_quantity():
    point = worlds_with(p_spu=[0.6, 0.9], mu_spu=[2.0, 1.0])
    accuracy = LinearCLIP("name").accuracy(point)
    for quantity, expected in (
        ("common", accuracy.common),
        ("counter", accuracy.counter),
        ("error-counter", 1 - accuracy.counter),
        ("balanced", (accuracy.common + accuracy.counter) / 2),
        ("drop", accuracy.common - accuracy.counter),
    ):
        assert truth(claim(quantity=quantity), point) == pytest.approx(expected, abs=1e-15)
    both = truth(
        claim(quantity="reliance", subject=LinearCLIP("mean"), against=LinearCLIP("name")), point
    )
    m0 = 2 * point.p_spu - 1
    beta = point.mu_spu
    expected = reliance_mean(1.0, beta, 1.0, 0.5, m0) - reliance_name(1.0, beta, 1.0, m0)
    assert both == pytest.approx(expected, rel=1e-12)


def test_truth_of_matrices_and_directions():
    point = worlds_with(p_spu=0.75, mu_spu=2.0)
    c = claim(
        quantity="operator-error", reference=lambda x: lemma_d3_limit(x.p_spu, x.mu_spu, 1.0, 0.5)
    )
    # C - printed = [[0, -1], [-1, 3]]: largest singular value (3 + sqrt 13)/2; printed [[2, 2], [2,
    # 1.25]].
    printed = (3.25 + np.sqrt(0.75**2 + 16)) / 2
    assert float(truth(c, point)) == pytest.approx((3 + np.sqrt(13)) / 2 / printed, rel=1e-12)
    assert operator_error(np.eye(2)[None] * 3, np.eye(2)) == pytest.approx([2.0])
    C = block_covariance(worlds_with(mu_spu=[0.1, 3.0]))
    assert kept_axis(np.array([[3.0, 4.0], [3.0, 4.0]]), C) == pytest.approx([0.36, 0.64])
    assert truth(
        claim(quantity="kept-axis", subject=LinearCLIP("mean", 1)),
        worlds_with(p_spu=0.5, mu_spu=3.0),
    ) == pytest.approx(1.0)
    masked = claim(
        quantity="operator-error", reference=lambda x: np.array([[2.0, 0.25], [0.5, 1.0]])
    )
    # C diag(pi) at m0 = 1/2: [[2, 1/2], [1/2, 5/4]] diag(1, 1/2) is off by [[0, 0], [0, -3/8]].
    size = np.linalg.norm([[2.0, 0.25], [0.5, 1.0]], 2)
    assert float(truth(masked, worlds_with(p_spu=0.75, mention_spu=0.5))) == pytest.approx(
        0.375 / size, rel=1e-12
    )


def test_truth_of_what_training_never_shows():
    """The diagonal is the law with p_spu = .9; with a hole, one class is never shown on the second
    background.
    """
    domain = {"mu_spu": Axis(0.5, 2.0)}
    ends = np.array([[0.0], [1.0]])
    usual, same = (
        claim(domain=d, table=t)
        for d, t in (({**domain, "p_spu": 0.9}, ""), (domain, "diagonal(0.9)"))
    )
    assert truth(same, same.at(same.place(ends))) == pytest.approx(
        truth(usual, usual.at(usual.place(ends))), abs=1e-12
    )
    hole = claim(quantity="unseen", domain=domain, table="compositional(2, 3, 1)")
    assert truth(hole, hole.at(hole.place(ends))) == pytest.approx(
        [
            float(hole.subject.accuracy(World(table=compositional(2, 3, 1), mu_spu=mu)).unseen)
            for mu in (0.5, 2.0)
        ]
    )


def test_truth_of_places_on_curves():
    """The headline world, its own ideal classifier, and points without a value."""
    headline = worlds_with(p_spu=[0.9, 0.7], mu_spu=1.5, nu=0.5625)
    found = [
        truth(claim(quantity=quantity), headline)[0]
        for quantity in ("equivalent-correlation", "shortfall")
    ]
    assert found == pytest.approx([0.789, 0.0057], abs=6e-4)
    assert truth(
        claim(quantity="equivalent-correlation", subject="bayes"), headline
    ) == pytest.approx([0.9, 0.7])
    one = headline[[0]]
    # a training's, by its law
    draws = SimpleNamespace(world=one, accuracies=lambda: LinearCLIP("name").accuracy(one))
    for quantity in ("equivalent-correlation", "shortfall"):
        mine = claim(quantity=quantity)
        assert mine.quantity.measured(mine, draws) == pytest.approx(truth(mine, one), abs=1e-12)
    difference = truth(claim(quantity="shortfall", subject="linear", against="bayes"), headline)
    assert difference == pytest.approx(truth(claim(quantity="shortfall"), headline), abs=1e-8)
    lead = claim(quantity="effective-robustness", subject="linear", against="least-squares")
    assert lead.learners == (LinearCLIP("name"),)
    assert truth(lead, headline) == pytest.approx(0, abs=1e-8)
    silent = worlds_with(p_spu=[0.9, 0.9], mu_spu=[0.0, 1.5])
    assert np.isnan(truth(claim(quantity="equivalent-correlation"), silent)).tolist() == [
        True,
        False,
    ]
    # Linear CLIP relies on a faint and noisy background so much that every least-squares rule is
    # more accurate.
    noisy = worlds_with(p_spu=0.9, mu_spu=[0.5, 1.5], sigma_spu=[2.5, 0.5], nu=0.0)
    assert np.isnan(truth(replace(lead, subject=LinearCLIP("mean")), noisy)).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantity": "precision"}, "'precision' is not one of common, counter"),
        ({"relation": "increasing"}, "needs `along`"),
        ({"relation": "=>"}, "relation = '=>' is not one of .*; the nearest is >="),
        (
            {"domain": {"mu_spurious": 2.0}},
            "domain field = 'mu_spurious' is not one of .*; the nearest is mu_spu",
        ),
        ({"relation": "increasing", "along": "mu_spu"}, "needs an Axis for it in the domain"),
        ({"quantity": "operator-error"}, "needs `reference`"),
        ({"domain": {"p_spu": Axis(0.5, 1.5)}}, r"p_spu = 1.5 lies outside \[0, 1\]"),
        (
            {"domain": {"p_spu": Axis(0.5, 1.0, "one-minus")}},
            "ends at 1; its bounds must be below 1",
        ),
        ({"domain": {"mu_spu": Axis(0.0, 1.0, "log")}}, "starts at 0; its bounds must be above 0"),
        ({"domain": {"mu_spu": Axis(1.0, np.inf)}}, "bounds must be finite"),
        *(
            (
                {"quantifier": "somewhere", **fields},
                "quantifier 'somewhere' needs relation >=, <= or = at n = infinity",
            )
            for fields in (
                {"relation": "increasing", "along": "p_spu"},
                {"share": 0.9},
                {"relation": "iff"},
            )
        ),
        ({"tolerance": -0.01}, r"tolerance = -0.01 lies outside \[0, 1e6\]"),
        ({"n": 2.5}, "n = 2.5 lies outside the whole numbers"),
        (
            {"threshold": -2e6, "relation": "iff"},
            r"threshold = -2000000.0 lies outside \[-1e6, 1e6\]",
        ),
        ({"id": 3}, "id = 3 is not text"),
        ({"origin": "prined"}, "origin = 'prined' is not one of .*; the nearest is printed"),
        ({"origin": "reading", "sentence": "one"}, "a reading needs both"),
        ({"sentence": "one", "quote": "two"}, "an own claim neither"),
        ({"subject": None}, "subject = None is neither a learner nor"),
        ({"prediction": 0.5}, "prediction = 0.5 is not a function of worlds"),
        ({"domain": {}}, "domain = {} is not a table"),
        ({"domain": {"p_spu": "0.5"}}, "p_spu = '0.5' is no Axis, number or function"),
        (
            {"domain": {"p_spu": lambda w: w.mu_spuu}},
            "a function of the domain fails: there is no 'mu_spuu'",
        ),
        (
            {
                "domain": {
                    "mu_spu": Axis(1.0, 3.0),
                    "p_spu": lambda w: 1 - (w.mu_spu - 1) * (w.mu_spu - 3),
                }
            },
            "p_spu = 1.97",
        ),
        (
            {"quantity": "effective-robustness"},
            "needs `against`, the learner that makes the family",
        ),
        (
            {"quantity": "shortfall", "domain": {"classes": 3}},
            "quantity 'shortfall' is for 2 classes, not 3",
        ),
        (
            {"quantity": "shortfall", "relation": "slope", "along": "mu_spu", "grid": (1.0, 2.0)},
            "it has no slope",
        ),
        ({"relation": "slope", "along": "n", "grid": (10, 1)}, "whole numbers from 2, not"),
        ({"relation": "slope", "along": "mu_spu", "grid": (1.0, np.nan)}, "positive numbers, not"),
        ({"domain": {"mu_spu": Axis(0.0, 1.0, "cubic")}}, "scale = 'cubic'"),
        ({"domain": {"classes": Axis(2.4, 2.6, integer=True)}}, "runs from 3 down to 2"),
        ({"quantity": "unseen"}, "needs a table with an empty cell"),
        (
            {"table": "diagonal(0.9)", "quantity": "reliance", "domain": {"mu_spu": 1.0}},
            "beside a table is not one of",
        ),
        ({"domain": {"attribute.q": 0.5}}, "domain field = 'attribute.q' is not one of"),
        ({"share": 95.0}, r"share = 95.0 lies outside \(0, 1\]"),
        (
            {"share": 0.9, "relation": "slope", "along": "n", "grid": (10, 100)},
            "'slope' .* needs another relation",
        ),
    ],
)
def test_a_claim_is_checked_when_it_is_made(fields, message):
    """An unknown relation was once judged as "increasing"."""
    with unchecked(), pytest.raises(ValueError, match=message):
        claim(**fields)


@pytest.mark.parametrize(("low", "high", "inside"), [(3.0, 8.0, range(3, 9)), (2.4, 4.4, (3, 4))])
def test_integer_axes_hold_the_integers_within_their_bounds(low, high, inside):
    """Each has the same share; both ends once had half of it."""
    values, counts = np.unique(
        Axis(low, high, integer=True).place((np.arange(6000) + 0.5) / 6000), return_counts=True
    )
    assert values.tolist() == list(inside)
    assert np.ptp(counts) <= 1


def test_log_slope_of_a_power():
    grid = (1.0, 10.0, 1e3)
    values = np.array([[2.0, -3.0]]).T * np.array(grid) ** -0.5
    assert log_slope(grid, values) == pytest.approx([-0.5, -0.5])

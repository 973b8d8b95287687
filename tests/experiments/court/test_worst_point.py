"""The search by measurement: candidates, rounds, and undefined points."""

from itertools import product

import numpy as np
import pytest
from closed_form import claim

from experiments.court import worst_point
from experiments.court.worst_point import (
    PLACED,
    QUADRATURE,
    SAMPLED,
    SPREADS,
    Worst,
    _effort,
    by_formula,
    by_measurement,
    corners,
    drawn,
    roundest,
    sobol,
)
from theory.claims.claim import Axis
from theory.learners import Bayes, LinearCLIP, Logistic


def test_candidates_are_all_corners_and_scrambled_interior_points():
    assert {tuple(corner) for corner in corners(3)} == set(product((0.0, 1.0), repeat=3))
    points = sobol(2, 5, seed=0)
    assert points.shape == (5, 2)
    assert ((points > 0) & (points < 1)).all()
    assert not np.isin(points, sobol(2, 5, seed=1)).any()


def test_rounds_of_measurements_close_in_on_the_worst_point(monkeypatch):
    """The violation is known up to noise that falls with size, and undefined in a quarter of the
    domain.
    """
    calls = []

    def estimate(claim, points, size, seed, number):
        columns = zip(points["p_spu"], points["mu_spu"], strict=True)
        return np.array([noisy(p, mu, size, number) for p, mu in columns])

    def noisy(p, mu, size, number):
        value = np.nan if mu < 0.5 else -((p - 0.8) ** 2) - (mu - 1.3) ** 2
        calls.append((number, value))
        return value + np.random.default_rng([number, int(1e9 * p)]).standard_normal() / size

    monkeypatch.setattr(worst_point, "estimates", estimate)
    domain = {"p_spu": Axis(0.5, 1.0), "mu_spu": Axis(0.0, 2.0)}
    found = by_measurement(claim(domain=domain, n=50), seed=0)
    assert found.point == pytest.approx({"p_spu": 0.8, "mu_spu": 1.3}, abs=0.05)
    assert found.evaluations == len(calls)
    undefined = [number for number, value in calls if np.isnan(value)]
    assert found.undefined == undefined.count(0)
    assert undefined.count(0) > 50
    assert not undefined.count(2), "the last round's candidates are children of the best"


@pytest.mark.parametrize(
    ("subject", "most"), [(LinearCLIP(), 4096), (LinearCLIP(embed_dim=2), 64), (Logistic(), 64)]
)
def test_children_scatter_by_the_spread_of_their_round_and_values_that_take_long_are_few(
    monkeypatch, subject, most
):
    """No candidate lies near an edge, which would stop it."""
    rounds = []
    sizes = []

    def estimate(claim, points, size, *_):
        rounds.append(2 * points["p_spu"] - 1)  # in widths of the domain
        sizes.append(size)
        return -((points["p_spu"] - 0.75) ** 2)

    monkeypatch.setattr(worst_point, "estimates", estimate)
    by_measurement(claim(subject=subject, domain={"p_spu": Axis(0.5, 1.0)}, n=50), seed=0)
    assert max(sizes) == most
    for spread, candidates in zip(SPREADS, rounds[1:], strict=True):
        parents, children = np.split(candidates, 2)
        moves = np.abs(children - parents) / spread
        assert moves.max() < 4
        assert np.median(moves) > 0.2


@pytest.mark.parametrize(
    ("against", "points"), [(LinearCLIP("mean"), QUADRATURE), (Bayes(), SAMPLED)]
)
def test_a_search_of_many_classes_is_short_if_either_rule_is_sampled(against, points):
    assert _effort(claim(against=against, domain={"classes": 3, "p_spu": Axis(0.5, 1.0)})) == points


def test_the_search_stays_among_the_allowed_points():
    """Counter accuracy falls with the correlation."""
    domain = {"p_spu": Axis(0.5, 1.0), "sigma_xi": 0.0}
    falls = claim(domain=domain, prediction=lambda w: 1.0)
    assert by_formula(falls, seed=0).point == {**domain, "p_spu": 1.0}

    def allowed(claim, points):
        return np.where(points["p_spu"] <= 0.7, claim.true_violation(points), -np.inf)

    found = by_formula(falls, 0, [allowed])
    assert found.point["p_spu"] == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize(("d", "points"), [(1, 8), (3, 12)])
def test_the_evolution_keeps_four_points_per_parameter_and_at_least_eight(monkeypatch, d, points):
    def scale(claim, point):
        return -sum((column - 0.8) ** 2 for column in point.values())

    monkeypatch.setattr(worst_point, "_effort", lambda claim: PLACED)
    domain = dict.fromkeys(("p_spu", "sigma_inv", "sigma_spu")[:d], Axis(0.5, 1.0))
    mine = claim(domain=domain, tolerance=0)
    found = by_formula(mine, 0, [scale])
    assert found.evaluations == 2**d + PLACED + points * (1 + 6) + 1, (
        "starts, their best and six generations, an end"
    )
    starts = np.concatenate([corners(d), drawn(d, PLACED, 0)])
    assert found.violation > scale(mine, mine.place(starts)).max()


def test_a_polish_goes_downhill_and_stays_in_the_cube():
    """By the function itself: an evolution alone comes close enough that no verdict shows a wrong
    slope.
    """
    least = np.array([0.3, 1.2])
    calls = []

    def loss(x):
        calls.append(x.T)
        return ((x.T - least) ** 2).sum(axis=-1)

    end = worst_point._polished(loss, np.array([0.35, 0.97]))
    np.testing.assert_allclose(end, [0.3, 1.0], atol=1e-6)
    assert np.all((np.concatenate(calls) >= 0) & (np.concatenate(calls) <= 1))


@pytest.mark.parametrize(("needed", "expected"), [(-np.inf, 0.96), (-0.001, 0.957), (0.0, 0.9567)])
def test_a_point_has_as_few_digits_as_its_domain_and_its_violation_allow(needed, expected):
    """One digit would be 1, outside the domain."""
    one = claim(domain={"p_spu": Axis(0.5, 0.97)})
    point = roundest(
        one,
        Worst({"p_spu": 0.9567}, 0.0, 1, 0),
        needed,
        lambda point: -abs(point["p_spu"] - 0.9567),
    )
    assert point == {"p_spu": expected}

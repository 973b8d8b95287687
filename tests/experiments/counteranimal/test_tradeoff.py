"""Places on a hull against linear programming and against the theory's own ideal curve; errors against slow counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_embeddings import WORLD, zero_shot_accuracy
from scipy.optimize import linprog
from scipy.special import expit

from experiments.counteranimal.tradeoff import WEIGHTS, _lead_errors, accuracies, hull, place, places
from theory import equivalent
from theory.ideal_curve import IdealCurve


@given(st.integers(0, 2**32 - 1))
def test_the_shortfall_is_what_a_mixture_gains_on_both_groups(seed):
    mean = np.random.default_rng(seed).uniform(0.2, 0.9, size=(2, 7))
    traced, i = np.arange(1, 7), 0
    _, r = place(mean, traced, i)
    # maximise r subject to mixture - (c, k) >= r, weights a distribution
    gain = mean[:, traced] - mean[:, [i]]
    result = linprog(
        np.r_[np.zeros(6), -1],
        A_ub=np.hstack([-gain, np.ones((2, 1))]),
        b_ub=np.zeros(2),
        A_eq=np.r_[np.ones(6), 0][None],
        b_eq=[1],
        bounds=[(0, None)] * 6 + [(None, None)],
    )
    assert r == pytest.approx(max(-result.fun, 0), abs=0.02)  # weights lie on a grid
    assert r >= max(-result.fun, 0) - 1e-9
    assert set(hull(mean, traced)) <= set(traced.tolist())


@pytest.mark.parametrize("reliance", [0.2, 3.0])
def test_on_the_ideal_curve_the_place_is_the_theorys(reliance):
    found = zero_shot_accuracy(reliance)
    lambdas = expit(np.linspace(-8, 8, 400))
    ideal = IdealCurve(WORLD)
    points = np.array([list(ideal.at(lam)) for lam in lambdas]).T
    p, r = place(np.column_stack([list(found), points]), np.arange(1, 401), 0)
    theory = equivalent(WORLD, found)
    assert p == pytest.approx(float(theory.correlation), abs=0.01)
    assert r == pytest.approx(float(theory.shortfall), abs=1e-4)


def test_errors_are_those_of_counts():
    rng = np.random.default_rng(3)
    label, common = np.repeat([0, 1, 2], 40), np.tile([True, False, False, True, True], 24)
    right = rng.random((120, 4)) < 0.7
    found = accuracies(right, label, common)
    for g, member in enumerate((common, ~common)):
        cells = [right[(label == y) & member].astype(float) for y in range(3)]
        assert found.mean[g] == pytest.approx(np.mean([cell.mean(axis=0) for cell in cells], axis=0))
        expected = sum(np.cov(cell.T) / len(cell) for cell in cells) / 9
        assert found.covariance[g, :, g, :] == pytest.approx(expected, rel=1e-6)
    assert (found.covariance[0, :, 1, :] == 0).all()
    # heads that answer alike are not known to be equal; others are nearly as certain as their answers say
    twins = accuracies(np.hstack([right, right[:, :1]]), label, common)
    assert twins.lead_error(4, 0) == pytest.approx(np.sqrt(2) / twins.worth)
    assert found.worth[0] == pytest.approx(9 / sum(1 / n for n in found.photos[:, 0]))
    # a lead's variance, written out
    V, lam = found.covariance, WEIGHTS[77]
    u = np.zeros((2, 4))
    u[:, 2], u[:, 0] = (lam, 1 - lam), (-lam, lam - 1)
    expected = np.sqrt(np.einsum("gh,ghij,ij->", u, V, u))
    assert _lead_errors(V, np.array([1, 2]), 0)[77, 1] == pytest.approx(expected)


def test_intervals_shrink_to_the_place_without_error():
    mean = np.array([[0.8, 0.9, 0.7, 0.85], [0.6, 0.4, 0.8, 0.62]])
    traced = np.array([1, 2, 3])
    (at,) = places(mean, np.zeros((2, 4, 2, 4)), traced, np.array([0]), np.random.default_rng(0))
    assert (at.correlation, at.shortfall) == place(mean, traced, 0)
    assert at.correlation_interval == (at.correlation, at.correlation)
    assert at.shortfall_interval == pytest.approx((at.shortfall, at.shortfall))


@pytest.mark.parametrize("end", [1, 0])
def test_an_end_of_the_curve_is_not_certain(end):
    """Heads 2 and 3 differ by half a standard error on one group, so head 0's place may be that of head 2.

    At the end 1 this group is the common one, at the end 0 the counter one. Nothing is uncertain on the other group.
    """
    mean = np.array([[0.93, 0.7, 0.949, 0.95], [0.2, 0.8, 0.5, 0.3]])[:: 1 if end else -1]
    V, uncertain = np.zeros((2, 4, 2, 4)), 1 - end
    V[uncertain, range(4), uncertain, range(4)] = 1e-6
    (at,) = places(mean, V, np.array([1, 2, 3]), np.array([0]), np.random.default_rng(0))
    assert at.correlation == end
    reach = sorted(abs(end - p) for p in at.correlation_interval)
    from_one = 0.249 / (0.249 + 0.3)  # how far from the end head 2 becomes better than head 1
    assert reach[0] == 0
    assert reach[1] == pytest.approx(from_one, abs=0.01)  # weights lie on a grid
    assert place(mean[:, :3], np.array([1, 2]), 0)[0] == end

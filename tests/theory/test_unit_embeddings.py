"""Unit embeddings of finite scale: the exact loss, its minimum, the certificate, and numbers of trained towers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.world import World
from theory import theorems
from theory import unit_embeddings as E

WORLD = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)  # nu = .5625


def law_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(12, 2.0)).reshape(3, 4) * 0.9 + 0.1 / 12


@given(st.integers(0, 2**32 - 1))
def test_the_slope_is_the_derivative_and_vanishes_at_the_pmi(seed):
    law = law_of(seed)
    scores, way = np.random.default_rng(seed).standard_normal((2, 3, 4))
    step = 1e-5
    change = (E.slope(scores + step * way, law)[0] - E.slope(scores - step * way, law)[0]) / (2 * step)
    assert np.vdot(E.slope(scores, law)[1], way) == pytest.approx(change, abs=1e-8)
    assert np.abs(E.slope(theorems.pmi(law), law)[1]).max() < 1e-14


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3))
def test_the_certificate_bounds_what_another_start_gains(seed, scale):
    law = law_of(seed)
    best = min(E.trained(law, scale, 7, start).loss for start in range(2))
    for start in range(3):
        rows = E.unit(np.random.default_rng([seed % 1000, start]).standard_normal((7, 7)))
        poor = E.Towers(rows[:3], rows[3:], *E.slope(scale * rows[:3] @ rows[3:].T, law))
        assert poor.loss - E.excess(poor, law, scale) <= best + 1e-9
    assert E.excess(E.trained(law, scale, 7, 0), law, scale) < 1e-4


@pytest.mark.deep
@pytest.mark.parametrize(("scale", "common", "counter"), [(1.0, 0.8995, 0.6105), (2.0, 0.868, 0.679)])
def test_the_typical_look_is_less_reliable_below_the_budget(scale, common, counter):
    """Towers of 2,500 steps have .8993/.6112 and .8716/.6734."""
    place = E.nodes(WORLD, "name")
    law = place.law[place.kept] / place.law[place.kept].sum()
    towers = E.trained(law, scale, 12, 0)
    assert E.excess(towers, law, scale) < 1e-6
    np.testing.assert_allclose(E.accuracy(WORLD, place, E.gaps(place, towers, scale)), [common, counter], atol=1e-3)

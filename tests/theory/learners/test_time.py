"""Linear CLIP during training: known places on the way, and when modes stand; lab/test_history
trains the towers.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.world import World
from theory.accuracy import reliance
from theory.ideal_curve import equivalent
from theory.learners import LinearCLIP
from theory.population import grown, half_times, latent_cross_covariance, leading_direction

HEADLINE = World(mu_spu=1.5, sigma_xi=6.0)


def correlation(learner: LinearCLIP, world: World = HEADLINE) -> float:
    return float(equivalent(world, learner.accuracy(world)).correlation)


def test_the_place_rises_to_the_leading_direction_and_falls_to_the_end():
    """theory.md's numbers at m_0 = 1e-4, with what captions tell of looks and without."""
    by_name = [correlation(LinearCLIP("name", time=t)) for t in (0, 1, 3, 4, 5, np.inf)]
    assert by_name == pytest.approx([0.5, 0.922, 0.920, 0.894, 0.829, 0.789], abs=5e-4)
    assert correlation(LinearCLIP("mean", time=3)) == pytest.approx(0.925, abs=5e-4)
    assert reliance(leading_direction(HEADLINE)) == pytest.approx(1.230, abs=5e-4)
    told = HEADLINE.replace(mention_spu=0.6, bare=0.3)
    assert reliance(leading_direction(told)) == pytest.approx(
        reliance(LinearCLIP("name", 1).direction(told))
    )
    nothing = HEADLINE.replace(detail_inv=0.0, detail_spu=0.0)
    assert reliance(leading_direction(nothing)) == pytest.approx(1.648, abs=5e-4)
    assert np.linalg.svd(latent_cross_covariance(nothing))[1][1] == pytest.approx(0.27, abs=5e-3)
    assert correlation(LinearCLIP("name", time=5), nothing) == pytest.approx(0.960, abs=5e-4)


@given(st.floats(1e-3, 100), st.floats(1e-6, 1e-4))
def test_modes_grow_from_the_start_through_half_to_their_end(s, start):
    values = np.array([s, 1e-17 * s])  # the second is rounding
    for t, expected in ((0.0, start), (half_times(values, start)[0], s / 2), (1e6, s)):
        assert grown(values, t, start) == pytest.approx([expected, 0.0], rel=1e-6)
    # never; at the start, which is beyond half; just beyond it
    slow = start * np.array([0.0, 1.0, 1.5, 4.0])
    assert half_times(slow, start) == pytest.approx([np.inf, 0.0, 0.0, np.log(3) / (8 * start)])

"""The frontier of a family against a fine grid of its members, and the reach of a family."""

import numpy as np
import pytest

from simulator.world import World
from theory.claims.frontier import correlation, frontier
from theory.learners import InfoNCE, LeastSquares, LinearCLIP

WORLDS = World(
    mu_spu=[0.7, 1.5, 2.5, 3.0],
    sigma_inv=[1.0, 1.5, 0.6, 1.0],
    sigma_spu=[0.5, 1.4, 0.3, 2.5],
    sigma_xi=[0.5, 1.0, 1.5, 0.0],
    dim_image=2,
    dim_text=2,
)
FAMILIES = [LeastSquares(), LinearCLIP("mean"), LinearCLIP("name")]


def by_grid(world, common: float, family) -> float:
    """max k_F over members with c_F >= c on a fine grid, and between two members where c_F crosses
    c.
    """
    lam = 1 - 0.5 * np.exp(-(np.linspace(0, 6, 20_001) ** 2))
    c, k = family.accuracy(world[np.zeros(len(lam), int)].replace(p_spu=lam))
    (i,) = np.nonzero((c[1:] >= common) != (c[:-1] >= common))
    crossing = k[i] + (common - c[i]) / (c[i + 1] - c[i]) * (k[i + 1] - k[i])
    return max(k[c >= common].max(), *crossing)


@pytest.mark.parametrize(
    "family", FAMILIES, ids=lambda family: f"{family.name}-{getattr(family, 'prompt', '')}"
)
def test_the_frontier_is_the_best_member_of_a_fine_grid(family):
    """The prompts of linear CLIP make a curve that folds where they rely on the background more
    than LDA.
    """
    lam = correlation(np.linspace(0, 1, 65))
    c, _ = family.accuracy(WORLDS[:, None].replace(p_spu=lam))
    for place in (0.02, 0.4, 0.97):
        common = c.min(axis=1) + place * (c.max(axis=1) - c.min(axis=1))
        found, reached = frontier(WORLDS, common, family)
        assert reached.all()
        expected = [by_grid(WORLDS[[i]], common[i], family) for i in range(4)]
        assert found == pytest.approx(expected, abs=1e-5)


def test_beyond_its_reach_a_family_has_the_value_of_its_nearest_member():
    ends = [LeastSquares().accuracy(WORLDS.replace(p_spu=p)) for p in (0.5, 1.0)]
    for common, end in ((0.0, ends[0]), (1.0, ends[1])):
        f, reached = frontier(WORLDS, np.full(4, common), LeastSquares())
        assert not reached.any()
        # LDA has the largest c: k moves 1e-6 where c moves 1e-12
        assert f == pytest.approx(end.counter, abs=1e-5)
    assert frontier(WORLDS, ends[1].common, LeastSquares())[1].all()


def test_members_without_an_answer_are_left_out():
    """A world without any noise of the background has no least-squares rule at p = 1."""
    clean = World(mu_spu=[2.0], sigma_spu=[0.0], sigma_xi=0.0, dim_image=2, dim_text=2)
    f, reached = frontier(
        clean, LinearCLIP("name").accuracy(clean.replace(p_spu=0.9)).common, LeastSquares()
    )
    assert reached.all()
    assert 0 < f[0] < 1
    # without view noise it has none anywhere
    f, reached = frontier(clean, np.array([0.9]), InfoNCE("name"))
    assert not reached.any()

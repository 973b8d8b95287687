"""Linear CLIP during training: modes of the cross-covariance against the gradient flow of two linear towers."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import latent_cross_covariance, prompt_by_mixture
from scipy.integrate import solve_ivp

from simulator.accuracy import Accuracy
from simulator.gaussian import critic
from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.prompts import LINEAR
from simulator.strategies import worlds
from simulator.world import World
from theory.accuracy import reliance
from theory.ideal_curve import equivalent
from theory.learners import LinearCLIP
from theory.population import grown, half_times, leading_direction
from theory.population import latent_cross_covariance as blocks

WIDTH = 8
HEADLINE = World(mu_spu=1.5, sigma_xi=6.0)
SAID = {"mention_inv": 0.8, "mention_spu": 0.6, "detail_inv": 0.7, "detail_spu": 0.2, "bare": 0.3, "mismatch": 0.4}
WORLDS = {"headline": HEADLINE, "four classes": HEADLINE.replace(classes=4, p_spu=0.7, mu_inv=2.0, **SAID)}


def flow(S: np.ndarray, towers: tuple[np.ndarray, np.ndarray], times: list[float]) -> list[np.ndarray]:
    """M at some times of the gradient flow of -<M, S> + |M|^2/2, M = W_I' W_T, over both towers (width, l)."""
    shape = np.shape(towers)

    def down(_, weights: np.ndarray) -> np.ndarray:
        image, text = weights.reshape(shape)
        pull = S - image.T @ text
        return np.stack([text @ pull.T, image @ pull]).ravel()

    found = solve_ivp(down, (0, times[-1]), np.ravel(towers), t_eval=times, rtol=1e-8, atol=1e-10)
    return [image.T @ text for image, text in found.y.T.reshape(-1, *shape)]


def rule(M: np.ndarray, world: World, prompt: str) -> LinearCritic:
    """A critic M over latents."""
    q = prompt_by_mixture(world, prompt)
    u = (q[:1] - q[1:] if world.classes == 2 else q) @ M.T
    return LinearCritic(u[None], np.zeros((1, len(u), len(u))))


def place(M: np.ndarray, world: World, prompt: str) -> float:
    (groups,) = group_accuracy(rule(M, world, prompt), world.mixture(), world.nu_image)
    return float(equivalent(world, Accuracy(*groups)).correlation)


def correlation(learner: LinearCLIP, world: World = HEADLINE) -> float:
    return float(equivalent(world, learner.accuracy(world)).correlation)


@pytest.mark.parametrize(("size", "error"), [(1e-2, 0.02), (1e-3, 0.003)])
@pytest.mark.parametrize("name", WORLDS)
def test_random_starts_come_to_the_leading_direction_and_to_the_end(name, size, error):
    """Once the leading modes stand, K - 1 equal ones, every prompt gives the rule of the leading left vector."""
    world = WORLDS[name]
    S, rng = latent_cross_covariance(world), np.random.default_rng(0)
    towers = size * rng.standard_normal((2, WIDTH, len(S)))
    stands = 1.2 * half_times(np.linalg.svd(blocks(world))[1], size**2)[0]
    first, last = flow(S, towers, [stands, 200.0])
    for prompt in ("name", "mean"):
        found = [critic.reliance(rule(M, world, prompt), world) for M in (first, last)]
        assert found[0] == pytest.approx(reliance(leading_direction(world)), rel=error)
        assert found[1] == pytest.approx(reliance(LinearCLIP(prompt).direction(world)), rel=1e-5)
        if world.classes == 2:
            assert place(first, world, prompt) == pytest.approx(correlation(LinearCLIP(prompt, 1)), abs=0.01)


def test_the_place_rises_to_the_leading_direction_and_falls_to_the_end():
    """theory.md's numbers at m_0 = 1e-4, with what captions tell of looks and without."""
    by_name = [correlation(LinearCLIP("name", time=t)) for t in (0, 1, 3, 4, 5, np.inf)]
    assert by_name == pytest.approx([0.5, 0.922, 0.920, 0.894, 0.829, 0.789], abs=5e-4)
    assert correlation(LinearCLIP("mean", time=3)) == pytest.approx(0.925, abs=5e-4)
    assert reliance(leading_direction(HEADLINE)) == pytest.approx(1.230, abs=5e-4)
    nothing = HEADLINE.replace(detail_inv=0.0, detail_spu=0.0)
    assert reliance(leading_direction(nothing)) == pytest.approx(1.648, abs=5e-4)
    assert np.linalg.svd(blocks(nothing))[1][1] == pytest.approx(0.27, abs=5e-3)
    assert correlation(LinearCLIP("name", time=5), nothing) == pytest.approx(0.960, abs=5e-4)


@given(worlds(most_attributes=1), st.sampled_from(LINEAR), st.floats(1e-6, 1.0))
def test_training_ends_at_the_optimum(world, prompt, start):
    s = np.linalg.svd(blocks(world))[1]
    assume(((s > 1e-6) | (s < 1e-13 * s[0])).all())  # slower modes are still growing
    end, late = (LinearCLIP(prompt, time=t, start=start).direction(world) for t in (np.inf, 1e9))
    assert late == pytest.approx(end, rel=1e-6, abs=1e-9 * s[0] * np.abs(world.prompt(prompt)).max())


@given(st.floats(1e-3, 100), st.floats(1e-6, 1e-4))
def test_modes_grow_from_the_start_through_half_to_their_end(s, start):
    values = np.array([s, 0.0])
    for t, expected in ((0.0, start), (half_times(values, start)[0], s / 2), (1e6, s)):
        assert grown(values, t, start) == pytest.approx([expected, 0.0], rel=1e-6)
    slow = start * np.array([0.0, 1.0, 2.0, 4.0])  # never; at the start, which is beyond half; just beyond it
    assert half_times(slow, start) == pytest.approx([np.inf, 0.0, 0.0, np.log(3) / (8 * start)])

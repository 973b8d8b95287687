"""The boundary as a curve: what is on either side of one that can be integrated otherwise."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from simulator.world import World
from theory.learners.curve import accuracy_along
from theory.learners.infonce import InfoNCE, infonce_accuracy
from theory.learners.pmi import prompt_preference


def right(eta, m_v: float, m_w: float, turn: float) -> float:
    """P(v > eta(w)), v ~ N(m_v, 1) and w ~ N(m_w, 1), piece by piece."""
    density = lambda w: np.exp(-((w - m_w) ** 2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    ends = [m_w - 9, *(e for e in (-turn, 0.0, turn) if abs(e - m_w) < 9), m_w + 9]
    return sum(quad(lambda w: density(w) * ndtr(m_v - eta(w)), a, b, epsabs=1e-12)[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("tolerance", [1e-5, 1e-8])
@pytest.mark.parametrize("turn", [0.02, 0.1, 1.0])
def test_a_curve_that_turns_is_refined_to_the_tolerance(turn, tolerance):
    eta = lambda w: turn * np.tanh(w / turn)  # noqa: E731
    mean = np.array([[0.4, 2.0, 3.0], [0.7, 1.5, -1.0]])
    found, sound = accuracy_along(lambda rows, w, *_: eta(w), mean, tolerance)
    assert sound.all() == ((turn, tolerance) != (0.02, 1e-8))
    for (x, y), each in zip(mean.T[sound], found[sound], strict=True):
        plus, minus = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
        expected = right(eta, plus, minus, turn), right(eta, minus, plus, turn)
        assert each == pytest.approx(expected, abs=tolerance)


def test_blocks_agree_world_by_world():
    """Two blocks of the background prompt stand for different labels in the first two worlds."""
    assert prompt_preference(World(p_spu=[0.2, 0.3, 0.9]), "background").agrees.tolist() == [False, False, True]


def test_a_background_with_renamed_classes_exchanges_the_groups():
    """Then p is 1 - p. The preference falls along the background's coordinate, and the curve has to turn it."""
    rare, frequent = (InfoNCE("name").accuracy(World(p_spu=p, p_inv=0.9, mu_spu=1.4, sigma_xi=4.0)) for p in (0.3, 0.7))
    assert [*map(float, rare)] == pytest.approx([*map(float, frequent)][::-1], abs=1e-9)
    assert frequent.drop > 0.02


def test_means_far_apart_are_not_passed_over():
    """Nodes over both groups at once once lay 22 standard deviations apart, met no mass, and agreed on 0."""
    fields = {"p_inv": 0.83, "mu_inv": 9.0, "mu_spu": -8.3, "sigma_inv": 0.0, "sigma_spu": 0.0035, "sigma_xi": 0.27}
    assert list(InfoNCE("name").accuracy(World(**fields))) == pytest.approx([0.83, 0.83], abs=1e-9)


def test_a_world_s_answer_does_not_depend_on_the_others_in_its_grid():
    """Silence that explained the prompts in one world let rounding move the boundary of another by 2e-6."""
    fields = {"p_spu": 1.0, "mu_inv": 1.9e-9, "mu_spu": 0.0041, "sigma_inv": 1.06, "sigma_spu": 533.0}
    mention = {"mention_inv": np.array([0.96, 0.5]), "mention_spu": np.array([1.0, 0.5])}
    grid = World(**fields, sigma_xi=4.9e-7, sigma_xi_text=0.0, **mention)
    alone = InfoNCE("name").accuracy(grid[0]).counter
    assert InfoNCE("name").accuracy(grid).counter[0] == pytest.approx(alone, abs=1e-9)


@pytest.mark.parametrize("p_inv", [1.0, 0.83])
def test_a_mean_beyond_all_noise_decides_nothing_else(p_inv):
    """Turned by 45 degrees, an object at 7e3 deviations was lost beside a background at 1e9; so was the other order."""
    far = World(mu_inv=5e-5, mu_spu=-8.0, sigma_inv=0.0, sigma_spu=0.0, sigma_xi=4e-6, dim_image=400_000, p_inv=p_inv)
    near = World(mu_inv=0.4, sigma_inv=0.0, sigma_spu=500.0, sigma_xi=2e-9, p_inv=p_inv)
    for world in (far, near):
        assert list(InfoNCE("name").accuracy(world)) == pytest.approx([p_inv, p_inv], abs=1e-9)
    slight = World(mu_inv=1e-9, mu_spu=8.0, sigma_inv=1e-9, sigma_spu=0.0, sigma_xi=8e-9, p_spu=0.5)
    assert list(InfoNCE("name").accuracy(slight)) == pytest.approx([ndtr(1 / np.sqrt(2))] * 2, abs=1e-9)


def test_rules_of_long_intervals_do_not_settle_by_chance():
    """Nodes 2 and 1 deviations apart, over groups far apart, agreed within 1e-6 on a value 1e-5 off."""
    worlds = World(p_spu=1 - 1e-9, mu_inv=18.4, mu_spu=18.8, sigma_inv=1.0, sigma_spu=1.0, sigma_xi=2.4)
    coarse, fine = (infonce_accuracy(worlds, "mean", tolerance=tolerance).counter for tolerance in (1e-6, 1e-9))
    assert coarse == pytest.approx(fine, abs=1e-6)

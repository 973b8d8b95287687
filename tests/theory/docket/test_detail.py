"""The claims on detail: the closed forms decide them as the record says, and their words hold the right numbers."""

import re

import numpy as np
from scipy.optimize import brentq

from simulator.world import World
from theory.docket.detail import CLAIMS
from theory.docket.subjects import INFONCE_NAME, LEAST_SQUARES, LINEAR_NAME, LOGISTIC
from theory.ideal_curve import equivalent

FIRST_PAGE = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)


def numbers(id: str) -> list[float]:
    """The numbers in what a claim means."""
    (claim,) = (claim for claim in CLAIMS if claim.id == id)
    return [float(each) for each in re.findall(r"(?<![\d.])\d*\.\d+", claim.meaning)]


def same_accuracy(learner, other, vary) -> float:
    """Where between two learners the counter accuracy is the same; `vary` makes the world of a number."""

    def lead(x: float) -> float:
        return float(learner.accuracy(vary(x)).counter - other.accuracy(vary(x)).counter)

    return brentq(lead, 0, 1)


def test_the_meanings_have_the_numbers_of_the_first_pages_world():
    detailed = lambda g: FIRST_PAGE.replace(detail_inv=g)  # noqa: E731
    without = lambda x: FIRST_PAGE.replace(detail_inv=0.0, p_spu=0.6 + 0.4 * x)  # noqa: E731
    turn, p = same_accuracy(LINEAR_NAME, LEAST_SQUARES, detailed), same_accuracy(LINEAR_NAME, LEAST_SQUARES, without)
    assert numbers("detail/order-turns")[2:] == [round(turn, 3), round(0.6 + 0.4 * p, 3)]
    assert numbers("detail/logistic/above") == [round(same_accuracy(LINEAR_NAME, LOGISTIC, detailed), 3)]


def test_detail_of_backgrounds_raises_p_exactly_where_captions_are_much_noisier():
    """The sign of the slope of p' in g_spu at 1."""
    rng = np.random.default_rng(0)
    n = 24
    world = World(
        p_spu=rng.uniform(0.7, 0.95, n),
        mu_spu=rng.uniform(0.5, 1.5, n),
        sigma_spu=rng.uniform(0.5, 1.5, n),
        sigma_xi=rng.uniform(0.2, 1.0, n),
        sigma_xi_text=rng.uniform(0.5, 2.0, n),
        detail_inv=rng.uniform(0.2, 0.8, n),
        dim_image=2,
        dim_text=2,
    )
    noisier = world.nu_image < world.sigma_spu**2 * world.nu_text / (world.sigma_spu**2 + world.nu_text)
    before, after = (
        np.asarray(equivalent(w := world.replace(detail_spu=g), INFONCE_NAME.accuracy(w)).correlation)
        for g in (0.98, 1.0)
    )
    clear = np.abs(after - before) > 1e-5
    assert clear.sum() > 15
    assert set(noisier[clear]) == {False, True}
    assert np.array_equal(after[clear] > before[clear], noisier[clear])

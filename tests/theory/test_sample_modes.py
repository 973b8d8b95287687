"""Modes of S that stand out of the noise, against singular values of drawn S."""

import numpy as np
import pytest

from simulator.gaussian.statistics import cross_covariance
from simulator.streams import numpy_stream
from simulator.world import Attribute, World
from theory.population import latent_cross_covariance
from theory.sample_modes import sample_modes


def noisy(nu: float, d: int, **fields) -> World:
    return World(mu_spu=1.5, sigma_xi=np.sqrt(nu * d), dim_image=d, dim_text=d, **fields)


def drawn(world: World, n: int, draws: int) -> np.ndarray:
    """Mean singular values of drawn S, in descending order."""
    each = [cross_covariance(world, n, 1, numpy_stream(r, "test/modes"))[0] for r in range(draws)]
    return np.mean([np.linalg.svd(S, compute_uv=False) for S in each], axis=0)


def assert_within(world: World, ratio: float, draws: int) -> None:
    n = round(ratio * world.dim_image)
    found, law = drawn(world, n, draws), sample_modes(world, n)
    count = len(law.outside)
    assert found[:count] == pytest.approx(law.outside, rel=0.03)
    assert found[count] == pytest.approx(law.edge, rel=0.03)


def test_modes_stand_out_as_drawn():
    assert_within(noisy(0.25, 200), 10.0, 24)


def test_an_attribute_varies_as_much_as_images_do_and_captions_tell_a_part():
    further = Attribute(mu=0.3, p=0.5, sigma=2.5, detail=0.2)
    world = World(
        mu_inv=1.0, sigma_inv=0.5, mu_spu=0.5, sigma_xi=np.sqrt(300), dim_image=300, dim_text=300, attribute=(further,)
    )
    assert_within(world, 2.0, 8)


@pytest.mark.deep
@pytest.mark.parametrize("ratio", [1.0, 100.0])  # at .1, 51 pairs, it takes 80 draws
@pytest.mark.parametrize(("nu", "g"), [(0.25, 1.0), (0.25, 0.2), (2.0, 1.0)])
def test_modes_stand_out_of_wide_views(nu, g, ratio):
    assert_within(noisy(nu, 512, detail_inv=g, detail_spu=g), ratio, 16)


def test_many_pairs_have_the_modes_of_the_population():
    world = noisy(0.5, 64)
    values = np.linalg.svd(latent_cross_covariance(world), compute_uv=False)
    law = sample_modes(world, 1e9)
    assert law.outside[:2] == pytest.approx(values, rel=1e-5)
    assert law.edge == pytest.approx(2 * 0.5 * np.sqrt(64 / 1e9), rel=1e-3)


@pytest.mark.parametrize("delta", [0.01, 0.5, 3.0])
def test_a_mode_stands_out_from_its_threshold(delta):
    """c = nu sqrt(x) (1 + x)/(1 - x) - sqrt(x) v, for the object's latent alone."""
    x = min(r.real for r in np.roots([delta - 1, -2 * delta - 1, delta]) if 0 < r.real < 1)
    nu, n = 2.0, 64 / delta
    for sign in (-1, 1):
        world = noisy(nu, 64, p_spu=0.5, detail_spu=0.0)
        world = world.replace(mu_spu=0.0, sigma_spu=1e-6, sigma_inv=1e-6)  # c = v = mu_inv^2
        c = nu * np.sqrt(x) * (1 + x) / ((1 - x) * (1 + np.sqrt(x)))
        world = world.replace(mu_inv=np.sqrt(c) * (1 + 0.01 * sign))
        assert len(sample_modes(world, n).outside) == (sign > 0)

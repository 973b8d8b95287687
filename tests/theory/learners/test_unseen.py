"""The share of images without similar pairs in a run of n, against densities summed over groups."""

import numpy as np
import pytest
from reference import log_densities
from scipy.special import logsumexp

from simulator.world import Attribute, World
from theory.learners.infonce import InfoNCE

HARD = World(p_spu=0.9, mu_spu=2.0, sigma_xi=0.5**0.5, dim_image=2, dim_text=2)  # nu = .25


def test_shares_and_pairs_are_those_of_explicit_densities():
    world = HARD.model_copy(update={"sigma_xi_text": 0.9})
    rng = np.random.default_rng(0)
    deviation = np.sqrt([world.sigma_inv**2 + world.nu_image, world.sigma_spu**2 + world.nu_image])

    def density(*views):
        return logsumexp(log_densities(world, *views), axis=1)

    q = world.prompts("mean")
    found = InfoNCE("mean").unseen(world, 1e4)
    for sign, share in ((1, found.common), (-1, found.counter)):
        x = np.array([world.mu_inv, sign * world.mu_spu]) + deviation * rng.standard_normal(
            (20_000, 2)
        )
        joint = [density(x, np.tile(t, (len(x), 1))) for t in q]
        pmi = np.max(joint, 0) - density(x, None) - density(None, q[:1])
        # three standard errors of 20,000 images
        assert share == pytest.approx(np.mean(pmi < -np.log(1e4)), abs=0.006)
        if sign == -1:
            assert np.log(found.pairs_needed) == pytest.approx(-np.quantile(pmi, 0.01), abs=0.5)


def test_the_needed_pairs_may_be_more_than_a_number_holds():
    assert (
        InfoNCE("name")
        .unseen(World(p_spu=0.0, mu_inv=-1.0, sigma_spu=600.0, sigma_xi=4.0), 1e6)
        .pairs_needed
        == np.inf
    )


def test_captions_of_other_pairs_and_bare_ones_are_no_similar_pairs():
    strays = InfoNCE("mean").unseen(HARD.replace(mismatch=0.75), 4e4)
    fewer = InfoNCE("mean").unseen(HARD, 1e4)
    assert strays == pytest.approx(fewer._replace(pairs_needed=4 * fewer.pairs_needed))
    assert InfoNCE("mean").unseen(HARD.replace(bare=0.75), 4e4) == pytest.approx(strays)


def test_several_classes_and_uninformative_dimensions():
    wide = HARD.model_copy(update={"dim_image": 8, "dim_text": 8, "sigma_xi": 2**0.5})
    assert InfoNCE("mean").unseen(wide, 1e5) == pytest.approx(InfoNCE("mean").unseen(HARD, 1e5)), (
        "only nu counts"
    )
    three = World(p_spu=0.9, mu_spu=3.0, classes=3, sigma_xi=1.0, dim_image=6, dim_text=6)
    assert 0 < InfoNCE("mean").unseen(three, 1e3).counter < 1


@pytest.mark.parametrize(
    ("world", "prompt"),
    [
        (HARD.model_copy(update={"mention_spu": 0.5}), "mean"),
        (HARD.model_copy(update={"p_inv": 0.9}), "mean"),
        (HARD.model_copy(update={"sigma_xi": 0.0}), "name"),
        (
            HARD.model_copy(update={"attribute": (Attribute(),), "dim_image": 4, "dim_text": 4}),
            "name",
        ),
        (HARD, "scores"),
        (HARD.replace(bare=0.5), "bare"),
    ],
)
def test_unsupported_worlds_give_none(world, prompt):
    assert InfoNCE(prompt).unseen(world, 1e6) is None

"""A kind of caption that World.caption_kinds alone knows acts in every law: it shows another
multiple of a block.
"""

import numpy as np
import pytest
from reference import joint_covariance, optimum_by_groups
from stattest import assert_mean

from experiments.errors import RequestError
from experiments.ground_truth.export import check_request
from simulator.gaussian.statistics import projected_scatter
from simulator.mixture import CaptionKind, CaptionKinds, mixture_of
from simulator.world import World
from theory.binned_captions import BinnedCaptions
from theory.learners import GaussianPMI, InfoNCE, LinearCLIP
from theory.learners.base import block_weights

TELLING = World(
    p_spu=0.8,
    mu_spu=1.5,
    sigma_spu=0.7,
    sigma_xi=1.5,
    dim_image=2,
    dim_text=2,
    mention_inv=0.9,
    mention_spu=0.8,
    p_inv=0.95,
    detail_inv=0.7,
    detail_spu=0.8,
)


@pytest.fixture(params=["some -1", "some 2", "background -0.4"])
def other(request, monkeypatch):
    """Some captions of both blocks, or all captions of the backgrounds, show another multiple."""
    which, multiple = request.param.split()

    def kinds(world: World) -> CaptionKinds:
        share = (
            np.full(world.mention.shape[-1], 1 / 3)
            if which == "some"
            else np.arange(world.mention.shape[-1]) > 0
        )
        told = ((1 - share) * world.mention, 1.0), (share * world.mention, float(multiple))
        return CaptionKinds(
            (*(CaptionKind(*each) for each in told), CaptionKind(1 - world.mention, 0.0))
        )

    monkeypatch.setattr(World, "caption_kinds", property(kinds))
    mixture_of.cache_clear()
    yield
    mixture_of.cache_clear()


@pytest.mark.deep
@pytest.mark.parametrize("prompt", ["name", "mean", "background"])
def test_infonce_is_the_optimum_of_the_groups(other, prompt):
    for fields in (
        {},
        {"detail_inv": 1.0, "detail_spu": 1.0, "sigma_xi": 0.6},
        {"mention_inv": 1.0, "mention_spu": 1.0},
    ):
        world = TELLING.replace(**fields)
        found = np.array([*InfoNCE(prompt).accuracy(world)])
        assert np.abs(found - optimum_by_groups(world, prompt, 12)).max() < 3e-3


@pytest.mark.parametrize("prompt", ["name", "mean"])
@pytest.mark.parametrize("rule", [LinearCLIP, GaussianPMI])
def test_linear_rules_follow_from_the_groups(other, rule, prompt):
    world = TELLING.replace(bare=0.2, mismatch=0.1)
    critic = block_weights(rule(prompt).critic(world).inside[0])
    assert rule(prompt).direction(world) / critic == pytest.approx(
        np.full(2, 1 / (critic / rule(prompt).direction(world))[0])
    )


def test_drawn_pairs_and_exact_scatters(other):
    world = TELLING.replace(bare=0.2, mismatch=0.1)
    n = 20_000
    expected = joint_covariance(world)
    (scatter,) = projected_scatter(world, 500, 64, 5)
    assert_mean(
        scatter.reshape(len(scatter), -1), expected.ravel(), effect=1.0, what="exact scatters"
    )
    pairs = world.draw(n, seed=5)
    views = zip((pairs.images, pairs.texts), pairs.frames, strict=True)
    rows = np.concatenate([view.numpy() @ D for view, D in views], axis=1)
    rows = rows - sum(part.weights @ part.means for part in world.mixture().pairs)
    assert_mean(
        (rows[:, :, None] * rows[:, None]).reshape(n, -1),
        expected.ravel(),
        effect=0.06,
        what="drawn pairs",
    )


def test_captions_in_words_are_refused(other):
    with pytest.raises(ValueError, match="otherwise"):
        BinnedCaptions(TELLING)
    with pytest.raises(RequestError, match="otherwise"):
        check_request(World(sigma_xi=6.0), 10, 0, 10)

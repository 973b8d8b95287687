"""World, its mixture and its blocks describe one law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from reference import prompt_by_mixture

from simulator.mixture import LARGEST_MIXTURE
from simulator.strategies import worlds
from simulator.world import Attribute, World, Worlds


@pytest.mark.parametrize(
    "fields",
    [
        {"p_spu": 1.1},
        {"p_spu": -0.1},
        {"p_spu": float("nan")},
        {"mu_spu": float("inf")},
        {"sigma_inv": -1.0},
        {"classes": 1},
        {"classes": 2.5},
        {"p_spu": "0.9"},
        {"p_spurious": 0.9},
        {"attribute": [{"mu": 1.0, "colour": 2.0}]},
        {"attribute": [{}] * 5},
        {"mention_spu": 2.0},
    ],
)
def test_a_value_outside_its_domain_is_refused(fields):
    with pytest.raises(ValidationError):
        World(**fields)


@pytest.mark.parametrize(
    ("fields", "nearest"),
    [
        ({"dim_image": 1}, 2),
        ({"dim_text": 1}, 2),
        ({"classes": 5, "dim_text": 9}, 10),
        ({"dim_image": 2, "attribute": (Attribute(),)}, 3),
    ],
)
def test_a_view_too_narrow_for_the_latents_names_the_nearest_width(fields, nearest):
    with pytest.raises(ValidationError, match=f"the nearest valid value is {nearest}"):
        World(**fields)


def test_worlds_are_frozen():
    with pytest.raises(ValidationError):
        World().p_spu = 0.5


@given(worlds(most_attributes=2))
def test_mixture_weights_are_the_training_law(world):
    mixture = world.mixture()
    assert mixture.weights.min() >= 0
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-12)
    for y in range(world.classes):
        assert mixture.weights[mixture.labels == y].sum() == pytest.approx(1 / world.classes, abs=1e-12)
    for j, p in enumerate(Worlds.of(world).agreement[1:]):
        agree = mixture.backgrounds[:, j] == mixture.labels
        assert mixture.weights[agree].sum() == pytest.approx(p, abs=1e-12)
    assert mixture.weights[mixture.common].sum() == pytest.approx(world.p_spu, abs=1e-12)


@given(worlds(most_attributes=2))
def test_masks_are_a_law_with_the_stated_marginals(world):
    mixture = world.mixture()
    masks, probability = mixture.masks()
    assert probability.sum() == pytest.approx(1, abs=1e-12)
    assert probability.min() >= 0
    assert probability @ masks == pytest.approx(mixture.mention[mixture.block], abs=1e-12)
    uncertain = sum(0 < pi < 1 for pi in mixture.mention)
    assert len(masks) == 2**uncertain
    for b in range(len(mixture.mention)):  # a mask takes or leaves a whole block
        assert np.ptp(masks[:, mixture.block == b], axis=1).max() == 0


@given(worlds(most_attributes=2), st.sampled_from(["name", "mean"]))
def test_prompts_are_the_stated_means_of_the_mixture(world, prompt):
    assert world.prompts(prompt) == pytest.approx(prompt_by_mixture(world, prompt), abs=1e-11)


def test_the_two_prompts_by_hand():
    world = World(p_spu=0.75, mu_inv=1.0, mu_spu=2.0, mention_inv=0.5, mention_spu=0.25)
    assert world.prompts("name").tolist() == [[1, 0], [-1, 0]]
    assert world.prompts("mean").tolist() == [[0.5, 0.25], [-0.5, -0.25]]


@given(worlds(most_attributes=2))
def test_blocks_and_mixture_hold_the_same_numbers(world):
    blocks, mixture = Worlds.of(world), world.mixture()
    assert mixture.variances == pytest.approx(blocks.scale[mixture.block] ** 2, abs=0)
    assert len(mixture.variances) == world.latents
    # Group (y, o, a) has mu_b times the pattern of its code in block b.
    codes = np.column_stack([mixture.objects, mixture.backgrounds])
    for b in range(len(blocks.mean)):
        part = mixture.means[:, mixture.block == b]
        expected = (1 - 2 * codes[:, b])[:, None] if world.classes == 2 else np.eye(world.classes)[codes[:, b]]
        assert part == pytest.approx(blocks.mean[b] * expected, abs=0)
    assert float(blocks.nu_image) == world.sigma_xi**2 / world.dim_image
    text = world.sigma_xi if world.sigma_xi_text is None else world.sigma_xi_text
    assert float(blocks.nu_text) == world.nu_text == text**2 / world.dim_text


def test_correlation_is_2p_minus_1_for_two_classes_and_zero_at_chance_for_more():
    assert Worlds.of(World(p_spu=0.9)).correlation == pytest.approx([1, 0.8], abs=1e-15)
    assert Worlds.of(World(p_spu=0.25, classes=4)).correlation == pytest.approx([1, 0], abs=1e-15)


def test_a_mixture_too_large_to_write_out_names_the_largest_that_fits():
    with pytest.raises(ValueError, match=r"classes = 1000 .* 1,000,000 groups .* that fits is 170$"):
        World(classes=1000, dim_image=2000, dim_text=2000).mixture()
    assert 170**2 * 340 <= LARGEST_MIXTURE < 171**2 * 342
    assert len(World(classes=170, dim_image=340, dim_text=340).mixture().weights) == 170**2
    with pytest.raises(ValueError, match=r"that fits is 170$"):
        World(classes=171, dim_image=342, dim_text=342).mixture()

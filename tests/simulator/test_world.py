"""World, its mixture and its blocks describe one law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from reference import prompt_by_mixture

from simulator.mixture import LARGEST_MIXTURE
from simulator.strategies import worlds
from simulator.world import SCALARS, Attribute, World, Worlds


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


@pytest.mark.parametrize("change", [{"p_spu": 1.5}, {"p_spo": 0.5}, {"dim_image": 1}, {"classes": 40}])
def test_a_copy_is_validated_like_the_original(change):
    """Pydantic's own model_copy checks nothing: p_spu = 1.5 drew pairs."""
    world = World()
    with pytest.raises(ValidationError):
        world.model_copy(update=change)
    assert world.model_copy(update={"p_spu": 0.25}) == World(p_spu=0.25)
    with pytest.raises(ValidationError):
        Attribute().model_copy(update={"p": -0.1})


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
    assert float(blocks.nu_image) == world.nu_image == world.sigma_xi * world.sigma_xi / world.dim_image
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


# Grids.


def with_attributes(count: int):
    """Fields that give a world `count` further attributes and views wide enough for them."""

    def fields(world: World) -> dict:
        latents = (2 + count) * (1 if world.classes == 2 else world.classes)
        widths = {name: max(getattr(world, name), latents) for name in ("dim_image", "dim_text")}
        further = tuple(Attribute(mu=1.0 + j, p=world.p_spu, sigma=world.sigma_spu) for j in range(count))
        return {"attribute": further, **widths}

    return fields


lists = st.integers(0, 2).flatmap(
    lambda further: st.lists(
        worlds(most_attributes=0).map(lambda w: w.model_copy(update=with_attributes(further)(w))),
        min_size=1,
        max_size=5,
    )
)
PROPERTIES = ("mean", "scale", "agreement", "mention", "correlation", "nu_image", "nu_text")


def explicit(world: World) -> World:
    """The world with its captions' noise written out, as a grid holds it where any world sets it."""
    return world.model_copy(
        update={"sigma_xi_text": world.sigma_xi if world.sigma_xi_text is None else world.sigma_xi_text}
    )


@given(lists)
def test_worlds_of_a_list_are_its_worlds(many):
    """Round trip, properties world by world, slices and shapes; several class counts in one grid."""
    grid = Worlds.of(many)
    assert (grid.shape, grid.size, grid.ndim) == ((len(many),), len(many), 1)
    for i, world in enumerate(many):
        assert explicit(grid.world(i)) == explicit(world)
        alone, part = Worlds.of(world), grid[i]
        assert part.shape == ()
        assert part.classes == world.classes
        for name in PROPERTIES:
            assert np.array_equal(getattr(part, name), getattr(alone, name)), name
            assert np.array_equal(getattr(grid, name)[i], getattr(alone, name)), name
    assert grid[::-1].world(0) == grid.world(len(many) - 1)
    assert grid.reshape(1, -1).world((0, 0)) == grid.world(0)
    assert grid.reshape(1, -1).ravel().shape == grid.shape
    assert Worlds.of(grid) is grid
    for prompt in ("name", "mean"):
        assert grid.prompt(prompt).shape == (len(many), 2 + len(many[0].attribute))


@pytest.mark.parametrize("sigma", [2.972910744232917, 1.9999999999999998, 0.1])
def test_noise_is_the_same_alone_and_in_a_grid(sigma):
    """The first is one whose power of a scalar and square of an array round apart."""
    world = World(sigma_xi=sigma, dim_image=2, dim_text=2)
    grid = Worlds.of([World(sigma_xi=0.0, dim_image=2, dim_text=2), world])
    assert float(grid[1].nu_image) == float(Worlds.of(world).nu_image) == world.nu_image == sigma * sigma / 2
    assert float(grid[1].nu_text) == world.nu_text


@given(worlds(most_attributes=2))
def test_a_world_is_a_grid_of_one(world):
    grid = Worlds.of(world)
    assert grid.shape == ()
    assert grid.world() == world
    assert Worlds(**{name: getattr(grid, name) for name in (*SCALARS, "attribute")}).world() == world


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3), st.lists(st.floats(-5, 5), min_size=1, max_size=3))
def test_fields_broadcast(p, mu):
    """A row of p against a column of mu: every pair, as numpy broadcasts them; indexing as numpy indexes."""
    grid = Worlds(p_spu=p, mu_spu=np.array(mu)[:, None], sigma_xi=0.0)
    assert grid.shape == (len(mu), len(p))
    for index in np.ndindex(*grid.shape):
        assert grid.world(index) == World(p_spu=p[index[1]], mu_spu=mu[index[0]], sigma_xi=0.0)
        assert grid[index].world() == grid.world(index)
    assert grid[0].shape == (len(p),)
    assert grid[:, :1].shape == (len(mu), 1)
    assert grid[..., None].shape == (*grid.shape, 1)
    chosen = grid[np.broadcast_to(grid.p_spu, grid.shape) > 0.5]
    assert chosen.shape == (len(mu) * sum(x > 0.5 for x in p),)
    assert grid.mean.shape == (*grid.shape, 2)
    assert grid.nu_image.shape == grid.shape


def test_replacing_a_field_validates_it_and_keeps_the_others():
    grid = Worlds(p_spu=[0.5, 0.75], mu_spu=2.0, attribute=(Attribute(mu=3.0),))
    other = grid.replace(p_spu=[[0.25], [1.0]], p_inv=0.5)
    assert other.shape == (2, 1)
    assert other.world((1, 0)) == World(p_spu=1.0, mu_spu=2.0, p_inv=0.5, attribute=(Attribute(mu=3.0),))
    assert grid.shape == (2,)
    with pytest.raises(ValueError, match="p_spu = 2 lies outside"):
        grid.replace(p_spu=2)


def test_grids_are_frozen_with_all_that_they_hold():
    given_array = np.array([0.5, 0.75])
    grid = Worlds(p_spu=given_array, attribute=(Attribute(),))
    given_array[0] = 0.0  # the caller's array stays the caller's
    assert grid.p_spu.tolist() == [0.5, 0.75]
    with pytest.raises(AttributeError, match=r"a Worlds is frozen; \.replace\(p_spu=\.\.\.\) makes another"):
        grid.p_spu = 0.5
    with pytest.raises(AttributeError, match="frozen"):
        del grid.p_spu
    for array in (grid.p_spu, grid[:1].p_spu, Worlds.of([World(), World()]).mu_spu):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.1


def test_class_counts_are_one_number_where_they_agree():
    grid = Worlds(classes=[[2, 2], [3, 5]])
    assert grid.shape == (2, 2)
    assert grid[0].classes == 2
    assert isinstance(grid[0].classes, int)
    assert grid[1].classes.tolist() == [3, 5]
    assert grid.world((1, 1)).latents == 10
    assert grid.replace(p_spu=0.5).correlation[..., 1].tolist() == [[0, 0], [0.25, 0.375]]


def test_a_grid_of_no_worlds():
    grid = Worlds(p_spu=[])
    assert (grid.shape, grid.size) == ((0,), 0)
    assert grid.mean.shape == (0, 2)
    assert grid.replace(mu_spu=2.0).shape == (0,)
    assert Worlds(p_spu=[0.5, 0.6])[[]].shape == (0,)


def test_a_grid_names_what_differs_from_the_defaults():
    assert repr(Worlds(mu_spu=2.0)) == "Worlds(shape=(), mu_spu=2.0)"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Worlds(p_spu=[0.5, 1.5]), r"p_spu = 1.5 lies outside \[0, 1\]; the nearest valid value is 1$"),
        (lambda: Worlds(p_spu=1.5), "p_spu = 1.5 lies outside"),
        (lambda: Worlds(p_spu=[0.5, float("nan")]), r"p_spu = nan lies outside \[0, 1\]$"),
        (lambda: Worlds(mu_spu=float("inf")), "mu_spu = inf lies outside .* nearest valid value is 1000$"),
        (lambda: Worlds(dim_image=1_000_001), r"dim_image = 1000001 lies outside \[1, 1000000\]"),
        (lambda: Worlds(p_spu=True), "p_spu = True holds something other than numbers"),
        (lambda: Worlds(p_spu=[[0.5], [0.5, 0.6]]), r"p_spu = \[\[0.5\], .* holds something other than numbers"),
        (lambda: Worlds(classes=2.5), "classes = 2.5 is not a whole number"),
        (lambda: Worlds(p_spo=0.5), "'p_spo' is not a field of a world; the fields are p_spu, .*views$"),
        (lambda: Worlds(p_spu=[0.5] * 2, mu_spu=[1.0] * 3), r"fields of shapes \[\(2,\), \(3,\)\] do not broadcast"),
        (lambda: Worlds(dim_text=[64, 1]), "dim_text = 1 is smaller than the 2 latents .* valid value is 2$"),
        (lambda: Worlds(classes=[2, 40]), "dim_image = 64 is smaller than the 80 latents .* valid value is 80$"),
        (lambda: Worlds(attribute=(Attribute(),) * 5), "5 further attributes given; the nearest valid number is 4"),
        (lambda: Worlds(attribute=(3,)), "attribute = 3 is not an Attribute"),
        (lambda: Worlds.of([]), "there is no world to make a grid of"),
        (
            lambda: Worlds.of([World(), World(attribute=(Attribute(),))]),
            "worlds with 0 and 1 further attributes make no",
        ),
        (
            lambda: Worlds(p_spu=[0.5, 0.6]).world(),
            r"index = \(\) leaves more than one world of a grid of shape \(2,\)",
        ),
    ],
)
def test_wrong_grids_are_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()

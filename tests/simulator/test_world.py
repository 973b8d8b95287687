"""World, its mixture and its blocks describe one law."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simulator import mixture
from simulator.pixels.views import Pixels
from simulator.strategies import quantity, table_worlds, worlds
from simulator.world import SHARED, Attribute, World

TABLE = ((0.3, 0.1, 0.0), (0.2, 0.2, 0.2))


def test_a_table_replaces_p_spu_and_sets_the_number_of_classes():
    world = World(table=np.transpose(TABLE), classes=3, dim_image=4, dim_text=4)
    assert (world.classes, world.background_count, world.latents) == (3, 2, 4)
    for dump in (world.model_dump(), world.model_dump(mode="json")):
        assert "p_spu" not in dump
        assert World(**dump) == world
    assert not {"table", "common"} & World().model_dump().keys()
    assert world.replace(table=TABLE) == World(table=TABLE, dim_image=4, dim_text=4), (
        "a table tells its classes anew"
    )


@pytest.mark.parametrize(
    "shared",
    [
        {"table": TABLE, "common": [[0], [0, 1]]},
        {"views": Pixels(tied=(0, 1)), "classes": 5, "p_spu": 0.75},
    ],
)
def test_a_grid_shares_what_is_no_number(shared):
    grid = World(**shared, p_inv=[0.75, 0.9])
    one = World(**shared, p_inv=0.9)
    assert grid[1] == one
    assert grid.replace(mention_spu=[[0.5], [0.6]])[1, 1] == one.replace(mention_spu=0.6)
    assert World.stack([grid[0], one])[1:].replace(mention_spu=0.5)[0] == one.replace(
        mention_spu=0.5
    )
    assert all(getattr(grid[1], name) is getattr(grid, name) for name in SHARED)
    assert (grid.class_count, grid.background_count) == (one.classes, one.background_count)
    assert World(p_spu=[0.8, 0.9]).replace(views=Pixels())[0] == World(p_spu=0.8, views=Pixels())


def test_worlds_are_binary_if_all_of_them_are():
    assert World(p_spu=[0.6, 0.9]).binary
    assert not any(
        worlds.binary for worlds in (World(classes=[2, 3]), World(attribute=(Attribute(),)))
    )
    assert World(classes=[3, 5])[[]].class_count == 2, "formulas for any K hold in an empty grid"


def test_a_copy_is_validated_like_the_original():
    """Pydantic's own model_copy does not validate."""
    wrong = {"p_spu": 1.5}, {"p_spo": 0.5}, {"dim_image": 1}, {"classes": 40}
    for one, change in (*((World(), fields) for fields in wrong), (Attribute(), {"p": -0.1})):
        with pytest.raises(ValidationError):
            one.model_copy(update=change)
    assert World().model_copy(update={"p_spu": 0.25}) == World(p_spu=0.25)


@pytest.mark.parametrize(("p_inv", "codes", "largest"), [(1.0, 2, 7), (0.9, 3, 4)])
def test_a_mixture_too_large_to_write_out_names_the_largest_that_fits(
    p_inv, codes, largest, monkeypatch
):
    """If p_inv < 1, the object is one more code of a group."""
    monkeypatch.setattr(mixture, "LARGEST_MIXTURE", 1000)
    assert largest**codes * 2 * largest <= 1000 < (largest + 1) ** codes * 2 * (largest + 1)
    fits = World(classes=largest, p_inv=p_inv, dim_image=2 * largest, dim_text=2 * largest)
    assert len(fits.mixture().weights) == largest**codes
    with pytest.raises(ValueError, match=rf"classes = {largest + 1} .* that fits is {largest}$"):
        fits.replace(classes=largest + 1, dim_image=400, dim_text=400).mixture()


# Grids.


@st.composite
def lists(draw) -> list[World]:
    count = draw(st.integers(0, 2))
    drawn = draw(st.lists(worlds(most_attributes=0), min_size=1, max_size=5))
    if len({world.sigma_xi_text is None for world in drawn}) > 1:  # such worlds make no grid
        drawn = [world.replace(sigma_xi_text=None) for world in drawn]
    worlds_of = []
    for world in drawn:
        further = tuple(
            Attribute(mu=1.0 + j, p=world.p_spu, sigma=world.sigma_spu) for j in range(count)
        )
        wide = world.replace(
            dim_image=world.dim_image + 4 * count, dim_text=world.dim_text + 4 * count
        )
        worlds_of.append(wide.replace(attribute=further))
    return worlds_of


# For this sigma the power of a scalar and the square of an array round differently.
@given(lists(), st.just(2.972910744232917) | quantity("sigma_xi", 0.0, 10.0))
def test_a_stack_of_worlds_is_these_worlds(many, sigma):
    """Round trip, slices, shapes and changes; several class counts in one grid. Law 1 has the
    properties.
    """
    grid = World.stack(many)
    assert (grid.shape, grid.size, grid.ndim) == ((len(many),), len(many), 1)
    changed = grid.replace(sigma_xi=sigma)  # captions follow where their noise is unset
    noise = World.stack([world.replace(sigma_xi=sigma) for world in many])
    for i, world in enumerate(many):
        own = world.replace(sigma_xi=sigma)
        assert grid[i] == world
        assert changed[i] == own
        assert (noise.nu_image[i], noise.nu_text[i], changed.nu_text[i]) == (
            own.nu_image,
            own.nu_text,
            own.nu_text,
        )
        assert hash(grid[i]) == hash(world)
    assert grid[::-1][0] == grid[len(many) - 1]
    assert grid.reshape(1, -1)[0, 0] == grid[0]
    assert grid.reshape(1, -1).ravel().shape == grid.shape
    assert pickle.loads(pickle.dumps(grid)) == grid == grid.replace()
    assert (grid == grid[::-1]) == (many == many[::-1])


@given(worlds(most_attributes=2) | table_worlds(), st.sampled_from([(1,), (1, 1), (3,), (2, 0)]))
def test_a_world_has_no_axes_until_it_gets_some(world, shape):
    """A grid without an array keeps its shape: in a copy, and in each rearrangement."""
    assert (world.shape, world.size, world.ndim, world.one()) == ((), 1, 0, world)
    grid = world[None][np.zeros(shape, int)]
    assert grid.shape == grid.replace(mu_spu=2.0).shape == grid[...].shape == shape
    assert grid.mean.shape == (*shape, 2 + len(world.attribute))
    assert world.ravel()[0] == world.reshape(1, 1)[0, 0] == world
    with pytest.raises(IndexError):
        _ = world[0]
    for ask in (World.mixture, World.background_law, World.draw, lambda grid: grid.prompts("name")):
        with pytest.raises(ValueError, match="expected one world"):
            ask(grid, *([4] if ask is World.draw else []))
    with pytest.raises(TypeError, match="unhashable"):
        hash(grid)


def test_worlds_and_grids_are_frozen_with_all_that_they_hold():
    with pytest.raises(ValidationError):
        World().p_spu = 0.5
    given_array = np.array([0.5, 0.75])
    grid = World(p_spu=given_array, attribute=(Attribute(),))
    given_array[0] = 0.0  # the caller's array stays writeable
    assert grid.p_spu.tolist() == [0.5, 0.75]
    with pytest.raises(ValidationError):
        grid.p_spu = 0.5
    noisy = World.stack([World(sigma_xi_text=1.0), World(sigma_xi_text=0.5)])
    assert noisy.sigma_xi_text.tolist() == [1.0, 0.5]
    for array in (
        grid.p_spu,
        grid[:1].p_spu,
        noisy.mu_spu,
        noisy.mean,
        noisy.correlation,
        noisy.sigma_xi_text,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.1


@pytest.mark.parametrize("classes", [2, 3, 7, 10])
def test_a_background_by_chance_has_no_correlation(classes):
    """A rounding error would decide where no other block says anything."""
    assert World(p_spu=1 / classes, classes=classes).correlation[1] == 0

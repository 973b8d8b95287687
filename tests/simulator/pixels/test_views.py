"""Declarations of pixel worlds: valid ones survive a round trip, meaningless fields give one error message."""

import numpy as np
import pytest
from pydantic import ValidationError

from simulator.gaussian.fitting import fit
from simulator.pixels.views import Pixels
from simulator.samplers import group_shares
from simulator.world import World
from theory.learners import LinearCLIP, named, names


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"objects": "mnist"}, "objects = 'mnist' needs root, the folder that torchvision.datasets.MNIST"),
        ({"root": "here"}, "root = 'here' is of no use to objects = 'digits'"),
        ({"attribute": "photos"}, "go together"),
        ({"tied": (0,)}, r"tied = \[0\] are not two or more"),
        ({"categories": ("car",)}, r"categories = \['car'\] are of no use to objects = 'digits'; use them with 'coco'"),
        ({"tied": (0, 1, 0)}, "different classes"),
        ({"tied": (-1, 0)}, "counted from 0"),
        ({"objects": "cutouts", "root": "here"}, "have colours of their own"),
    ],
)
def test_views_that_show_nothing_are_refused(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Pixels(**fields)


EVEN = np.full((2, 3), 1 / 6)
COCO = {"objects": "coco", "root": "r", "attribute": "background-colour"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"classes": 11}, "classes = 11 are more than the 10 digits; the nearest valid value is 10"),
        ({"views": Pixels(**COCO, categories=("car",))}, "classes = 2 are more than the 1 categories"),
        ({"views": Pixels(tied=(0, 2))}, r"tied = \[0, 2\] names class 2; the classes are 0 to 1"),
        ({"table": np.full((2, 11), 1 / 22)}, "backgrounds = 11 are more than the 10 colours"),
        ({"table": EVEN, "views": Pixels(tied=(0, 1))}, r"tied = \[0, 1\] has no meaning beside a table"),
        ({"detail_inv": 0.5}, r"detail_inv = 0.5 is of Gaussian views .* captions tell classes alone"),
        ({"bare": 0.3}, r"bare = 0.3 is of Gaussian views .* captions tell classes alone"),
        ({"mu_spu": 1.0}, "mu_spu = 1.0 is of Gaussian views"),  # refused even at its default
        ({"attribute": ({},)}, "pixels show one attribute"),
    ],
)
def test_what_a_pixel_world_cannot_have_is_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        World(**{"views": Pixels(), **fields})


def test_a_pixel_world_is_written_as_it_may_be_read():
    world = World(p_spu=0.8, views=Pixels(tied=(0, 1)))
    written = world.replace(classes=3).model_dump()
    assert "mu_spu" not in written
    assert World(**written) == world.replace(classes=3)
    assert World().replace(views=Pixels()) == World(views=Pixels())
    assert World(p_spu=[0.8, 0.9]).replace(views=Pixels())[0] == World(p_spu=0.8, views=Pixels())


def test_a_grid_shares_its_views():
    views = Pixels(tied=(0, 1))
    grid = World(p_spu=[0.75, 0.9], classes=5, views=views)
    assert grid[1].views is views
    assert grid[1] == World(p_spu=0.9, classes=5, views=views)
    assert grid.replace(p_inv=[[0.75], [0.9]])[1, 0].p_inv == 0.9
    assert World.stack([grid[0], grid[1]]).replace(mention_spu=0.5)[1].mention_spu == 0.5
    assert repr(grid).endswith(f"classes=5, views={views!r})")
    with pytest.raises(ValueError, match="worlds that differ in views make no grid"):
        World.stack([grid[0], World(classes=5)])


@pytest.mark.parametrize("name", names())
def test_every_closed_form_refuses_pixels_in_one_sentence(name):
    world = World(views=Pixels())
    assert named(name).refuses(world).endswith("these worlds are pixels, which no formula describes")
    assert LinearCLIP().refuses(world.replace(views=None)) is None


@pytest.mark.parametrize(
    "ask",
    [
        World.mixture,
        lambda world: world.prompts("name"),
        lambda world: world.nu_image,
        lambda world: world.nu_text,
        lambda world: world.mean,
        lambda world: fit("linear", world.draw(4)),
    ],
)
def test_what_only_gaussian_worlds_have_is_refused(ask):
    with pytest.raises(ValueError, match="pixels"):
        ask(World(views=Pixels()))


def test_classes_without_a_background_of_their_own_show_all_alike():
    world = World(p_spu=0.7, classes=4, views=Pixels(tied=(0, 2)))
    law = [[0.7, 0.1, 0.1, 0.1], [0.25] * 4, [0.1, 0.1, 0.7, 0.1], [0.25] * 4]
    assert world.background_law() == pytest.approx(np.array(law), abs=1e-15)
    assert group_shares(world) == pytest.approx(np.ravel(law) / 4, abs=1e-15)
    assert group_shares(world.replace(views=None))[5] == pytest.approx(0.7 / 4, abs=1e-15)

"""Declarations of pixel worlds: valid ones survive a round trip, meaningless fields give one error message."""

import numpy as np
import pytest

from simulator.pixels.views import Pixels
from simulator.world import World


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


def test_classes_without_a_background_of_their_own_show_all_alike():
    world = World(p_spu=0.7, classes=4, views=Pixels(tied=(0, 2)))
    law = [[0.7, 0.1, 0.1, 0.1], [0.25] * 4, [0.1, 0.1, 0.7, 0.1], [0.25] * 4]
    assert world.background_law() == pytest.approx(np.array(law), abs=1e-15)
    assert world.joint_law().ravel() == pytest.approx(np.ravel(law) / 4, abs=1e-15)
    assert world.replace(views=None).joint_law().ravel()[5] == pytest.approx(0.7 / 4, abs=1e-15)

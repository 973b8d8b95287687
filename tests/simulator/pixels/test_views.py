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


def test_classes_without_a_background_of_their_own_show_all_alike():
    world = World(p_spu=0.7, classes=4, views=Pixels(tied=(0, 2)))
    law = [[0.7, 0.1, 0.1, 0.1], [0.25] * 4, [0.1, 0.1, 0.7, 0.1], [0.25] * 4]
    assert world.background_law() == pytest.approx(np.array(law), abs=1e-15)
    assert world.joint_law().ravel() == pytest.approx(np.ravel(law) / 4, abs=1e-15)
    assert world.replace(views=None).joint_law().ravel()[5] == pytest.approx(0.7 / 4, abs=1e-15)

"""World files with a table of views: reading, writing, refusals in one sentence."""

import pytest

from experiments.lab.config import world_from, world_toml
from simulator.pixels.views import Pixels
from simulator.world import World

FILE = """
classes = 3
p_inv = 0.9
p_spu = 0.75
[views]
objects = "digits"
attribute = "object-colour"
tied = [0, 1]
told = "object"
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "world.toml"


def test_a_world_of_pixels_is_read_and_written(file):
    file.write_text(FILE)
    world = world_from(file, {"p_spu": 0.5})
    assert world == World(classes=3, p_inv=0.9, p_spu=0.5, views=Pixels(tied=(0, 1), told="object"))
    file.write_text(world_toml(world))
    assert world_from(file, {}) == world

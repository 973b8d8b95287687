"""World files with a table of views: read, refused in one sentence, written back."""

import pytest

from experiments.errors import RequestError
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
captions = "tokens"
"""


def test_a_world_of_pixels_is_read_and_written(tmp_path):
    file = tmp_path / "world.toml"
    file.write_text(FILE)
    world = world_from(file, {"p_spu": 0.5})
    assert world == World(classes=3, p_inv=0.9, p_spu=0.5, views=Pixels(tied=(0, 1), captions="tokens"))
    file.write_text(world_toml(world))
    assert world_from(file, {}) == world


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("size = 4", r"key views.size = 4 lies outside \[8, 512\]; the nearest valid value is 8$"),
        ('objects = "digit"', "key views.objects = 'digit': input should be 'digits', 'mnist', 'cutouts' or 'coco'$"),
        ('colour = "red"', "key views.colour is not a field of a world; the nearest is 'colours'$"),
        ("tied = [0, 5]", r"^tied = \[0, 5\] names class 5; the classes are 0 to 1$"),
        ('colours = "red"', "key views.colours = 'red' is not a list$"),
        ("tied = [0]", r"^tied = \[0\] leaves no other class"),
    ],
)
def test_views_that_mean_nothing_are_one_sentence(tmp_path, line, sentence):
    file = tmp_path / "world.toml"
    file.write_text(f"[views]\n{line}\n")
    with pytest.raises(RequestError, match=sentence):
        world_from(file, {})


def test_flags_of_gaussian_views_are_refused_beside_pixels(tmp_path):
    file = tmp_path / "world.toml"
    file.write_text(FILE)
    with pytest.raises(RequestError, match=r"^mu_spu = 2.0 is of Gaussian views and means nothing beside \[views\]$"):
        world_from(file, {"mu_spu": 2.0})

"""The first picture: its lines are the theory, its points the stored towers, and a phone can show
it.
"""

import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from legible import smallest_letters
from matplotlib.text import Text

from experiments.lab.presets import design
from experiments.page.front import BLUE, DESIGN, LINES, RED, front, trained_towers
from experiments.page.text import WORLD
from simulator.world import World
from theory import learners
from theory.ideal_curve import equivalent
from theory.learners import Bayes, InfoNCE


@pytest.fixture(scope="module")
def figure():
    return front(design(DESIGN).study(axes={"p_spu": [0.5, 0.6, 0.75, 0.9, 1.0]}).run())


def test_each_line_is_the_theory_where_captions_tell_every_look_and_each_band_reaches_to_none(
    figure,
):
    *drawn, supervised = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 5]
    for p, correlation in zip(*supervised.get_data(), strict=True):
        world = WORLD.replace(p_spu=p)
        place = equivalent(world, learners.named("logistic").accuracy(world))
        assert correlation == pytest.approx(place.correlation, abs=1e-6)
    for line, band, (prompt, color, *_) in zip(
        drawn, figure.axes[0].collections, LINES, strict=True
    ):
        assert line.get_color() == color
        for p, found in zip(*line.get_data(), strict=True):
            ends = []
            for g in (1.0, 0.0):
                world = World(
                    p_spu=p, mu_spu=1.5, sigma_xi=6.0, bare=0.5, detail_inv=g, detail_spu=g
                )
                ends.append(
                    equivalent(
                        world, learners.named("infonce", prompt=prompt).accuracy(world)
                    ).correlation
                )
            assert found == pytest.approx(ends[0], abs=1e-6), (prompt, p)
            x, y = band.get_paths()[0].vertices.T
            assert (y[x == p].min(), y[x == p].max()) == pytest.approx(
                (min(ends), max(ends)), abs=1e-6
            ), (prompt, p)


def test_every_tower_is_near_its_line(figure):
    for world, prompt, correlation in trained_towers():
        place = equivalent(world, learners.named("infonce", prompt=prompt).accuracy(world))
        assert correlation == pytest.approx(place.correlation, abs=0.01)
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(points) == len(trained_towers()) / 3, "one of three levels of noise"
    assert {point.get_color() for point in points} == {RED, BLUE}


def test_lines_of_the_world_are_where_answers_change():
    drawing = (files("experiments.page") / "html" / "world.svg").read_text(encoding="utf-8")
    rules = {"infonce-name": InfoNCE("name"), "infonce-mean": InfoNCE("mean"), "bayes": Bayes()}
    for name, rule in rules.items():
        drawn = re.search(rf'class="{name}" stroke="[^"]*" d="M([^"]*)"', drawing)[1]
        # units of the picture
        line = np.array([point.split() for point in drawn.split("L")], float) * [1, -1] / 66
        sides = [np.subtract(*rule.scores(WORLD, line + shift).T) for shift in (-0.03, 0.03)]
        assert (sides[0] < 0).all(), name
        assert (sides[1] > 0).all(), name


def test_no_word_is_small_or_covers_another(figure):
    assert smallest_letters(figure) >= 10
    figure.draw_without_rendering()
    boxes = [
        t.get_window_extent()
        for t in figure.findobj(Text)
        if t.get_text() and t.get_rotation() % 90 == 0
    ]
    assert all(figure.bbox.x0 <= one.x0 <= one.x1 <= figure.bbox.x1 for one in boxes)
    for one, other in combinations(boxes, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert width <= 1 or height <= 1, (one, other)

"""Names beside points: none covers another or a point, wherever there is room, and each is near its own."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.counteranimal.placing import RINGS, placed

FRAME = np.array([0.0, 0, 600, 600])


def covered(first, second):
    """Area shared by two boxes, each (centre, size)."""
    (a, s), (b, t) = first, second
    low, high = np.maximum(a - s / 2, b - t / 2), np.minimum(a + s / 2, b + t / 2)
    return float(np.prod(np.maximum(high - low, 0)))


def layout(points, size=(16, 10), radius=3.0):
    sizes, radii = np.tile(np.asarray(size, float), (len(points), 1)), np.full(len(points), radius)
    return placed(points, sizes, FRAME, radii), sizes, radii


def clashes(points, centres, sizes, radii):
    names = list(zip(centres, sizes, strict=True))
    marks = [(p, np.full(2, 2 * r)) for p, r in zip(points, radii, strict=True)]
    own = sum(covered(a, b) > 1e-9 for a, b in combinations(names, 2))
    return own + sum(covered(name, mark) > 1e-9 for name in names for mark in marks)


@pytest.mark.parametrize("seed", range(5))
def test_sixty_points_on_a_line_keep_their_names_apart(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(20, 580, 60)
    points = np.column_stack([x, x + rng.normal(0, 12, 60)])
    centres, sizes, radii = layout(points)
    assert clashes(points, centres, sizes, radii) == 0
    assert (np.abs(centres - FRAME[:2] - 300) <= 300 - sizes / 2 + 1e-9).all()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12))
def test_names_stay_near_and_the_same_points_give_the_same_places(grid):
    points = 300 + np.array(grid, dtype=float)
    centres, sizes, radii = layout(points)
    again, *_ = layout(points)
    assert (centres == again).all()
    gap = np.abs(centres - points) - sizes / 2
    assert (gap.max(axis=1) <= radii + RINGS[-1] + 1e-9).all()
    assert (gap.max(axis=1) >= radii - 1e-9).all()  # beside its own point, not on it


def test_a_point_alone_is_named_at_its_corner():
    centres, sizes, radii = layout(np.array([[300.0, 300]]))
    assert centres[0] == pytest.approx(300 + radii[0] + sizes[0] / 2)

"""Points of the boundary are roots of theory, and no line is drawn without a change of sign."""

import handmade
import numpy as np
import pytest
import xarray as xr

from experiments.lab.studies import study
from experiments.page.plot.axes import SCALES, PlotAxis
from experiments.page.plot.boundary import FINE, LEVEL, crossings, gap_of, lines, study_of
from experiments.page.plot.layout import arrange
from experiments.page.plot.series import Who
from simulator.world import World
from theory import learners
from theory.published import turning_points

P = np.linspace(0.5, 1.0, 13)
MU = np.linspace(0.5, 4.0, 11)


def axis(name, values, scale="linear"):
    return PlotAxis(name, np.asarray(values, float), SCALES[scale], name, "", None)


def counter(name, worlds):
    learner, _, prompt = name.partition(":")
    return learners.named(learner, prompt=prompt or None).accuracy(worlds).counter


@pytest.mark.parametrize(
    ("first", "second", "world"),
    [
        ("linear:name", "least-squares", {}),
        ("linear:mean", "infonce:mean", {"sigma_xi": 2.0}),
        ("linear:name", "bayes", {"sigma_spu": 1.0}),
    ],
)
def test_every_point_of_the_line_is_a_root_off_the_grid(first, second, world):
    table = handmade.theory(
        {"p_spu": P, "mu_spu": MU},
        names=tuple(dict.fromkeys(w.partition(":")[0] for w in (first, second))),
        prompts=("name", "mean"),
        **world,
    )
    (panel,) = arrange(table, f"{first} minus {second}").panels
    points = np.concatenate(panel.boundary)
    assert len(points) > 20
    worlds = World(**world).replace(p_spu=points[:, 0], mu_spu=points[:, 1])
    assert np.abs(counter(first, worlds) - counter(second, worlds)).max() < 1e-9
    off = np.abs(points[:, :1] - P).min(axis=1), np.abs(points[:, 1:] - MU).min(axis=1)
    assert (np.minimum(*off) < 1e-12).sum() < len(points)
    # Each learner is ahead somewhere, and every change of sign between neighbouring cells has a
    # point.
    for series in panel.series:
        sign = np.sign(np.where(np.abs(series.data.value) > LEVEL, series.data.value, 0))
        for i, j in np.argwhere(sign[:-1] * sign[1:] < 0):
            near = (
                (P[i] <= points[:, 0])
                & (points[:, 0] <= P[i + 1])
                & np.isclose(points[:, 1], MU[j], atol=1e-12)
            )
            assert near.any()


def test_points_of_a_line_are_joined_in_order():
    """A circle is one closed line of neighbouring points."""
    gap = lambda x, y: x**2 + y**2 - 0.49  # noqa: E731
    x = axis("x", np.linspace(-1, 1, 9))
    (circle,) = lines(gap, x, x)
    assert np.allclose(np.hypot(*circle.T), 0.7, atol=1e-12)
    assert np.allclose(circle[0], circle[-1])
    assert np.hypot(*np.diff(circle, axis=0).T).max() < 2 / FINE * 1.5


def test_roots_on_a_logarithmic_axis():
    x = axis("x", 1 - np.geomspace(0.5, 1e-6, 7), "one-minus")
    (root,) = crossings(lambda x: np.log10(1 - x) + 3.3, x)
    assert np.isclose(1 - root[0, 0], 10**-3.3, rtol=1e-9)


def test_no_line_where_a_and_b_are_equal_without_changing_sides():
    """A = B exactly on a column of the study, where A is ahead on one side and B on the other, is a
    line.
    """
    x = axis("x", np.linspace(0, 1, 9))
    noise = lambda x, y: np.where(x > 0.5, 1e-17 * np.sin(1e5 * (x + y)), x - 0.5 + 0 * y)  # noqa: E731
    # equal at the edge, and a touch
    for gap in (lambda x, y: x + 0 * y, lambda x, y: (x - 0.5) ** 2 + 0 * y):
        assert lines(gap, x, x) == ()
    for line in lines(noise, x, x):
        assert line[:, 0].max() <= 0.5 + 2 / 16  # none across the plateau
    (line,) = lines(lambda x, y: x - 0.5 + 0 * y, x, x)
    assert np.allclose(line[:, 0], 0.5)
    assert (line[:, 1].min(), line[:, 1].max()) == (0.0, 1.0)
    # A = B along the edge x = 0 to within rounding, and along y = .3: the line ends straight at the
    # edge.
    (line,) = lines(lambda x, y: x * (y - 0.3) + 1e-17 * np.sin(1e6 * y), x, x)
    assert np.allclose(line[:, 1], 0.3)
    assert line[:, 0].min() < 2 / 16  # two cells


def test_no_line_crosses_worlds_that_a_learner_refuses():
    """The printed law has an answer only from mu_spu = 1 + sigma_inv^2/2 on."""
    axes = {"p_spu": "0.5:1:9", "mu_spu": "1:4:7"}
    table = study(World(sigma_xi=0.0), axes, ["linear", "printed"]).run()
    (panel,) = arrange(table, "linear:name minus printed").panels
    (line,) = panel.boundary
    assert line[:, 1].min() >= 1.5
    assert np.allclose(line[:, 0], turning_points(line[:, 1], 1.0, 0.5)[0], atol=1e-6)


@pytest.mark.parametrize(
    ("further", "option", "changed"),
    [
        ({"time": [0.5, 3.0]}, {"time": 3.0}, {}),
        # captions then always name the background
        ({"mitigation": ["none", "mention"]}, {}, {"mention_spu": 1.0}),
    ],
)
def test_a_line_is_that_of_the_learner_and_the_mitigation_at_the_panel_s_place(
    further, option, changed
):
    """There the panel's value counts, not the axis's first."""
    world = World(sigma_xi=2.0, mention_spu=0.5)
    request = study(
        world, {"p_spu": [0.6, 0.9], "mu_spu": [1.0, 2.0], **further}, ["linear", "infonce"], "mean"
    )
    ends = [axis("p_spu", [0.6, 0.9]), axis("mu_spu", [1.0, 2.0])]
    at = {name: x[1] for name, x in further.items()}
    gap = gap_of(study_of(request.run()), Who("linear", "mean"), Who("infonce", "mean"), at, ends)
    rules = (
        learners.named("linear", prompt="mean", **option),
        learners.named("infonce", prompt="mean"),
    )
    truth = [
        rule.accuracy(world.replace(p_spu=0.7, mu_spu=1.5, **changed)).counter for rule in rules
    ]
    assert gap(np.array([0.7]), np.array([1.5])) == pytest.approx(np.subtract(*truth), abs=1e-12)


def test_sampled_accuracies_and_towers_have_no_exact_line():
    """The optimum of towers depends on the recipe, and that of some losses is unknown."""
    table = handmade.theory(
        {"p_spu": np.array([0.5, 0.8])}, ("linear", "bayes"), ("name",), classes=3, mu_spu=3.0
    )
    small = World(dim_image=2, dim_text=2)
    towers = study(small, {"mu_spu": [0.5, 1.0]}, ["siglip", "infonce"], routes="trained", n=256)
    assert study_of(xr.Dataset(attrs={"study": towers.toml()})) == towers
    for request, first, second, ends in (
        (study_of(table), Who("linear", "name"), Who("bayes", None), axis("p_spu", [0.5, 0.8])),
        (towers, Who("siglip", "name"), Who("infonce", "name"), axis("mu_spu", [0.5, 1.0])),
    ):
        assert gap_of(request, first, second, {}, [ends]) is None

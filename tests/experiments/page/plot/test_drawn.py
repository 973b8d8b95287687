"""What is on the paper: the Dataset's own numbers, the sentences that explain them, letters that a phone can show."""

import handmade
import numpy as np
import pytest
from legible import legible, words
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.text import Text

from experiments.page.plot import plot
from experiments.page.plot.boundary import LEVEL
from experiments.page.plot.frame import fold, seen_length

P, MU = np.linspace(0.5, 1.0, 8), np.linspace(0.5, 4.0, 6)


@pytest.fixture(scope="module")
def table():
    return handmade.theory({"p_spu": P, "mu_spu": MU}, ("linear", "infonce"), ("name", "mean"))


def test_theory_is_lines(table):
    figure = plot(table, "common", {"mu_spu": "0.5"})
    legible(figure)
    (ax,) = figure.axes
    lines = [line for line in ax.lines if len(line.get_xdata()) == len(P)]
    assert len(lines) == 4
    for line, (learner, prompt) in zip(
        lines, [(a, b) for a in ("linear", "infonce") for b in ("name", "mean")], strict=True
    ):
        own = table.sel(mu_spu=0.5, learner=learner, prompt=prompt).common
        assert np.array_equal(line.get_xdata(), P)
        assert np.array_equal(line.get_ydata(), own)
    assert "probability that the background matches the label" in ax.get_xlabel().replace("\n", " ")
    assert "infinitely many training pairs" in words(figure)
    assert "infonce, mean prompt" in words(figure)
    assert r"$\mu_{\mathrm{spu}}$ = 0.5" in words(figure)


def test_measurements_are_points_with_intervals_beside_theory(table):
    counted = handmade.measured(table.isel(mu_spu=2), replicates=6)
    figure = plot(counted)
    legible(figure)
    (ax,) = figure.axes
    assert len(ax.containers) == 4
    own = counted.sel(learner="linear", prompt="name")
    points, _, (bars,) = ax.containers[0]
    assert np.allclose(points.get_ydata(), own.counter.mean("replicate"))
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert np.allclose(ends, np.column_stack([own.counter_low, own.counter_high]))
    assert any(np.array_equal(line.get_ydata(), own.predicted_counter) for line in ax.lines)
    assert "mean of 6 replicates with 95% intervals" in words(figure)


def test_maps_show_the_cells_with_one_scale_of_colours(table):
    figure = plot(table)
    legible(figure)
    *panels, bar = figure.axes
    assert [ax.get_title("left") for ax in panels] == [
        f"{a}, {b} prompt" for a in ("linear", "infonce") for b in ("name", "mean")
    ]
    meshes = [next(c for c in ax.collections if isinstance(c, QuadMesh)) for ax in panels]
    for mesh, (learner, prompt) in zip(
        meshes, [(a, b) for a in ("linear", "infonce") for b in ("name", "mean")], strict=True
    ):
        own = table.counter.sel(learner=learner, prompt=prompt).transpose("mu_spu", "p_spu")
        assert np.array_equal(mesh.get_array(), own)
        assert mesh.norm is meshes[0].norm
    assert panels[0].get_xlim() == panels[3].get_xlim()
    assert not panels[0].xaxis.label.get_visible()
    assert panels[2].xaxis.label.get_visible()
    assert bar._colorbar.mappable.norm is meshes[0].norm


def test_differences_have_a_line_and_say_who_is_ahead():
    table = handmade.theory({"p_spu": P, "mu_spu": MU}, ("linear", "least-squares"), ("name", "mean"))
    figure = plot(table, "linear:name minus least-squares")
    legible(figure)
    ax, bar = figure.axes
    assert bar._colorbar.vmin == -bar._colorbar.vmax
    assert bar.get_title("left").split() == ["←", "least-squares", "ahead"]
    assert bar.get_title("right").split() == ["linear,", "name", "prompt", "ahead", "→"]
    assert len(ax.lines) > 0
    assert "exact, by theory" in words(figure)


def test_the_ends_of_the_bar_do_not_meet():
    name = "a logistic regression of many words"
    table = handmade.theory({"p_spu": P, "mu_spu": MU}, ("linear", "least-squares"), ("mean",))
    bar = plot(table.assign_coords(learner=["linear", name]), f"linear minus {name}").axes[-1]
    bar.figure.draw_without_rendering()
    left, right = (t.get_window_extent() for t in bar.findobj(Text) if t.get_text().endswith(("ahead", "→")))
    assert left.x1 < right.x0
    assert bar.get_window_extent().x0 - 1 <= left.x0 < right.x1 <= bar.get_window_extent().x1 + 1


def test_interpolated_lines_say_so():
    table = handmade.theory({"p_spu": P, "mu_spu": MU}, ("linear", "least-squares"))
    del table.attrs["study"]
    figure = plot(handmade.measured(table), "linear minus least-squares")
    assert "interpolated between the cells" in words(figure)
    assert "the interval contains 0" in words(figure)


def hatched(ax):
    return {c.get_hatch(): c for c in ax.collections if isinstance(c, PolyCollection) and c.get_hatch()}


def area(collection):
    return sum(np.ptp(path.vertices[:, 0]) * np.ptp(path.vertices[:, 1]) for path in collection.get_paths())


def test_cells_without_an_answer_are_hatched_and_explained():
    table = handmade.theory({"sigma_xi": np.linspace(0, 4, 9), "mu_spu": MU}, ("infonce",))
    table["counter"] = table.counter.where(table.sigma_xi < 3.6)
    table["common"] = table.common.where(table.sigma_xi < 3.6)
    figure = plot(table)
    legible(figure)
    assert "Undefined: sigma_xi = 0: without noise in the images" in words(figure)
    assert "not computed yet" in words(figure)
    assert "48 of 54 cells are computed" in words(figure)
    found = hatched(figure.axes[0])
    height = 3.5 * 6 / 5
    assert np.isclose(area(found["xxx"]), 0.5 * height)
    assert np.isclose(area(found["..."]), 0.5 * height)


def test_lines_mark_where_there_is_no_answer():
    figure = plot(handmade.theory({"sigma_xi": np.linspace(0, 4, 9)}, ("infonce", "bayes")))
    legible(figure)
    (cross,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert cross.get_xdata().tolist() == [0.0]
    assert "Undefined: sigma_xi = 0" in words(figure)


def test_saturation_is_shown():
    table = handmade.theory({"p_spu": P, "mu_spu": np.linspace(1, 40, 6)}, ("linear",), ("mean",), sigma_xi=0.0)
    figure = plot(table)
    value = table.counter.values.squeeze()
    saturated = (value <= LEVEL) | (value >= 1 - LEVEL)
    assert saturated.any()
    assert np.isclose(area(hatched(figure.axes[0])["////"]), saturated.sum() * (0.5 / 7) * (39 / 5))
    assert "0 or 100 % to within" in words(figure)


@pytest.mark.parametrize(("value", "arrows"), [(0.0, "neither"), (0.9, "max"), (-0.9, "min")])
def test_bars_have_arrows_where_colours_end(value, arrows):
    table = handmade.theory({"p_spu": np.linspace(0.5, 0.9, 12), "mu_spu": np.linspace(0.5, 1, 12)}, ("linear",))
    table["common"] = table.counter + 0.01
    table["common"][0, 0] = table.counter[0, 0] + value
    assert plot(table, "drop").axes[-1]._colorbar.extend == arrows


def test_reliance_of_no_linear_rule_is_named(table):
    figure = plot(table, "reliance")
    legible(figure)
    assert "not a linear rule" in words(figure)
    assert "weight on the spurious over weight on the invariant latent" in words(figure)


@pytest.mark.parametrize("count", [3, 7])
def test_many_panels_stay_legible(count):
    sigma = np.linspace(0.1, 2.0, count)
    table = handmade.theory({"p_spu": P, "mu_spu": MU, "sigma_spu": sigma}, ("linear",), scales={"sigma_spu": "listed"})
    figure = plot(table, "drop")
    legible(figure)
    assert len(figure.axes) == count + 1
    assert [ax.get_title("left").split("= ")[-1] for ax in figure.axes[:count]] == [f"{s:.4g}" for s in sigma]


def test_no_axis_is_a_point_a_learner():
    table = handmade.measured(handmade.theory({"p_spu": [0.9]}, ("linear", "bayes"), ("name", "mean")))
    figure = plot(table)
    legible(figure)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == [
        "linear\nname prompt",
        "linear\nmean prompt",
        "bayes",
    ]


def test_a_one_minus_axis_is_logarithmic_in_one_minus():
    p = 1 - np.geomspace(0.5, 1e-5, 9)
    figure = plot(handmade.theory({"p_spu": p}, ("bayes",), scales={"p_spu": "one-minus"}))
    legible(figure)
    (ax,) = figure.axes
    across = ax.transData.transform(np.column_stack([p, np.zeros(9)]))[:, 0]
    assert np.allclose(np.diff(across), np.diff(across)[0])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "0.001", "$10^{-5}$"]


def test_formulas_are_folded_whole():
    text = r"$\mu_{\mathrm{spu}}$ = 2 and a long tail of words"
    assert seen_length(r"$\mu_{\mathrm{spu}}$ = 2") == len("mspu = 2")
    assert fold(text, 12).split("\n")[0] == r"$\mu_{\mathrm{spu}}$ = 2 and"


def test_wild_intervals_leave_the_panel_rather_than_squeeze_it():
    table = handmade.measured(handmade.theory({"p_spu": P}), replicates=2, spread=0.3)
    assert (table.counter_high > 1.5).any()
    low, high = plot(table).axes[0].get_ylim()
    assert low > -0.1
    assert high < 1.1

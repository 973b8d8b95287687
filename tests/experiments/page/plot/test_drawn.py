"""Figures show the numbers of the Dataset, explain them, and are legible on a phone."""

from itertools import product

import handmade
import numpy as np
import pytest
from legible import legible, words
from matplotlib.collections import PolyCollection, QuadMesh

from experiments.errors import RequestError
from experiments.lab.presets import design
from experiments.lab.studies import study
from experiments.page.plot import draw, plot
from experiments.page.plot.layout import arrange
from simulator.world import World
from theory.population import START, latent_cross_covariance

P = np.linspace(0.5, 1.0, 8)
MU = np.linspace(0.5, 4.0, 6)
WHO = list(product(("linear", "infonce"), ("name", "mean")))
WORLD = World(mu_spu=2.0, dim_image=2, dim_text=2)


@pytest.fixture(scope="module")
def table():
    return handmade.theory({"p_spu": P, "mu_spu": MU}, ("linear", "infonce"), ("name", "mean"))


def test_drops_below_zero_stay_in_the_frame(table):
    one = table.isel(mu_spu=-1)
    (ax,) = plot(one.assign(common=one.counter, counter=one.common), "drop").axes
    least = (one.counter - one.common).min()
    assert least < -0.01
    assert ax.get_ylim()[0] < least


def test_maps_show_the_cells_with_one_scale_of_colours(table):
    figure = plot(table)
    legible(figure)
    *panels, bar = figure.axes
    called = {
        "linear": "linear CLIP",
        "infonce": "InfoNCE",
        "name": "typical appearance",
        "mean": "average caption",
    }
    meshes = [next(c for c in ax.collections if isinstance(c, QuadMesh)) for ax in panels]
    for ax, mesh, (learner, prompt) in zip(panels, meshes, WHO, strict=True):
        assert " ".join(ax.get_title("left").split()) == f"{called[learner]}, {called[prompt]}"
        own = table.counter.sel(learner=learner, prompt=prompt).transpose("mu_spu", "p_spu")
        assert np.array_equal(mesh.get_array(), own)
        assert mesh.norm is meshes[0].norm
        assert ax.get_xlim() == panels[0].get_xlim()
    assert [panels[i].xaxis.label.get_visible() for i in (0, 2)] == [False, True]
    assert bar._colorbar.mappable.norm is meshes[0].norm


def test_differences_have_a_line_and_name_who_is_ahead():
    table = handmade.theory(
        {"p_spu": P, "mu_spu": MU}, ("linear", "least-squares"), ("name", "mean")
    )
    figure = plot(table, "linear:name minus least-squares")
    legible(figure)
    ax, bar = figure.axes
    assert bar._colorbar.vmin == -bar._colorbar.vmax
    assert [
        ("squares" in bar.get_title(side), "CLIP" in bar.get_title(side))
        for side in ("left", "right")
    ] == [
        (True, False),
        (False, True),
    ]
    assert len(ax.lines) > 0


def test_pictures_beside_each_other_share_their_scale(table):
    pictures = [
        arrange(table, what, {"learner": "linear", "prompt": "name"})
        for what in ("common", "counter", "drop")
    ]
    norms = [draw(picture, pictures).axes[-1]._colorbar.norm for picture in pictures]
    ends = [(norm.vmin, norm.vmax) for norm in norms]
    assert ends[0] == ends[1]
    assert ends[0][0] <= float(table.counter.min()) + 0.02
    assert ends[2][0] == -ends[2][1], "a drop has a sign, so its scale is its own"
    lines = [arrange(table, what, {"mu_spu": 4.0}) for what in ("common", "counter")]
    figure = draw(lines[0])
    prompts = ("typical appearance", "average caption")
    names = [f"{learner}, {prompt}" for learner in ("linear CLIP", "InfoNCE") for prompt in prompts]
    assert [text.get_text() for text in figure.legends[0].texts] == names
    for part in ("probability that the background matches", r"$\mu_{\mathrm{spu}}$ = 4"):
        assert part in words(figure)
    assert len({draw(picture, lines).axes[0].get_ylim() for picture in lines}) == 1
    assert len({draw(picture).axes[0].get_ylim() for picture in lines}) == 2


def test_infinite_values_take_the_end_colours_and_have_no_interval(table):
    infinite = table.reliance.where(table.mu_spu < 4, np.inf).where(table.p_spu < 1, -np.inf)
    figure = plot(
        table.assign(reliance=infinite), "reliance", {"learner": "linear", "prompt": "name"}
    )
    mesh = next(c for c in figure.axes[0].collections if isinstance(c, QuadMesh))
    assert (mesh.get_array()[-1, 0], mesh.get_array()[0, -1]) == (mesh.norm.vmax, mesh.norm.vmin)
    counted = handmade.measured(table.isel(mu_spu=0))
    counted[["reliance", "reliance_low"]] = counted[["reliance", "reliance_low"]].where(
        counted.p_spu < 1, np.inf
    )
    plot(counted, "reliance").draw_without_rendering()


def test_texts_of_users_are_no_formulas(table):
    costs = "costs $x_{ and $y"
    names = table.rename(mu_spu="loss").assign_coords(
        learner=["<a> & $b_{$", "infonce"], loss=[f"${i}_{{$" for i in MU]
    )
    names["legend"] = ("legend", np.array(["", costs], dtype=object))
    names["undefined"] = names.undefined.where(names.p_spu < 0.6, 1)
    for what, at in (
        ("counter", {"loss": "$0.5_{$"}),
        ("counter", {"p_spu": 0.5}),
        ("groups", {"p_spu": 0.5}),
    ):
        figure = plot(names, what, at)
        figure.draw_without_rendering()
        assert "<a> & \\$b_{\\$" in words(figure)
    assert costs.replace("$", "\\$") in words(plot(names, "counter", {"loss": "$0.5_{$"}))


def hatched(ax):
    return {
        c.get_hatch(): c for c in ax.collections if isinstance(c, PolyCollection) and c.get_hatch()
    }


def area(collection):
    return sum(
        np.ptp(path.vertices[:, 0]) * np.ptp(path.vertices[:, 1]) for path in collection.get_paths()
    )


def test_cells_without_an_answer_are_hatched_and_explained():
    table = handmade.theory({"sigma_xi": np.linspace(0, 4, 9), "mu_spu": MU}, ("infonce",))
    lost = table.assign(
        {group: table[group].where(table.sigma_xi < 3.6) for group in ("counter", "common")}
    )
    figure = plot(lost)
    legible(figure)
    for part in (
        "Undefined: sigma_xi = 0: where images have no noise",
        "48 of 54 cells are computed",
    ):
        assert part in words(figure)
    found = hatched(figure.axes[0])
    height = 3.5 * 6 / 5
    assert np.isclose(area(found["xxx"]), 0.5 * height)
    assert np.isclose(area(found["..."]), 0.5 * height)
    (cross,) = [
        line for line in plot(table, at={"mu_spu": 0.5}).axes[0].lines if line.get_marker() == "x"
    ]
    assert cross.get_xdata().tolist() == [0.0]


def test_a_one_minus_axis_is_logarithmic_in_one_minus_the_value():
    p = 1 - np.geomspace(0.5, 1e-5, 9)
    figure = plot(handmade.theory({"p_spu": p}, ("bayes",), scales={"p_spu": "one-minus"}))
    legible(figure)
    (ax,) = figure.axes
    assert np.allclose(ax.lines[0].get_xdata(), -np.log10(1 - p))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "0.001", "$10^{−5}$"]


def test_panels_fill_their_grid_and_without_axes_each_learner_is_a_point():
    for count, columns in ((2, 2), (3, 1), (4, 2)):
        values = np.linspace(0.5, 2.0, count)
        table = handmade.theory({"p_spu": P, "sigma_inv": values})
        figure = plot(table, "counter")
        legible(figure)
        for ax, value in zip(figure.axes, values, strict=True):
            assert ax.get_title("left").endswith(f"= {value:.4g}")
            assert np.array_equal(
                ax.lines[0].get_ydata(), table.counter.sel(sigma_inv=value).squeeze()
            )
        assert (len(figure.axes), len({ax.get_position().x0 for ax in figure.axes})) == (
            count,
            columns,
        )
    figure = plot(
        handmade.measured(handmade.theory({"p_spu": [0.9]}, ("linear", "bayes"), ("name", "mean")))
    )
    legible(figure)
    labels = [t.get_text().split("\n")[-1] for t in figure.axes[0].get_xticklabels()]
    assert labels == ["typical appearance", "average caption", "Bayes rule"]


def test_each_route_has_its_mark():
    table = study(
        WORLD, {"p_spu": [0.6, 0.9]}, ["linear"], "name", ["exact", "drawn"], n=200, replicates=2
    ).run()
    figure = plot(table)
    (key,), (ax,) = figure.legends, figure.axes
    marks = {
        text.get_text(): part.get_marker()
        for text, part in zip(key.texts, key.legend_handles, strict=True)
    }
    assert marks["exact"] != marks["drawn"]
    for points, route in zip(ax.containers, ("exact", "drawn"), strict=True):
        assert points[0].get_marker() == marks[route]
        here = table.sel(route=route).squeeze()
        assert np.allclose(points[0].get_ydata(), here.counter.mean("replicate"))
        ends = np.array([segment[:, 1] for segment in points[2][0].get_segments()])
        assert np.allclose(ends, np.column_stack([here.counter_low, here.counter_high]))
        assert any(np.array_equal(line.get_ydata(), here.predicted_counter) for line in ax.lines)


# Counter against common: open marks for theory, filled ones for measurements

SOME = ["none", "balance", "contradict", "narrow"]


@pytest.fixture(scope="module")
def measured():
    return study(
        WORLD, {"mitigation": SOME}, ["linear", "logistic"], "mean", "drawn", n=200, replicates=3
    ).run()


@pytest.fixture(scope="module")
def theory():
    return study(
        WORLD, {"mitigation": SOME, "p_spu": [0.7, 0.9]}, ["linear", "infonce"], ["name", "mean"]
    ).run()


def marks(ax) -> list[tuple[float, float, bool]]:
    """(common, counter, whether it is filled) of every mark."""
    found = []
    for line in ax.lines:
        if line.get_marker() not in ("None", "", "_", "|") and len(line.get_xdata()) == 1:
            x, y = (float(np.ravel(part)[0]) for part in (line.get_xdata(), line.get_ydata()))
            if np.isfinite([x, y]).all():
                found.append((x, y, line.get_markerfacecolor() != "none"))
    return found


def test_marks_are_the_datasets_numbers(measured):
    figure = plot(measured, "groups")
    legible(figure)
    for ax, learner in zip(figure.axes, ("linear", "logistic"), strict=True):
        part = measured.sel(learner=learner, prompt="mean")
        mean = [part[group].mean("replicate").values for group in ("common", "counter")]
        law = [part[f"predicted_{group}"].values for group in ("common", "counter")]
        every = {
            (c, k, filled)
            for pair, filled in ((mean, True), (law, False))
            for c, k in zip(*pair, strict=True)
        }
        expected = {mark for mark in every if np.isfinite(mark[:2]).all()}
        assert set(marks(ax)) == expected
        assert len({filled for *_, filled in expected}) == 2
    panels = arrange(measured, "groups").as_json()["panels"]
    assert [[one["group"] for one in panel["series"]] for panel in panels] == [
        ["common", "counter"]
    ] * 2


def test_a_plane_needs_one_axis(theory):
    with pytest.raises(RequestError, match=r"--at p_spu=0\.7"):
        plot(theory, "groups")
    with pytest.raises(RequestError, match="groups"):
        plot(theory, "groups", {"p_spu": "0.9", "mitigation": "balance"})
    with pytest.raises(RequestError, match="60"):
        plot(study(WORLD, {"p_spu": "0.5:1:60"}).run(), "groups")


def test_a_plot_over_time_marks_where_each_mode_has_grown_by_half():
    """The look of the design "time" explains these lines."""
    figure = plot(design("time").study().run(), "reliance")
    s = np.linalg.svd(latent_cross_covariance(World(mu_spu=1.5, sigma_xi=6.0)))[1]
    (ax,) = figure.axes
    marked = [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert marked == pytest.approx(np.log10(np.log(s / START - 1) / (2 * s)))
    assert "a mode reaches half of its end" in words(figure)

"""Equivalent correlation and shortfall in pictures: every cell against `equivalent` of its own
world.
"""

import handmade
import numpy as np
import pytest
from legible import legible, words

from experiments.errors import RequestError
from experiments.lab.studies import study
from experiments.page.plot import places, plot
from experiments.page.plot.layout import arrange
from experiments.page.plot.places import MANY, PLACES, placed
from simulator.accuracy import Accuracy
from simulator.pixels.views import Pixels
from simulator.tables import named
from simulator.world import World
from theory import learners
from theory.ideal_curve import equivalent, equivalent_of_draws
from theory.learners import bayes

P = np.linspace(0.5, 1.0, 6)
MU = np.linspace(0.0, 4.0, 5)


@pytest.fixture(scope="module")
def table():
    return handmade.theory(
        {"p_spu": P, "mu_spu": MU}, ("linear", "logistic"), ("name", "mean"), sigma_xi=6.0
    )


@pytest.mark.parametrize("what", PLACES)
def test_each_cell_has_the_place_of_its_world(table, what):
    picture = arrange(table, what)
    assert picture.kind == "map"
    for panel in picture.panels:
        (series,) = panel.series
        at = table.sel(learner=series.who.learner, prompt=series.who.prompt or "name")
        for i, j in ((0, 0), (1, 3), (4, 1), (5, 4)):
            world = World(p_spu=P[i], mu_spu=MU[j], sigma_xi=6.0)
            found = equivalent(world, Accuracy(at.common[i, j].item(), at.counter[i, j].item()))
            assert series.data.value[i, j] == pytest.approx(
                tuple(found)[PLACES.index(what)], abs=1e-9, nan_ok=True
            )
    assert not set(PLACES) & set(table.data_vars), "nothing is stored"
    correlation = what == "equivalent-correlation"
    assert len(picture.undefined) == correlation  # at mu_spu = 0
    assert all(
        (panel.series[0].data.undefined != 0).values[:, 0].all() == correlation
        for panel in picture.panels
    )


@pytest.mark.parametrize("what", PLACES)
def test_measurements_have_the_place_of_their_mean_with_its_interval(table, what):
    counted = handmade.measured(table.isel(mu_spu=[2]), replicates=6)
    counted.counter[3, 0, 0, 0, 2] = np.nan  # a diverged model, and so
    counted.common_low[3] = np.nan  # no interval
    series = arrange(counted, what).panels[0].series[0]
    assert (series.replicates, series.level) == (6, 0.95)
    at = counted.sel(learner="linear", prompt="name").squeeze("mu_spu")
    number = PLACES.index(what)
    for i in (0, 2, 3, 5):
        world = World(p_spu=P[i], mu_spu=MU[2], sigma_xi=6.0)
        draws = np.stack([at.common[i], at.counter[i]], axis=1)
        mean = Accuracy(*np.nanmean(draws, axis=0))
        theory = Accuracy(at.predicted_common[i].item(), at.predicted_counter[i].item())
        for name, own in (("value", mean), ("predicted", theory)):
            assert series.data[name][i] == pytest.approx(
                tuple(equivalent(world, own))[number], abs=1e-9
            )
        ends = (series.data.low[i].item(), series.data.high[i].item())
        if i == 3:
            assert np.isnan(ends).all()
        else:
            assert ends == pytest.approx(
                [*equivalent_of_draws(world, draws).interval][number], abs=1e-9
            )


@pytest.mark.deep
def test_cells_of_tables_have_the_places_of_their_own_worlds(monkeypatch):
    """Two groups of images in one table, three in the other; few points, since both sides share
    them.
    """
    monkeypatch.setattr(bayes, "TERMS", 2**12)
    names = [
        "compositional(2, 3, 1)",
        "mixture([compositional(2, 3, 1), compositional(2, 3, 2)], [1, 1])",
    ]
    request = study(World(), {"table": names}, ["linear"], routes=["exact"], n=60, replicates=3)
    data = request.run()
    found = placed(data, World(), "equivalent-correlation").squeeze("prompt")
    for name in names:
        world = World(table=named(name))
        at = {"table": name, "learner": "linear"}
        cell = data.squeeze("prompt").sel(at)
        here = found.sel(at)
        draws = np.stack([cell[group] for group in ("common", "counter", "unseen")], axis=1)
        place = equivalent_of_draws(world, draws)
        ends = here["equivalent-correlation_low"], here["equivalent-correlation_high"]
        assert here["equivalent-correlation"].item() == pytest.approx(place.correlation, abs=1e-9)
        expected = (
            (np.nan, np.nan) if place.interval is None else place.interval.ends["correlation"]
        )
        assert tuple(map(float, ends)) == pytest.approx(expected, abs=1e-9, nan_ok=True)
        own = equivalent(world, learners.LinearCLIP().accuracy(world))
        assert found["predicted_equivalent-correlation"].sel(table=name).item() == pytest.approx(
            own.correlation
        )
    monkeypatch.setattr(places, "MOST_OF_TABLE", 0)  # 1,000 cells would take minutes
    with pytest.raises(RequestError, match="1 cells are more than 0"):
        placed(data, World(), "shortfall")


def test_the_data_have_a_line_where_their_correlation_is_the_axis(table):
    for what, at, lines in (
        ("equivalent-correlation", {"mu_spu": 2}, 1),
        ("shortfall", {"mu_spu": 2}, 0),
        ("equivalent-correlation", {"p_spu": 0.9}, 0),
    ):
        figure = plot(table, what, at)
        legible(figure)
        (ax,) = figure.axes
        assert sum(np.array_equal(line.get_ydata(), P) for line in ax.lines) == lines
        assert ("as in the data" in words(figure)) == bool(lines)


def test_what_has_no_ideal_curve_is_refused_or_undefined(table):
    with pytest.raises(RequestError, match="request is missing"):
        placed(table, None, "shortfall")
    with pytest.raises(RequestError, match="worlds of pixels"):
        placed(table, World(views=Pixels()), "shortfall")
    many = study(World(), {"classes": [2, 12]}, ["linear"]).run()
    picture = arrange(many, "shortfall")
    assert [reason for _, reason in picture.undefined] == [MANY]


@pytest.mark.deep
def test_three_classes_have_the_place_of_their_world():
    """Cells that differ in p alone share a sampled curve, within its error; a sampled accuracy has
    an interval.
    """
    request = World(classes=3, sigma_xi=6.0)
    table = study(
        request, {"p_spu": [0.4, 0.85, 0.95], "mu_spu": [1.0, 2.0]}, ["linear", "bayes"]
    ).run()
    found = placed(table, request, "equivalent-correlation").squeeze("prompt")
    for p, mu in ((0.4, 1.0), (0.85, 2.0), (0.95, 1.0)):
        at = {"p_spu": p, "mu_spu": mu, "learner": "linear"}
        cell = table.squeeze("prompt").sel(at)
        one = equivalent(
            request.replace(p_spu=p, mu_spu=mu), Accuracy(cell.common.item(), cell.counter.item())
        )
        assert found["equivalent-correlation"].sel(at).item() == pytest.approx(
            one.correlation, abs=1e-3
        )
    (series,) = arrange(table.sel(learner=["bayes"]), "shortfall", {"mu_spu": 2.0}).panels[0].series
    assert (series.data.low <= series.data.value + 1e-3).all()
    assert (series.data.high >= series.data.value - 1e-3).all()
    assert (series.data.high > series.data.low).all()

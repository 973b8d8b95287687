"""Counter against common: marks at the numbers of the Dataset, open for theory and filled for measurements."""

import numpy as np
import pytest
from legible import legible

from experiments.errors import RequestError
from experiments.lab.studies import study
from experiments.page.plot import plot
from experiments.page.plot.layout import arrange
from simulator.world import World

WORLD = World(mu_spu=2.0, dim_image=2, dim_text=2)
SOME = ["none", "balance", "contradict", "narrow"]


@pytest.fixture(scope="module")
def measured():
    return study(WORLD, {"mitigation": SOME}, ["linear", "logistic"], "mean", "drawn", n=200, replicates=3).run()


@pytest.fixture(scope="module")
def theory():
    return study(WORLD, {"mitigation": SOME, "p_spu": [0.7, 0.9]}, ["linear", "infonce"], ["name", "mean"]).run()


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
        every = {(c, k, filled) for pair, filled in ((mean, True), (law, False)) for c, k in zip(*pair, strict=True)}
        expected = {mark for mark in every if np.isfinite(mark[:2]).all()}
        assert set(marks(ax)) == expected
        assert len({filled for *_, filled in expected}) == 2
    panels = arrange(measured, "groups").as_json()["panels"]
    assert [[one["group"] for one in panel["series"]] for panel in panels] == [["common", "counter"]] * 2


def test_a_plane_needs_one_axis(theory):
    with pytest.raises(RequestError, match=r"--at p_spu=0\.7"):
        plot(theory, "groups")
    with pytest.raises(RequestError, match="groups"):
        plot(theory, "groups", {"p_spu": "0.9", "mitigation": "balance"})
    with pytest.raises(RequestError, match="60"):
        plot(study(WORLD, {"p_spu": "0.5:1:60"}).run(), "groups")

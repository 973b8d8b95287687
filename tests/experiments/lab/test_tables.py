"""Tables of a study: effects and costs of mitigations, and comparison with a paper's table."""

import json

import numpy as np
import pytest
import xarray as xr

from experiments.command.laboratory import gains_view, printed_view
from experiments.lab import tables
from experiments.lab.studies import study
from experiments.lab.tables import beside, gains, summary
from experiments.published.tables import coloured_digits
from simulator.world import World
from tests.experiments.conftest import shown

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=2, dim_text=2)
SOME = ["balance", "none", "subsample", "group-dro"]


def test_a_row_is_the_difference_to_no_mitigation():
    sweep = study(
        WORLD, {"mitigation": SOME}, ["linear", "logistic"], "mean", "drawn", n=200, replicates=3
    )
    table = sweep.run()
    rows = {(row["mitigation"], row["learner"]): row for row in gains(sweep, table)}
    # GroupDRO does not fit drawn pairs. Its law is known for logistic regression, but not for
    # linear CLIP.
    assert rows.keys() == {(m, k) for m in SOME[::2] for k in ("linear", "logistic")} | {
        ("group-dro", "logistic")
    }
    mean = table.mean("replicate").sel(learner="linear", prompt="mean")
    one = rows["subsample", "linear"]
    assert one["route"] == "drawn"
    expected = {
        "counter_gained": mean.counter[2] - mean.counter[1],
        "common_lost": mean.common[1] - mean.common[2],
    }
    for name, value in expected.items():
        assert one[name] == pytest.approx(value.item())
    law = mean.predicted_counter[2] - mean.predicted_counter[1]
    assert one["predicted_counter_gained"] == pytest.approx(law.item())
    assert one["pairs"] == pytest.approx(5)
    assert rows["balance", "linear"]["pairs"] == pytest.approx(1 / 0.36 + 1), "rows drawn once"
    assert rows["group-dro", "logistic"]["counter_gained"] is None
    assert rows["group-dro", "logistic"]["predicted_counter_gained"] > 0.2
    document = summary(sweep, table, None, 100)
    assert json.loads(json.dumps(document))["gains"] == document["gains"]
    assert "5.00 x" in shown(gains_view(document["gains"]))


def test_theory_over_further_axes_has_a_row_per_place():
    sweep = study(
        WORLD, {"p_spu": [0.7, 0.9], "mitigation": ["none", "balance"]}, prompts=["name", "mean"]
    )
    rows = gains(sweep, sweep.run())
    assert [(row["p_spu"], row["prompt"]) for row in rows] == [
        (p, q) for p in (0.7, 0.9) for q in ("name", "mean")
    ]
    assert all("predicted_counter_gained" not in row for row in rows)


def test_ranges_of_parts_are_those_of_the_whole(monkeypatch):
    """A million cells took most of the time of `sweep` when their summary was a Python loop."""
    sweep = study(
        axes={"p_spu": "0.5:1:7", "sigma_xi": [0.0, 1.0]},
        learners=["infonce", "linear"],
        prompts=["mean"],
    )
    table = sweep.run()
    monkeypatch.setattr(tables, "ROWS", 8)
    for k, found in enumerate(summary(sweep, table, None, 0)["ranges"]):
        own = table.isel(learner=k)
        for group in ("common", "counter"):
            assert found[group] == [float(own[group].min()), float(own[group].max())]
        lost = int((own.undefined > 0).sum())
        assert (found["cells"], sum(found["undefined"].values())) == (14, lost)
        assert lost == (7, 0)[k]


def test_the_table_is_the_printed_one():
    rows = coloured_digits()
    assert len(rows) == 48 * 2 + 40  # two classes have no Rest
    (one,) = (
        row
        for row in rows
        if (row["classes"], row["p_inv"], row["p_spu"]) == (10, 0.9, 0.9)
        and row["learner"] == "perfect-captions"
        and row["group"] == "rev"
    )
    assert (one["printed"], one["printed_deviation"]) == pytest.approx((0.4802, 0.0550))


def measured(rev, **axes):
    """Rows beside the printed ones of a study in which each setting has these numbers, one per
    training.
    """
    setting = {
        "classes": [2],
        "p_inv": [0.9],
        "p_spu": [0.75],
        "learner": ["supervised"],
        "prompt": ["name"],
    }
    dims = {**setting, **axes, "replicate": range(len(rev))}
    cells = xr.DataArray(np.broadcast_to(rev, [len(values) for values in dims.values()]), dims)
    return beside(xr.Dataset({"rand": 1 - cells, "rev": cells}))


def test_trainings_stand_beside_printed_ones():
    """Settings that are not printed, trainings without a number, and settings of several cells do
    not count.
    """
    rows = measured([0.2, np.nan, 0.4], classes=[2, 4], p_spu=[0.75, 0.8])
    assert [(row["classes"], row["p_spu"], row["group"]) for row in rows] == [
        (2, 0.75, "rand"),
        (2, 0.75, "rev"),
    ]
    assert [(row["measured"], row["deviation"]) for row in rows] == [
        pytest.approx((x, 0.02**0.5)) for x in (0.7, 0.3)
    ]
    assert rows[1]["printed"] == pytest.approx(0.8022)
    assert "30.0 ± 14.1 (80.2 ± 1.7)" in shown(printed_view(rows))
    _, single = measured([0.2, np.nan])
    assert (single["measured"], single["deviation"]) == (pytest.approx(0.2), None)
    assert measured([np.nan, np.nan]) == measured([0.2], lr=[0.1, 0.2]) == []

"""A study beside the printed table: settings that both have, in fractions."""

import numpy as np
import pytest
import xarray as xr

from experiments.command.screens.laboratory import printed_table
from experiments.lab.studies import study
from experiments.lab.tables import beside
from experiments.published.tables import coloured_digits
from simulator.world import World


def test_the_table_is_the_printed_one():
    rows = coloured_digits()
    assert len(rows) == 48 * 2 + 40  # two classes have no Rest
    (one,) = (row for row in rows if (row["classes"], row["p_inv"], row["p_spu"]) == (10, 0.9, 0.9)
              and row["learner"] == "perfect-captions" and row["group"] == "rev")  # fmt: skip
    assert (one["printed"], one["printed_deviation"]) == pytest.approx((0.4802, 0.0550))
    assert {row["learner"] for row in rows} == {"perfect-captions", "supervised"}


def test_settings_that_a_study_has_stand_beside_the_printed_ones():
    recipe = {"towers": "linear", "embed_dim": 2, "batch_size": 16, "steps": 2}
    axes = {"classes": [2, 4], "p_inv": [0.9], "p_spu": [0.75, 0.8]}  # of which 4 and .8 are not printed
    world = World(views={"tied": (0, 1)})
    asked = study(world, axes, ["supervised"], routes=["trained"], n=32, replicates=2, recipe=recipe)
    table = asked.run()
    rows = beside(table, "multicolored-mnist")
    assert [(row["classes"], row["p_spu"], row["group"]) for row in rows] == [(2, 0.75, "rand"), (2, 0.75, "rev")]
    assert rows[1]["measured"] == pytest.approx(float(table.rev[0, 0, 0, 0, 0].mean()))
    assert rows[1]["printed"] == pytest.approx(0.8022)
    shown = printed_table(rows)
    assert [column.header for column in shown.columns][-2:] == ["rand", "rev"]
    assert next(shown.columns[-1].cells).endswith("(80.2 ± 1.7)")


def measured(rev, **further) -> xr.Dataset:
    """Rev of one setting of two classes, a number a training, along further axes where there are any."""
    setting = {"classes": [2], "p_inv": [0.9], "p_spu": [0.75], "learner": ["supervised"], "prompt": ["name"]}
    dims = {**further, **setting, "replicate": range(len(rev))}
    cells = xr.DataArray(np.broadcast_to(rev, [len(values) for values in dims.values()]), dims)
    return xr.Dataset({"rand": cells, "rev": cells})


@pytest.mark.parametrize(
    ("rev", "mean", "deviation"),
    [([0.2, np.nan, 0.4], 0.3, np.sqrt(0.02)), ([0.2, np.nan], 0.2, None), ([0.2], 0.2, None)],
)
def test_trainings_that_measured_nothing_do_not_count(rev, mean, deviation):
    row = beside(measured(rev), "multicolored-mnist")[-1]
    assert row["measured"] == pytest.approx(mean)
    assert row["deviation"] == (None if deviation is None else pytest.approx(deviation))


def test_settings_without_one_beside_them_are_left_out():
    assert beside(measured([np.nan, np.nan]), "multicolored-mnist") == []
    assert len(beside(measured([0.2]), "multicolored-mnist")) == 2
    assert beside(measured([0.2], lr=[0.1, 0.2]), "multicolored-mnist") == []

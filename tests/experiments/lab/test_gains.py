"""What mitigations gain, lose and cost: differences of the Dataset's own numbers, and only where there are some."""

import json

import pytest

from experiments.command.screens.laboratory import gains_table
from experiments.lab.studies import study
from experiments.lab.tables import gains, summary
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=2, dim_text=2)
SOME = ["none", "balance", "subsample", "group-dro"]


def test_a_row_is_the_difference_to_doing_nothing():
    asked = study(WORLD, {"mitigation": SOME}, ["linear", "logistic"], "mean", "drawn", n=200, replicates=3)
    table = asked.run()
    rows = {(row["mitigation"], row["learner"]): row for row in gains(asked, table)}
    # GroupDRO is no fit to pairs, but logistic regression has its law; linear CLIP has neither.
    assert rows.keys() == {(m, k) for m in SOME[1:3] for k in ("linear", "logistic")} | {("group-dro", "logistic")}
    mean = table.mean("replicate").sel(learner="linear", prompt="mean")
    one = rows["subsample", "linear"]
    expected = {"counter_gained": mean.counter[2] - mean.counter[0], "common_lost": mean.common[0] - mean.common[2]}
    for name, value in expected.items():
        assert one[name] == pytest.approx(value.item())
    law = mean.predicted_counter[2] - mean.predicted_counter[0]
    assert one["predicted_counter_gained"] == pytest.approx(law.item())
    assert one["pairs"] == pytest.approx(5)
    assert rows["balance", "linear"]["pairs"] == pytest.approx(1 / 0.36 + 1), "rows drawn once"
    assert rows["group-dro", "logistic"]["counter_gained"] is None
    assert rows["group-dro", "logistic"]["predicted_counter_gained"] > 0.2
    document = summary(asked, table, None, 100)
    assert json.loads(json.dumps(document))["gains"] == document["gains"]
    drawn = gains_table(document["gains"])
    assert [str(column.header) for column in drawn.columns] == [
        "mitigation",
        "learner",
        "counter gained",
        "common lost",
        "pairs",
    ]
    assert list(drawn.columns[-1].cells)[2] == "5.00 x"


def test_theory_over_further_axes_has_a_row_a_place():
    asked = study(WORLD, {"p_spu": [0.7, 0.9], "mitigation": ["none", "balance"]}, prompts=["name", "mean"])
    rows = gains(asked, asked.run())
    assert [(row["p_spu"], row["prompt"]) for row in rows] == [(p, q) for p in (0.7, 0.9) for q in ("name", "mean")]
    assert all("predicted_counter_gained" not in row for row in rows)


def test_nothing_to_compare_with_is_no_table():
    for axes in ({"p_spu": [0.7, 0.9]}, {"mitigation": ["balance", "dfr"]}):
        asked = study(WORLD, axes)
        assert gains(asked, asked.run()) == []

"""The history of a training: its rows, its files, its picture, the law of time, and how far it
moved.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from experiments.errors import RequestError
from experiments.lab.compute import NO_LAW
from experiments.lab.history import dataset_of, moved, of_run
from experiments.lab.training import train
from experiments.page.plot.layout import arrange
from simulator.accuracy import Accuracy
from simulator.prompts import DEFAULT_PROMPTS
from simulator.towers import evaluation
from simulator.towers.api import train as simply_train
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World
from theory.ideal_curve import equivalent
from theory.learners import InfoNCE, LinearCLIP
from theory.population import half_times, latent_cross_covariance

WORLD = World(mu_spu=1.5, sigma_xi=1.06, dim_image=2, dim_text=2)
RECIPE = Recipe(width=6, depth=1, embed_dim=4, batch_size=16, steps=20, warmup=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(RECIPE, WORLD, models=2, compile=False, output=folder, history=5)


def test_a_history_has_the_place_of_every_model(whole):
    _, document = whole
    assert [row["step"] for row in document["history"]] == [
        1,
        2,
        4,
        6,
        8,
        9,
        10,
        12,
        14,
        16,
        18,
        20,
    ]
    for row in document["history"]:
        for numbers in row["prompts"].values():
            place = equivalent(
                WORLD, Accuracy(np.array(numbers["common"]), np.array(numbers["counter"]))
            )
            assert numbers["equivalent_correlation"] == pytest.approx(place.correlation)
            assert numbers["shortfall"] == pytest.approx(place.shortfall)


def test_the_files_hold_the_history(whole):
    folder, document = whole
    flat = pd.read_csv(folder / "history.csv")
    table = xr.open_zarr(folder / "history.zarr", consolidated=False, chunks=None)
    assert len(flat) == 12 * 2 * 2
    for row in document["history"]:
        for prompt, numbers in row["prompts"].items():
            rows = flat[(flat.step == row["step"]) & (flat.prompt == prompt)].sort_values("model")
            for name in ("common", "counter", "equivalent_correlation", "shortfall"):
                assert rows[name].tolist() == pytest.approx(numbers[name])
                assert table[name].sel(
                    step=row["step"], prompt=prompt
                ).values.ravel() == pytest.approx(numbers[name])
            assert rows.loss.tolist() == pytest.approx(row["loss"])


def test_a_run_is_drawn_beside_its_end(whole):
    picture = arrange(of_run(whole[0]), "equivalent-correlation")
    assert (picture.x.name, [series.who.prompt for series in picture.series]) == (
        "step",
        ["name", "mean"],
    )
    for series in picture.series:
        end = equivalent(WORLD, InfoNCE(series.who.prompt).accuracy(WORLD)).correlation
        assert series.numbers("predicted") == pytest.approx(np.full(12, end), abs=1e-6)
    with pytest.raises(RequestError, match="--what = 'reliance' is not one of common, "):
        arrange(of_run(whole[0]), "reliance")


def test_a_prompt_without_a_law_says_so(whole):
    prompts = whole[1]["prompts"]
    table = dataset_of(
        {**whole[1], "prompts": {**prompts, "mean": {**prompts["mean"], "predicted": None}}}
    )
    for prompt, reason in (("name", ""), ("mean", NO_LAW)):
        assert {*table.legend.values[table.predicted_undefined.sel(prompt=prompt)].ravel()} == {
            reason
        }
        assert np.isnan(table.predicted_counter.sel(prompt=prompt)).all() == bool(reason)


def test_towers_from_python_have_the_same_history(whole):
    rows = simply_train(WORLD, RECIPE, models=2, history=5).history
    same = {row["step"]: row for row in whole[1]["history"]}
    assert [row["step"] for row in rows] == [1, 2, 4, 9, 20]
    for row in rows:
        for prompt in ("name", "mean"):
            assert (
                row["prompts"][prompt]["counter"] == same[row["step"]]["prompts"][prompt]["counter"]
            )


def place(accuracy: Accuracy) -> float:
    return float(equivalent(WORLD, accuracy).correlation)


@pytest.mark.deep
def test_towers_of_the_linear_loss_follow_the_law_of_time():
    """Linear towers under SGD from weights of size .01 are a flow; the first mode decides first, by
    both prompts.
    """
    first = round(
        1.2 * half_times(np.linalg.svd(latent_cross_covariance(WORLD))[1], 1e-4)[0] / 0.01
    )
    slow = {"optimizer": "sgd", "lr": 0.01, "warmup": 0, "averaging": 0.0, "steps": 1500}
    recipe = Recipe(loss="linear", towers="linear", embed_dim=8, batch_size=256, **slow)
    ensemble = Ensemble(recipe, (WORLD,) * 4, tuple(range(4)), 0)
    begun = start(ensemble)
    small = {name: 0.01 * value / value.std() for name, value in begun.parameters.items()}
    states = run(ensemble, begun._replace(parameters=small, averages={}), [first])
    reached = {int(state.step): state.parameters for state in states}
    for step, width in ((first, 1), (1500, None)):
        for prompt in DEFAULT_PROMPTS:
            mean = evaluation.ensemble_accuracy(ensemble, reached[step], prompt).mean(axis=(0, 1))
            law = LinearCLIP(prompt, width).accuracy(WORLD)
            assert place(Accuracy(*mean)) == pytest.approx(place(law), abs=0.02)


# How far a training has moved


def row(step: int, common, counter, loss=(1.0, 1.0, 1.0)):
    return {
        "step": step,
        "loss": list(loss),
        "prompts": {"name": {"common": list(common), "counter": list(counter)}},
    }


def test_movement_is_the_change_since_half_as_many_steps():
    history = [
        row(10, [0.5] * 3, [0.2] * 3),
        row(20, [0.6, 0.7, 0.8], [0.3] * 3),
        row(30, [0.0] * 3, [0.0] * 3),
        row(40, [0.7, 0.9, 0.8], [0.3] * 3),
    ]
    found = moved(history)["name"]
    assert found["counter"] == [0.0, 0.0, 0.0]
    assert found["common"][0] == pytest.approx(0.1)
    # t quantile of 2 degrees of freedom times the standard error
    half = 4.302652729911275 * 0.1 / 3**0.5
    assert found["common"][1:] == pytest.approx([0.1 - half, 0.1 + half])
    assert moved(history[:3]) is None, "no checkpoint at 15"
    odd = moved([row(12, [0.5] * 3, [0.2] * 3), row(25, [0.6] * 3, [0.2] * 3)])
    assert odd["name"]["common"][0] == pytest.approx(0.1)
    assert moved([row(1, [0.5] * 3, [0.2] * 3)]) is None


def test_a_single_model_has_no_interval_():
    history = [row(10, [0.5], [0.5], loss=(1.0,)), row(20, [0.5], [0.5], loss=(1.0,))]
    assert moved(history) == {"name": {"common": [0.0, None, None], "counter": [0.0, None, None]}}
    lost = [
        row(10, [0.5] * 3, [0.2] * 3),
        row(20, [0.9, 0.5, 0.1], [0.2] * 3, loss=(None, 1.0, None)),
    ]
    assert moved(lost)["name"]["common"] == [0.0, None, None], "diverged models do not count"


@pytest.mark.parametrize("steps", [3, 50])
def test_any_number_of_steps_has_a_checkpoint_half_way(steps):
    found = train(RECIPE.model_copy(update={"steps": steps}), WORLD, models=2, compile=False)
    assert found["moved"] is not None

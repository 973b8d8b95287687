"""`--until`: training ends once no accuracy has changed since half as many steps."""

import pytest

from experiments.lab.history import arrived, moved
from experiments.lab.training import train
from simulator.towers.recipe import Recipe
from simulator.world import World

SMALL = {"width": 6, "depth": 1, "embed_dim": 4, "batch_size": 32, "steps": 40, "warmup": 2}
WORLD = World(mu_spu=2.0, sigma_xi=1.0, dim_image=2, dim_text=2)


def row(step: int, common, counter, loss=(1.0, 1.0, 1.0)):
    return {"step": step, "loss": list(loss), "prompts": {"name": {"common": list(common), "counter": list(counter)}}}


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
    half = 4.302652729911275 * 0.1 / 3**0.5  # t quantile of 2 degrees of freedom times the standard error
    assert found["common"][1:] == pytest.approx([0.1 - half, 0.1 + half])
    assert moved(history[:3]) is None, "no checkpoint at 15"
    odd = moved([row(12, [0.5] * 3, [0.2] * 3), row(25, [0.6] * 3, [0.2] * 3)])
    assert odd["name"]["common"][0] == pytest.approx(0.1)
    assert moved([row(1, [0.5] * 3, [0.2] * 3)]) is None


def test_a_run_has_arrived_once_all_intervals_of_movement_are_small():
    still = [row(10, [0.5, 0.6, 0.7], [0.2] * 3), row(20, [0.504, 0.603, 0.703], [0.201] * 3)]
    assert arrived(still, 0.01)
    assert not arrived(still, 0.003)
    falling = [{**later, "step": early["step"]} for early, later in zip(still, still[::-1], strict=True)]
    assert arrived(falling, 0.01)
    assert not arrived(falling, 0.003)
    assert not arrived(still[1:], 0.5), "nothing to compare with"
    lost = [row(10, [0.5] * 3, [0.5] * 3), row(20, [0.5, 0.5, 0.0], [0.5] * 3, loss=(1.0, 1.0, None))]
    assert arrived(lost, 0.002), "diverged models do not count"


def test_a_single_model_has_no_interval_and_never_arrives():
    history = [row(10, [0.5], [0.5], loss=(1.0,)), row(20, [0.5], [0.5], loss=(1.0,))]
    assert moved(history) == {"name": {"common": [0.0, None, None], "counter": [0.0, None, None]}}
    assert not arrived(history, 0.5)
    lost = [row(10, [0.5] * 2, [0.5] * 2, loss=(1.0, 1.0)), row(20, [0.5] * 2, [0.5] * 2, loss=(1.0, None))]
    assert not arrived(lost, 0.5)


def test_an_arrived_run_ends_and_a_resumed_one_trains_no_further(tmp_path):
    recipe = Recipe(**SMALL)
    how = {"models": 3, "compile": False, "until": 0.9}
    found = train(recipe, WORLD, output=tmp_path / "run", **how)
    assert found["arrived"]
    assert found["history"][-1]["step"] < 40
    assert found["n"] == found["history"][-1]["step"] * 32
    again = train(recipe, WORLD, resume=tmp_path / "run", **how)
    assert again["prompts"] == found["prompts"]


@pytest.mark.parametrize("steps", [3, 50])
def test_any_number_of_steps_has_a_checkpoint_half_way(steps):
    found = train(Recipe(**{**SMALL, "steps": steps}), WORLD, models=2, compile=False)
    assert found["moved"] is not None


@pytest.mark.deep
def test_until_uses_the_test_points_of_the_result():
    """The usual test points of checkpoints err by about .005, more than the movement to be detected."""
    recipe = Recipe(**SMALL)
    for until, exact in ((0.002, True), (None, False)):
        found = train(recipe, WORLD, models=3, compile=False, until=until)
        last, prompts = found["history"][-1]["prompts"], found["prompts"]
        same = all(last[p][g] == [one[g] for one in prompts[p]["replicates"]] for p in last for g in last[p])
        assert same == exact

"""Training from a notebook: one call, one object, the same numbers as the parts."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import binom
from stattest import SHARE, spend

from simulator import Recipe, World, fit, train
from simulator.accuracy import mean_interval
from simulator.towers.ensemble import Ensemble, ensemble_of
from simulator.towers.evaluation import ensemble_accuracy
from simulator.towers.multiprocess import threads_for
from simulator.towers.recipe import not_converged
from simulator.towers.training import run, start

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=2, dim_text=2)
SMALL = Recipe(width=6, depth=1, embed_dim=4, batch_size=16, steps=20, warmup=2)


@pytest.fixture(scope="module")
def towers():
    return train(WORLD, SMALL, models=3, seed=4)


def test_weights_are_those_of_an_ensemble_and_accuracies_means_with_t_intervals(towers):
    ensemble = Ensemble(SMALL, (WORLD,) * 3, (0, 1, 2), 4)
    *_, state = run(ensemble, start(ensemble), [])
    assert towers.ensemble == ensemble
    for name, value in state.eval_parameters.items():
        assert torch.equal(towers.parameters[name], value)
    for prompt in ("name", "mean"):
        accuracy = towers.accuracy(prompt)
        own = ensemble_accuracy(towers.ensemble, towers.parameters, prompt).mean(0)
        assert np.allclose(np.stack([*towers.each(prompt)], -1), own)
        mean, _, low, high = mean_interval(own.T)
        assert [*accuracy] == pytest.approx(mean)
        assert np.array([*accuracy.interval]) == pytest.approx(np.stack([low, high], 1))
        assert accuracy.interval.level == 0.95
    assert towers.accuracy().common == towers.accuracy("name").common


@pytest.mark.deep
def test_intervals_of_forty_ensembles_cover():
    """At their level, up to .02: eight linear towers each, at their minimum; the truth is the mean
    of all.
    """
    recipe = {
        "loss": "linear",
        "towers": "linear",
        "embed_dim": 2,
        "batch_size": 300,
        "n": 300,
        "steps": 150,
    }
    falling = {"optimizer": "adamw", "lr": 0.03, "warmup": 0, "averaging": 0.0}
    world = World(p_spu=0.9, mu_spu=1.5, dim_image=2, dim_text=2)
    models = train(world, Recipe(**recipe, **falling), models=320)
    spend(SHARE)
    for prompt in ("name", "mean"):
        for values in models.each(prompt):
            _, _, low, high = mean_interval(values.reshape(40, 8))
            hits = int(((low <= values.mean()) & (values.mean() <= high)).sum())
            assert hits >= binom.ppf(SHARE / 4, 40, 0.93), (prompt, hits)
            assert np.median(high - low) < 4 * values.std(), "wide intervals cover anything"


HOLES = World(
    table=[[0.3, 0.2, 0.0], [0.0, 0.1, 0.4]], mu_spu=1.5, sigma_xi=1.5, dim_image=4, dim_text=4
)
BRIGHT = World(
    table=np.array([[1, 2], [3, 0], [1, 1]]) / 8, mu_spu=2.0, sigma_xi=1.5, dim_image=4, dim_text=4
)


@pytest.mark.parametrize(
    ("world", "loss", "learner", "prompt"),
    [(HOLES, "supervised", "logistic", None), (BRIGHT, "linear", "linear", "mean")],
)
def test_linear_towers_of_a_world_with_a_hole_become_the_rule_that_is_fitted(
    world, loss, learner, prompt
):
    """Labels are learned with an intercept; groups of every kind agree to a point."""
    schedule = {
        "batch_size": 512,
        "steps": 300,
        "lr": 0.03,
        "points": "sobol",
        "schedule": "cosine",
    }
    found = train(
        world, Recipe(loss=loss, towers="linear", embed_dim=4, **schedule), models=1
    ).accuracy(prompt)
    fitted = fit(learner, world.draw(60_000, seed=1)).accuracy(prompt)
    assert len([*found]) == 3
    assert [*found] == pytest.approx([*fitted], abs=0.01)


def test_one_model_has_no_interval_and_one_tower_no_prompt():
    labels = train(WORLD, SMALL.model_copy(update={"loss": "supervised"}), models=1)
    assert labels.accuracy().interval is None
    assert 0 <= labels.accuracy().worst <= 1
    with pytest.raises(ValueError, match="prompt = 'mean' has no meaning for loss = 'supervised'"):
        labels.accuracy("mean")


def test_a_diverged_model_is_left_out(poison):
    healthy = train(WORLD, SMALL, models=3)
    poison()
    towers = train(WORLD, SMALL, models=3)
    assert towers.diverged.tolist() == [-1, 4, -1]
    assert np.isnan(towers.each().common).tolist() == [False, True, False]
    assert towers.accuracy().counter == pytest.approx(healthy.each().counter[[0, 2]].mean())


def test_small_steps_have_one_thread_and_then_as_many_as_before():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        small = ensemble_of([WORLD], SMALL, 2, 0)
        for ensemble, inside in ((small, 1), (ensemble_of([WORLD], SMALL, 200_000, 0), 2)):
            with threads_for(ensemble):
                assert torch.get_num_threads() == inside
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_run_whose_accuracies_still_move_warns():
    with pytest.warns(
        UserWarning,
        match=r"not converged: \w+ accuracy by [\w ]+ changed by .* points in the second half",
    ):
        train(WORLD, SMALL, models=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(WORLD, SMALL.model_copy(update={"lr": 1e-9}), models=2)
        # Both heads are refitted before they are compared, so towers that stand still do not warn.
        still = {"lr": 1e-9, "last_layer": "refitted", "loss": "supervised"}
        train(WORLD, SMALL.model_copy(update=still), models=2)
    falls = not_converged(
        {"name": {"common": 0.01, "counter": -0.2}, "mean": {"common": 0.1, "counter": 0.0}}
    )
    assert "counter accuracy by typical appearance changed by -20.0 points" in falls

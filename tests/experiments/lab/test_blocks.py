"""Every cell of a study equals the one-world call, for any grid, order, block and store."""

from dataclasses import replace
from pickle import dumps

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.errors import RequestError
from experiments.lab.answers import simulate
from experiments.lab.plan import plan
from experiments.lab.studies import Study, study
from simulator.quantities import domain_of
from simulator.towers.api import train, train_ensemble
from simulator.towers.probes import score_reliance
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners.base import UNDEFINED

FIELDS = (
    "p_spu",
    "p_inv",
    "mu_inv",
    "mu_spu",
    "sigma_inv",
    "sigma_spu",
    "sigma_xi",
    "mention_inv",
    "mention_spu",
)
CHEAP = ("linear", "least-squares")
NARROW = World(mu_spu=2.0, dim_image=2, dim_text=2)


@st.composite
def studies(draw, routes=("theory",), world=None) -> Study:
    """Studies of two classes over fields of the world, including the ends of domains."""
    axes = {}
    for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=2, unique=True)):
        low, high = domain_of(World.__annotations__[name])
        value = st.sampled_from([max(low, -1.0), min(high, 4.0)]) | st.floats(
            max(low, -1.0), min(high, 4.0), width=16
        )
        axes[name] = draw(st.lists(value, min_size=1, max_size=3, unique=True))
    few = st.lists(st.sampled_from(CHEAP), min_size=1, max_size=2, unique=True)
    prompts = st.sampled_from([("name",), ("mean", "name")])
    n = draw(st.sampled_from([2, 50])) if routes != ("theory",) else None
    replicates = draw(st.integers(1, 3)) if n else 1
    return study(
        world, axes, draw(few), draw(prompts), routes, n, replicates, draw(st.integers(0, 2**40))
    )


def cells(sweep: Study, table: xr.Dataset):
    """(cell of the table, world, learner, prompt) of every cell."""
    for index in np.ndindex(sweep.shape):
        for k in range(len(sweep.learners)):
            for place, prompt in sweep.slots(k):
                cell = table.isel(
                    learner=k, prompt=place, **dict(zip(sweep.dims, index, strict=True))
                )
                one = sweep.cell(index, k, prompt)
                yield cell, one.worlds, one.learner, prompt


@settings(max_examples=8)
@given(studies())
@example(
    study(
        axes={"p_spu": "0.5:1:3", "sigma_xi": [0.0, 1.0]},
        learners=["infonce", "bayes"],
        prompts=["mean"],
    )
)
def test_every_cell_of_the_theory_is_the_one_world_call(sweep):
    table = sweep.run()
    for cell, world, learner, _ in cells(sweep, table):
        try:
            alone = learner.accuracy(world)
        except UNDEFINED:
            assert np.isnan(cell.common)
            assert np.isnan(cell.counter)
            assert table.legend.values[int(cell.undefined)]
        else:
            assert [float(cell.common), float(cell.counter)] == pytest.approx(
                [float(x) for x in alone], abs=1e-12
            )
            assert int(cell.undefined) == 0


@settings(max_examples=6)
@given(studies(("exact", "drawn"), NARROW))
@example(
    study(
        NARROW,
        {"p_spu": [0.6, 0.9]},
        ["linear", "logistic"],
        ["mean"],
        ["exact", "drawn"],
        200,
        3,
        5,
    )
)
def test_every_measured_cell_equals_simulate(sweep):
    table = sweep.run()
    for both, world, learner, _ in cells(sweep, table):
        for route, method in (("exact", "exact"), ("drawn", "direct")):
            cell = both.sel(route=route)
            try:
                alone = simulate(world, learner, sweep.n, sweep.replicates, method, sweep.seed)
            except RequestError:
                assert np.isnan(cell.counter).all()
                assert table.legend.values[int(cell.undefined)]
                continue
            assert cell.counter.values.tolist() == [r["counter"] for r in alone["replicates"]]
            if ends := alone["interval95"]["counter"]:
                assert [float(cell.counter_low), float(cell.counter_high)] == pytest.approx(ends)
            if known := alone["predicted"]:
                assert float(cell.predicted_counter) == pytest.approx(known["counter"], abs=1e-12)


def test_every_cell_of_trained_towers_is_the_one_world_call():
    """Equal to single precision, because one product contains matrices of several worlds."""
    recipe = {"width": 4, "depth": 1, "embed_dim": 2, "batch_size": 16, "steps": 10, "warmup": 0}
    axes = {"p_spu": [0.6, 0.9]}
    how = {"replicates": 2, "seed": 3, "recipe": recipe}
    sweep = study(NARROW, axes, "infonce", ["name", "mean"], "trained", **how)
    for cell, world, _, prompt in cells(sweep, sweep.run()):
        towers = train(world, Recipe(**recipe), models=2, seed=3)
        alone = towers.each(prompt)
        np.testing.assert_allclose(cell.counter, np.ravel(alone.counter), atol=1e-5)
        np.testing.assert_allclose(cell.common, np.ravel(alone.common), atol=1e-5)
        reliance = score_reliance(towers.ensemble, towers.parameters, prompt)
        np.testing.assert_allclose(cell.reliance, reliance, rtol=1e-3)


def test_a_diverged_model_of_a_study_has_no_number(monkeypatch):
    def losing(*how):
        towers, half = train_ensemble(*how)
        return replace(towers, diverged=torch.tensor([4, -1])), half

    monkeypatch.setattr("experiments.lab.towers.train_ensemble", losing)
    recipe = {"width": 4, "depth": 1, "embed_dim": 2, "batch_size": 16, "steps": 10, "warmup": 0}
    table = study(NARROW, learners="infonce", routes="trained", replicates=2, recipe=recipe).run()
    for name in ("common", "counter", "reliance"):
        assert np.isnan(table[name].values.ravel()).tolist() == [True, False], name


def test_a_task_carries_the_cells_of_its_block():
    planned = plan(study(axes={"p_spu": "0:1:1000000", "mu_spu": "0:4:1000"}))
    number, part = planned.part(17)
    assert number == 17
    assert len(dumps(part)) < 20_000

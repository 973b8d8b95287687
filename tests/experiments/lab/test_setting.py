"""A setting of many cells is, at each of them, the setting of that cell alone."""

from pickle import dumps

import numpy as np
import pytest

from experiments.lab.plan import plan
from experiments.lab.setting import RULES, cell, settings
from experiments.lab.studies import study
from simulator.world import World

MITIGATIONS = ["none", "balance", "prompt-mean"]
SMALL = {"width": 4, "depth": 1, "batch_size": 16, "steps": 10, "warmup": 0}
STUDIES = {
    "worlds": study(World(sigma_xi=2.0), {"p_spu": [0.6, 0.9], "mu_spu": [1.0, 2.0, 3.0]}, ["linear", "bayes"]),
    "rules": study(
        axes={"mitigation": MITIGATIONS, "classes": [2, 3], "time": [0.5, 2.0], "p_spu": [0.6, 0.9]},
        prompts=["name", "mean"],
    ),
    "tables": study(axes={"sigma_xi": [1.0, 2.0], "table": ["diagonal(0.9)", "compositional(2, 3, 1)"]}),
    "towers": study(
        axes={"embed_dim": [1, 3], "n": [64, 128], "mu_spu": [1.0, 2.0], "seed": [0, 5]},
        learners="infonce", routes="trained", recipe=SMALL,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("names", [(), RULES, None])
def test_a_group_of_cells_is_each_of_them(name, names):
    sweep = STUDIES[name]
    seen = np.zeros((*sweep.shape, len(sweep.learners), len(sweep.prompts)), int)
    for index, group in settings(sweep, sweep.dims if names is None else {*names, "mitigation", "table", "classes"}):
        seen[index] += 1
        varied = [i for i in range(len(sweep.shape)) if isinstance(index[i], slice)]
        for place in np.ndindex(sweep.shape):
            if any(index[i] != place[i] for i in range(len(place)) if i not in varied):
                continue
            alone = cell(sweep, place, group.k, group.prompt)
            grid = group.worlds.shape
            at = tuple(place[i] if length > 1 else 0 for i, length in zip(varied, grid, strict=True)) if grid else ()
            assert (group.worlds[at] if grid else group.worlds) == alone.worlds
            if names is None:
                assert (alone.n, alone.seed) == (group.n, group.seed)
            if names != ():
                assert (group.learner, group.mitigation) == (alone.learner, alone.mitigation)
                if sweep.trained:
                    assert group.recipe.embed_dim == alone.recipe.embed_dim
    for k in range(len(sweep.learners)):
        slots = [slot for slot, _ in sweep.slots(k)]
        assert (seen[..., k, slots] == 1).all()
    assert seen.sum() == sweep.cells


def test_a_task_carries_the_cells_of_its_block():
    planned = plan(study(axes={"p_spu": "0:1:1000000", "mu_spu": "0:4:1000"}))
    number, part = planned.part(17)
    assert number == 17
    assert len(dumps(part)) < 20_000

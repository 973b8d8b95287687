"""Closed forms are those of the first edition (commit 1abe614) to rounding, and draws of exact laws those on record.

closed_forms.json was written by that commit: 32 worlds (plain, masked, a further attribute, K = 3 to 7, edges),
the group accuracies of every learner whose answer is not sampled, and draws of exact laws from numpy's streams. The
masked InfoNCE optimum is left out: the first edition had it wrong by up to .03. The draws are this edition's own: the
first one's counts of groups hung on the release of numpy (`simulator.multinomial`), and S of worlds 22 to 24, whose
captions always mention two of three latents, on a machine's rounding. With numpy 2.4's counts in place the draws of
this edition were still the first one's to rounding when they were recorded.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from simulator.gaussian.statistics import cross_covariance, projected_critics
from simulator.streams import numpy_stream
from simulator.world import Attribute, World
from theory.learners import named

ROWS = json.loads(Path(__file__).with_name("closed_forms.json").read_text(encoding="utf-8"))
# What the first edition promised of its quadratures; all else is arithmetic.
TOLERANCE = {"infonce": 2e-6, "bayes": 2e-6, "logistic": 1e-8}


def world_of(fields: dict) -> World:
    further = tuple(Attribute(**a) for a in fields.get("attribute", ()))
    return World(**{**fields, "attribute": further})


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_accuracies_are_those_of_the_first_edition(row):
    world = world_of(row["world"])
    for key, expected in row["accuracies"].items():
        name, prompt = key.split("/")
        learner = named(name, prompt=None if prompt == "None" else prompt)
        if expected is None:
            assert learner.refuses(world) is not None, key
            continue
        got = [float(x) for x in learner.accuracy(world)]
        assert got == pytest.approx(expected, abs=TOLERANCE.get(name, 1e-12)), key


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_exact_laws_are_those_on_record(row):
    world = world_of(row["world"])
    for prompt in ("name", "mean"):
        critic = next(iter(projected_critics(world, prompt, 500, 2, 7)))
        for got, expected in zip(critic, row["laws"][prompt], strict=True):
            assert np.allclose(got, expected, rtol=1e-11, atol=1e-12)
    if row["laws"]["S"] is not None:
        norm, first, last = row["laws"]["S"]
        S = cross_covariance(world, 300, numpy_stream(7, "parity"))
        assert np.linalg.norm(S) == pytest.approx(norm, rel=1e-11)
        assert [*S[0, :3], *S[-1, -3:]] == pytest.approx([*first, *last], rel=1e-9, abs=1e-12)

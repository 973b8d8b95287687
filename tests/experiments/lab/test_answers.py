"""`predict` and `simulate` as functions: learners and their routes."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import binom
from stattest import POWER, SHARE, spend

from experiments.errors import RequestError
from experiments.files import to_json
from experiments.inference import interval95
from experiments.lab.answers import predict, simulate, trainings
from simulator import progress
from simulator.accuracy import LEVEL, Accuracy
from simulator.world import World
from theory.learners import Bayes, InfoNCE, Learner, LinearCLIP, Logistic, named

NARROW = World(mu_spu=2.0, dim_image=2, dim_text=2)


def test_a_group_that_a_table_lacks_is_null():
    world = World(table=[[0.5, 0.0], [0.0, 0.5]], dim_image=2, dim_text=2)
    found = simulate(world, LinearCLIP(), 100, 2, None, 0)
    assert found["counter"] is found["drop"] is found["interval95"]["counter"] is None
    assert 0 < found["unseen"] < 1
    assert all(group in found["replicates"][0] for group in ("common", "counter", "unseen"))
    json.dumps(found, allow_nan=False, default=to_json)


@dataclass(frozen=True)
class Weighted(Learner):
    """A rule of one's own with an estimator, and nothing else."""

    name: ClassVar[str] = "weighted"
    estimator: ClassVar[str] = "logistic"


@dataclass(frozen=True)
class Lawful(Learner):
    """A rule of one's own with an exact law of n pairs, and no estimator."""

    name: ClassVar[str] = "lawful"

    def critic(self, world):
        return LinearCLIP().critic(world)

    def exact_law(self, world, n, replicates, seed, stream):
        return LinearCLIP().exact_law(world, n, replicates, seed, stream)


def test_a_learner_says_itself_how_it_is_measured():
    """No table has to know its name."""
    assert (Bayes().routes(), Weighted().routes()) == ({"images"}, {"drawn", "images"})
    for own, base, method in (
        (Lawful(), LinearCLIP(), "exact"),
        (Weighted(), Logistic(), "direct"),
    ):
        found = simulate(NARROW, own, 400, 2, None, 0)
        expected = simulate(NARROW, base, 400, 2, None, 0)
        assert (found["method"], found["replicates"]) == (method, expected["replicates"])
    with pytest.raises(RequestError, match="do not fit lawful; --method exact"):
        simulate(NARROW, Lawful(), 400, 3, "direct", 0)


@dataclass(frozen=True)
class Limited(InfoNCE):
    """Unit embeddings whose accuracies lie at this distance from those without limits, with an
    error.
    """

    scale: float | None = 2.0
    off: float = 0.0
    error: float = 0.0

    def accuracy(self, worlds):
        found = [float(x) + self.off for x in InfoNCE(self.prompt).accuracy(worlds)]
        return Accuracy.of(found, LEVEL, [(x - self.error, x + self.error) for x in found])


@pytest.mark.parametrize(
    ("off", "error", "met"), [(0.0019, 0.0, True), (-0.0021, 0.0, False), (-0.003, 0.0011, True)]
)
def test_predict_says_whether_a_scale_meets_its_budget(off, error, met):
    """Within .002 of the accuracies without limits, or not further off than its error."""
    world = World(mu_spu=1.5, sigma_xi=6.0)
    found = predict(world, Limited(off=off, error=error, embed_dim=16))
    law = predict(world, named("infonce"))
    assert (found["scale"], found["meets_budget"]) == (2.0, met)
    assert found["unlimited"]["counter"] == law["counter"]
    assert "unlimited" not in law


@pytest.mark.deep
def test_a_scale_that_is_too_low_comes_with_one_that_is_enough():
    """By typical appearance scale 1 is too low, by bare name scale 2 is enough; both beside
    unlimited numbers.
    """
    world = World(mu_spu=1.5, sigma_xi=6.0, bare=0.5)
    for prompt, scale, met in (("typical", 1.0, False), ("bare", 2.0, True)):
        found = predict(world, named("infonce", prompt=prompt, scale=scale))
        law = predict(world, named("infonce", prompt=prompt))
        assert (found["scale"], found["meets_budget"]) == (scale, met)
        assert (abs(found["counter"] - law["counter"]) < 0.003) == met
        assert found.get("enough_scale") == pytest.approx(None if met else 4.0)


def test_progress_counts_replicates(monkeypatch):
    done = []
    monkeypatch.setattr(progress.line, "update", lambda *_, advance=0, **__: done.append(advance))
    simulate(NARROW, LinearCLIP(), 200, 100, None, 0)
    assert sum(done) == 100


@pytest.mark.deep
def test_intervals_of_many_classes_cover_over_neighbouring_seeds():
    """The error is of integration over test images; an interval that covers at most .65 is found
    with power .99.
    """
    spend(SHARE)
    seeds = 80
    misses = 0
    values = []
    most = binom.isf(SHARE, seeds, 0.05)
    assert binom.sf(most, seeds, 0.35) > POWER
    world = World(classes=3, mu_spu=2.0)
    truth = predict(world, LinearCLIP())["counter"]
    for seed in range(seeds):
        counter = np.concatenate(
            [a[:, 1] for a, _ in trainings(world, LinearCLIP(), 10**10, 8, True, seed)]
        )
        low, high = interval95(counter)
        misses += not low <= truth <= high
        values += counter.tolist()
    assert misses <= most
    assert len(np.unique(values)) == len(values)


def test_a_measurement_has_its_place_on_the_ideal_curve():
    """Around that of the theory; either number of another prompt is off by more."""
    world = World(mu_spu=1.5, sigma_xi=6.0)
    foreseen = predict(world, named("linear"))
    measured = simulate(world, named("linear"), n=10**6, replicates=20, method=None, seed=0)
    for name in ("equivalent_correlation", "shortfall"):
        low, high = measured["interval95"][name]
        assert low < measured[name] < high
        assert measured[name] == pytest.approx(foreseen[name], abs=1e-3)

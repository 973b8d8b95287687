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
from experiments.finite_samples import image_accuracy
from experiments.inference import interval95
from experiments.lab.answers import predict, simulate, trainings
from simulator import progress
from simulator.accuracy import LEVEL, Accuracy
from simulator.world import World
from theory.learners import Bayes, InfoNCE, Learner, LeastSquares, LinearCLIP, Logistic, named

NARROW = World(mu_spu=2.0, dim_image=2, dim_text=2)


def test_the_exact_law_is_used_if_it_is_known():
    for world, method in ((NARROW, "exact"), (World(dim_image=3, dim_text=3), "direct")):
        document = simulate(world, LeastSquares(), 200, 3, None, 0)
        assert document["method"] == method
        assert abs(document["counter"] - document["predicted"]["counter"]) < 0.2
    with pytest.raises(RequestError, match=r"would draw 6\.0e\+11 numbers, .*; use fewer pairs"):
        simulate(World(dim_image=3, dim_text=3), LeastSquares(), 10**9, 100, None, 0)


@pytest.mark.deep
@pytest.mark.parametrize("learner", [LinearCLIP("mean"), LeastSquares()])
def test_a_table_has_an_unseen_group_in_every_document(learner):
    """Both methods agree, and rules on drawn images with them; a group that the table lacks is null."""
    table = [[0.4, 0.2, 0.0], [0.0, 0.3, 0.1]]
    world = World(table=table, mu_spu=1.5, dim_image=4, dim_text=4)
    exact, direct = (simulate(world, learner, 4000, 5, method, 0) for method in ("exact", "direct"))
    critic = next(learner.exact_law(world, 10**6, 1, 0, "test"))

    class Rule(Learner):
        def scores(self, world, images):
            pull = images @ critic.inside[0, 0] + np.ravel(critic.intercept)[0]
            return np.column_stack([pull, -pull])

    drawn = image_accuracy(Rule(), world, 0, "test")
    for group in ("common", "counter", "unseen"):
        assert exact[group] == pytest.approx(direct[group], abs=0.015)
        assert exact[group] == pytest.approx(getattr(drawn, group), abs=0.02)
        assert all(group in row for row in exact["replicates"])
    full = simulate(world.replace(table=[[0.5, 0.0], [0.0, 0.5]], dim_image=2, dim_text=2), learner, 100, 2, None, 0)
    assert full["counter"] is full["drop"] is full["interval95"]["counter"] is None
    assert full["unseen"] > 0
    assert "null" in json.dumps(full, allow_nan=False, default=to_json)


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


def test_an_exact_law_alone_draws_no_pairs():
    with pytest.raises(RequestError, match="do not fit lawful; --method exact"):
        simulate(NARROW, Lawful(), 400, 3, "direct", 0)


def test_a_learner_says_itself_how_it_is_measured():
    """No table has to know its name."""
    assert (Bayes().routes(), Weighted().routes()) == ({"images"}, {"drawn", "images"})
    for own, base, method in ((Lawful(), LinearCLIP(), "exact"), (Weighted(), Logistic(), "direct")):
        found, expected = (simulate(NARROW, learner, 400, 2, None, 0) for learner in (own, base))
        assert (found["method"], found["replicates"]) == (method, expected["replicates"])


@dataclass(frozen=True)
class Limited(InfoNCE):
    """Unit embeddings whose accuracies lie at this distance from those without limits, with an error."""

    scale: float | None = 2.0
    off: float = 0.0
    error: float = 0.0

    def accuracy(self, worlds):
        found = [float(x) + self.off for x in InfoNCE(self.prompt).accuracy(worlds)]
        return Accuracy.of(found, LEVEL, [(x - self.error, x + self.error) for x in found])


@pytest.mark.parametrize(("off", "error", "met"), [(0.0019, 0.0, True), (-0.0021, 0.0, False), (-0.003, 0.0011, True)])
def test_predict_says_whether_a_scale_meets_its_budget(off, error, met):
    """Within .002 of the accuracies without limits, or not further off than its error."""
    world = World(mu_spu=1.5, sigma_xi=6.0)
    found, law = predict(world, Limited(off=off, error=error, embed_dim=16)), predict(world, named("infonce"))
    assert (found["scale"], found["meets_budget"]) == (2.0, met)
    assert found["unlimited"]["counter"] == law["counter"]
    assert "unlimited" not in law


@pytest.mark.deep
def test_a_scale_that_is_too_low_comes_with_one_that_is_enough():
    """By typical appearance scale 1 is too low, by bare name scale 2 is enough; both beside the numbers without limits.

    It takes 14 s of a processor.
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


def test_predict_reports_the_learner_and_the_interval():
    found = predict(World(classes=3, sigma_xi=2.0), named("infonce", prompt="mean"))
    assert (found["learner"], found["prompt"], found["reliance"]) == ("infonce", "mean", None)
    low, high = found["interval95"]["counter"]
    assert low < found["counter"] < high
    exact = predict(NARROW, named("linear", embed_dim=1))
    assert (exact["embed_dim"], exact["interval95"]) == (1, None)
    with pytest.raises(RequestError, match="infonce: sigma_xi = 0"):
        predict(World(sigma_xi=0.0), named("infonce"))


@pytest.mark.deep
def test_intervals_of_many_classes_cover_over_neighbouring_seeds():
    """80 seeds; false-alarm rate SHARE; an interval that covers at most .65 is found with power .99.

    The sample is so large that integration over test images is the only error. Replicates that share their points have
    one error, which their spread does not show.
    """
    spend(SHARE)
    seeds, misses, values = 80, 0, []
    most = binom.isf(SHARE, seeds, 0.05)
    assert binom.sf(most, seeds, 0.35) > POWER
    world = World(classes=3, mu_spu=2.0)
    truth = predict(world, LinearCLIP())["counter"]
    for seed in range(seeds):
        counter = np.concatenate([a[:, 1] for a, _ in trainings(world, LinearCLIP(), 10**10, 8, True, seed)])
        low, high = interval95(counter)
        misses += not low <= truth <= high
        values += counter.tolist()
    assert misses <= most
    assert len(np.unique(values)) == len(values)


def test_documents_place_a_learner_on_the_ideal_curve():
    """The numbers of theory's headline world, and a measurement on pairs around them."""
    world = World(mu_spu=1.5, sigma_xi=6.0)
    foreseen = predict(world, named("linear"))
    assert (foreseen["equivalent_correlation"], foreseen["shortfall"]) == pytest.approx((0.789, 0.0057), abs=6e-4)
    measured = simulate(world, named("linear"), n=10**6, replicates=20, method=None, seed=0)
    for name in ("equivalent_correlation", "shortfall"):
        low, high = measured["interval95"][name]
        assert low < measured[name] < high
        # Pairs are so many that bias and noise lie far below this; either number of another prompt is off by more.
        assert measured[name] == pytest.approx(foreseen[name], abs=1e-3)


WITHOUT_NOISE = {"sigma_spu": 0.0, "sigma_xi": 0.0}


@pytest.mark.parametrize(
    "world",
    [
        World(classes=11, dim_image=64),
        World(mu_spu=0.0),
        World(classes=3, **WITHOUT_NOISE),
        World(table=[[0.5, 0.0], [0.2, 0.3]], **WITHOUT_NOISE),
    ],
)
def test_no_number_where_a_world_has_no_equivalent_correlation(world):
    assert predict(world, named("linear"))["equivalent_correlation"] is None


def test_the_share_that_a_million_pairs_do_not_teach():
    """Where the view noise is small almost no counter image resembles a pair; where it is large almost all do."""
    shares = [predict(World(mu_spu=2.0, sigma_xi=s), named("infonce"))["uncovered_share"] for s in (0.8, 6.0)]
    assert shares[0]["counter"] == pytest.approx(0.991, abs=0.003)  # theory.md's number at nu = .01
    assert shares[1]["counter"] < 0.01
    assert predict(World(), named("linear"))["uncovered_share"] is None

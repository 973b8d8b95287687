"""The sign of a mean is a name: latents, images and prompts of the world of -mu are mirror images
of those of mu.
"""

import numpy as np
import pytest

from simulator.world import World
from theory import learners
from theory.ideal_curve import equivalent
from theory.learners import bayes, infonce

WORLDS = [
    World(p_spu=0.8, p_inv=0.9, mu_spu=1.4, sigma_xi=4.0, mention_spu=0.6),
    World(p_spu=0.8, p_inv=0.9, mu_spu=1.4, sigma_xi=4.0, classes=3),
    World(table=[[0.3, 0.1], [0.2, 0.4]], mu_spu=1.4, sigma_xi=4.0, mention_spu=0.6),
    World(table=[[0.3, 0.1], [0.05, 0.25], [0.2, 0.1]], mu_spu=1.4, p_inv=0.9, sigma_xi=4.0),
]
RULES = [learners.named(name) for name in learners.names() if name != "printed"]
RULES += [learners.LinearCLIP("mean"), learners.LinearCLIP("background"), learners.InfoNCE("mean")]


def assert_near(found, expected) -> None:
    """Estimates within 3 half widths of each other's 95 % intervals: 5 standard errors or more."""
    near = 1e-9
    for one in (found, expected):
        near = near + (
            0.0
            if one.interval is None
            else 3 * np.array([(high - low) / 2 for low, high in one.interval])
        )
    assert (np.abs(np.stack([*found]) - np.stack([*expected])) <= near).all()


@pytest.mark.parametrize(
    "world",
    # those of K = 3
    [pytest.param(world, marks=[pytest.mark.deep] * (k % 2)) for k, world in enumerate(WORLDS)],
    ids=["2", "3", "table of 2", "table of 3"],
)
def test_opposite_means_have_the_same_accuracies_and_places(world, monkeypatch):
    monkeypatch.setattr(infonce, "TERMS", 2**15)
    monkeypatch.setattr(bayes, "TERMS", 2**18)
    others = [world.replace(**{name: -getattr(world, name)}) for name in ("mu_inv", "mu_spu")]
    for rule in RULES:
        slow = rule.name == "infonce" and (world is WORLDS[1] or rule.prompt == "name")
        # half a minute per world, by the route of logistic
        slow |= rule.name == "max-margin" and world.classes > 2
        if slow or (rule.name == "gaussian" and world.table is not None):
            continue  # or without a law there
        accuracy = rule.accuracy(world)
        for other in others[: 1 if rule.name == "logistic" and world.classes > 2 else 2]:
            assert_near(rule.accuracy(other), accuracy)
    place = equivalent(world, accuracy)
    # Each accuracy of a sampled ideal curve has a standard error of up to 2e-4, and p' and r have
    # them from it.
    sampled = world.classes > 2 or world.table is not None
    for other in others:
        found = equivalent(other, accuracy)
        assert found.correlation == pytest.approx(place.correlation, abs=5e-3 if sampled else 1e-6)
        assert found.shortfall == pytest.approx(place.shortfall, abs=1e-3 if sampled else 1e-6)

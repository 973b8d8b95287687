"""Closed forms of the Bayes rule; test_integrator integrates its scores."""

import numpy as np
import pytest
from reference import worlds_with
from scipy.special import ndtr

from simulator.world import Attribute, World
from theory.learners.base import sampled_accuracy
from theory.learners.bayes import Bayes, bayes_accuracy


def test_an_exact_background_adds_its_log_odds_to_those_of_the_object():
    got = bayes_accuracy(worlds_with(p_spu=0.9, mu_inv=0.8, sigma_spu=0.0))  # whose are 2 mu_inv x
    scores = 0.8 + np.log(9) / 1.6, 0.8 - np.log(9) / 1.6
    assert (got.common, got.counter) == pytest.approx(ndtr(scores), abs=1e-6)


def test_the_more_reliable_of_two_exact_blocks_decides():
    """Noiseless views with p_inv < 1. If both blocks are equally reliable and disagree, there is a
    tie.
    """
    exact = {"sigma_inv": 0.0, "sigma_spu": 0.0}
    for p_inv, p_spu, expected in (
        (0.9, 0.8, (0.9, 0.9)),  # the object decides
        (0.8, 0.9, (1.0, 0.0)),  # the background decides
        (0.9, 0.9, (0.9 + 0.1 / 2, 0.9 / 2)),  # right if both are right, else a tie or wrong
        (0.5, 0.5, (0.5, 0.5)),
    ):
        got = bayes_accuracy(worlds_with(p_spu=p_spu, **exact, p_inv=p_inv))
        assert (got.common, got.counter) == pytest.approx(expected, abs=1e-12)
        extra = World(p_spu=p_spu, sigma_xi=0.0, **exact, attribute=(Attribute(p=0.5),))
        got = bayes_accuracy(extra.replace(p_inv=p_inv))
        assert (got.common, got.counter) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "world", [World(classes=3, p_spu=0.8, mu_inv=1.8, mu_spu=1.5), World(classes=5, mu_spu=3.0)]
)
def test_the_average_over_certain_objects_is_the_limit_of_drawn_ones(world):
    """At p_inv = 1 one integral averages over all objects' coordinates; below it, those of other
    classes are drawn.
    """
    exact, drawn = (bayes_accuracy(world.replace(p_inv=p)) for p in (1.0, 1 - 1e-9))
    for a, b, *ends in zip(exact, drawn, exact.interval, drawn.interval, strict=True):
        margin = 7.3 / 2.13 * np.hypot(*(float(high - low) / 2 for low, high in ends))
        assert margin < 2e-3
        assert abs(a - b) < margin


@pytest.mark.parametrize(
    "fields",
    [
        {"p_inv": 0.3, "attribute": (Attribute(p=0.7, mu=0.9),)},
        {"p_inv": 0.1, "attribute": (Attribute(p=0.7, mu=0.9),), "classes": 3},
        {"p_inv": 0.3, "table": [[0.35, 0.05], [0.1, 0.2], [0.05, 0.25]]},
    ],
)
def test_objects_that_mostly_disagree_are_integrated_as_scores_on_images_are_counted(fields):
    """Sixteen randomisations of each differ by |t| = 7.3 once in 4e5 (95% is 2.13)."""
    world = World(mu_inv=1.8, mu_spu=1.5, sigma_xi=4.0, **fields)
    found = Bayes().accuracy(world)
    counted = sampled_accuracy(Bayes(), world)
    for a, b, *ends in zip(found, counted, found.interval, counted.interval, strict=True):
        margin = 7.3 / 2.13 * np.hypot(*(float(high - low) / 2 for low, high in ends))
        assert abs(a - b) < margin < 1e-2

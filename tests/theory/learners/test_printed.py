"""The printed law as a learner: the paper's numbers under its conditions, and a reason elsewhere."""

import numpy as np
from reference import worlds_with

from simulator.world import World
from theory.learners import Printed
from theory.published import theorem_62_bounds

LOUD = World(p_spu=0.9, mu_spu=2.0, sigma_xi=0.0)


def test_accuracies_are_the_printed_bounds():
    grid = worlds_with(p_spu=np.linspace(0.5, 1, 6)[:, None], mu_spu=[1.5, 3.0], sigma_inv=1.0, sigma_spu=0.5)
    bound = theorem_62_bounds(grid.p_spu, grid.mu_spu, 1.0, 0.5)
    accuracy = Printed().accuracy(grid)
    assert accuracy.common.shape == (6, 2)
    assert np.allclose(accuracy.error_counter, bound.error_counter, atol=1e-15)
    assert np.allclose(accuracy.common, bound.accuracy_common, atol=1e-15)


def test_fields_outside_the_formulas_change_nothing():
    grid = LOUD.replace(sigma_xi=[0.0, 1.0, 4.0])
    accuracy = Printed().accuracy(grid)
    assert accuracy.counter.shape == (3,)
    assert np.ptp(accuracy.counter) == 0

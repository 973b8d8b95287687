"""The shape checker checks the first calls of a function, and skips the later ones."""

import inspect

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float
from shapecheck import CHECKED_CALLS, CHECKED_DEFINITIONS, check, unchecked

from theory.accuracy import binary_scores


def halves():
    """A function that is defined anew in each call, as the import hook decorates it."""

    @jaxtyping.jaxtyped(typechecker=check)
    def halved(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return x / 2

    return halved


def test_functions_of_the_packages_are_checked():
    """Only the wrapper is tested, because earlier tests may have used up the checked calls."""
    assert inspect.unwrap(binary_scores) is not binary_scores


def test_a_wrong_shape_is_caught_in_the_first_calls_of_the_first_definitions():
    for _ in range(CHECKED_DEFINITIONS):
        halved = halves()
        with unchecked():
            assert halved(np.ones((3, 3))).shape == (3, 3)
        for _ in range(CHECKED_CALLS - 1):
            halved(np.ones(3))
        with pytest.raises(jaxtyping.TypeCheckError):
            halved(np.ones((3, 3)))
        assert halved(np.ones((3, 3))).shape == (3, 3)
    assert halves()(np.ones((3, 3))).shape == (3, 3)

"""The checker behind the annotated shapes looks, and then looks away."""

from time import sleep

import jaxtyping
import numpy as np
import pytest
from shapecheck import FIRST, unchecked

from theory.accuracy import binary_scores

MISSHAPEN = np.ones((2, 3, 5))  # of what has two numbers a world


def test_a_wrong_shape_is_caught_at_first_and_not_for_ever():
    with pytest.raises(jaxtyping.TypeCheckError):
        binary_scores(MISSHAPEN, None)
    with unchecked(), pytest.raises(AttributeError):  # what the function itself says of a world that is None
        binary_scores(MISSHAPEN, None)
    sleep(2 * FIRST)
    with pytest.raises(AttributeError):
        binary_scores(MISSHAPEN, None)


def test_the_next_test_is_looked_at_again():
    with pytest.raises(jaxtyping.TypeCheckError):
        binary_scores(MISSHAPEN, None)

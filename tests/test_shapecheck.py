"""The checker behind the annotated shapes looks, and then looks away."""

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float
from shapecheck import LOOKS, check, unchecked

from theory.accuracy import binary_scores


def test_a_wrong_shape_is_caught():
    misshapen = np.ones((2, 3, 5))  # of what has two numbers a world
    with pytest.raises(jaxtyping.TypeCheckError):
        binary_scores(misshapen, None)
    with unchecked(), pytest.raises(AttributeError):  # what the function itself says of a world that is None
        binary_scores(misshapen, None)


@jaxtyping.jaxtyped(typechecker=check)
def doubled(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return 2 * x


def test_after_many_calls_a_function_is_left_alone():
    for _ in range(LOOKS - 1):
        doubled(np.ones(3))
    with pytest.raises(jaxtyping.TypeCheckError):
        doubled(np.ones((3, 3)))
    assert doubled(np.ones((3, 3))).shape == (3, 3)

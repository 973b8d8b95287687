"""What predictions are written with: the same numbers as numpy's and scipy's, and formulas of formulas."""

import numpy as np
import pytest
from scipy.special import ndtr

from theory import Phi, exp, sqrt
from theory.proofs.expression import variable

FUNCTIONS = [(Phi, ndtr, "ndtr"), (exp, np.exp, "exp"), (sqrt, np.sqrt, "sqrt")]


@pytest.mark.parametrize(("ours", "theirs", "op"), FUNCTIONS)
def test_numbers_arrays_and_formulas(ours, theirs, op):
    x = np.array([[0.0, 0.3], [2.5, 40.0]])
    assert np.array_equal(ours(x), theirs(x))
    assert ours(0.3) == theirs(0.3)
    recorded = ours(variable("mu_spu"))
    assert (recorded.op, recorded.args) == (op, (variable("mu_spu"),))

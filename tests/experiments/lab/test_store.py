"""A study on disk: what comes back is what was computed, and another study's store is refused."""

import numpy as np
import pytest

from experiments.errors import RequestError
from experiments.lab.study import study

ASKED = study(axes={"p_spu": "0.5:1:5", "sigma_xi": [0.0, 1.0]}, learners=["infonce", "bayes"])


def same(first, second):
    assert list(first.variables) == list(second.variables)
    for name in first.variables:
        if name != "seconds":
            np.testing.assert_array_equal(first[name].values, second[name].values)
            assert first[name].attrs == second[name].attrs


def test_a_store_holds_what_memory_holds(tmp_path):
    same(ASKED.run(tmp_path / "a.zarr"), ASKED.run())


def test_another_study_is_refused_by_its_first_difference(tmp_path):
    ASKED.run(tmp_path / "a.zarr")
    with pytest.raises(RequestError, match=r"another study \(world.mu_spu is 1.0 there and 2.0 here\)"):
        study(ASKED.world.model_copy(update={"mu_spu": 2.0}), ASKED.axes, ASKED.learners).run(tmp_path / "a.zarr")

"""Law 2: an interval holds its own value (also checked in law 1), and is as wide as its maker's numbers scatter."""

import numpy as np
import pytest
from laws.intervals import CONSERVATIVE, MAKERS
from stattest import assert_scale

from experiments import inference


@pytest.mark.deep
@pytest.mark.parametrize("name", MAKERS)
def test_an_interval_is_as_wide_as_numbers_scatter(name):
    maker = MAKERS[name]
    values, low, high = np.transpose([maker.run(seed) for seed in range(maker.seeds)]).astype(float)
    assert np.all((low <= values) & (values <= high))
    errors = (high - low) / 2 / maker.quantile()
    assert_scale(values, errors, factor=maker.factor, freedom=maker.freedom, what=name)


def test_every_maker_is_checked_or_conservative():
    makers = {name for name in vars(inference) if name.endswith(("_bounds", "_interval", "interval95"))}
    assert makers - {name.split(",")[0].split(" ")[0] for name in (*MAKERS, *CONSERVATIVE)} <= {"violation_bounds"}

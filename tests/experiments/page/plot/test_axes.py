"""Axes of plots: readable ticks, and a suitable scale for listed values."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from experiments.page.plot.axes import MOST_TICKS, SCALES, axis_of, ticks_of


def axis(values, scale="linear"):
    return axis_of(xr.DataArray(values, dims="x", coords={"x": ("x", values, {"scale": scale})}).x)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.1, 0.5, 0.9], "linear"),
        ([0.9, 0.99, 0.999], "one-minus"),
        ([1e2, 1e4, 1e6], "log"),
        ([1.0, 2.0, 3.0], "linear"),
        ([0.0, 1.0, 10.0], "linear"),
        ([3.0, 2.0, 1.0], "linear"),
        ([1e6, 1e4, 1e2], "log"),
        ([0.999, 0.99, 0.9], "one-minus"),
    ],
)
def test_listed_values_get_the_most_even_scale(values, scale):
    assert axis(np.array(values), "listed").scale.name == scale


@given(
    st.sampled_from(["linear", "log", "one-minus"]),
    st.lists(st.floats(1e-6, 1 - 1e-6), min_size=2, max_size=9, unique_by=lambda x: round(x, 7)),
)
def test_ticks_lie_within_the_values(scale, values):
    values = np.sort(values)
    ticks = ticks_of(axis(values, scale))
    assert 1 <= len(ticks) <= MOST_TICKS
    assert np.all((ticks >= values[0] - 1e-9) & (ticks <= values[-1] + 1e-9))


@given(st.floats(1e-6, 1 - 1e-6))
def test_scales_invert(x):
    for scale in SCALES.values():
        assert np.isclose(scale.value(scale.place(x)), x, rtol=1e-9)

"""Robustness lines: exact lines are found, weights equal repetition, planted offsets are found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.effective_robustness import AXES, Line, band, fit_line, offset, resampled, stretch

fractions = st.lists(st.floats(0.05, 0.95), min_size=4, max_size=9, unique=True).map(
    lambda v: np.array(sorted(v))
)


@given(st.sampled_from(AXES), fractions, st.floats(0.3, 1.4), st.floats(-0.6, 0.1))
def test_a_straight_line_is_found(axis, common, slope, intercept):
    x = stretch(common, axis)
    if np.ptp(x) < 1e-3:
        return
    counter = Line(axis, np.array(slope), np.array(intercept)).at(common)
    line = fit_line(common, counter, axis)
    # Rounding of order 1e-16 grows by the condition of the fit, at most (1/ptp)^2 = 1e6.
    assert line.slope == pytest.approx(slope, abs=1e-8)
    assert np.allclose(line.at(common), counter, atol=1e-8)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(("level", "half"), [(0.45, 0.0), (0.55, 0.02), (0.99, 0.02)])
def test_an_offset_is_the_planted_one_and_its_interval_has_its_level(axis, level, half):
    """Two others lie .01 above and below .03 over an exact line: their mean is .02 or .04 with
    probability 1/4 each.
    """
    x = np.linspace(0.55, 0.9, 12)
    on_line = Line(axis, np.array(0.9), np.array(-0.3)).at(x)
    others = (x[3:5], on_line[3:5] + np.array([0.01, 0.05]))
    point, ends, n = offset((x, on_line), others, axis, np.random.default_rng(0), level=level)
    assert (n, point) == (2, pytest.approx(0.03, abs=1e-12))
    assert ends == pytest.approx((0.03 - half, 0.03 + half), abs=1e-9)


def test_an_offsets_interval_holds_the_scatter_of_its_family():
    """Replicates of the line, drawn one by one."""
    rng = np.random.default_rng(7)
    x = np.linspace(0.5, 0.9, 9)
    y = x - 0.2 + rng.normal(0, 0.02, 9)
    other = (np.array([0.62]), np.array([0.5]))
    _, ends, _ = offset(
        (x, y), other, "plain", np.random.default_rng(0), replicates=4000, level=0.8
    )
    (low,), (high,) = band(
        x, y, "plain", other[0], np.random.default_rng(0), replicates=4000, level=0.8
    )
    assert (0.5 - high, 0.5 - low) == pytest.approx(ends, abs=1e-12)
    found = []
    while len(found) < 4000:
        drawn = rng.integers(9, size=9)
        if np.ptp(x[drawn]) > 0:
            found.append(0.5 - np.polyval(np.polyfit(x[drawn], y[drawn], 1), 0.62))
    # six errors of both quantiles
    assert ends == pytest.approx(np.quantile(found, [0.1, 0.9]), abs=0.0012)


def test_every_replicate_has_two_accuracies():
    common = np.array([0.5, 0.5, 0.7])
    counter = np.array([0.3, 0.35, 0.5])
    drawn = resampled(common, 2000, np.random.default_rng(0))
    assert (drawn.sum(axis=1) == 3).all()
    assert (drawn[:, 2] > 0).all()
    assert (drawn[:, :2].sum(axis=1) > 0).all()
    for axis in AXES:
        assert np.isfinite(
            band(common, counter, axis, np.linspace(0.4, 0.8, 5), np.random.default_rng(1))
        ).all()
    with pytest.raises(ValueError, match="same common"):
        resampled(np.full(3, 0.5), 10, np.random.default_rng(0))


def test_nearby_models_keep_their_slope():
    """Accuracies differ by a millionth; a difference of squares once left four digits of the
    slope.
    """
    common = 0.7 + 1e-6 * np.arange(4)
    assert fit_line(common, 0.3 + 0.5 * common, "plain").slope == pytest.approx(0.5, abs=1e-8)

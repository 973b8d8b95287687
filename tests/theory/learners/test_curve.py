"""The boundary as a curve: what is on either side of one that can be integrated otherwise."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from theory.learners.curve import accuracy_along


def right(eta, m_v: float, m_w: float, turn: float) -> float:
    """P(v > eta(w)), v ~ N(m_v, 1) and w ~ N(m_w, 1), piece by piece."""
    density = lambda w: np.exp(-((w - m_w) ** 2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    ends = [m_w - 9, *(e for e in (-turn, 0.0, turn) if abs(e - m_w) < 9), m_w + 9]
    return sum(quad(lambda w: density(w) * ndtr(m_v - eta(w)), a, b, epsabs=1e-12)[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("tolerance", [1e-5, 1e-8])
@pytest.mark.parametrize("turn", [0.02, 0.1, 1.0])
def test_a_curve_that_turns_is_refined_to_the_tolerance(turn, tolerance):
    eta = lambda w: turn * np.tanh(w / turn)  # noqa: E731
    mean = np.array([[0.4, 2.0, 3.0], [0.7, 1.5, -1.0]])
    found = accuracy_along(lambda rows, w, low, high: eta(w), mean, tolerance)
    for (x, y), each in zip(mean.T, found, strict=True):
        plus, minus = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
        expected = right(eta, plus, minus, turn), right(eta, minus, plus, turn)
        assert each == pytest.approx(expected, abs=tolerance)

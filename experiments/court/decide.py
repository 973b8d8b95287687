"""The rule of decision: pure statistics, no world in sight.

contradicted  the lower 1 - alpha/2 bound of the violation at the worst point, from drawn pairs, exceeds tau
supported     the search found v < tau everywhere, and at each of m audit points the upper 1 - alpha/(2m) bound,
              from the exact law, is below tau
undecided     neither
A false verdict of either kind has probability at most alpha/2 by the union bound, so alpha in all.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

Decision = Literal["supported", "contradicted", "undecided"]
POWER = 0.95


class Bounds(NamedTuple):
    """One-sided confidence bounds, each missing the truth with the stated tail probability at most."""

    low: float
    high: float


def mean_bounds(samples: np.ndarray, tail: float) -> Bounds:
    """Student t bounds of a mean from independent replicates (R,), R >= 2.

    Exact for normal replicates; ours are means over thousands of pairs. Raises ValueError for R < 2.
    """
    R = len(samples)
    if R < 2:
        raise ValueError(f"{R} replicate(s) carry no interval; the fewest are 2")
    half = stdtrit(R - 1, 1 - tail) * samples.std(ddof=1) / np.sqrt(R)
    return Bounds(float(samples.mean() - half), float(samples.mean() + half))


def violation_bounds(violation, samples: np.ndarray, tail: float) -> Bounds:
    """Bounds of v = violation(quantity) from replicates of the quantity, each side at `tail`.

    A violation is a maximum of monotone pieces (|q - b|, b - q, ...), so it is largest at an end of the
    quantity's interval, and smallest at an end or at zero inside.
    """
    ends = mean_bounds(samples, tail / 2)  # |q - b| is two-sided: half the tail on each side
    values = [float(violation(x)) for x in (ends.low, ends.high, float(samples.mean()))]
    # |q - b| has its minimum inside where the mean's violation is below both ends'; then nothing is shown.
    low = min(values[:2]) if values[2] >= min(values[:2]) else min(values[2], 0.0)
    return Bounds(low, max(values[:2]))


def replicates_for(deviation: float, effect: float, tail: float, power: float = POWER) -> int:
    """Replicates for a one-sided bound at `tail` to clear `effect` with the given power, at least 8.

    Normal approximation, then one step of the t correction. deviation is that of one replicate.
    """
    if deviation == 0:
        return 8
    R = max(8.0, ((ndtri(1 - tail) + ndtri(power)) * deviation / effect) ** 2)
    R = ((stdtrit(R - 1, 1 - tail) + stdtrit(R - 1, power)) * deviation / effect) ** 2
    return max(8, int(np.ceil(R)))


def decide(worst: Bounds | None, audits: list[Bounds], searched: float, tau: float) -> Decision:
    """The verdict from bounds on v: `worst` at the worst point found (None where the search saw no violation
    above tau, so nothing was drawn), `audits` at the audit points, `searched` the largest v of the search."""
    if worst is not None and worst.low > tau:
        return "contradicted"
    if searched < tau and all(bound.high < tau for bound in audits):
        return "supported"
    return "undecided"

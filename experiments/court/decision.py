"""The rule of decision: pure statistics, no world in sight.

contradicted  at the worst point the lower 1 - alpha/2 bound of the violation exceeds tau; for a true claim this has
              probability alpha/2 at most, wherever the search has led
supported     the search found v < tau everywhere, and at each of m audit points the upper 1 - alpha/(2m) bound is below
              tau. That is a search and m audited points: no error rate is attached to the rest of the domain
undecided     neither, and the reason
proved        supported, and a proof of the closed form covers the whole domain (`experiments.court.certificates`)
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import gammaincinv, ndtri, stdtrit

from experiments.inference import Bounds, Sample, bets

Decision = Literal["proved", "supported", "contradicted", "undecided"]
POWER = 0.95  # of a claim as a whole: its audit points share out the chance of a miss
FEWEST = 8  # replicates; fewer would leave the t bounds far from normal ones
TWO_SIDED = ("=", "slope")


class Ruling(NamedTuple):
    """The decision, and the reason in one sentence."""

    decision: Decision
    reason: str


def violation_bounds(
    relation: str, bounds: Callable[[float], Bounds], target: float, tail: float, promised: bool = True
) -> Bounds:
    """Bounds of the violation v, each side at `tail`, from bounds(tail) of the quantity q.

    v = target - q for ">=", q - target for "<=", |q - target| for "=" and "slope", the side that was not promised for
    "iff", and q itself, a difference of two points, for the monotone relations. The lower bound of |q - target| is the
    distance of the target from a two-sided interval, 0 inside it; the upper bound needs one side only.
    """
    low, high = bounds(tail)
    if relation in TWO_SIDED:
        inner = bounds(tail / 2)
        distance = np.maximum(0.0, np.maximum(inner.low - target, target - inner.high))
        return Bounds(distance, np.maximum(high - target, target - low))
    if relation == ">=" or (relation == "iff" and promised):
        return Bounds(target - high, target - low)
    return Bounds(low - target, high - target)


def p_value(low: Callable[[float], float], tau: float) -> float:
    """The least tail at which the lower bound low(tail) exceeds tau, by bisection; 1 if none below 1/2 does.

    At twice this error rate the claim would just have been contradicted.
    """
    if low(0.5) <= tau:
        return 1.0
    shown, unknown = np.log(0.5), np.log(1e-100)
    for _ in range(40):
        middle = (shown + unknown) / 2
        shown, unknown = (middle, unknown) if low(float(np.exp(middle))) > tau else (shown, middle)
    return float(np.exp(shown))


def decide(
    worst: Bounds | None,
    audits: Sequence[Bounds],
    searched: float,
    tau: float,
    obstacles: Sequence[str] = (),
    notes: Sequence[str] = (),
    called: tuple[str, str] = ("point", "audit points"),
) -> Ruling:
    """The verdict from bounds on the violation v."""
    if worst is not None and worst.low > tau:
        return Ruling(
            "contradicted", f"the violation is at least {worst.low:.4g} at the worst {called[0]}, above {tau:g}"
        )
    above = [bound.high for bound in audits if bound.high >= tau]
    seen = []
    if searched >= tau:
        shown = "" if worst is None else f", of which measurements there show {max(worst.low, 0.0):.4g}"
        seen.append(f"the search found a violation of {searched:.4g}{shown}; {tau:g} is allowed")
    elif above:
        seen.append(f"{len(above)} of {len(audits)} {called[1]} leave room for a violation of {max(above):.4g}")
    elif not audits and not obstacles:
        seen.append("no point could be audited")
    if seen or obstacles:
        return Ruling("undecided", "; ".join([*seen, *obstacles, *notes]))
    return Ruling(
        "supported",
        f"no violation of {tau:g} was found and {len(audits)} {called[1]} agree; of other points nothing is claimed",
    )


def size_needed(pilot: Sample, gap: float, tail: float, miss: float) -> float:
    """Values that bring a bound at `tail` within `gap` of the mean, except with probability `miss`; inf if none do.

    Judged from a pilot sample of the same law, by the method that `Sample.bounds` will use.
    """
    if gap <= 0:
        return np.inf
    if pilot.normal:
        return normal_size(deviation_bound(pilot, miss / 2), gap, tail, miss / 2)
    if pilot.support is None:
        return np.inf
    low, high = pilot.support
    if np.isin(pilot.values, pilot.support).all():
        return (high - low) ** 2 * binomial_size((pilot.mean - low) / (high - low), gap / (high - low), tail, miss)
    return betting_size(pilot, gap, tail, miss)


def deviation_bound(pilot: Sample, miss: float) -> float:
    """Upper bound of a normal law's standard deviation, too small with probability `miss` (chi-square)."""
    freedom = len(pilot.values) - 1
    return float(np.std(pilot.values, ddof=1) * np.sqrt(freedom / (2 * gammaincinv(freedom / 2, miss))))


def normal_size(deviation: float, gap: float, tail: float, miss: float) -> float:
    """Replicates for a t bound at `tail` to come within `gap`, at least FEWEST. Normal approximation, two t steps."""
    R = max(FEWEST, ((ndtri(1 - tail) + ndtri(1 - miss)) * deviation / gap) ** 2)
    for _ in range(2):
        R = max(FEWEST, ((stdtrit(R - 1, 1 - tail) + stdtrit(R - 1, 1 - miss)) * deviation / gap) ** 2)
    return float(np.ceil(R))


def binomial_size(p: float, gap: float, tail: float, miss: float) -> float:
    """Answers for a Clopper-Pearson bound at `tail` to come within `gap` of p, by the normal approximation.

    The variance is that of the least favourable probability within reach, and 2/gap answers pay for discreteness.
    """
    worst = np.clip(0.5, p - gap, p + gap)
    deviation = np.sqrt(worst * (1 - worst))
    return float(np.ceil(((ndtri(1 - tail) + ndtri(1 - miss)) * deviation / gap) ** 2 + 2 / gap))


def betting_size(pilot: Sample, gap: float, tail: float, miss: float) -> float:
    """Values for a betting bound at `tail` to come within `gap`: for the best stake, its capital grows to 1/tail.

    The pilot is taken with one value more at the far end of the support: what it has not seen may be an atom there.
    """
    assert pilot.support is not None
    low, high = pilot.support
    x = (pilot.values - low) / (high - low)
    weight = np.append(np.ones(len(x)) if pilot.counts is None else pilot.counts, 1.0)
    weight /= weight.sum()
    needed = []
    for side in (x, 1 - x):
        values = np.append(side, 0.0)
        mean = weight[:-1] @ side / weight[:-1].sum()
        m = mean - gap / (high - low)
        if m <= 0:
            needed.append(0.0)  # the bound 0 of the support is near enough
            continue
        theta = bets(1e6)[1:, None]  # the whole capital is lost to a single value at the far end
        gains = np.log1p(theta * (values / m - 1))
        growth = gains @ weight
        spread = np.sqrt(np.maximum((gains**2) @ weight - growth**2, 0.0))
        needed.append(_rounds(growth, spread, len(theta) + 1, tail, miss))
    return float(np.ceil(max(FEWEST, *needed)))


def _rounds(growth: np.ndarray, spread: np.ndarray, stakes: int, tail: float, miss: float) -> float:
    """Least R with R growth - z spread sqrt R >= log(stakes/tail) for some stake; inf if no stake grows."""
    goal, z = np.log(stakes / tail), ndtri(1 - miss)
    grows = growth > 0
    if not grows.any():
        return np.inf
    g, s = growth[grows], z * spread[grows]
    root = (s + np.sqrt(s**2 + 4 * g * goal)) / (2 * g)
    return float((root**2).min())

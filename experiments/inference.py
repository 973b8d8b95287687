"""Intervals and error rates of the whole project, each with its assumption.

    Student t        the mean of independent normal values; means over thousands of pairs are close
                     enough
    Clopper-Pearson  a probability, from independent yes-or-no answers
    betting          the mean of independent values of one law on a known interval, whatever its
                     atoms
    bootstrap        a statistic of clusters (classes, models) drawn from a population of them

A bound at tail a lies on the wrong side of the truth with probability at most a.

Betting (Waudby-Smith and Ramdas, JRSS B 86, 2024, section 5): bet that values in [0, 1] have a mean
above m. After R rounds a capital of 1 becomes
    K(m) = average over theta of prod_i (1 - theta + theta x_i/m),    0 <= theta <= 1.
At the true mean E K = 1, so P(K >= 1/a) <= a by Markov's inequality; K falls with m, and the lower
bound is the m at which K = 1/a. The average over theta replaces predictable bets. It does not
depend on the order of the values, so equal values can be counted. (confseq 0.0.11, the authors'
last release, from 2023, needs a C++ compiler and Boost.)
"""

from dataclasses import dataclass
from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betainccinv, betaincinv, ndtr, stdtrit

from simulator.accuracy import LEVEL
from simulator.exact_counts import multinomial

Numbers = np.ndarray | float
FRACTION = (0.0, 1.0)  # the support of an accuracy
REALS = (-np.inf, np.inf)


class Bounds(NamedTuple):
    """One-sided confidence bounds; each is wrong with at most the stated tail probability."""

    low: Numbers
    high: Numbers


def t_bounds(
    values: Float[np.ndarray, "*d R"],
    tail: float,
    support: tuple[float, float] = REALS,
    least: float = 0.0,
) -> Bounds:
    """Student t bounds of a mean of normal values, over the last axis; a deviation below `least`
    counts as that.
    """
    R = np.shape(values)[-1]
    if R < 2:
        raise ValueError(f"an interval needs at least 2 replicates, got {R}")
    mean = np.mean(values, axis=-1)
    half = -stdtrit(R - 1, tail) * np.maximum(np.std(values, axis=-1, ddof=1), least) / np.sqrt(R)
    return Bounds(np.maximum(mean - half, support[0]), np.minimum(mean + half, support[1]))


def binomial_bounds(successes: Numbers, trials: Numbers, tail: float) -> Bounds:
    """Clopper and Pearson's bounds of a probability. Exact for independent yes-or-no answers."""
    k = np.asarray(successes, float)
    n = np.asarray(trials, float)
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betainccinv(k + 1, np.maximum(n - k, 1), tail), 1.0)
    return Bounds(low[()], high[()])


def betting_bounds(
    values: Float[np.ndarray, "*d R"],
    tail: float,
    support: tuple[float, float] = (0.0, 1.0),
    counts: np.ndarray | None = None,
) -> Bounds:
    """Betting bounds of a mean, over the last axis. Hold for independent values of any one law on
    `support`.
    """
    values = np.asarray(values, float)
    floor, ceiling = support
    if np.any(values < floor) or np.any(values > ceiling):
        raise ValueError(
            f"values from {values.min():g} to {values.max():g} lie outside the support [{floor:g},"
            f" {ceiling:g}]"
        )
    counts = np.ones_like(values) if counts is None else np.asarray(counts, float)
    x = (values - floor) / (ceiling - floor)
    width = ceiling - floor
    return Bounds(
        (floor + width * _betting_low(x, counts, tail))[()],
        (ceiling - width * _betting_low(1 - x, counts, tail))[()],
    )


def _betting_low(x: np.ndarray, counts: np.ndarray, tail: float) -> np.ndarray:
    """The m at which the capital of a bet on a mean above m reaches 1/tail, by bisection to 3e-8
    from the safe side.
    """
    rounds = max(float(counts.sum(axis=-1).max()), 1)
    # Stakes are fractions of the capital: 1, 1/2, 1/4, ... down to about the best stake
    # 1/sqrt(rounds).
    theta = 0.5 ** np.arange(int(np.ceil(np.log2(rounds) / 2)) + 2)[:, None]
    goal = np.log(len(theta)) - np.log(tail)
    low = np.zeros(x.shape[:-1])
    # at the sample mean no bet has won: log K <= 0
    high = (x * counts).sum(axis=-1) / counts.sum(axis=-1)
    for _ in range(25):
        middle = (low + high) / 2
        # a mean below 1e-323 rounds to 0, and so does its bound
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(x > 0, x / middle[..., None], 0.0)[..., None, :]
            gains = np.log1p(theta * (ratio - 1))
            capital = np.where(counts[..., None, :] > 0, counts[..., None, :] * gains, 0.0).sum(
                axis=-1
            )
            rich = np.logaddexp.reduce(capital, axis=-1) >= goal
        low = np.where(rich, middle, low)
        high = np.where(rich, high, middle)
    return low


@dataclass(frozen=True)
class Sample:
    """Independent values of one law, with the known properties of that law."""

    values: Float[np.ndarray, " R"]
    normal: bool = False
    support: tuple[float, float] | None = None
    counts: np.ndarray | None = None
    least: float = 0.0  # standard deviation of a normal law; a smaller one counts as this

    @property
    def size(self) -> int:
        return len(self.values) if self.counts is None else int(self.counts.sum())

    @property
    def mean(self) -> float:
        return float(np.average(self.values, weights=self.counts))

    def bounds(self, tail: float) -> Bounds:
        """One-sided bounds of the law's mean, by the sharpest method that it allows; infinite if it
        allows none.
        """
        if self.normal:
            return Bounds(
                *map(float, t_bounds(self.values, tail, self.support or REALS, self.least))
            )
        if self.support is None:
            return Bounds(*REALS)
        low, high = self.support
        if np.isin(self.values, self.support).all():
            hits = self.size * (self.mean - low) / (high - low)
            ends = binomial_bounds(np.rint(hits), self.size, tail)
            return Bounds(*(float(low + (high - low) * end) for end in ends))
        return Bounds(*map(float, betting_bounds(self.values, tail, self.support, self.counts)))


def interval95(
    values: Float[np.ndarray, " R"], support: tuple[float, float] = FRACTION
) -> list[float] | None:
    """[low, high] of the 95% t interval, as documents keep it; None for a single value."""
    return (
        None
        if len(values) < 2
        else [float(end) for end in t_bounds(values, (1 - LEVEL) / 2, support)]
    )


def holm(p: Float[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
    """Holm's adjusted p-values of any tests: rejecting those below alpha errs with probability at
    most alpha.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def sign_test(up: int, down: int) -> float:
    """Exact two-sided p-value of `up` against `down` under equal chances; 1 if both are 0."""
    from scipy.stats import binomtest  # start-up time

    return float(binomtest(up, up + down).pvalue) if up + down else 1.0


def mcnemar(right: Int[np.ndarray, "S 2"], count: Int[np.ndarray, "S 2"]) -> float:
    """Exact two-sided p-value of the hypothesis that both columns are equally accurate in each
    stratum.

    Given the `right` answers of a stratum, the number in the first column is hypergeometric. The
    p-value is the probability of all sums over strata that are at most as likely as the observed
    one. With one answer per column this is McNemar's test, else that of Cochran, Mantel and
    Haenszel.
    """
    rows, times = np.unique(np.column_stack([count, right.sum(axis=1)]), axis=0, return_counts=True)
    law = np.ones(1)
    least = 0
    for (n, m, right_in_both), repeats in zip(rows.tolist(), times.tolist(), strict=True):
        low = max(0, right_in_both - m)
        high = min(n, right_in_both)
        weights = [comb(n, k) * comb(m, right_in_both - k) for k in range(low, high + 1)]
        total = sum(weights)
        law = np.convolve(law, _convolved(np.array([w / total for w in weights]), repeats))
        least += low * repeats
    density = law[int(right[:, 0].sum()) - least]
    # Equally likely sums have probabilities that differ by rounding.
    return float(min(1.0, law[law <= density * (1 + 1e-7)].sum()))


def _convolved(law: np.ndarray, times: int) -> np.ndarray:
    """The law of a sum of `times` independent values, by squaring. All terms are positive, so no
    digit is lost.
    """
    total = np.ones(1)
    for bit in f"{times:b}":
        total = np.convolve(total, total)
        if bit == "1":
            total = np.convolve(total, law)
    return total


def resampled_means(
    values: Float[np.ndarray, " C"], replicates: int, rng: np.random.Generator
) -> Float[np.ndarray, " R"]:
    """Means of a bootstrap over clusters, with one value per cluster."""
    distinct, counts = np.unique(values, return_counts=True)
    C = len(values)
    return multinomial(C, counts / C, replicates, rng) @ distinct / C


def resamples(clusters: int, replicates: int, rng: np.random.Generator) -> Float[np.ndarray, "R C"]:
    """How often each cluster is drawn in each replicate of a bootstrap; a cluster's members stay
    together.
    """
    # counts are near 1, and every numpy draws these by inversion
    chances = np.full(clusters, 1 / clusters)
    return rng.multinomial(clusters, chances, size=replicates).astype(float)


def expanded_tail(clusters: int, level: float) -> float:
    """Tail probability Phi(-sqrt(C/(C - 1)) t_{C-1}) at which bootstrap percentiles match a t
    interval.
    """
    t = stdtrit(clusters - 1, (1 + level) / 2)
    return float(ndtr(-np.sqrt(clusters / (clusters - 1)) * t))


def bootstrap_interval(
    drawn: Float[np.ndarray, " R"], clusters: int, level: float = LEVEL
) -> tuple[float, float] | None:
    """Expanded percentiles of the replicates of a bootstrap over clusters; None if all replicates
    are equal.

    Plain percentile intervals of C clusters are too narrow by sqrt((C - 1)/C) and by normal instead
    of t quantiles; the level is widened to undo both (Hesterberg 2015, arXiv 1411.5279, "expanded
    percentile").
    """
    # accuracies differ by more than this, rounding by less
    if clusters < 2 or np.ptp(drawn) < 1e-12:
        return None
    tail = expanded_tail(clusters, level)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def combined(value: float, *intervals: tuple[float, float]) -> tuple[float, float]:
    """Interval of a value that errs by a sum of independent parts, each with an interval around the
    value.

    Distances to ends add up like standard deviations (Zou and Donner, Statistics in Medicine 27,
    2008: "variance estimates recovery"; for a difference of two proportions Newcombe's method 10).
    """
    ends = np.array(intervals)
    down = np.maximum(value - ends[:, 0], 0)
    up = np.maximum(ends[:, 1] - value, 0)
    return float(value - np.sqrt((down**2).sum())), float(value + np.sqrt((up**2).sum()))


def hull(first: tuple[float, float] | None, second: tuple[float, float]) -> tuple[float, float]:
    return second if first is None else (min(first[0], second[0]), max(first[1], second[1]))

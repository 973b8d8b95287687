"""Assertions about random numbers; no test makes them in another way.

A Monte Carlo assertion states three numbers: the rate of false alarms (a correct program fails),
the effect that matters, and the power (the chance that a program wrong by that effect fails).
Sample sizes follow from them; a sample that is too small for its effect is an error. Streams are
seeded, so that a run repeats. The rate is over the choice of seed.

BUDGET is the chance that a correct program fails anywhere in one run of the whole suite. It is
divided by USES. Each call records one share and fails if the budget is exceeded. If processes
divide the suite, conftest.py adds up their shares, and the run fails if the sum exceeds the budget.
"""

import numpy as np
from scipy import stats
from scipy.special import ndtri, stdtrit

BUDGET = 1e-3
USES = 360
SHARE = BUDGET / USES
POWER = 0.99

_spent: list[float] = []


def spend(share: float) -> None:
    """Record one use of the false-alarm budget."""
    _spent.append(share)
    assert not overdrawn(_spent), overdrawn(_spent)


def spent() -> list[float]:
    """Shares that this process has spent, one per use."""
    return list(_spent)


def overdrawn(shares: list[float]) -> str:
    """An error message if the shares of all processes exceed the budget, else an empty string."""
    if sum(shares) <= BUDGET * (1 + 1e-9):
        return ""
    return (
        f"{len(shares)} Monte Carlo assertions spend {sum(shares):.2e}, more than the suite's"
        f" budget {BUDGET:.0e}; raise USES, and sample sizes follow"
    )


def mean_size(effect: float, power: float = POWER, false_alarm: float = SHARE) -> int:
    """Sample size at which a shift of the mean by `effect` standard deviations is detected (normal
    approximation).
    """
    return int(np.ceil(((ndtri(1 - false_alarm / 2) + ndtri(power)) / effect) ** 2))


def law_size(effect: float, power: float = POWER, false_alarm: float = SHARE) -> int:
    """Size of two samples at which a Kolmogorov distance of `effect` is detected, as in
    `critical_distance`.
    """
    return int(
        np.ceil(
            ((np.sqrt(np.log(2 / false_alarm)) + np.sqrt(np.log(2 / (1 - power)))) / effect) ** 2
        )
    )


def critical_distance(size: int, false_alarm: float) -> float:
    """c from P(distance > c) <= 2 exp(-size c^2), for two samples of one law with equal sizes of at
    least 458.

    Two-sample Dvoretzky-Kiefer-Wolfowitz inequality (Wei and Dudley, Statistics & Probability
    Letters 82, 2012, theorem 1); it holds for laws with atoms too.
    """
    assert size >= 458, f"{size} values per sample; the inequality needs 458"
    return float(np.sqrt(np.log(2 / false_alarm) / size))


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kolmogorov distance of each column of two samples (size, columns)."""
    result = []
    for a, b in zip(np.sort(first, axis=0).T, np.sort(second, axis=0).T, strict=True):
        values = np.concatenate([a, b])
        gap = np.searchsorted(a, values, side="right") / len(a) - np.searchsorted(
            b, values, side="right"
        ) / len(b)
        result.append(np.abs(gap).max())
    return np.array(result)


def assert_same_law(
    first: np.ndarray,
    second: np.ndarray,
    *,
    effect: float,
    power: float = POWER,
    share: float = SHARE,
    what: str = "",
) -> None:
    """Assert that each column of two samples (size, columns) has one law; the columns split the
    share.
    """
    spend(share)
    first = np.asarray(first, float).reshape(len(first), -1)
    second = np.asarray(second, float).reshape(len(second), -1)
    assert first.shape == second.shape, f"samples of shapes {first.shape} and {second.shape}"
    each = share / first.shape[1]
    needed = law_size(effect, power, each)
    assert len(first) >= needed, (
        f"effect {effect} at power {power} needs samples of {needed}, not {len(first)}"
    )
    found = distances(first, second)
    allowed = critical_distance(len(first), each)
    assert found.max() <= allowed, (
        f"{what}: column {found.argmax()} differs by {found.max():.3f} > {allowed:.3f} in"
        f" Kolmogorov distance (false-alarm rate {share:.1e}, effect {effect}, power {power},"
        f" samples of {len(first)})"
    )


def assert_mean(
    sample: np.ndarray,
    expected,
    *,
    effect: float,
    power: float = POWER,
    share: float = SHARE,
    what: str = "",
) -> None:
    """Assert by t tests that columns (size, columns), which split the share, have these means;
    `effect` in sds.
    """
    spend(share)
    sample = np.asarray(sample, float).reshape(len(sample), -1)
    size, columns = sample.shape
    expected = np.broadcast_to(np.asarray(expected, float).ravel(), columns)
    each = share / columns
    needed = mean_size(effect, power, each)
    assert size >= needed, f"effect {effect} at power {power} needs {needed} values, not {size}"
    error = sample.mean(axis=0) - expected
    scale = sample.std(axis=0, ddof=1) / np.sqrt(size)
    # Rounding of a mean: eps times the numbers that are added up.
    slack = 1e-13 * np.abs(sample).max(axis=0)
    allowed = -stdtrit(size - 1, each / 2) * scale + slack
    worst = int((np.abs(error) - allowed).argmax())
    assert np.all(np.abs(error) <= allowed), (
        f"{what}: column {worst} has mean {sample[:, worst].mean():.6g}, expected"
        f" {expected[worst]:.6g} within {allowed[worst]:.2g} (false-alarm rate {share:.1e}, effect"
        f" {effect} sd, power {power}, {size} values)"
    )


def seeds_for(
    factor: float, freedom: float, power: float = POWER, false_alarm: float = SHARE
) -> int:
    """Independent runs that detect a `factor` of their errors' scale; `freedom` is that behind each
    stated error.
    """
    for seeds in range(3, 10_000):
        ratio = _ratio(seeds, freedom)
        wide = factor**2 * ratio.isf(power) < ratio.isf(false_alarm / 2)
        narrow = ratio.ppf(power) / factor**2 > ratio.ppf(false_alarm / 2)
        if not (wide or narrow):
            return seeds
    raise AssertionError(f"no number of runs detects a factor of {factor}")


def _ratio(seeds: int, freedom: float):
    """The law of the variance over runs per mean square of the errors that they state."""
    return (
        stats.chi2(seeds - 1, scale=1 / (seeds - 1))
        if np.isinf(freedom)
        else stats.f(seeds - 1, seeds * freedom)
    )


def assert_scale(
    values: np.ndarray,
    errors: np.ndarray,
    *,
    factor: float,
    freedom: float = np.inf,
    share: float = SHARE,
    what: str,
) -> None:
    """Assert that values (runs, columns) scatter as their errors say; so many runs resolve a
    `factor` of the scale.
    """
    spend(share)
    values = np.reshape(values, (len(values), -1))
    errors = np.reshape(errors, (len(errors), -1))
    seeds = len(values)
    each = share / values.shape[1]
    assert seeds >= (needed := seeds_for(factor, freedom, false_alarm=each)), (
        f"factor {factor} needs {needed} runs"
    )
    ratio = values.var(axis=0, ddof=1) / (errors**2).mean(axis=0)
    law = _ratio(seeds, freedom)
    low = law.ppf(each / 2)
    high = law.isf(each / 2)
    assert np.all((low < ratio) & (ratio < high)), (
        f"{what}: variance per stated {ratio}, outside {low:.2f}, {high:.2f}"
    )

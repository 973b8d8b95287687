"""Where a classifier stands against the ideal ones of a table whose images have one group, or three.

The weights lambda of the groups run over a simplex, and B(lambda) = max sum_g lambda_g a_g over all classifiers' group
accuracies a. The maximum is that of the Bayes rule of the table in which group g has weight lambda_g, shared by its
cells as the test law does. R(lambda) = B(lambda) - sum_g lambda_g a_g is convex, with the slopes a*_g - a_g. Its
minimum r is the most by which any classifier could be better on all groups at once.
"""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from simulator.mixture import groups_of
from simulator.world import World
from theory.learners.bayes import TableRules

MOST_RULES = 24  # of a search for weights; ordinary worlds take 10, and a curve that is flat but for noise never ends
LEAST_WEIGHT = 1e-15  # of a group whose Bayes rule is asked for
FAR = 0.05  # the weight of common images is undetermined if R hardly rises this far away,
LEAST_RISE = FAR * 2e-6 / 2  # as where a gap between groups changes by 2e-6 over that distance

Ideal = Callable[[Float[np.ndarray, " G"]], Float[np.ndarray, " G"]]  # accuracies of the Bayes rule of weights


class _Enough(Exception):
    """A search has tried MOST_RULES rules."""


def place_of_groups(world: World, values: Float[np.ndarray, " G"]) -> tuple[float, float, float | None]:
    """(weight of common images, r, weight of unseen images) of a classifier, from its accuracies on the groups.

    The last is None without three groups. Weights are nan where they are undetermined.
    """
    groups, rules, tried = groups_of(world.table, world.common), TableRules(world), []

    def ideal(weights: Float[np.ndarray, " G"]) -> Float[np.ndarray, " G"]:
        least = np.maximum(weights, LEAST_WEIGHT)
        tried.append(rules.accuracies(dict(zip(groups, least, strict=True)))[groups])
        return tried[-1]

    weights, shortfall = least_regret(ideal, values)
    if len(groups) != 3:
        return np.nan, shortfall, None
    if world.mean[1] == 0 or _is_flat(ideal, values, tried, weights[0], shortfall):
        return np.nan, shortfall, np.nan
    return weights[0], shortfall, weights[2]


def least_regret(
    ideal: Ideal, values: Float[np.ndarray, " G"], common: float | None = None
) -> tuple[np.ndarray, float]:
    """The weights of groups that minimise R, and its minimum; `common` fixes the first weight.

    From a nearby start SLSQP would stop too early.
    """
    G, tried = len(values), []

    def regret(weights):
        if len(tried) == MOST_RULES:
            raise _Enough
        slopes = ideal(weights) - values
        tried.append((weights @ slopes, weights.copy()))
        return tried[-1][0], slopes

    start, bounds = np.full(G, 1 / G), [(0, 1)] * G
    if common is not None:
        start, bounds[0] = np.append(common, np.full(G - 1, (1 - common) / (G - 1))), (common, common)
    with suppress(_Enough):
        minimize(
            regret, start, jac=True, method="SLSQP", bounds=bounds, options={"ftol": 1e-12},
            constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        )  # fmt: skip
    least, weights = min(tried, key=lambda one: one[0])
    return weights, least


def _is_flat(ideal: Ideal, values: Float[np.ndarray, " 3"], tried: list, common: float, least: float) -> bool:
    """Whether R hardly rises where common images have another weight; `tried` are the accuracies of rules so far."""
    for near in (common - FAR, common + FAR):
        if not 0 <= near <= 1:
            continue
        t = (1 - near) * np.linspace(0, 1, 101)
        every = np.stack([np.full(101, near), t, t[::-1]], axis=1)
        # No rule is better than the Bayes rule, so each one bounds R from below.
        floor = (every @ (np.array(tried) - values).T).max(axis=1).min()
        if floor - least < LEAST_RISE and least_regret(ideal, values, near)[1] - least < LEAST_RISE:
            return True
    return False

"""The best found trade of common against counter accuracy, and each head's place on it.

Heads answer the same photos. Head j has group accuracies (c_j, k_j), means over classes. At the
common group's weight lambda the best of them reaches
    B(lambda) = max_j lambda c_j + (1 - lambda) k_j,
which is convex; its slope is the best head's drop c - k. Head i lacks B(lambda) - lambda c_i - (1 -
lambda) k_i. This is least, r, at the weight p' at which the best head has its drop: B'(p') = c_i -
k_i. The exchange rate there is -dk/dc = p'/(1 - p'). A mixture of heads gains r on both groups at
once, and the ideal classifier at least that.

Where the drop is 0, p' is the weight at which the background is independent of the class. That is
m/A where m of A backgrounds are common to each class and every one is as frequent as the others.

B of finitely many heads is a polygon, whose p' would jump from corner to corner. So a smooth convex
function is fitted to B at the weights WEIGHTS: its slope is a constant plus rising sigmoids of
logit(lambda) with coefficients of at least
0. Their width is the largest at which the fit is within the errors of B.

B is measured twice. The head that is best at a weight on the same photos is too good, because it is
selected by their errors. The head that is best on other photos (FOLDS parts of them) is too bad,
because it is not the best one. The curve is the mean of both. r lies between its lower bound
against the second and its upper bound against the first.

Errors. A bootstrap draws accuracies again, over photos (classes are fixed) or over classes (drawn
from a population). Intervals hold the percentiles of p' and r at these draws. That of r is widened
by the misfit of the smooth curve at the head's weight.
"""

from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.integrate import cumulative_trapezoid
from scipy.optimize import nnls
from scipy.special import expit, logit

from experiments.inference import Numbers
from simulator.accuracy import LEVEL, PLACE

WEIGHTS = expit(np.linspace(-6, 6, 25))  # at which B is measured
DRAWN = expit(np.linspace(-6, 6, 73))  # at which it is drawn
FINE = expit(np.linspace(-9, 9, 721))  # at which the smooth B is known
WIDTHS = (1.0, 0.5, 0.25, 0.125)  # of the sigmoids
CENTRES = 7.0  # the logits of the outermost sigmoids
SMALL = 0.002  # a misfit that is always allowed
FOLDS, ROUNDS = 10, 2
# with half of 1 - LEVEL, 92 % of the intervals of r covered where a group has 100 photos
TAIL = 0.01
REACH = 4.0  # standard errors of the residuals of B that are within its errors
RESOLVED = 0.4  # a wider interval of p' has no number


def best_answers(
    right: Shaped[np.ndarray, "N H"], group: Int[np.ndarray, " N"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "N L"], Float[np.ndarray, "N L"]]:
    """How often each photo is answered rightly by the head that is best at each weight: on all
    photos, on others.
    """
    n = np.bincount(group)
    share = 1 / n[group]  # of a photo in its class and group
    value = np.where(group[:, None] % 2, 1 - WEIGHTS, WEIGHTS) * share[:, None]  # (N, L)
    answers = right.astype(np.float32)
    every = value.T.astype(np.float32) @ answers  # (L, H)
    same = answers[:, every.argmax(axis=1)]
    other = np.zeros(value.shape)
    for _ in range(ROUNDS):
        order = np.lexsort((rng.random(len(group)), group))
        part = np.empty(len(group), dtype=int)
        part[order] = np.arange(len(group)) % FOLDS
        for fold in range(FOLDS):
            out = part == fold
            left = n - np.bincount(group[out], minlength=len(n))
            grown = (n / np.maximum(left, 1))[group[~out]][:, None]
            others = (value[~out] * grown).T.astype(np.float32) @ answers[~out]
            other[out] += answers[out][:, others.argmax(axis=1)] / ROUNDS
    return same.astype(float), other


class Curve(NamedTuple):
    """The smooth B and its slope, the best head's drop, at the weights FINE."""

    best: Float[np.ndarray, " F"]
    drop: Float[np.ndarray, " F"]

    def weight(self, drop: Numbers) -> Numbers:
        """p' of heads with these drops: 0 or 1 beyond the ends of the curve."""
        return np.interp(drop, self.drop, FINE, left=0.0, right=1.0)

    def balanced(self, drop: Numbers) -> Numbers:
        """The most that (c + k)/2 can be at these drops; beyond an end the better group's accuracy
        stays.
        """
        at = np.clip(self.weight(drop), FINE[0], FINE[-1])
        return np.interp(at, FINE, self.best) - (at - 0.5) * drop

    def points(self, weights: Float[np.ndarray, " P"]) -> Float[np.ndarray, "2 P"]:
        """(common, counter) accuracy where the exchange rate is weight/(1 - weight)."""
        best, drop = (np.interp(weights, FINE, values) for values in self)
        return np.array([best + (1 - weights) * drop, best - weights * drop])


@cache
def _sigmoids(
    width: float,
) -> tuple[Float[np.ndarray, "F T"], Float[np.ndarray, "F T"], Float[np.ndarray, "L T"]]:
    """Sigmoids at FINE, their integrals there, and these integrals at WEIGHTS."""
    centres = np.arange(-CENTRES, CENTRES + 1e-9, min(width, 0.5))
    slopes = expit((logit(FINE)[:, None] - centres) / width)
    integrals = cumulative_trapezoid(slopes, FINE, axis=0, initial=0)
    return (
        slopes,
        integrals,
        np.array([np.interp(WEIGHTS, FINE, column) for column in integrals.T]).T,
    )


LINEAR = np.column_stack([np.ones(len(WEIGHTS)), WEIGHTS])
ACROSS = np.eye(len(WEIGHTS)) - LINEAR @ np.linalg.pinv(LINEAR)


def smooth(
    best: Float[np.ndarray, " L"], width: float = WIDTHS[0]
) -> tuple[Curve, Float[np.ndarray, "L T"]]:
    """The convex function nearest to B at WEIGHTS, and the functions there of which it is a sum."""
    slopes, integrals, at = _sigmoids(width)
    amount, _ = nnls(ACROSS @ at, ACROSS @ best)
    level, slope = np.linalg.lstsq(LINEAR, best - at @ amount, rcond=None)[0]
    curve = Curve(level + slope * FINE + integrals @ amount, slope + slopes @ amount)
    return curve, np.hstack([LINEAR, at[:, amount > 0]])


def width_within(best: Float[np.ndarray, " L"], errors: Float[np.ndarray, "L L"]) -> float:
    """The largest width at which no residual exceeds its error (of covariance `errors`); else the
    smallest.
    """
    for width in WIDTHS:
        curve, parts = smooth(best, width)
        off = np.abs(best - np.interp(WEIGHTS, FINE, curve.best))
        # of the errors of B
        residual = np.eye(len(best)) - parts @ np.linalg.pinv(parts, rcond=1e-9)
        reach = REACH * np.sqrt(np.maximum(np.diag(residual @ errors @ residual.T), 0))
        if (off <= np.maximum(reach, SMALL)).all():
            break
    return width


def middle(head: dict[str, Any], key: str) -> float:
    """A head's number; the middle of its interval, if it has no number."""
    return float(np.mean(head["interval"][key])) if head[key] is None else head[key]


def ranked(heads: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Models in order of p', least first, without those whose p' has no number, which are
    `unresolved`.

    A model is `not_distinguished` from the one before it if the interval of the difference of p'
    holds 0.
    """
    placed = {name: head for name, head in heads.items() if head[PLACE[0]] is not None}
    order = sorted(placed, key=lambda name: placed[name][PLACE[0]])
    alike = [above for below, above in pairwise(order) if not _apart(placed[below], placed[above])]
    return {
        "ranking": order,
        "unresolved": [name for name in heads if name not in placed],
        "not_distinguished": alike,
    }


def _apart(below: dict[str, Any], above: dict[str, Any]) -> bool:
    """Whether p' of two models differs, on the same photos if both have replicates."""
    if len(below.get("replicates") or ()) == len(above.get("replicates") or ()) > 0:
        difference = np.subtract(above["replicates"], below["replicates"])
        low, high = np.quantile(difference, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return not low <= 0 <= high
    return below["interval"][PLACE[0]][1] < above["interval"][PLACE[0]][0]


def trade(
    accuracies: Float[np.ndarray, "2 M"],
    replicates: Float[np.ndarray, "R 2 M"],
    worth: Float[np.ndarray, " 2"],
    rng: np.random.Generator,
) -> tuple[Curve, Float[np.ndarray, "2 P"], list[dict[str, Any]], Float[np.ndarray, "R H"]]:
    """(curve, band, places, draws) of the listed heads from their group accuracies and those in a
    bootstrap.

    The M columns are the listed heads, the best heads at WEIGHTS on the same photos, and those on
    others. `worth` is the number of photos of each group that would give one accuracy as certain as
    the mean over classes. The band is an interval of the curve's balanced accuracy at the drops of
    the weights DRAWN. Places have p' (None where its interval is wide) and r with intervals, as
    results store them. Draws are p' in each replicate.
    """
    every = np.concatenate([accuracies[None], replicates])
    heads, *both = np.split(every, [-2 * len(WEIGHTS), -len(WEIGHTS)], axis=-1)
    # A head that never differs from the best, or is never wrong, has one more wrong answer: 1 of
    # `worth` photos.
    heads[1:] += rng.standard_normal(heads[1:].shape) / worth[:, None]
    same, other = (WEIGHTS * one[:, 0] + (1 - WEIGHTS) * one[:, 1] for one in both)  # B at WEIGHTS
    best = (same + other) / 2
    width = width_within(best[0], np.cov(best[1:].T))
    drop = heads[:, 0] - heads[:, 1]
    balanced = heads.mean(axis=1)

    def placed(best: Float[np.ndarray, "R L"]) -> tuple[list[Curve], np.ndarray, np.ndarray]:
        """Curves, and the heads' weights and leads of the best over them, each R x H."""
        curves = [smooth(one, width)[0] for one in best]
        leads = [
            curve.balanced(d) - own for curve, d, own in zip(curves, drop, balanced, strict=True)
        ]
        return (
            curves,
            np.array([curve.weight(d) for curve, d in zip(curves, drop, strict=True)]),
            np.array(leads),
        )

    def ends(values: Float[np.ndarray, "R H"]) -> Float[np.ndarray, "2 H"]:
        return np.quantile(values[1:], [TAIL, 1 - TAIL], axis=0)

    (curves, at, lead), (_, at_same, lead_same), (_, at_other, lead_other) = map(
        placed, (best, same, other)
    )
    p = at[0]
    r = np.maximum(lead[0], 0)
    curve = curves[0]
    spread = np.array([ends(one) for one in (at, at_same, at_other)])
    low = np.minimum(spread[:, 0].min(axis=0), p)
    high = np.maximum(spread[:, 1].max(axis=0), p)
    misfit = np.interp(p, WEIGHTS, np.abs(best[0] - np.interp(WEIGHTS, FINE, curve.best)))
    least = (ends(lead_other)[0] - misfit).clip(0, r)
    most = np.maximum(ends(lead_same)[1] + misfit, r)
    drops = np.interp(DRAWN, FINE, curve.drop)
    band = ends(np.array([one.balanced(drops) for one in curves]))
    places = []
    for p_i, p_low, p_high, r_i, r_low, r_high in np.array(
        [p, low, high, r, least, most]
    ).T.tolist():
        width = p_high - p_low
        resolved = width <= RESOLVED
        place = {"equivalent_correlation": p_i if resolved else None, "shortfall": r_i}
        place["photos_needed"] = None if resolved else (width / RESOLVED) ** 2
        place["interval"] = {
            "equivalent_correlation": [p_low, p_high],
            "shortfall": [r_low, r_high],
        }
        places.append(place)
    return curve, band, places, at[1:]

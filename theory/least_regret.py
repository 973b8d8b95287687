"""Least regret: the weights of groups at which a classifier comes closest to the best one, and how
far it stays.

Let images of group g have the weight w_g, and let B(w) = max w.a be the best accuracy of any
classifier, a its group accuracies. B is convex, and its slope at w is a*(w), the accuracies of the
ideal classifier of w. A classifier with accuracies a regrets
    R(w) = B(w) - w.a = w.(a*(w) - a).
R is convex; its minimum r is the most by which any classifier is better on all groups at once (von
Neumann). With two groups, w = (p, 1 - p), the ideal drop rises with p and takes the classifier's
drop at the minimum.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog
from scipy.special import expit

from simulator.accuracy import Numbers

# of p; the ends stand for 0 and 1: without noise there is no Bayes rule at 1 itself
LOG_ODDS = (-36.0, 36.0)
NEAR = (-4.0, 0.0, 4.0)  # log odds between which most positions lie
ROUNDING = 1e-12  # of an accuracy

SLACK = 1e-8  # of a regret: a search for weights ends here,
MOST_RULES = 60  # or after so many ideal classifiers; ordinary worlds take twenty
LEAST_WEIGHT = 1e-15  # of a group whose ideal classifier is wanted
FAR = 0.05  # the weight of common images is undetermined if R hardly rises this far away,
LEAST_RISE = FAR * 2e-6 / 2  # as where a gap between groups changes by 2e-6 over that distance

STEP = 1 / 32  # of the ideal drop between two nodes of an interpolated curve
# of the log odds: they are closer than WIDE where the drop changes, and no closer than NARROW
NARROW, WIDE = 0.02, 0.5


class SampledCurve:
    """Replicates of (c*, k*), from their values at a p. Each has the same random points at all p: a
    smooth curve.
    """

    def __init__(self, points: Callable[[float], Float[np.ndarray, "R 2"]], interpolate: bool):
        self._points, self._interpolate = points, interpolate
        self.known = {h: points(float(expit(h))) for h in (*LOG_ODDS, *NEAR)}  # by log odds

    def replicates(self, h: Numbers) -> Float[np.ndarray, "R 2 *w"]:
        """At log odds (*w); for many worlds interpolated between nodes."""
        h = np.clip(np.asarray(h), *LOG_ODDS)
        each = self._cubics(h.ravel()) if self._interpolate else [self._at(x) for x in h.flat]
        return np.moveaxis(each, 0, -1).reshape(-1, 2, *h.shape)

    def bracket(self, a: float, b: float, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Neighbouring known log odds between which a c* + b k* takes a value, which it must within
        LOG_ODDS.
        """
        h = np.array(sorted(self.known))
        first = (
            np.array([self.known[x].mean(axis=0) @ [a, b] for x in h]) >= value[:, None]
        ).argmax(axis=1)
        return h[first - 1], h[first]

    def _at(self, h: float) -> Float[np.ndarray, "R 2"]:
        if h not in self.known:
            self.known[h] = self._points(float(expit(h)))
        return self.known[h]

    @cached_property
    def _cubics(self) -> Callable[[np.ndarray], np.ndarray]:
        """Cubics between nodes that lie densely where the drop changes."""
        from scipy.interpolate import PchipInterpolator  # start-up time

        while True:
            h = np.array(sorted(self.known))
            rows = np.array([self.known[x] for x in h])
            change = np.diff((rows[..., 0] - rows[..., 1]).mean(axis=1))
            gap = np.diff(h)
            wide = (change > STEP) & (gap > NARROW) | (change > STEP / 32) & (gap > WIDE)
            if not wide.any():
                return PchipInterpolator(h, rows)
            for x in (h[:-1] + h[1:])[wide] / 2:
                self._at(x)


def least_regret_of_groups(
    ideal: Callable[[Float[np.ndarray, " G"]], Float[np.ndarray, " G"]],
    accuracy: Float[np.ndarray, " G"],
) -> tuple[Float[np.ndarray, " G"], float]:
    """The weights of any number of groups that minimise R, nan if they are undetermined, and the
    minimum.

    By cutting planes (Kelley 1960): R(w) is the maximum of w.(a* - a) over ideal classifiers. Those
    that are known bound it from below; where a linear program finds the minimum of this bound, the
    next one is taken. So the bound certifies the minimum.
    """
    G = len(accuracy)
    cuts = []

    def minimum(common: float | None = None) -> tuple[float, np.ndarray]:
        """The least regret and its weights, where common images have a given weight."""
        w = (
            np.full(G, 1 / G)
            if common is None
            else np.append(common, np.full(G - 1, (1 - common) / (G - 1)))
        )
        bounds = [(0, 1) if common is None else (common, common), *[(0, 1)] * (G - 1), (None, None)]
        best = (np.inf, w)
        for _ in range(MOST_RULES):
            cuts.append(ideal(np.maximum(w, LEAST_WEIGHT)) - accuracy)
            best = min(best, (float(w @ cuts[-1]), w), key=lambda each: each[0])
            rows = np.column_stack([cuts, np.full(len(cuts), -1.0)])
            solution = linprog(
                [0.0] * G + [1.0], rows, np.zeros(len(cuts)), [[1.0] * G + [0.0]], [1.0], bounds
            )
            if best[0] <= solution.fun + SLACK:
                break
            w = np.clip(solution.x[:G], 0, 1)
        return best

    regret, weights = minimum()
    sides = (
        (near for near in (weights[0] - FAR, weights[0] + FAR) if 0 <= near <= 1) if G > 2 else ()
    )
    flat = G == 1 or any(minimum(near)[0] - regret < LEAST_RISE for near in sides)
    return np.full(G, np.nan) if flat else weights, regret

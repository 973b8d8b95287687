"""A curve of ideal classifiers whose points are sampled: replicates of (c*, k*) as functions of lambda's log odds.

A replicate has the same random points at every lambda, so that it is a smooth curve. Their scatter is the error.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.special import expit, stdtrit

from simulator.accuracy import Numbers
from theory.quadrature import REPLICATES

LOG_ODDS = (-36.0, 36.0)  # of lambda; the ends stand for 0 and 1: without noise there is no Bayes rule at 1 itself
FEW = 8  # worlds with a curve in common; more than these interpolate it
STEP = 1 / 32  # of the ideal drop between two nodes of an interpolated curve
NARROW, WIDE = 0.02, 0.5  # of the log odds: they are closer than WIDE where the drop changes, and no closer than NARROW
_NEAR = (-4.0, 0.0, 4.0)  # log odds between which most places lie

Points = Callable[[float], Float[np.ndarray, "R 2"]]  # replicates of (c*, k*) at a lambda


class SampledCurve:
    """A curve that so many worlds have in common."""

    def __init__(self, points: Points, worlds: int):
        self._points, self._interpolates = points, worlds > FEW
        self._known: dict[float, Float[np.ndarray, "R 2"]] = {}  # by log odds

    def replicates(self, h: Numbers) -> Float[np.ndarray, "R 2 *w"]:
        """Replicates of (c*, k*) at log odds of lambda."""
        h = np.clip(np.asarray(h), *LOG_ODDS)
        each = self._cubics(h.ravel()) if self._interpolates else [self._at(x) for x in h.flat]
        return np.moveaxis(each, 0, -1).reshape(-1, 2, *h.shape)

    def mean(self, h: Numbers) -> Float[np.ndarray, "groups=2 *w"]:
        """(c*, k*) at log odds of lambda."""
        return self.replicates(h).mean(axis=0)

    def margin(self, h: Numbers, a: Numbers, b: Numbers, level: float) -> Numbers:
        """Half the interval of a c* + b k*, from the scatter of the replicates."""
        c, k = np.moveaxis(self.replicates(h), 1, 0)
        error = (a * c + b * k).std(axis=0, ddof=1) / np.sqrt(REPLICATES)
        return stdtrit(REPLICATES - 1, (1 + level) / 2) * error

    def bracket(self, a: float, b: float, target: Float[np.ndarray, " n"]) -> tuple:
        """Log odds between which a rising sum a c* + b k* takes its targets: neighbouring points that are known."""
        if self._interpolates:
            return LOG_ODDS
        for h in (*LOG_ODDS, *_NEAR):
            self._at(h)
        h = np.array(sorted(self._known))
        values = np.array([self._known[x].mean(axis=0) for x in h]) @ [a, b]
        first = (values >= target[:, None]).argmax(axis=1)
        return h[first - 1], h[first]

    def _at(self, h: float) -> Float[np.ndarray, "R 2"]:
        if h not in self._known:
            self._known[h] = self._points(float(expit(h)))
        return self._known[h]

    @cached_property
    def _cubics(self) -> Callable[[np.ndarray], np.ndarray]:
        """Replicates by cubics between nodes, which lie densely where the drop changes."""
        from scipy.interpolate import PchipInterpolator  # start-up time

        nodes = {h: self._at(h) for h in np.linspace(*LOG_ODDS, 9)}
        while True:
            h = np.array(sorted(nodes))
            means = np.array([nodes[x].mean(axis=0) for x in h])
            change, gap = np.diff(means[:, 0] - means[:, 1]), np.diff(h)
            wide = (change > STEP) & (gap > NARROW) | (change > STEP / 32) & (gap > WIDE)
            if not wide.any():
                return PchipInterpolator(h, [nodes[x] for x in h])
            for x in (h[:-1] + h[1:])[wide] / 2:
                nodes[x] = self._at(x)

"""Supervised linear learners on drawn, labelled images: the finite-sample side of `theory.learners`.

No intercept: the worlds are symmetric under relabelling, so every population optimum passes through the origin.
Two classes give one score vector w for y = +1 (class 0), K classes one vector per class.
"""

from contextlib import suppress

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize, nnls
from scipy.special import expit, logsumexp

LEARNERS = ("logistic", "max-margin", "least-squares")


class SeparabilityError(ArithmeticError):
    """The drawn sample has no solution of this kind; the message names a learner that has one."""


def fit(
    learner: str,
    images: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    classes: int,
    weights: Float[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "P d"]:
    """Score vectors of a learner: (1, d) for two classes, (K, d) otherwise."""
    if learner not in LEARNERS:
        raise ValueError(f"learner = {learner!r} is not one of {', '.join(LEARNERS)}")
    w = np.ones(len(images)) if weights is None else weights
    if learner == "max-margin":
        if weights is not None:
            raise ValueError(
                "max-margin takes no weights, since only the nearest pairs decide; subsampling changes which those are"
            )
        if classes > 2:
            raise ValueError(f"max-margin is defined here for 2 classes, not {classes}; logistic takes any number")
        return maximum_margin((1 - 2 * labels)[:, None] * images)[None]
    if learner == "least-squares":
        targets = (1.0 - 2 * labels)[:, None] if classes == 2 else np.eye(classes)[labels] - 1 / classes
        root = np.sqrt(w)[:, None]
        return np.linalg.lstsq(root * images, root * targets, rcond=None)[0].T
    if classes == 2:
        return logistic_regression((1 - 2 * labels)[:, None] * images, w)[None]
    return softmax_regression(images, labels, classes, w)


COARSE = 16  # the start is fitted to every 16th row: Newton then needs 4 steps on all rows, not 11
LEAST_COARSE = 2000  # rows of the smallest such sample


def logistic_regression(
    signed: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"] | float = 1.0
) -> Float[np.ndarray, " d"]:
    """Minimiser of mean log(1 + exp(-w'(y x))), by damped Newton to a gradient of 1e-9 times the mean entry."""
    n, d = signed.shape
    w, weights = np.zeros(d), np.broadcast_to(weights, n)
    if n >= COARSE * LEAST_COARSE:
        with suppress(SeparabilityError):
            w = logistic_regression(signed[::COARSE], weights[::COARSE])
    size = np.abs(signed).mean() + np.finfo(float).tiny
    margins = signed @ w
    for _ in range(200):
        wrong = expit(-margins)
        gradient = -((weights * wrong) @ signed) / n
        if np.abs(gradient).max() <= 1e-9 * size or margins.min() > 40:  # no float improves this further
            break
        curvature = (signed.T * (weights * wrong * (1 - wrong))) @ signed / n
        step = -np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        w, margins, moved = _downhill(w, step, margins, signed, gradient @ step, weights)
        if not moved:
            break  # only rounding is left
    if margins.min() > 0:
        raise SeparabilityError(
            f"the {n} drawn pairs are separable, so logistic regression has no minimiser; use max-margin"
        )
    return w


def _downhill(w, step, margins, signed, slope, weights):
    """(w, margins, whether the loss fell) after the longest of step, step/2, step/4, ... that lowers the loss."""
    loss, along = (weights * np.logaddexp(0, -margins)).mean(), signed @ step
    for halvings in range(30):
        t = 0.5**halvings
        if (weights * np.logaddexp(0, -margins - t * along)).mean() <= loss + 1e-4 * t * slope:
            return w + t * step, margins + t * along, True
    return w, margins, False


def softmax_regression(
    images: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    classes: int,
    weights: Float[np.ndarray, " n"] | float = 1.0,
) -> Float[np.ndarray, "K d"]:
    """Minimiser of mean cross-entropy over K score vectors (sum zero, as descent from zero keeps it)."""
    n, d = images.shape
    truth, weights = np.eye(classes)[labels], np.broadcast_to(weights, n)

    def loss(flat):
        scores = images @ flat.reshape(classes, d).T
        normaliser = logsumexp(scores, axis=1)
        off = weights[:, None] * (np.exp(scores - normaliser[:, None]) - truth)
        return (weights * (normaliser - (scores * truth).sum(1))).mean(), (off.T @ images / n).ravel()

    result = minimize(loss, np.zeros(classes * d), jac=True, method="L-BFGS-B", options=_TIGHT)
    w = result.x.reshape(classes, d)
    scores = images @ w.T
    others = np.where(truth == 1, -np.inf, scores).max(axis=1)
    if (scores[np.arange(n), labels] - others).min() > 0:
        raise SeparabilityError(
            f"the {n} drawn pairs are separable, so logistic regression has no minimiser; draw more"
        )
    return w


_TIGHT = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 2000, "maxfun": 4000}


def maximum_margin(signed: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """argmin ||w|| subject to w'(y x) >= 1 for every row y x, exactly.

    Least distance programming (Lawson and Hanson, Solving Least Squares Problems, chapter 23): with E stacking the
    transposed rows over a row of ones and f the last unit vector, the residual r = E u - f of the non-negative least
    squares solution u is (w, -1)/(1 + ||w||^2); r = 0 proves that no w separates. Rows are first divided by the longest
    length, so that units do not matter.
    """
    n, d = signed.shape
    longest = np.linalg.norm(signed, axis=1).max()
    if longest == 0:
        raise _inseparable(n)
    rows = signed / longest
    E = np.vstack([rows.T, np.ones(n)])
    u, distance = nnls(E, np.append(np.zeros(d), 1.0), maxiter=30 * n)
    # Rows with a weight are the support. Solving on it keeps digits that -r/r_{d+1} loses where margins are narrow.
    w = np.linalg.lstsq(rows[u > 0], np.ones(np.count_nonzero(u)), rcond=None)[0]
    narrowest = (rows @ w).min()
    if distance < 1e-9 or narrowest <= 0:
        raise _inseparable(n)
    return w / narrowest / longest


def _inseparable(n: int) -> SeparabilityError:
    return SeparabilityError(f"the {n} drawn pairs are not separable, so there is no maximum margin; use logistic")

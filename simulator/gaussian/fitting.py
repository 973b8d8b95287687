"""Linear learners fitted to drawn pairs: `simulator.fit("linear", pairs)`.

Linear CLIP in closed form, M = S/rho (Wang et al., section 6), and supervised learners of labelled
images. All are linear critics, so their accuracy under the test law needs no test set.

Supervised learners have an intercept if the world has a table. Other worlds are symmetric under
relabelling, so no population optimum has one. Two classes give one score vector w for y = +1 (class
0), K classes one vector per class.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize, nnls
from scipy.special import expit, logsumexp

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import LinearCritic, first_modes, group_accuracy
from simulator.gaussian.statistics import covariance_critic, decision_prompts
from simulator.naming import unlisted
from simulator.prompts import PROMPTS, Prompt
from simulator.quantities import check_count
from simulator.summary import html_table, one_line
from simulator.world import World

ESTIMATORS = ("linear", "logistic", "max-margin", "least-squares")
# logistic regression starts from every 16th row: Newton then needs 4 steps on all rows, not 11
COARSE = 16
LEAST_COARSE = 2000  # least rows of that first sample
CONDITIONS = 200  # of the maximum margin that are added at a time
# of proximal steps for free constants: each makes the error of b about REACH^2 times smaller
REACH, STEPS = 100.0, 60
_TIGHT = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 2000, "maxfun": 4000}


class SeparabilityError(ArithmeticError):
    """The learner has no solution on the drawn sample; the message names a learner that has one."""


@dataclass(frozen=True, repr=False)
class Fitted:
    """A linear critic fitted to pairs, with its world.

    Attributes
    ----------
    estimator : str
        One of ESTIMATORS.
    world : World
        The training law of the pairs; the test law is its `test_law()`.
    frames : (D_I, D_T)
        Dictionaries of the pairs.
    weights : array
        For "linear" S, (d_I, d_T). For the others score vectors, (P, d_I), or (P, d_I + 1) with an
        intercept: one row (w_+ - w_-) for two classes, K rows otherwise.
    embed_dim : int or None
        Rank to which "linear" truncates S.
    """

    estimator: str
    world: World
    frames: tuple[np.ndarray, np.ndarray]
    weights: Float[np.ndarray, "rows columns"]
    embed_dim: int | None = None

    def __repr__(self) -> str:
        return one_line(self, estimator=self.estimator, world=self.world, embed_dim=self.embed_dim)

    def _repr_html_(self) -> str:
        rows = {
            "estimator": self.estimator,
            "world": self.world,
            "shape of the weights": self.weights.shape,
        }
        return html_table("Fitted", ["", ""], rows.items())

    def critic(self, prompt: Prompt | None = None) -> LinearCritic:
        """The fitted critic; that of "linear" is scaled by rho, which changes no decision.

        "linear" takes one of `simulator.prompts.LINEAR`; None means "typical". The others read no
        captions: None.
        """
        if self.estimator == "linear":
            q = decision_prompts(self.world, PROMPTS[0] if prompt is None else prompt)
            strength = (
                None if self.embed_dim is None else partial(first_modes, width=self.embed_dim)
            )
            return covariance_critic(self.weights, q, self.frames, strength)
        if prompt is not None:
            raise ValueError(
                f"prompt = {prompt!r} has no meaning for estimator {self.estimator!r}; leave it out"
            )
        return LinearCritic.of_vectors(self.weights, self.frames[0])

    def accuracy(self, prompt: Prompt | None = None) -> Accuracy:
        """Accuracy under the test law: exact for two classes, see `simulator.gaussian.critic` for
        more.
        """
        (groups,) = group_accuracy(self.critic(prompt), self.world.mixture(), self.world.nu_image)
        return Accuracy.of(groups.tolist())


def fit(estimator: str, pairs: Any, *, embed_dim: int | None = None) -> Fitted:
    """Fit a linear learner to drawn pairs.

    Parameters
    ----------
    estimator : str
        "linear": linear CLIP at the minimum of its loss, M = S/rho with S the unbiased sample
        cross-covariance. "logistic", "least-squares", "max-margin": supervised on images and
        labels, with an intercept if the world has a table.
    pairs : DrawnPairs
        From `World.draw` of a Gaussian world; other pairs are refused.
    embed_dim : int, optional
        Embedding width of "linear": the rank to which S is truncated; None: untruncated.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        For an unknown estimator, pairs of pixels, embed_dim below 1 or beside another estimator
        than "linear", and "linear" on a single pair.
    SeparabilityError
        For "logistic" on separable pairs, "max-margin" on inseparable ones, and on pairs that lack
        a class of a table.

    >>> world = World(p_spu=0.95, mu_spu=2.0, dim_image=8, dim_text=8)
    >>> found = fit("linear", world.draw(1000, seed=0))
    >>> found.accuracy("typical").drop > 0.3
    True
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator = {unlisted(estimator, ESTIMATORS)}")
    if pairs.world.views is not None:
        kind = pairs.world.views.name
        raise ValueError(
            f"the accuracy of linear critics has no formula for pairs of {kind}; use"
            " simulator.train"
        )
    images = pairs.images.double().cpu().numpy()
    texts = pairs.texts.double().cpu().numpy()
    if estimator == "linear":
        if embed_dim is not None:
            check_count("embed_dim", embed_dim, 1)
        return Fitted(
            estimator, pairs.world, pairs.frames, sample_covariance(images, texts), embed_dim
        )
    if embed_dim is not None:
        raise ValueError(
            f"embed_dim = {embed_dim} has no meaning for estimator {estimator!r}; leave it out"
        )
    rule = score_vectors(estimator, images, pairs.labels.cpu().numpy(), pairs.world)
    return Fitted(estimator, pairs.world, pairs.frames, rule)


def sample_covariance(
    images: Float[np.ndarray, "n dI"],
    texts: Float[np.ndarray, "n dT"],
    weights: Float[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "dI dT"]:
    """S, the unbiased sample cross-covariance, of the weighted law if pairs have weights."""
    n = len(images)
    if n < 2:
        raise ValueError(f"n = {n} pair has no sample covariance; the nearest valid value is 2")
    if weights is None:
        return (images - images.mean(axis=0)).T @ (texts - texts.mean(axis=0)) / (n - 1)
    x = weights[:, None] * images
    t = weights[:, None] * texts
    return x.T @ texts / n - (np.outer(x.sum(axis=0), t.sum(axis=0)) - x.T @ t) / (n * (n - 1))


def score_vectors(
    estimator: str,
    images: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    world: World,
    weights: Float[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "P columns"]:
    """Score vectors of a supervised estimator, one for two classes, K otherwise; with a table the
    intercept is last.
    """
    classes = world.classes
    if estimator == "max-margin":
        if weights is not None:
            raise ValueError(
                "max-margin takes no weights, since it depends on the nearest pairs only; use"
                " logistic"
            )
        return margin_vectors(images, labels, classes, world.table is not None)
    if world.table is not None:
        images = np.column_stack([images, np.ones(len(images))])
    w = np.ones(len(images)) if weights is None else weights
    signed = (1.0 - 2 * labels)[:, None]
    if estimator == "least-squares":
        targets = signed if classes == 2 else np.eye(classes)[labels] - 1 / classes
        root = np.sqrt(w)[:, None]
        return np.linalg.lstsq(root * images, root * targets, rcond=None)[0].T
    if classes == 2:
        return logistic_regression(signed * images, w)[None]
    return softmax_regression(images, labels, classes, w)


def logistic_regression(
    signed: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " d"]:
    """Minimiser of mean log(1 + exp(-w'(y x))), by damped Newton to a gradient of 1e-9 times the
    mean entry.
    """
    n, d = signed.shape
    w = np.zeros(d)
    if n >= COARSE * LEAST_COARSE:
        with suppress(SeparabilityError):
            w = logistic_regression(signed[::COARSE], weights[::COARSE])
    size = np.abs(signed).mean() + np.finfo(float).tiny
    margins = signed @ w
    loss = _logistic_loss(margins, weights)
    for _ in range(200):
        wrong = expit(-margins)
        gradient = -((weights * wrong) @ signed) / n
        # floats allow no further progress
        if np.abs(gradient).max() <= 1e-9 * size or margins.min() > 40:
            break
        curvature = (signed.T * (weights * wrong * (1 - wrong))) @ signed / n
        step = -np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        along = signed @ step
        slope = gradient @ step
        # the longest of step, step/2, step/4, ... that lowers the loss
        for t in 0.5 ** np.arange(30):
            if (lower := _logistic_loss(margins + t * along, weights)) <= loss + 1e-4 * t * slope:
                break
        else:
            break  # the remaining gradient is rounding
        w = w + t * step
        margins = margins + t * along
        loss = lower
    _check_inseparable(margins)
    return w


def _check_inseparable(leads: Float[np.ndarray, " n"]) -> None:
    if leads.min() > 0:
        raise SeparabilityError(
            f"the {len(leads)} drawn pairs are separable, so logistic regression has no minimiser;"
            " use max-margin"
        )


def _logistic_loss(margins: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> float:
    """Mean of log(1 + e^-margin), in half the time of numpy's logaddexp."""
    return (weights * (np.log1p(np.exp(-np.abs(margins))) + np.maximum(-margins, 0))).mean()


def softmax_regression(
    images: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    classes: int,
    weights: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "K d"]:
    """Minimiser of mean cross-entropy over K score vectors, whose sum is zero."""
    n, d = images.shape
    truth = np.eye(classes)[labels]

    def loss(flat):
        scores = images @ flat.reshape(classes, d).T
        normaliser = logsumexp(scores, axis=1)
        off = weights[:, None] * (np.exp(scores - normaliser[:, None]) - truth)
        return (weights * (normaliser - (scores * truth).sum(1))).mean(), (
            off.T @ images / n
        ).ravel()

    result = minimize(loss, np.zeros(classes * d), jac=True, method="L-BFGS-B", options=_TIGHT)
    w = result.x.reshape(classes, d)
    scores = images @ w.T
    others = np.where(truth == 1, -np.inf, scores).max(axis=1)
    _check_inseparable(scores[np.arange(n), labels] - others)
    return w


def margin_vectors(
    images: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], classes: int, constant: bool
) -> Float[np.ndarray, "P columns"]:
    """Score vectors of least norm such that each image's class leads every other class by 1 or
    more; exact.

    With `constant` each score has a free constant, the last column. Few of the n (K - 1) conditions
    decide, so they are added as they are found to fail.
    """
    n, d = images.shape
    own = labels[:, None] == np.arange(classes)
    if constant and not own.any(axis=0).all():
        lacking = own.any(axis=0).argmin()
        raise SeparabilityError(
            f"none of the {n} drawn pairs is of class {lacking}, so no margin limits it; draw more"
        )
    # scores are (x W' + b) pattern'
    pattern = np.array([[0.5], [-0.5]]) if classes == 2 else np.eye(classes)
    P = pattern.shape[1]
    rank = np.cumsum(own, axis=0)[own]  # of an image among those of its class
    used = ~own & (rank <= CONDITIONS // classes)[:, None]
    while True:
        i, k = np.nonzero(used)
        contrast = pattern[labels[i]] - pattern[k]
        rows = (contrast[:, :, None] * images[i][:, None]).reshape(-1, P * d)
        solution = maximum_margin(rows, contrast if constant else contrast[:, :0])
        if solution is None:
            words = (
                f"the {n} drawn pairs are not separable, so there is no maximum margin; use"
                " logistic"
            )
            raise SeparabilityError(words)
        W = solution[: P * d].reshape(P, d)
        b = solution[P * d :] if constant else np.zeros(P)
        score = (images @ W.T + b) @ pattern.T
        lead = np.where(own | used, np.inf, score[own][:, None] - score).ravel()
        if lead.min() >= 1 - 1e-9:
            return np.column_stack([W, b]) if constant else W
        worst = np.argsort(lead)[:CONDITIONS]
        used.flat[worst[lead[worst] < 1]] = True


def maximum_margin(
    rows: Float[np.ndarray, "m d"], constants: Float[np.ndarray, "m c"]
) -> Float[np.ndarray, " columns"] | None:
    """(w, b) with the least ||w|| such that rows w + constants b >= 1, exactly; None if there is
    none.

    Least distance programming (Lawson and Hanson, Solving Least Squares Problems, chapter 23) for
    min ||w|| subject to G w >= h: with E stacking G' over the row h' and f the last unit vector,
    the residual r = E u - f of the non-negative least squares solution u is proportional to (w,
    -1); r = 0 proves that no w is feasible. Rows are first divided by the largest norm, so that
    units do not matter.

    b costs nothing: proximal steps minimise ||w||^2 + ||b - b_0||^2/REACH^2, with b_0 the last b,
    until b stays.
    """
    m, d = rows.shape
    longest = np.linalg.norm(rows, axis=1).max()
    if longest == 0:
        return None
    G = np.hstack([rows / longest, REACH * constants])
    b = np.zeros(constants.shape[1])
    for _ in range(STEPS):
        h = 1 - constants @ b
        u, distance = nnls(
            np.vstack([G.T, h]), np.append(np.zeros(G.shape[1]), 1.0), maxiter=30 * m
        )
        # Rows with u > 0 are the support. Solving on it keeps digits that -r/r_{d+1} loses if
        # margins are narrow.
        w = np.linalg.lstsq(G[u > 0], h[u > 0], rcond=None)[0]
        narrowest = 1 + (G @ w - h).min()
        if distance < 1e-9 or narrowest <= 0:
            return None
        b = b + REACH * w[d:]
        # the next step is 1e4 times shorter
        if REACH * np.abs(w[d:]).max(initial=0.0) <= 1e-10 * np.linalg.norm(w):
            break
    else:
        raise ArithmeticError(
            f"the constants of the maximum margin of {m} conditions did not settle in {STEPS} steps"
        )
    return np.append(w[:d] / longest, b) / narrowest

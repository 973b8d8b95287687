"""Heads of unit embeddings: zero-shot, supervised, and the fixes that change one; and answers to
rows not seen.

A linear head decides argmax_k (x.w_k + b_k). At group weight lambda a supervised head is fitted
with the total weights lambda and 1 - lambda of each class's common and counter rows; without lambda
every row has weight 1. Zero-shot needs no fit. Each half of the rows, stratified by class and
background, is answered by heads fitted on the other half; where rows are marked `train`, these are
fitted and the others answered.

Fixes. Let a_b be the effects of the backgrounds, A their span, Sigma the covariance of the Gaussian
law.
    projection   x - P_A x for the span of the centred captions of backgrounds, or of the groups'
                 means
    LEACE        x - A (A' Sigma^-1 A)^-1 A' Sigma^-1 (x - mean) given the class: no linear
                 classifier of the background is left, and x changes least (Belrose et al., arXiv
                 2306.03819, theorem 4.2). The package concept-erasure 0.2.4, fitted to residuals
                 within classes, gives the same head to 2e-12 for their plain covariance. It takes
                 no other covariance, so the formula stands here
    retraining   logistic regression at lambda = 1/2: balanced groups (Kirichenko et al., arXiv
                 2204.02937)
    interpolation of zero-shot and logistic heads of equal spread (Wortsman et al., arXiv
    2109.01903)
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from experiments.errors import RequestError
from experiments.heads.bundle import BLOCK, Bundle
from experiments.heads.gaussian_law import Law, bayes_rules, fit, halves
from experiments.heads.least_regret import WEIGHTS
from simulator.accuracy import rounded, won
from simulator.streams import numpy_stream

FIT_ROWS = 200_000  # heads are fitted on at most so many
MOST_CELLS = 2_000
PENALTY = 0.1  # scikit-learn's C, for coordinates of variance 1
# where logistic regression stops; more steps changed held-out accuracy by .2 points
STEPS, GRADIENT = 100, 1e-4
RIDGE = 1e-3  # of least squares, in units of the mean variance
TRACED = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)  # group weights of logistic regression on the curve
INTERPOLATED = (0.25, 0.5, 0.75)  # share of the fitted head
PROMPT_ROWS = 20_000  # on which single prompts are compared, half of each group


class Head(NamedTuple):
    weights: Float[np.ndarray, "D K"]
    bias: Float[np.ndarray, " K"]

    def scores(self, rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n K"]:
        return rows @ self.weights + self.bias


def zero_shot(text: Float[np.ndarray, "K T D"]) -> Head:
    """The normalised mean of each class's prompts."""
    mean = text.mean(axis=1)
    return Head((mean / np.linalg.norm(mean, axis=1, keepdims=True)).T, np.zeros(len(text)))


def plain_heads(photos: Bundle) -> dict[str, Head]:
    """Zero-shot, if there are prompts, and supervised heads, fitted on these photos."""
    prompted = {} if photos.text is None else {"zero-shot": zero_shot(photos.text)}
    fitted = {
        "logistic regression": _logistic(photos, None),
        "least squares": _least_squares(photos),
    }
    return prompted | fitted | {"nearest class mean": _class_means(photos)}


def traced_heads(photos: Bundle) -> dict[str, Head]:
    return {
        f"logistic regression at weight {weight:g}": _logistic(photos, weight) for weight in TRACED
    }


def fixed_heads(
    photos: Bundle, law: Law, plain: dict[str, Head], traced: dict[str, Head]
) -> dict[str, Head]:
    """Zero-shot after each fix; none without prompts."""
    if photos.text is None:
        return {}
    base = plain["zero-shot"]
    fitted = plain["logistic regression"]
    effects = _effects(law)
    fixes = {}
    plain_projection = np.eye(len(base.weights)), np.zeros(len(base.weights))
    if (captions := photos.text_background) is not None:
        centred = captions - captions.mean(axis=0)
        fixes["project out the captions of backgrounds"] = _erased(base, centred, *plain_projection)
    fixes["project out the groups' means"] = _erased(base, effects, *plain_projection)
    fixes["LEACE"] = _erased(base, effects, law.covariance, photos.image.mean(axis=0))
    if photos.text.shape[1] > 1:
        fixes["best single prompt"] = _best_prompt(photos)
    fixes["retrain the last layer on balanced groups"] = traced["logistic regression at weight 0.5"]
    spreads = [_spread(head, law) for head in (base, fitted)]
    for share in INTERPOLATED:
        a = (1 - share) / spreads[0]
        b = share / spreads[1]
        mixed = Head(a * base.weights + b * fitted.weights, a * base.bias + b * fitted.bias)
        fixes[f"interpolate, {share:.0%} logistic regression"] = mixed
    return fixes


def _logistic(photos: Bundle, weight: float | None) -> Head:
    from sklearn.exceptions import ConvergenceWarning  # an optional extra
    from sklearn.linear_model import LogisticRegression

    mean = photos.image.mean(axis=0)
    centred = photos.image - mean
    scale = float(np.sqrt((centred**2).mean()))
    model = LogisticRegression(C=PENALTY, max_iter=STEPS, tol=GRADIENT)
    # OpenBLAS multiplies 5 columns of float32 right, but flags what an unused AVX-512 lane held.
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # a head that has not converged is a head
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(
            centred / scale, photos.label, None if weight is None else row_weights(photos, weight)
        )
    if not np.isfinite(model.coef_).all():
        raise FloatingPointError("logistic regression has weights that are not finite")
    weights = model.coef_.T.astype(float) / scale
    bias = model.intercept_.astype(float)
    if weights.shape[1] == 1:  # two classes have one score
        weights = np.hstack([-weights, weights]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    return Head(weights, bias - mean @ weights)


def row_weights(photos: Bundle, weight: float) -> Float[np.ndarray, " n"]:
    """Weights with mean 1 at which each class has the share `weight` of common rows."""
    cell = 2 * photos.label + ~photos.common
    w = np.where(photos.common, weight, 1 - weight) / np.bincount(cell)[cell]
    return w / w.mean()


def _classes(photos: Bundle) -> Float[np.ndarray, "n K"]:
    """1 for a row's class, 0 for the others."""
    return np.eye(photos.label.max() + 1, dtype=np.float32)[photos.label]


def _least_squares(photos: Bundle) -> Head:
    mean = photos.image.mean(axis=0)
    target = _classes(photos)
    centred = photos.image - mean
    gram = (centred.T @ centred).astype(float)
    gram[np.diag_indices_from(gram)] += RIDGE * gram.trace() / len(gram)
    weights = np.linalg.solve(gram, (centred.T @ target).astype(float))
    return Head(weights, target.mean(axis=0) - mean @ weights)


def _class_means(photos: Bundle) -> Head:
    target = _classes(photos)
    means = (photos.image.T @ target).astype(float) / target.sum(axis=0)
    return Head(means, -(means**2).sum(axis=0) / 2)


def _effects(law: Law) -> Float[np.ndarray, "B D"]:
    """The backgrounds' effects: means of cells minus those of their classes, averaged over the
    classes of each.
    """
    label, background = law.cells.T
    inside = law.means - np.array([law.means[label == y].mean(axis=0) for y in label])
    return np.array([inside[background == b].mean(axis=0) for b in np.unique(background)])


def _erased(
    head: Head,
    directions: Float[np.ndarray, "B D"],
    covariance: Float[np.ndarray, "D D"],
    mean: Float[np.ndarray, " D"],
) -> Head:
    """The head after LEACE of the directions' span A; where Sigma is the identity and the mean 0,
    after projection.
    """
    _, values, vectors = np.linalg.svd(directions, full_matrices=False)
    A = vectors[values > 1e-6 * values.max(initial=1e-12)].T
    solved = np.linalg.solve(covariance, A)
    change = solved @ np.linalg.solve(A.T @ solved, A.T @ head.weights)
    # nothing, where A is everything: labels then tie
    left = rounded(head.weights - change, np.abs(head.weights).max())
    return Head(left, head.bias + mean @ change)


def _best_prompt(photos: Bundle) -> Head:
    """The prompt whose worse group is best on fitted rows, in whatever order a large file has
    them.
    """
    rng = numpy_stream(0, "prompts")
    groups = (photos.common, ~photos.common)
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(group))[: PROMPT_ROWS // 2] for group in groups]
    )
    heads = [zero_shot(photos.text[:, [t]]) for t in range(photos.text.shape[1])]
    right = [won(head.scores(photos.image[rows]), photos.label[rows]) for head in heads]
    common = photos.common[rows]
    return heads[int(np.argmax([min(one[common].mean(), one[~common].mean()) for one in right]))]


def _spread(head: Head, law: Law) -> float:
    """The deviation of a head's scores within a class, apart from what all labels share."""
    w = head.weights - head.weights.mean(axis=1, keepdims=True)
    return float(np.sqrt(np.einsum("dk,de,ek->", w, law.covariance, w)))


class Fold(NamedTuple):
    """Heads fitted on some rows, and the rows that they answer."""

    plain: dict[str, Head]  # zero-shot and supervised
    fixes: dict[str, Head]
    traced: dict[str, Head]  # linear heads that only trace the curve, as do the law's Bayes rules
    rules: Callable[[np.ndarray, np.ndarray], np.ndarray]
    answered: Int[np.ndarray, " n"]


def fit_folds(bundle: Bundle, seed: int) -> list[Fold]:
    """Heads for each part of the rows, fitted on other rows. Raises RequestError where no law can
    be fitted.
    """
    cells = len(np.unique(bundle.cell, axis=0))
    if cells > MOST_CELLS:
        most = f"at most {MOST_CELLS:,} are possible, so join backgrounds or give group alone"
        raise RequestError(f"label and background make {cells:,} cells; {most}")
    if bundle.train is not None:
        return [_fold(bundle, bundle.train, seed)]
    first = halves(bundle.cell, bundle.common, numpy_stream(seed, "embeddings halves"))
    return [_fold(bundle, fitted, seed) for fitted in (first, ~first)]


def _fold(bundle: Bundle, fitted: Bool[np.ndarray, " N"], seed: int) -> Fold:
    photos = bundle.part(bundle.some(np.flatnonzero(fitted), FIT_ROWS, seed, "embeddings fit"))
    try:
        law = fit(photos.image, photos.cell, photos.common)
        rules = bayes_rules(law, WEIGHTS)
    except ValueError as error:
        raise RequestError(f"no head can be fitted: {error}") from error
    plain = plain_heads(photos)
    traced = traced_heads(photos)
    return Fold(
        plain, fixed_heads(photos, law, plain, traced), traced, rules, np.flatnonzero(~fitted)
    )


def answers(bundle: Bundle, folds: list[Fold]) -> pd.DataFrame:
    """1 where a head (column) is right on an answered row (index), 1/k where k labels tie, else
    0.
    """
    parts = []
    for fold in folds:
        linear = fold.plain | fold.fixes | fold.traced
        weights = np.hstack([head.weights for head in linear.values()]).astype(np.float32)
        bias = np.concatenate([head.bias for head in linear.values()]).astype(np.float32)
        names = [*linear, *(f"Bayes rule of the law at weight {weight:.4f}" for weight in WEIGHTS)]
        right = np.zeros((len(fold.answered), len(names)), dtype=np.float32)
        for start in range(0, len(right), BLOCK):
            part = fold.answered[start : start + BLOCK]
            rows = bundle.rows(part)
            label = bundle.label[part]
            scores = (rows @ weights + bias).reshape(len(part), len(linear), -1)
            both = won(scores, label[:, None]), fold.rules(rows, label)
            right[start : start + BLOCK] = np.hstack(both)
        parts.append(pd.DataFrame(right, fold.answered, names))
    return pd.concat(parts).sort_index()

"""Heads fitted on some rows of embeddings, and their answers on the others.

Zero-shot answers need no fit. Supervised heads are cross-fitted: each half of the rows, stratified by class and
background, is answered by heads fitted on the other half. Rows marked `train` are fitted and the others answered. So
no head has seen the rows that it answers.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from experiments.errors import RequestError
from experiments.heads.bundle import BLOCK, Bundle
from experiments.heads.gaussian_law import BayesRules, bayes_rules, fit, halves
from experiments.heads.least_regret import WEIGHTS
from experiments.heads.linear_heads import Head, fixed_heads, plain_heads, traced_heads
from simulator.accuracy import won
from simulator.streams import numpy_stream

FIT_ROWS = 200_000  # heads are fitted on at most so many
MOST_CELLS = 2_000


class Fold(NamedTuple):
    """Heads fitted on some rows, and the rows that they answer."""

    plain: dict[str, Head]  # zero-shot and supervised
    fixes: dict[str, Head]
    traced: dict[str, Head]  # linear heads that only trace the curve, as do the law's Bayes rules
    rules: BayesRules
    answered: Int[np.ndarray, " n"]

    @property
    def listed(self) -> list[str]:
        """Names of the heads that results list."""
        return [*self.plain, *self.fixes]


def fit_folds(bundle: Bundle, seed: int) -> list[Fold]:
    """Heads for each part of the rows, fitted on other rows. Raises RequestError where no law can be fitted."""
    cells = len(np.unique(bundle.cell, axis=0))
    if cells > MOST_CELLS:
        raise RequestError(
            f"label and background make {cells:,} cells; at most {MOST_CELLS:,} are possible, so join backgrounds or "
            "give group alone"
        )
    if bundle.train is not None:
        return [_fold(bundle, bundle.train, seed)]
    first = halves(bundle.cell, bundle.common, numpy_stream(seed, "embeddings halves"))
    return [_fold(bundle, fitted, seed) for fitted in (first, ~first)]


def _fold(bundle: Bundle, fitted: Bool[np.ndarray, " N"], seed: int) -> Fold:
    photos = bundle.photos(bundle.some(np.flatnonzero(fitted), FIT_ROWS, seed, "embeddings fit"))
    try:
        law = fit(photos)
        rules = bayes_rules(law)
    except ValueError as error:
        raise RequestError(f"no head can be fitted: {error}") from error
    plain, traced = plain_heads(bundle, photos), traced_heads(photos)
    return Fold(plain, fixed_heads(bundle, photos, law, plain, traced), traced, rules, np.flatnonzero(~fitted))


def answers(bundle: Bundle, folds: list[Fold]) -> pd.DataFrame:
    """1 where a head (column) is right on an answered row (index), 1/k where k labels tie, else 0."""
    parts = []
    for fold in folds:
        linear = fold.plain | fold.fixes | fold.traced
        weights = np.hstack([head.weights for head in linear.values()]).astype(np.float32)
        bias = np.concatenate([head.bias for head in linear.values()]).astype(np.float32)
        names = [*linear, *(f"Bayes rule of the law at weight {weight:.4f}" for weight in WEIGHTS)]
        right = np.zeros((len(fold.answered), len(names)), dtype=np.float32)
        for start in range(0, len(right), BLOCK):
            part = fold.answered[start : start + BLOCK]
            rows, label = bundle.rows(part), bundle.label[part]
            scores = (rows @ weights + bias).reshape(len(part), len(linear), -1)
            both = won(scores, label[:, None]), fold.rules.right(rows, WEIGHTS, label)
            right[start : start + BLOCK] = np.hstack(both)
        parts.append(pd.DataFrame(right, fold.answered, names))
    return pd.concat(parts).sort_index()

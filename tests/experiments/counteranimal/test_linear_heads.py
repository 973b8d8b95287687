"""Heads and fixes against their definitions."""

import numpy as np
import pytest
from planted_embeddings import planted
from sklearn.linear_model import LogisticRegression

from experiments.counteranimal import linear_heads as heads
from experiments.counteranimal.bundle import checked
from experiments.counteranimal.gaussian_law import fit as fit_law


@pytest.fixture(scope="module")
def world():
    bundle = checked(planted(np.random.default_rng(0), 3000, 6, common=0.8))
    photos = bundle.photos(np.arange(3000))
    return bundle, photos, fit_law(photos.cell, photos.values)


def test_leace_leaves_no_linear_trace_of_the_background_given_the_class(world):
    """A head's scores after LEACE have the same mean on both backgrounds of a class, and change least."""
    bundle, photos, law = world
    effects, base = heads._effects(law), heads.Head(np.eye(bundle.text.shape[2])[:, :4], np.zeros(4))
    found = heads._leace(base, effects, law, photos.values.mean(axis=0))
    for y in (0, 1):
        means = law.means[law.cells[:, 0] == y] @ found.weights
        assert means[0] == pytest.approx(means[1], abs=1e-12)
    assert photos.values.mean(axis=0) @ found.weights + found.bias == pytest.approx(
        photos.values.mean(axis=0) @ base.weights
    )

    def change(weights):  # expected squared change of scores in the law's metric
        return np.einsum("dk,de,ek->", weights - base.weights, law.covariance, weights - base.weights)

    orthogonal = heads._projected(base, effects).weights
    assert change(found.weights) < change(orthogonal)


def test_projection_removes_the_span_and_no_more(world):
    bundle, *_ = world
    base = heads.zero_shot(bundle.text)
    captions = bundle.text_background - bundle.text_background.mean(axis=0)
    found = heads._projected(base, captions)
    assert captions @ found.weights == pytest.approx(np.zeros((2, 2)), abs=1e-7)
    other = np.delete(np.arange(7), 1)
    assert found.weights[other] == pytest.approx(base.weights[other])


def test_logistic_regression_is_scikit_learns(world):
    _, photos, _ = world
    found = heads._logistic(photos, None)
    mean = photos.values.mean(axis=0)
    scale = np.sqrt(((photos.values - mean) ** 2).mean())
    theirs = LogisticRegression(C=heads.PENALTY, tol=heads.GRADIENT, max_iter=heads.STEPS).fit(
        (photos.values - mean) / scale, photos.label
    )
    probability = theirs.predict_log_proba((photos.values[:50] - mean) / scale)
    scores = found.scores(photos.values[:50])
    assert np.diff(scores, axis=1) == pytest.approx(np.diff(probability, axis=1), abs=1e-3)
    drops = []
    for head in (found, heads._logistic(photos, 0.5)):
        right = head.scores(photos.values).argmax(axis=1) == photos.label
        drops.append(abs(right[photos.common].mean() - right[~photos.common].mean()))
    assert drops[1] < 0.05 < drops[0]


def test_weights_give_each_class_the_share(world):
    _, photos, _ = world
    w = heads.row_weights(photos, 0.7)
    assert w.mean() == pytest.approx(1)
    for y in (0, 1):
        own = photos.label == y
        assert w[own & photos.common].sum() / w[own].sum() == pytest.approx(0.7)
        assert w[own].sum() == pytest.approx(len(w) / 2)


def test_other_heads_are_what_they_are_called(world):
    bundle, photos, _ = world
    means = np.array([photos.values[photos.label == y].mean(axis=0) for y in (0, 1)])
    nearest = ((photos.values[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (heads._class_means(photos).scores(photos.values).argmax(axis=1) == nearest).mean() > 0.999
    design = np.column_stack([photos.values, np.ones(len(photos.values))])
    fitted = design @ np.linalg.lstsq(design, np.eye(2)[photos.label], rcond=None)[0]
    assert heads._least_squares(photos).scores(photos.values) == pytest.approx(fitted, abs=0.01)  # a ridge of RIDGE
    prompts = np.stack([bundle.text, -bundle.text], axis=2)[:, 0]  # (K, 2, D): one right, one upside down
    assert heads._best_prompt(prompts, photos).weights == pytest.approx(heads.zero_shot(bundle.text).weights)


def test_interpolated_heads_have_the_shares_of_their_names(world):
    """Zero-shot and logistic scores count in units of their spreads within a class."""
    bundle, photos, law = world
    plain, traced = heads.plain_heads(bundle, photos), heads.traced_heads(photos)
    base, fitted = plain["zero-shot"], plain["logistic regression"]
    fixed = heads.fixed_heads(bundle, photos, law, plain, traced)

    def spread(head):
        lead = np.diff(head.weights, axis=1)[:, 0]
        return np.sqrt(lead @ law.covariance @ lead)

    for share in (0.25, 0.5, 0.75):
        mixed = fixed[f"interpolate, {share:.0%} logistic regression"]
        columns = np.stack([np.append(head.weights.ravel(), head.bias) for head in (base, fitted)], axis=1)
        parts, residue, _, _ = np.linalg.lstsq(columns, np.append(mixed.weights.ravel(), mixed.bias), rcond=None)
        assert residue == pytest.approx(0, abs=1e-12)
        assert parts[1] * spread(fitted) / (parts[0] * spread(base)) == pytest.approx(share / (1 - share))

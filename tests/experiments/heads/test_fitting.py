"""Heads and fixes against their definitions."""

from dataclasses import replace

import numpy as np
import pytest
from planted_embeddings import planted, unit
from sklearn.linear_model import LogisticRegression

from experiments.heads import fitting
from experiments.heads.bundle import checked
from experiments.heads.fitting import fixed_heads, plain_heads, row_weights, traced_heads
from experiments.heads.gaussian_law import fit as fit_law


@pytest.fixture(scope="module")
def world():
    """(photos, their law, heads, fixes) of 3,000 photos; of three prompts, which share much, the
    last is best.
    """
    arrays = planted(np.random.default_rng(0), 3000, 6, common=0.8)
    bundle = checked(arrays | {"text": unit(arrays["text"] + (np.arange(7) > 1))})
    photos = bundle.part(np.arange(3000))
    law = fit_law(photos.image, photos.cell, photos.common)
    plain = plain_heads(photos)
    traced = traced_heads(photos)
    fixes = fixed_heads(photos, law, plain, traced)
    # on the background: right on common photos
    leaning = unit(bundle.text * np.where(np.arange(7) == 1, 6, 1))
    # all common photos first, of which a part is compared
    listed = photos.part(np.argsort(~photos.common))
    several = replace(listed, text=np.concatenate([-bundle.text, leaning, bundle.text], axis=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "PROMPT_ROWS", 300)
        fixes["best single prompt"] = fixed_heads(several, law, plain, traced)["best single prompt"]
    spanning = replace(photos, text_background=unit(np.random.default_rng(1).normal(size=(10, 7))))
    fixes["all"] = fixed_heads(spanning, law, plain, traced)[
        "project out the captions of backgrounds"
    ]
    return photos, law, plain | traced, fixes


def spread(weights, law):
    """Expected square of each score within a cell."""
    return np.einsum("dk,de,ek->k", weights, law.covariance, weights)


def test_leace_leaves_no_linear_trace_of_the_background_given_the_class(world):
    """A head's scores after LEACE have the same mean on both backgrounds of a class, and change
    least.
    """
    photos, law, heads, fixes = world
    base, found = heads["zero-shot"], fixes["LEACE"]
    for y in (0, 1):
        means = law.means[law.cells[:, 0] == y] @ found.weights
        assert means[0] == pytest.approx(means[1], abs=1e-12)
    mean = photos.image.mean(axis=0)[None]
    assert found.scores(mean) == pytest.approx(base.scores(mean))
    changes = [
        spread(fix.weights - base.weights, law).sum()
        for fix in (found, fixes["project out the groups' means"])
    ]
    assert changes[0] < changes[1]


def test_fixes_of_the_prompts_are_what_they_are_called(world):
    _, law, heads, fixes = world
    base, fitted = heads["zero-shot"], heads["logistic regression"]
    # they are plus and minus coordinate 1
    found = fixes["project out the captions of backgrounds"].weights
    assert found == pytest.approx(np.where(np.arange(7)[:, None] == 1, 0, base.weights), abs=1e-7)
    assert fixes["best single prompt"].weights == pytest.approx(base.weights)
    assert not fixes["all"].weights.any(), "captions that span all leave ties"
    # zero-shot and logistic scores count in units of their spreads within a class
    for share in (0.25, 0.5, 0.75):
        mixed = fixes[f"interpolate, {share:.0%} logistic regression"]
        columns = np.stack(
            [np.append(head.weights.ravel(), head.bias) for head in (base, fitted)], axis=1
        )
        parts, residue, *_ = np.linalg.lstsq(
            columns, np.append(mixed.weights.ravel(), mixed.bias), rcond=None
        )
        assert residue == pytest.approx(0, abs=1e-12)
        units = [spread(np.diff(head.weights, axis=1), law)[0] ** 0.5 for head in (base, fitted)]
        assert parts[1] * units[1] / (parts[0] * units[0]) == pytest.approx(share / (1 - share))


def test_supervised_heads_are_what_they_are_called(world):
    photos, _, heads, fixes = world
    x, label = photos.image, photos.label
    mean = x.mean(axis=0)
    scale = np.sqrt(((x - x.mean(axis=0)) ** 2).mean())
    theirs = LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit((x - mean) / scale, label)
    scores = heads["logistic regression"].scores(x)
    assert np.diff(scores, axis=1) == pytest.approx(
        theirs.decision_function((x - mean) / scale)[:, None], abs=0.01
    )
    balanced = fixes["retrain the last layer on balanced groups"].scores(x)
    right = [s.argmax(axis=1) == label for s in (scores, balanced)]
    drops = [abs(one[photos.common].mean() - one[~photos.common].mean()) for one in right]
    assert drops[1] < 0.05 < drops[0]
    means = np.array([x[label == y].mean(axis=0) for y in (0, 1)])
    nearest = ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (heads["nearest class mean"].scores(x).argmax(axis=1) == nearest).mean() > 0.999
    design = np.column_stack([x, np.ones(len(x))])
    fitted = design @ np.linalg.lstsq(design, np.eye(2)[label], rcond=None)[0]
    # a ridge of a thousandth
    assert heads["least squares"].scores(x) == pytest.approx(fitted, abs=0.01)
    w = row_weights(photos, 0.7)
    assert w.mean() == pytest.approx(1)
    for y in (0, 1):
        own = label == y
        assert w[own & photos.common].sum() / w[own].sum() == pytest.approx(0.7)
        assert w[own].sum() == pytest.approx(len(w) / 2)

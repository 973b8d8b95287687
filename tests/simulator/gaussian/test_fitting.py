"""Learners fitted to drawn pairs, as in a notebook."""

import numpy as np
import pytest
from reference import critic_of
from scipy.optimize import nnls
from scipy.special import expit, softmax

from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.fitting import (
    SeparabilityError,
    fit,
    margin_vectors,
    maximum_margin,
    score_vectors,
)
from simulator.streams import numpy_stream
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6, sigma_xi=2.0)


@pytest.mark.parametrize("width", [1, None])
@pytest.mark.parametrize("prompt", ["name", "mean"])
def test_linear_clip_is_the_covariance_that_the_embeddings_keep(prompt, width):
    """Of so few pairs that noise outside the frame matters."""
    pairs = WORLD.draw(40, seed=2)
    found = fit("linear", pairs, embed_dim=width)
    left, values, right = np.linalg.svd(
        np.cov(pairs.images.T, pairs.texts.T)[:8, 8:], full_matrices=False
    )
    M = (left[:, :width] * values[:width]) @ right[:width]
    q = WORLD.prompts(prompt)
    expected = critic_of(M[None], q[:1] - q[1:], found.frames)
    assert found.critic(prompt).inside == pytest.approx(expected.inside, rel=1e-9)
    assert found.critic(prompt).outside == pytest.approx(expected.outside, rel=1e-9)
    assert [*found.accuracy(prompt)] == pytest.approx(
        group_accuracy(expected, WORLD.mixture(), WORLD.nu_image)[0]
    )
    assert found.accuracy() == found.accuracy("typical")


# Supervised estimators


def labelled(
    name: str, n: int, d: int, classes: int, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    rng = numpy_stream(0, f"test/fit/{name}")
    labels = rng.integers(classes, size=n)
    centres = np.array([[1.0], [-1.0]]) * np.ones(d) if classes == 2 else 2 * np.eye(classes, d)
    return distance * centres[labels] + rng.standard_normal((n, d)) * np.linspace(0.5, 2, d), labels


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("estimator", ["logistic", "least-squares"])
@pytest.mark.parametrize(
    ("n", "d", "classes"), [(50, 1, 2), (200, 3, 2), (2000, 8, 2), (200, 3, 3), (1000, 8, 5)]
)
def test_no_slope_of_a_supervised_loss_is_left(n, d, classes, estimator, constant, weighed):
    """Residuals are orthogonal to images, and of worlds with a table to the constant. A loss is
    strongly convex here: 1e-6 of slope is about 1e-6/0.05 of weight, far below sampling error."""
    images, labels = labelled("logistic", n, d, classes, 0.3)
    world = World(table=np.eye(classes) / classes) if constant else World(classes=classes)
    weights = numpy_stream(0, "test/fit/weights").uniform(0, 2, n) if weighed else np.ones(n)
    w = score_vectors(estimator, images, labels, world, weights if weighed else None)
    x = np.column_stack([images, np.ones(n)]) if constant else images
    truth = np.eye(classes)[labels]
    scores = x @ w.T
    if classes == 2:
        residual = (
            expit(scores) - truth[:, :1]
            if estimator == "logistic"
            else scores - (1 - 2 * labels)[:, None]
        )
    else:
        residual = (
            softmax(scores, axis=1) - truth
            if estimator == "logistic"
            else scores + 1 / classes - truth
        )
        assert w.sum(axis=0) == pytest.approx(0, abs=1e-8)
    assert np.abs(weights * x.T @ residual / n).max() < 1e-6


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("n", "d", "classes"),
    [(20, 3, 2), (200, 3, 2), (30, 60, 2), (4, 5, 2), (900, 2, 2), (90, 4, 3), (600, 7, 6)],
)
def test_maximum_margin_satisfies_kkt(n, d, classes, constant):
    """Every class leads by 1, and the solution is a non-negative combination of the conditions that
    hold exactly.
    """
    images, labels = labelled("margin", n, d, classes, 5.0 if d < n else 0.5)
    images = images + 3.0 * constant
    every = np.eye(classes)
    own = labels[:, None] == np.arange(classes)
    found = margin_vectors(images, labels, classes, constant)
    x = np.column_stack([images, np.ones(n)]) if constant else images
    if classes == 2:
        rows = (1.0 - 2 * labels)[:, None] * x
    else:
        contrast = (every[labels][:, None] - every)[~own]
        rows = (contrast[:, :, None] * np.repeat(x, classes - 1, axis=0)[:, None]).reshape(
            len(contrast), -1
        )
    margins = rows @ found.ravel()
    assert margins.min() == pytest.approx(1, abs=1e-7)
    slope = np.pad(found[:, :d], [(0, 0), (0, constant)]).ravel()  # constants cost nothing
    assert nnls(rows[margins < 1 + 1e-6].T, slope)[1] < 1e-7 * np.abs(slope).max()


@pytest.mark.parametrize("unit", [1e-150, 1e-9, 1e-3, 1e9])
def test_maximum_margin_does_not_depend_on_units(unit):
    images, labels = labelled("units", 60, 4, 2, 4.0)
    whole = margin_vectors(images, labels, 2, True) / ([unit] * 4 + [1])
    assert margin_vectors(unit * images, labels, 2, True) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-6, 1e-8])
def test_maximum_margin_however_narrow(gap):
    """Two nearly opposite rows determine (1/gap, 0); the third has a larger margin."""
    signed = np.array([[gap, 1.0], [gap, -1.0], [5 * gap, 0.3]])
    assert gap * maximum_margin(signed, np.zeros((3, 0))) == pytest.approx([1, 0], abs=1e-9)


def test_separable_and_inseparable_samples_name_the_learner_that_fits():
    assert maximum_margin(np.zeros((3, 2)), np.ones((3, 1))) is None
    images, labels = labelled("separable", 30, 2, 2, 5.0)
    with pytest.raises(SeparabilityError, match=r"30 drawn pairs are separable.* use max-margin"):
        score_vectors("logistic", images, labels, World())
    labels[0] = 1 - labels[0]
    with pytest.raises(SeparabilityError, match=r"30 drawn pairs are not separable.* use logistic"):
        score_vectors("max-margin", images, labels, World())
    assert np.isfinite(score_vectors("logistic", images, labels, World())).all()
    images, labels = labelled("separable/classes", 30, 4, 4, 10.0)
    with pytest.raises(SeparabilityError, match=r"30 drawn pairs are separable"):
        score_vectors("logistic", images, labels, World(classes=4))
    with pytest.raises(SeparabilityError, match=r"none of the 30 drawn pairs is of class 4"):
        margin_vectors(images, labels, 5, True)


@pytest.mark.parametrize("width", [None, 2])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_prompt_that_captions_never_mention_decides_by_chance(classes, width):
    """The score is zero; its rounding errors, about 1e-16, decided every image alike."""
    world = World(
        classes=classes, mention_inv=0.0, mu_spu=2.0, sigma_xi_text=0.0, dim_image=9, dim_text=9
    )
    found = fit("linear", world.draw(500, seed=0), embed_dim=width).accuracy("name")
    assert tuple(found) == pytest.approx((1 / classes, 1 / classes), rel=1e-12)

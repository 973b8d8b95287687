"""Fitted supervised learners satisfy the conditions that define their minimisers."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from simulator.gaussian.supervised import (
    SeparabilityError,
    fit,
    maximum_margin,
)
from simulator.streams import numpy_stream


def labelled(name: str, n: int, d: int, classes: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    rng = numpy_stream(0, f"test/fit/{name}")
    labels = rng.integers(classes, size=n)
    centres = np.array([[1.0], [-1.0]]) * np.ones(d) if classes == 2 else 2 * np.eye(classes, d)
    return distance * centres[labels] + rng.standard_normal((n, d)) * np.linspace(0.5, 2, d), labels


@pytest.mark.parametrize(("n", "d"), [(50, 1), (200, 3), (2000, 8)])
def test_logistic_regression_has_no_gradient_left(n, d):
    images, labels = labelled("logistic", n, d, 2, 0.3)
    (w,) = fit("logistic", images, labels, 2)
    signed = (1 - 2 * labels)[:, None] * images
    gradient = -(expit(-signed @ w)[:, None] * signed).mean(axis=0)
    # The loss is strongly convex here: 1e-6 of gradient is about 1e-6/0.05 of weight, far below sampling error.
    assert np.abs(gradient).max() < 1e-6


@pytest.mark.parametrize(("n", "d", "classes"), [(200, 3, 3), (1000, 8, 5)])
def test_softmax_regression_has_no_gradient_left_and_sums_to_zero(n, d, classes):
    images, labels = labelled("softmax", n, d, classes, 0.5)
    w = fit("logistic", images, labels, classes)
    gradient = (softmax(images @ w.T, axis=1) - np.eye(classes)[labels]).T @ images / n
    assert np.abs(gradient).max() < 1e-6
    assert w.sum(axis=0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "d"), [(20, 3), (200, 3), (30, 60), (2, 5), (500, 2)])
def test_maximum_margin_satisfies_kkt(n, d):
    """w'(y x) >= 1, and w is a non-negative combination of the rows where it is 1: with both, w is the minimiser."""
    images, labels = labelled("margin", n, d, 2, 5.0 if d < n else 0.5)
    signed = (1 - 2 * labels)[:, None] * images
    (w,) = fit("max-margin", images, labels, 2)
    margins = signed @ w
    assert margins.min() == pytest.approx(1, abs=1e-7)
    support = signed[margins < 1 + 1e-6]
    multipliers = np.linalg.lstsq(support.T, w, rcond=None)[0]
    assert support.T @ multipliers == pytest.approx(w, abs=1e-7 * np.abs(w).max())
    assert multipliers.min() > -1e-7


@pytest.mark.parametrize("unit", [1e-150, 1e-9, 1e-3, 1e9])
def test_maximum_margin_does_not_depend_on_units(unit):
    images, labels = labelled("units", 60, 4, 2, 4.0)
    signed = (1 - 2 * labels)[:, None] * images
    assert unit * maximum_margin(unit * signed) == pytest.approx(maximum_margin(signed), rel=1e-12)


@pytest.mark.parametrize("gap", [1.0, 1e-3, 1e-6, 1e-8])
def test_maximum_margin_however_narrow(gap):
    """Two rows that pull apart leave (1/gap, 0), the third has room."""
    signed = np.array([[gap, 1.0], [gap, -1.0], [5 * gap, 0.3]])
    assert gap * maximum_margin(signed) == pytest.approx([1, 0], abs=1e-9)


def test_separable_and_inseparable_samples_name_the_learner_that_fits():
    with pytest.raises(SeparabilityError):
        maximum_margin(np.zeros((3, 2)))
    images, labels = labelled("separable", 30, 2, 2, 5.0)
    with pytest.raises(SeparabilityError, match=r"30 drawn pairs are separable.* use max-margin"):
        fit("logistic", images, labels, 2)
    labels[0] = 1 - labels[0]
    with pytest.raises(SeparabilityError, match=r"30 drawn pairs are not separable.* use logistic"):
        fit("max-margin", images, labels, 2)
    assert np.isfinite(fit("logistic", images, labels, 2)).all()
    images, labels = labelled("separable/classes", 30, 4, 4, 10.0)
    with pytest.raises(SeparabilityError, match=r"30 drawn pairs are separable"):
        fit("logistic", images, labels, 4)


def test_least_squares_satisfies_the_normal_equations():
    images, labels = labelled("least squares", 100, 3, 2, 0.3)
    (w,) = fit("least-squares", images, labels, 2)
    y = 1 - 2 * labels
    assert images.T @ images @ w == pytest.approx(images.T @ y, abs=1e-9)
    images, labels = labelled("least squares", 100, 5, 4, 0.5)
    w = fit("least-squares", images, labels, 4)
    assert images.T @ images @ w.T == pytest.approx(images.T @ (np.eye(4)[labels] - 0.25), abs=1e-9)


def test_unknown_learners_are_refused():
    images, labels = labelled("refused", 10, 2, 3, 1.0)
    with pytest.raises(ValueError, match="'svm'"):
        fit("svm", images, labels, 3)
    with pytest.raises(ValueError, match="2 classes, not 3"):
        fit("max-margin", images, labels, 3)
    with pytest.raises(ValueError, match="weights"):
        fit("max-margin", *labelled("weights", 20, 3, 2, 5.0), 2, np.ones(20))


@pytest.mark.parametrize(("learner", "classes"), [("logistic", 2), ("logistic", 3), ("least-squares", 3)])
def test_a_weight_counts_as_so_many_copies(learner, classes):
    images, labels = labelled("weights", 300, 3, classes, 0.3)
    copies = numpy_stream(0, "test/fit/copies").integers(4, size=300)
    weighed = fit(learner, images, labels, classes, copies / copies.mean())
    repeated = fit(learner, np.repeat(images, copies, axis=0), np.repeat(labels, copies), classes)
    assert weighed == pytest.approx(repeated, abs=1e-4)  # the softmax minimiser's own tolerance, tighter for others
    plain = fit(learner, images, labels, classes)
    assert not np.allclose(weighed, plain, atol=1e-2)
    assert np.array_equal(plain, fit(learner, images, labels, classes, np.ones(300)))

"""Drawn pairs of known detail g, with noise and without; captions that tell nothing."""

import numpy as np
import pytest
from stattest import SHARE, spend

from experiments.errors import RequestError
from experiments.heads.caption_detail import caption_detail

N = 6000


@pytest.mark.parametrize(
    ("detail", "noise"), [((0.7, 0.2), 0.0), ((0.3, 0.6), 0.0), ((0.6, 0.6), 0.1)]
)
def test_the_detail_of_drawn_pairs_is_recovered(detail, noise):
    """Noise of a view takes its share of the variance, which the object and background have as
    1.
    """
    spend(2 * SHARE)
    found = caption_detail(
        *in_cells(np.random.default_rng(0), np.arange(N) % 4, detail, noise),
        np.random.default_rng(1),
    )
    for one, g in zip(found["correlations"], sorted(detail, reverse=True), strict=False):
        half = one["interval"][1] - one["value"]
        assert abs(one["value"] - g / (1 + noise)) < 2.5 * half  # five standard errors
        error = (1 - one["value"] ** 2) / np.sqrt(N / 2 - 4)  # of normal pairs, in one half
        assert half == pytest.approx(1.96 * error, rel=0.15)


def in_cells(rng, cell, detail, noise=0.0, dimensions=12):
    """Image and caption of each pair. Cells have means of their own, two coordinates of variance 1
    the detail.
    """
    cell = np.asarray(cell)
    shared, of_image, of_caption = rng.normal(size=(3, len(cell), 2))
    middle = 2 * rng.normal(size=(cell.max() + 1, 2))[cell]
    views = []
    for own in (of_image, of_caption):
        latent = middle + np.sqrt(detail) * shared + np.sqrt(1 - np.array(detail)) * own
        dictionary = np.linalg.qr(rng.normal(size=(dimensions, 2)))[0]
        views.append(
            latent @ dictionary.T + np.sqrt(noise) * rng.normal(size=(len(cell), dimensions))
        )
    return tuple(views), np.column_stack([cell, cell])


def test_too_few_pairs_are_refused():
    """One of the halves has single pairs, whose residuals have no degree of freedom."""
    arrays = in_cells(
        np.random.default_rng(0), np.repeat(np.arange(2000), 3), 0.6, 0.5, dimensions=6
    )
    with pytest.raises(
        RequestError, match="leave 0 degrees of freedom in a half; expected 1 or more"
    ):
        caption_detail(*arrays, np.random.default_rng(1))


def test_class_and_background_alone_are_no_detail():
    """Captions that tell both, and nothing of the looks, correlate with images only between
    cells.
    """
    spend(SHARE)
    (image, caption), cell = in_cells(np.random.default_rng(2), np.arange(N) % 4, (0.0, 0.0))
    assert abs(np.corrcoef(image @ image[0], caption @ caption[0])[0, 1]) > 0.1
    for one in caption_detail((image, caption), cell, np.random.default_rng(1))["correlations"]:
        assert abs(one["value"]) < 2.5 * (one["interval"][1] - one["value"])

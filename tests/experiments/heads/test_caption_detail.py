"""Drawn pairs of known detail g; noise, known and unknown; captions that tell nothing."""

import numpy as np
import pytest
from stattest import SHARE, spend

from experiments.errors import RequestError
from experiments.heads.caption_detail import caption_detail

N = 6000


@pytest.mark.parametrize(("detail", "noise"), [((0.7, 0.2), 0.0), ((0.3, 0.6), 0.0), ((0.6, 0.6), 0.1)])
def test_the_detail_of_drawn_pairs_is_recovered(detail, noise):
    spend(2 * SHARE)
    image, caption, cell = in_cells(np.random.default_rng(0), np.arange(N) % 4, detail, noise)
    known = caption_detail(image, caption, cell, np.random.default_rng(1), (noise, noise))
    assert not known["lower_bound"]
    for one, g in zip(known["correlations"], sorted(detail, reverse=True), strict=True):
        half = one["interval"][1] - one["value"]
        assert abs(one["value"] - g) < 2.5 * half  # five standard errors
        assert half < 0.1
    unknown = caption_detail(image, caption, cell, np.random.default_rng(1))
    assert unknown["lower_bound"]
    if noise:
        shrunk = 0.6 / (1 + noise)  # the variance of the object within its class is 1
        assert unknown["correlations"][0]["value"] == pytest.approx(shrunk, abs=0.05)


def in_cells(rng, cell, detail, noise=0.0, dimensions=12):
    """Image and caption of each pair. Cells have means of their own, two coordinates of variance 1 the detail."""
    cell = np.asarray(cell)
    shared, of_image, of_caption = rng.normal(size=(3, len(cell), 2))
    middle = 2 * rng.normal(size=(cell.max() + 1, 2))[cell]
    views = []
    for own in (of_image, of_caption):
        latent = middle + np.sqrt(detail) * shared + np.sqrt(1 - np.array(detail)) * own
        dictionary = np.linalg.qr(rng.normal(size=(dimensions, 2)))[0]
        views.append(latent @ dictionary.T + np.sqrt(noise) * rng.normal(size=(len(cell), dimensions)))
    return *views, np.column_stack([cell, cell])


@pytest.mark.parametrize("per", [4, 6])
def test_few_pairs_per_cell_leave_the_detail_where_it_is(per):
    """Residuals have n less the cells degrees of freedom; with n the value would be .8 at 6 pairs, 1.2 at 4."""
    spend(SHARE)
    arrays = in_cells(np.random.default_rng(per), np.arange(N) // per, 0.6, 0.5, dimensions=6)
    (one, *_) = caption_detail(*arrays, np.random.default_rng(1), (0.5, 0.5))["correlations"]
    half = one["interval"][1] - one["value"]
    assert abs(one["value"] - 0.6) < 2.5 * half  # five standard errors
    assert half < 0.08


@pytest.mark.parametrize(
    ("cells", "per", "noise", "sentence"),
    [
        (2000, 3, (0.5, 0.5), "leave 0 degrees of freedom in a half; expected 12 or more"),  # one half has single pairs
        (2000, 3, None, "leave 0 degrees of freedom in a half; expected 1 or more"),
        (4, 6, (0.5, 0.5), "leave 8 degrees of freedom in a half; expected 12"),
        (10, 40, (9.0, 0.5), "no direction of image or caption varies more than noise of variances"),
    ],
)
def test_too_few_pairs_are_refused(cells, per, noise, sentence):
    arrays = in_cells(np.random.default_rng(0), np.repeat(np.arange(cells), per), 0.6, 0.5, dimensions=6)
    with pytest.raises(RequestError, match=sentence):
        caption_detail(*arrays, np.random.default_rng(1), noise)


def test_known_noise_widens_the_interval_as_it_raises_the_value():
    """Both are divided by the same share of the signal, here .4; every direction varies more than noise."""
    image, caption, cell = in_cells(np.random.default_rng(0), np.arange(3200) // 800, 0.6, 1.5, dimensions=2)
    known, unknown = (
        caption_detail(image, caption, cell, np.random.default_rng(1), noise)["correlations"][0]
        for noise in ((1.5, 1.5), None)
    )
    raised = known["value"] / unknown["value"]
    assert raised > 2
    widths = [one["interval"][1] - one["value"] for one in (known, unknown)]
    assert widths[0] / widths[1] == pytest.approx(raised, rel=0.02)


def test_class_and_background_alone_are_no_detail():
    """Captions that tell both, and nothing of the looks, correlate with images only between cells."""
    spend(SHARE)
    image, caption, cell = in_cells(np.random.default_rng(2), np.arange(N) % 4, (0.0, 0.0))
    assert abs(np.corrcoef(image @ image[0], caption @ caption[0])[0, 1]) > 0.1
    for one in caption_detail(image, caption, cell, np.random.default_rng(1))["correlations"]:
        assert abs(one["value"]) < 2.5 * (one["interval"][1] - one["value"])

"""Drawn pairs of known detail g; noise, known and unknown; captions that tell nothing."""

import numpy as np
import pytest
from stattest import SHARE, spend

from experiments import embeddings
from experiments.counteranimal.caption_detail import caption_detail

N = 6000
SIGMA = np.array([1.0, 0.5])


def pairs(rng, detail, noise=0.0):
    """Image and caption of the theory's world in 12 coordinates, with (class, background)."""
    label = rng.integers(2, size=N)
    background = np.where(rng.random(N) < 0.8, label, 1 - label)
    shared, of_image, of_caption = rng.normal(size=(3, N, 2))
    middle = np.column_stack([2 * label - 1, 1.5 * (2 * background - 1)])
    views = []
    for own in (of_image, of_caption):
        latent = middle + SIGMA * (np.sqrt(detail) * shared + np.sqrt(1 - np.array(detail)) * own)
        dictionary = np.linalg.qr(rng.normal(size=(12, 2)))[0]
        views.append(latent @ dictionary.T + np.sqrt(noise) * rng.normal(size=(N, 12)))
    return *views, np.column_stack([label, background])


@pytest.mark.parametrize(("detail", "noise"), [((0.7, 0.2), 0.0), ((0.3, 0.6), 0.0), ((0.6, 0.6), 0.1)])
def test_the_detail_of_drawn_pairs_is_recovered(detail, noise):
    spend(2 * SHARE)
    image, caption, cell = pairs(np.random.default_rng(0), detail, noise)
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


def test_class_and_background_alone_are_no_detail():
    """Captions that tell both, and nothing of the looks, correlate with images only between cells."""
    spend(SHARE)
    image, caption, cell = pairs(np.random.default_rng(2), (0.0, 0.0))
    assert abs(np.corrcoef(image @ image[0], caption @ caption[0])[0, 1]) > 0.1
    for one in caption_detail(image, caption, cell, np.random.default_rng(1))["correlations"]:
        assert abs(one["value"]) < 2.5 * (one["interval"][1] - one["value"])


def test_the_verb_has_the_detail():
    """A large constant coordinate keeps unit vectors nearly linear in the others."""
    spend(SHARE)
    image, caption, cell = pairs(np.random.default_rng(3), (0.8, 0.8))
    far = np.full((N, 1), 30.0)
    views = {"image": np.hstack([image, far])[:1500], "caption": np.hstack([caption, far])[:1500]}
    found = embeddings(**views, label=cell[:1500, 0], background=cell[:1500, 1])["detail"]
    assert found["pairs"] == 1500
    assert found["lower_bound"]
    assert found["correlations"][0]["value"] == pytest.approx(0.8, abs=0.08)

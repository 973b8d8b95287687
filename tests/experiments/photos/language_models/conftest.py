"""Tiny random models of two families, saved once per session, and photos with different scores."""

import logging
from functools import cache

import numpy as np
import pytest
import tiny_lvlm
from PIL import Image


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """(family, image side in pixels) -> folder of its model."""

    @cache
    def of(family, side=32):
        path = tmp_path_factory.mktemp("lvlm") / family
        tiny_lvlm.save(path, family, side=side)
        return path

    return of


@pytest.fixture(scope="session")
def model(folder):
    """(family, image side in pixels) -> loaded model, on the CPU in single precision."""
    from experiments.photos.models import load
    from experiments.photos.options import Options

    logging.getLogger("transformers").setLevel(logging.ERROR)

    @cache
    def of(family, side=32):
        loaded = load(f"lvlm:{folder(family, side)}")
        loaded.place(Options())
        return loaded

    return of


@pytest.fixture(scope="session")
def image():
    """Size in pixels -> a photo of noise."""

    def of(width, height, seed=0):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return of

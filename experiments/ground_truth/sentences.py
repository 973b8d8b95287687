"""Captions in words, from the bins of `theory.binned_captions`."""

import numpy as np
from jaxtyping import Int

from simulator.world import World
from theory.binned_captions import NONE

ANIMALS = ("bear", "fox", "cat", "dog", "horse", "cow", "sheep", "wolf", "deer", "mouse")
GROUNDS = ("snow", "grass", "sand", "water", "rock", "forest", "street", "sky", "field", "mud")
SIZES = ("tiny", "small", "medium", "large", "huge")
SHADES = ("black", "dark", "grey", "light", "white")


def sentence(world: World, caption: Int[np.ndarray, " told"]) -> str:
    """One caption in words.

    With two classes the size of the animal tells them apart: bears are large, foxes are small. With
    more, a caption tells one size per class.

    >>> sentence(World(), np.array([NONE, 4, 2])), sentence(World(), np.array([1, NONE, NONE]))
    ('a photo of a huge animal on grey ground', 'a photo of a fox')
    """
    label, *bins = caption.tolist()
    if label != NONE:
        return f"a photo of a {ANIMALS[label]}"
    K, A = world.class_count, world.background_count
    animals = ["animal"] if K == 2 else ANIMALS[:K]
    grounds = ["ground"] if A == 2 else GROUNDS[:A]
    sizes = bins[: len(animals)]
    shades = bins[len(animals) :]
    words = "a photo"
    if sizes[0] != NONE:
        words += " of a " + " ".join(
            f"{SIZES[size]} {noun}" for size, noun in zip(sizes, animals, strict=True)
        )
    if shades[0] != NONE:
        words += " on " + " ".join(
            f"{SHADES[shade]} {noun}" for shade, noun in zip(shades, grounds, strict=True)
        )
    return words

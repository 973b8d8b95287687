"""Embeddings of a world with a known ideal curve: object, background, noise, and a large constant
as models have.
"""

import numpy as np
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.world import World

BACKGROUND = 1.5
# its ideal curve is theirs
WORLD = World(mu_spu=BACKGROUND, sigma_inv=1.0, sigma_spu=1.0, sigma_xi=0.0)
OFFSET = 30.0


def planted(rng, n, dimensions=10, reliance=0.8, common=0.5):
    """Arrays of `embeddings`, whose zero-shot head has weight `reliance` on the background."""
    label = rng.integers(2, size=n)
    background = np.where(rng.random(n) < common, label, 1 - label)
    return _arrays(label, background, rng.normal(size=(n, dimensions)), reliance)


def balanced(rng, photos, dimensions=10, reliance=0.8):
    """The same law with so many photos of each group, half of them of each class."""
    label, background = np.repeat([[0, 1, 0, 1], [0, 1, 1, 0]], photos // 2, axis=1)
    return _arrays(label, background, rng.normal(size=(2 * photos, dimensions)), reliance)


def _arrays(label, background, z, reliance):
    z[:, 0] += 2 * label - 1
    z[:, 1] += BACKGROUND * (2 * background - 1)
    n, dimensions = z.shape
    text = np.zeros((2, dimensions + 1))
    text[1, :2] = 1, reliance
    captions = np.zeros((2, dimensions + 1))
    captions[:, 1] = 1, -1
    return {
        "image": unit(np.column_stack([z, np.full(n, OFFSET)])),
        "label": label,
        "text": unit(text - text.mean(axis=0)),
        "background": background,
        "group": np.where(label == background, "common", "counter"),
        "text_background": captions,
    }


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def zero_shot_accuracy(reliance=0.8):
    """Exact accuracies of the zero-shot head."""
    s = np.hypot(1, reliance)
    return Accuracy(
        float(ndtr((1 + reliance * BACKGROUND) / s)), float(ndtr((1 - reliance * BACKGROUND) / s))
    )


def example():
    """The arrays of counteranimal/example.npz: bears whose zero-shot head has p' = .87, and
    captions of g = .5.
    """
    rng = np.random.default_rng(0)
    n = 1500
    label = rng.integers(2, size=n)
    background = rng.integers(2, size=n)
    shared, of_image, of_caption = rng.normal(size=(3, n, 10))
    arrays = _arrays(label, background, np.sqrt(0.5) * (shared + of_image), 0.5)
    caption = _arrays(label, background, np.sqrt(0.5) * (shared + of_caption), 0.5)["image"]
    small = {name: arrays[name].astype(np.float16) for name in ("text", "text_background")}
    return small | {
        "image": arrays["image"].astype(np.float16),
        "caption": caption.astype(np.float16),
        "label": label.astype(np.uint8),
        "background": np.where(background == 0, "forest", "snow"),
        "group": arrays["group"],
        "names": np.array(["brown bear", "polar bear"]),
    }


if __name__ == "__main__":
    np.savez_compressed("experiments/counteranimal/example.npz", **example())

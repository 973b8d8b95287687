"""The share of test images that a contrastive run of n pairs cannot learn, because none of its pairs is similar.

Near an image x and a caption p a run of n pairs has n exp(PMI(x, p)) times as many pairs as n independent images and
captions would have. If this is below 1, no such pair is expected, and the loss does not determine how low the score
should be: its gradient is e^score - e^PMI, with both terms almost 0. Scores then stop at about -log n. If all classes'
PMI is below -log n, chance decides the image.

Measured at p = .9, mu_spu = 2, nu = .25 after a million pairs, average caption: towers and optimum decide differently
on 63 % of the counter images whose better class has a PMI below -14, on 46 % from -14 to -11, on 20 % from -9 to -7,
and on none above -3. This amounts to 6 points on the counter group, in 64 dimensions as in 2.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simulator.gaussian.critic import gaussian_points
from simulator.mixture import class_means
from simulator.prompts import Prompt, prompt_row
from simulator.world import World
from theory.density import log_density

POWER = 12  # 2^12 Sobol points per group
RARE = 0.01  # share of unseen images at which the number of pairs counts as enough


class Unseen(NamedTuple):
    """Shares of each group without a similar pair, and the number of pairs at which this share is RARE."""

    common: float
    counter: float
    pairs_needed: float


def unseen(world: World, prompt: Prompt, pairs: float) -> Unseen | None:
    """Shares of images without a similar pair in a run of `pairs`, to about .001; None without a closed form."""
    plain = not world.silence.any() and world.p_inv == 1 and not world.attribute and world.table is None
    if not plain or prompt_row(prompt).pool is not None or world.nu_image <= 0 or world.nu_text <= 0:
        return None
    matched = (1 - world.mismatch) * pairs  # the others are spread like independent images and captions
    best = [_best_pmi(world, world.prompts(prompt), group) for group in (0, 1)]
    common, counter = (float(np.mean(values < -np.log(matched))) for values in best)
    with np.errstate(over="ignore"):  # no double holds so many pairs
        needed = max(float(np.exp(-np.quantile(values, RARE))) for values in best) / (1 - world.mismatch)
    return Unseen(common, counter, float(needed))


def _best_pmi(world: World, texts: Float[np.ndarray, "K l"], group: int) -> Float[np.ndarray, " N"]:
    """For each test image of a group with label class 0: the largest PMI over the classes' prompts."""
    patterns = class_means(world.classes)[[0, group]]
    deviation = np.repeat(np.sqrt(world.image_variance), patterns.shape[1])
    images = (world.mean[:, None] * patterns).ravel() + deviation * gaussian_points(len(deviation), POWER, group)
    own, alone = log_density(images, None, world), log_density(None, texts, world)
    pmi = [log_density(images, np.broadcast_to(text, images.shape), world) - own for text in texts]
    return np.max(np.array(pmi) - alone[:, None], axis=0)

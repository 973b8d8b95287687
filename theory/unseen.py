"""How many pairs a contrastive run must see before its towers can tell the optimum's scores.

Near an image x and a caption p the n pairs of a run hold n exp(PMI(x, p)) times as many as n pairs of strangers would.
Where that is below 1 no pair like them is expected at all, and nothing in the loss says how low the score should be: it
pulls by e^score - e^PMI, both next to nothing. Towers then stop at about -log n, and an image for which every class's
PMI lies below that is decided by chance. Measured at p = .9, mu_spu = 2, nu = .25 after a million pairs, mean prompt:
of the counter images whose better class has a PMI below -14 towers decide 63 % otherwise than the optimum, from -14 to
-11 46 %, from -9 to -7 20 %, above -3 none; 6 points of the counter group in all, in 64 dimensions as in 2.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simulator.gaussian.critic import gaussian_points
from simulator.mixture import class_means
from simulator.prompts import Prompt, prompt_row
from simulator.world import World, Worlds, latent_prompts
from theory.density import captions_as_images, log_density

POWER = 12  # 2^12 Sobol points a group
RARE = 0.01  # share of images that may be unseen where pairs are said to suffice


class Unseen(NamedTuple):
    """What a number of pairs leaves unseen."""

    common: float
    counter: float
    pairs_needed: float


def unseen(world: World, prompt: Prompt, pairs: float) -> Unseen | None:
    """Shares of images like which a run of so many pairs sees none, to about .001."""
    worlds = Worlds.of(world)
    plain = np.all(worlds.mention == 1) and world.p_inv == 1 and not world.attribute
    if not plain or prompt_row(prompt).pool is not None or world.nu_image <= 0 or world.nu_text <= 0:
        return None
    best = [_best_pmi(world, worlds, latent_prompts(worlds, prompt), group) for group in (0, 1)]
    common, counter = (float(np.mean(values < -np.log(pairs))) for values in best)
    needed = max(float(np.exp(-np.quantile(values, RARE))) for values in best)
    return Unseen(common, counter, needed)


def _best_pmi(
    world: World, worlds: Worlds, texts: Float[np.ndarray, "K B width"], group: int
) -> Float[np.ndarray, " N"]:
    """The largest PMI over the classes' prompts of test images of a group, label class 0."""
    _, B, width = texts.shape
    noise = gaussian_points(B * width, POWER, group).reshape(-1, B, width)
    deviation = np.sqrt(worlds.scale**2 + worlds.nu_image)[:, None]
    shown = worlds.mean[:, None] * class_means(world.classes)[[0, group]]
    images = shown + deviation * noise
    own = log_density(images, None, worlds)
    captions, each = captions_as_images(worlds), []
    for text in texts:
        alone = log_density(text[None], None, captions)[0]
        each.append(log_density(images, np.broadcast_to(text, images.shape), worlds) - own - alone)
    return np.max(each, axis=0)

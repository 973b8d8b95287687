"""Zero-shot accuracy at the optimum of InfoNCE with unrestricted towers: the pointwise mutual information decides.

For every batch size B >= 2 the symmetric InfoNCE loss is minimised exactly by the critics PMI(x_I, x_T) + const,
    PMI = log p(x_I, x_T) - log p(x_I) - log p(x_T);
SigLIP's minimiser is PMI - log(B - 1), the same decision. (The softmax over texts alone leaves a function of x_I free and the
softmax over images alone a function of x_T; only the first cannot be seen by zero-shot classification.)
Zero-shot picks argmax_y PMI(x_I, p_y). By symmetry log p(p_y) is the same for every class, so argmax_y log p(x_I, p_y).

As the view noise nu -> 0 the rule becomes the nearest prompt in latent space (`nearest_prompt_weights`), as nu -> infinity it
becomes linear CLIP (`theory.population.linear_weights`): InfoNCE interpolates between the two.
At nu = 0 itself the joint law of the views is singular and the PMI infinite, so both views need noise.
"""

from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr

from simulator.critic import gaussian_points
from simulator.world import Blocks, Prompt
from theory.density import attribute_log_density, block_log_density, class_patterns, log_density, one_world
from theory.population import linear_weights
from theory.quadrature import RANGE, REPLICATES, EstimatedAccuracy, estimate, gaussian_average

LARGEST_CLASSES = 50  # a sample costs K^2 density terms
CELLS = 2**20  # numbers held at once per array: 8 MB stay in cache and below any memory
GRID = 48  # cells of the inner variable over +-8.5 standard deviations, in which sign changes are sought


def infonce_accuracy(blocks: Blocks, prompt: Prompt, seed: int = 0, nodes: int = 64) -> EstimatedAccuracy:
    """Group accuracies of argmax_y PMI(x_I, p_y) under the test law; ties count one half (1/K).

    Two classes and one attribute: quadrature over any grid of worlds, absolute error below 1e-6; `nodes` is the
    number of steps tried first. Several attributes or K >= 3 classes: one world at a time, REPLICATES
    randomised Sobol nets from `seed`, with a 95% interval.
    Raises ValueError without noise in both views, and above LARGEST_CLASSES.
    """
    if np.any(blocks.nu_image <= 0) or np.any(blocks.nu_text <= 0):
        raise ValueError(
            "sigma_xi = 0: without noise in both views their joint law is singular and the pointwise mutual information is "
            "infinite on the diagonal; any sigma_xi > 0 works, and the limit is the nearest prompt in latent space"
        )
    if blocks.classes > LARGEST_CLASSES:
        raise ValueError(
            f"classes = {blocks.classes} is more than the {LARGEST_CLASSES} that the InfoNCE optimum is sampled for"
        )
    shape = np.broadcast_shapes(blocks.mean.shape[:-1], blocks.agreement.shape[:-1], np.shape(blocks.nu_image))
    if blocks.classes == 2 and blocks.mean.shape[-1] == 2:
        every = [one_world(blocks, w) for w in np.ndindex(shape)] if False else _flatten(blocks, shape)
        accuracy = _one_attribute(every, prompt, nodes)
        return EstimatedAccuracy(accuracy[:, 0].reshape(shape), accuracy[:, 1].reshape(shape), None)
    if shape:
        raise ValueError("with several attributes or K >= 3 the InfoNCE optimum is estimated one world at a time")
    sample = _several_attributes if blocks.classes == 2 else _many_classes
    return estimate(np.array([sample(blocks, prompt, seed * REPLICATES + r) for r in range(REPLICATES)]))

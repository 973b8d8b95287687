"""Population optima as decision rules on images, so that drawn images can put their accuracies to the test."""

import numpy as np
from jaxtyping import Float

from simulator.world import Blocks, Prompt, latent_prompts
from theory.density import class_log_density, prompt_log_density


def rule_scores(
    learner: str, prompt: Prompt | None, blocks: Blocks, images: Float[np.ndarray, "N l"]
) -> Float[np.ndarray, "N K"]:
    """Score of every class for latent images D_I' x_I; the largest is the decision, equal ones share it.

    infonce: log p(x_I, p_y) in nats, the PMI up to a term that no decision sees. bayes: log p(x_I | y) under the
    training law. Raises ValueError for another learner.
    """
    x = images.reshape(len(images), blocks.mean.shape[-1], -1)
    if learner == "infonce":
        return prompt_log_density(x, latent_prompts(blocks, prompt), blocks)
    if learner == "bayes":
        return class_log_density(x, None, blocks)
    raise ValueError(f"learner = {learner!r} is neither 'infonce' nor 'bayes'")


def correct(scores: Float[np.ndarray, "N K"], labels: np.ndarray) -> float:
    """How many of N decisions are right; among k classes that tie, 1/k of one."""
    best = scores == scores.max(axis=1, keepdims=True)
    return float((best[np.arange(len(labels)), labels] / best.sum(axis=1)).sum())

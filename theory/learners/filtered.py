"""Linear CLIP on the pairs that a teacher keeps: those whose image and caption agree most.

The teacher scores a pair by x_I' C x_T, C = Cov(z_I, z_T) of pairs that match, and keeps a share of
all pairs. The student's M is the covariance of what is kept. It is "teacher-based filtering"
(Pareek et al., arXiv 2512.14230) with a teacher that has seen unlimited pairs. The score is higher
where object and background speak for one class, so the filter prefers common images to captions
that match. Moments are means over Sobol points of each kind of pair.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.gaussian.critic import LinearCritic, gaussian_points
from simulator.prompts import Prompt
from simulator.world import World
from theory.learners.base import Learner, latent_critic

POWER = 11  # 2^POWER points per kind of pair: reliance to about .003


@dataclass(frozen=True)
class Filtered(Learner):
    """Linear CLIP on the share `kept` of pairs with the largest scores; worlds without a table."""

    name: ClassVar[str] = "filtered"
    words: ClassVar[str] = "linear CLIP on filtered pairs"
    prompt: Prompt = "name"
    kept: float = 0.5

    def critic(self, world: World) -> LinearCritic:
        """u_y = S q_y, S the covariance of the pairs that are kept."""
        if world.table is not None or not world.binary:
            raise ValueError(
                "filtered pairs have a law in worlds of two classes and one background, without a"
                " table"
            )
        mixture = world.mixture().seen
        S_I = mixture.image_variances
        blocks: list[tuple[np.ndarray, ...]] = []
        for kind in mixture.pairs:
            slope = (
                kind.mask
                * kind.detail
                * np.divide(mixture.variances, np.sqrt(S_I), out=np.zeros(2), where=S_I > 0)
            )
            own = kind.mask**2 * mixture.variances + kind.noise * world.nu_text - slope**2
            for weight, mean in zip(kind.weights, kind.means, strict=True):
                e, f = np.split(gaussian_points(4, POWER, len(blocks)), 2, axis=1)
                text = slope * e + np.sqrt(own) * f + mean[2:]
                blocks.append((np.sqrt(S_I) * e + mean[:2], text, np.full(len(e), weight / len(e))))
        images, texts, weights = (np.concatenate(part) for part in zip(*blocks, strict=True))
        order = np.argsort(-((images @ mixture.cross_covariance) * texts).sum(axis=1))
        before = np.cumsum(weights[order]) - weights[order]
        weights[order] = np.clip(self.kept - before, 0, weights[order]) / self.kept
        S = (weights[:, None] * (images - weights @ images)).T @ texts
        return latent_critic(world.prompts(self.prompt) @ S.T)

"""Linear CLIP after its modality gap is closed: one modality is moved by the difference of the mean
embeddings.

With A = U S V' the embeddings of balanced towers are f = (S^(1/2) U' x, -h/2) of images and g =
(S^(1/2) V' t, h/2) of captions. The last coordinate is a gap h that is orthogonal to all else. The
gap is v = E[g] - E[f], and scores are cosines:
    images moved       (f + v)'g_y/|g_y|
    captions moved     f'(g_y - v)/|g_y - v|
If v is orthogonal to all else (E[x] = E[t] = 0), no decision changes. This is "Is the modality gap
a bug or a feature?" (Chowers et al., arXiv 2603.29080) for linear towers.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from simulator.gaussian.critic import LinearCritic
from simulator.prompts import Prompt
from simulator.world import World
from theory.learners.base import Learner, latent_critic
from theory.population import caption_moments, latent_moments


@dataclass(frozen=True)
class GapClosed(Learner):
    """Linear CLIP without a gap, in worlds with a table.

    The prompt is one caption, `moved` the modality that is moved, and `apart` the orthogonal gap h.
    """

    name: ClassVar[str] = "gap-closed"
    words: ClassVar[str] = "linear CLIP without its modality gap"
    prompt: Prompt = "name"
    moved: Literal["images", "captions"] = "images"
    apart: float = 1.0

    def critic(self, world: World) -> LinearCritic:
        """u_y and the constants of all classes; see the module."""
        mixture = world.mixture().seen
        left, values, right = np.linalg.svd(mixture.cross_covariance)
        image = np.sqrt(values)[:, None] * left.T
        text = np.sqrt(values)[:, None] * right
        _, _, mean, _ = latent_moments(world)
        gap = text @ caption_moments(mixture)[0] - image @ mean
        half = self.apart / 2
        g = world.prompts(self.prompt) @ text.T
        last = half
        constant = 0.0
        if self.moved == "captions":
            g = g - gap
            last = -half
        else:
            constant = g @ gap
        length = np.sqrt((g**2).sum(axis=-1) + last**2)
        return latent_critic(g @ image / length[:, None], (constant + half**2) / length)

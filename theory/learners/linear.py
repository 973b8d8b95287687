"""Linear CLIP: two linear towers under the linearised contrastive loss, M* = S/rho ([W] section 6; Lemma D.3).

u = A q                 weight on each block (`theory.population`)
Acc = Phi(...)          `theory.accuracy`
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from simulator.accuracy import rounded
from simulator.gaussian.critic import LinearCritic
from simulator.prompts import Prompt
from simulator.world import World
from theory.learners.base import Learner, each_class_count, latent_critic
from theory.population import (
    kappa,
    kept_values,
    linear_weights,
    pattern_correlation,
    projected_weights,
    truncated_weights,
    two_block_weights,
)


@dataclass(frozen=True)
class LinearCLIP(Learner):
    """Linear CLIP with a prompt.

    Parameters
    ----------
    prompt
        One of `simulator.prompts.LINEAR`: scores that are known only up to a factor have no log-mean-exp.
    embed_dim
        Width of the embedding, at least 1. None is wide enough for all of M. Equal singular values at the cut have no
        answer.
    projected
        Whether embeddings of balanced towers lose the direction of a caption that shows the background alone; for the
        widest embedding (`theory.population.projected_weights`).

    Raises
    ------
    ValueError
        For an embed_dim below 1, or one of a projected embedding.

    Examples
    --------
    >>> float(LinearCLIP("name").accuracy(World(p_spu=0.99, mu_spu=2.0, sigma_xi=0.0)).counter).__round__(4)
    0.1943
    """

    name: ClassVar[str] = "linear"
    words: ClassVar[str] = "linear CLIP"
    prompt: Prompt = "name"
    embed_dim: int | None = None
    projected: bool = False

    def __post_init__(self):
        if self.projected and self.embed_dim is not None:
            raise ValueError(f"embed_dim = {self.embed_dim}: a projected embedding has a law at full width only")
        if self.embed_dim is not None and self.embed_dim < 1:
            raise ValueError(f"embed_dim = {self.embed_dim} is below 1; the nearest valid value is 1")

    @each_class_count
    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """u = A q, or that of the best approximation of A of rank embed_dim."""
        if self.projected:
            return projected_weights(worlds, self.prompt)
        if self.embed_dim is None:
            return linear_weights(worlds, self.prompt)
        return truncated_weights(worlds, self.prompt, self.embed_dim)

    def critic(self, world: World) -> LinearCritic:
        """u_y = A q_y; in a world with a table A = Cov(z_I, z_T) has no symmetry. See `direction`."""
        mixture = world.mixture()
        A, q = mixture.cross_covariance, world.prompts(self.prompt)
        left, values, right = np.linalg.svd(A)
        largest = np.linalg.norm(q) * values[0]
        if self.projected:
            text = np.sqrt(values)[:, None] * right  # W_T
            shown = text[:, world.background_latents]
            q[:, world.background_latents] -= (np.linalg.pinv(shown) @ text @ q.T).T
        if self.embed_dim is not None:
            A = left * (values * kept_values(values, values[:0], 2, self.embed_dim)) @ right
        return latent_critic(rounded(q @ A.T, largest))

    def weights(self, x):
        """u = A q, written out; see `Learner.weights`."""
        if self.embed_dim is not None or self.projected:
            return super().weights(x)
        si2, ss2 = (kappa(x.classes) * g * s**2 for g, s in ((x.detail_inv, x.sigma_inv), (x.detail_spu, x.sigma_spu)))
        D = pattern_correlation(x.p_spu, x.classes)
        return two_block_weights(x.mu_inv, x.mu_spu, si2, ss2, D, x.mention_inv, x.mention_spu, x.bare, self.prompt)

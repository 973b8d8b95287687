"""Linear CLIP: two linear towers under the linearised contrastive loss, M* = S/rho ([W] section 6;
Lemma D.3).

u = A q                 weight on each block (`theory.population`)
u = sum_i m_i(t) u_i <v_i, q>     the same after gradient flow of length t: modes of A grow one
                                  after another
Acc = Phi(...)          `theory.accuracy`
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from simulator.accuracy import rounded
from simulator.gaussian.critic import (
    LinearCritic,
    Projected,
    first_modes,
    removed_captions,
    without_captions,
)
from simulator.gaussian.statistics import full_critics, projected_critics
from simulator.naming import outside
from simulator.prompts import Prompt
from simulator.world import World
from theory import population
from theory.learners.base import Learner, latent_critic


@dataclass(frozen=True)
class LinearCLIP(Learner):
    """Linear CLIP with a prompt.

    Parameters
    ----------
    prompt
        One of `simulator.prompts.LINEAR`: scores that are known only up to a factor have no
        log-mean-exp.
    embed_dim
        Width of the embedding, at least 1. None is wide enough for all of M. Equal singular values
        at the cut have no answer.
    projected
        Whether embeddings of balanced towers lose the direction of a caption that shows the
        background alone (`simulator.gaussian.critic.without_captions`). A tuple is another caption,
        a number per block.
    time
        Length of gradient flow on the loss from small aligned weights (`theory.population.grown`),
        0 or more. Infinity is the optimum.
    start
        Strength of every mode at time 0, in units of 1/rho, above 0.

    Raises
    ------
    ValueError
        For a value outside its domain, and an embed_dim or time of a projected embedding.

    Examples
    --------
    >>> accuracy = LinearCLIP("name").accuracy(World(p_spu=0.99, mu_spu=2.0, sigma_xi=0.0))
    >>> round(float(accuracy.counter), 4)
    0.1943
    """

    name: ClassVar[str] = "linear"
    words: ClassVar[str] = "linear CLIP"
    estimator: ClassVar[str] = "linear"
    on_images: ClassVar[bool] = False
    prompt: Prompt = "name"
    embed_dim: int | None = None
    projected: Projected = False
    time: float = np.inf
    start: float = population.START

    def __post_init__(self):
        super().__post_init__()
        for name, usual, where in (
            ("embed_dim", None, "at full width"),
            ("time", np.inf, "at the optimum"),
        ):
            if self.projected and getattr(self, name) != usual:
                raise ValueError(
                    f"{name} = {getattr(self, name)}: a projected embedding has a law {where} only"
                )
        if not self.time >= 0:
            raise ValueError(f"time = {outside(self.time, 0)}")
        if not 0 < self.start < np.inf:
            raise ValueError(
                f"start = {self.start} is no positive number; {population.START} is usual"
            )

    @property
    def modal(self) -> bool:
        """Whether the rule depends on the singular values of A one by one."""
        return self.embed_dim is not None or self.time < np.inf

    def strength(self, values: Float[np.ndarray, "*r h"]) -> Float[np.ndarray, "*r h"]:
        """Strengths in M of the modes of S with these singular values, in descending order."""
        if self.embed_dim is not None:
            population.check_cut(values, self.embed_dim)
        return first_modes(population.grown(values, self.time, self.start), self.embed_dim)

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """u = A q, or that of the modes of A that the towers have learned, or of a prompt without
        some captions.
        """
        if self.embed_dim is not None and np.any(np.greater(worlds.classes, 2)):
            # a cut counts every mode, also those that no decision depends on
            return super().direction(worlds)
        A = population.latent_cross_covariance(worlds)
        q = worlds.prompt(self.prompt)
        if not (self.modal or self.projected):
            return np.einsum("...ij,...j->...i", A, q)
        left, values, right = np.linalg.svd(A)
        m = self.strength(values)
        largest = (m.max(axis=-1) * np.linalg.norm(q, axis=-1))[..., None]
        # with one number per block
        removed = removed_captions(worlds.replace(classes=2), self.projected)
        q = without_captions(A, q[..., None, :], np.eye(A.shape[-1]), removed)[..., 0, :]
        return rounded(np.einsum("...ir,...r,...rj,...j->...i", left, m, right, q), largest)

    def critic(self, world: World) -> LinearCritic:
        """u_y = A q_y in one world of any kind, A = Cov(z_I, z_T). See `direction`."""
        mixture = world.mixture()
        A = (1 - mixture.mismatch) * mixture.cross_covariance
        q = world.prompts(self.prompt)
        left, values, right = np.linalg.svd(A)
        strength = self.strength(values)
        largest = np.linalg.norm(q) * strength.max()
        q = without_captions(A, q, np.eye(len(A)), removed_captions(world, self.projected))
        if self.modal:
            A = left * strength @ right
        return latent_critic(rounded(q @ A.T, largest))

    def exact_law(
        self, world: World, n: int, replicates: int, seed: int, stream: str
    ) -> Iterator[LinearCritic]:
        """S q for the sample cross-covariance S, whose law is known."""
        how = world, self.prompt, n, replicates, seed, stream
        if self.projected or self.modal:
            return full_critics(
                *how, strength=self.strength if self.modal else None, projected=self.projected
            )
        return projected_critics(*how)

    def weights(self, x):
        """u = A q, written out; see `Learner.weights`."""
        if self.modal or self.projected:
            return super().weights(x)
        si2 = population.kappa(x.classes) * x.detail_inv * x.sigma_inv**2
        ss2 = population.kappa(x.classes) * x.detail_spu * x.sigma_spu**2
        D = population.pattern_correlation(x.p_spu, x.classes)
        return population.two_block_weights(
            x.mu_inv, x.mu_spu, si2, ss2, D, x.mention_inv, x.mention_spu, x.bare, self.prompt
        )

"""Linear CLIP: two linear towers under the linearised contrastive loss, M* = S/rho ([W] section 6; Lemma D.3).

u = C diag(pi) q        weight on each block (`theory.population`)
Acc = Phi(...)          `theory.accuracy`
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import standardise
from simulator.prompts import Prompt
from simulator.world import Worlds
from theory.accuracy import linear_accuracy, two_block_scores
from theory.learners.base import Learner, each_class_count
from theory.population import kappa, linear_weights, pattern_correlation, truncated_weights, two_block_weights

CACHED = 8192  # worlds whose numbers stay in the second-level cache together


@dataclass(frozen=True)
class LinearCLIP(Learner):
    """Linear CLIP with a prompt.

    Parameters
    ----------
    prompt
        Of `simulator.prompts`: one of LINEAR, since scores known up to a factor have no log-mean-exp.
    embed_dim
        Width of the embedding, at least 1; None is wide enough for all of M (a tie of singular values at the cut has no
        answer).

    Raises
    ------
    ValueError
        For an embed_dim below 1.

    Examples
    --------
    >>> float(LinearCLIP("name").accuracy(Worlds(p_spu=0.99, mu_spu=2.0, sigma_xi=0.0)).counter).__round__(4)
    0.1943
    """

    name: ClassVar[str] = "linear"
    words: ClassVar[str] = "linear CLIP"
    prompt: Prompt = "name"
    embed_dim: int | None = None

    def __post_init__(self):
        if self.embed_dim is not None and self.embed_dim < 1:
            raise ValueError(f"embed_dim = {self.embed_dim} is below 1; the nearest valid value is 1")

    @each_class_count
    def direction(self, worlds: Worlds) -> Float[np.ndarray, "*w B"]:
        """u = C diag(pi) q, or that of the best approximation of C diag(pi) of rank embed_dim."""
        if self.embed_dim is None:
            return linear_weights(worlds, self.prompt)
        return truncated_weights(worlds, self.prompt, self.embed_dim)

    def weights(self, x):
        """u = C diag(pi) q, written out; see `Learner.weights`."""
        if self.embed_dim is not None:
            return super().weights(x)
        si2, ss2 = (kappa(x.classes) * sigma**2 for sigma in (x.sigma_inv, x.sigma_spu))
        D = pattern_correlation(x.p_spu, x.classes)
        return two_block_weights(x.mu_inv, x.mu_spu, si2, ss2, D, x.mention_inv, x.mention_spu, self.prompt)

    @each_class_count
    def accuracy(self, worlds: Worlds) -> Accuracy:
        """Group accuracies at n = infinity, exact to 1e-13; see `Learner.accuracy`."""
        papers = worlds.classes == 2 and not worlds.attribute and self.embed_dim is None and np.all(worlds.p_inv == 1)
        return _papers_world(worlds, self.prompt) if papers else linear_accuracy(self.direction(worlds), worlds)


def _papers_world(worlds: Worlds, prompt: Prompt) -> Accuracy:
    """`linear_accuracy(linear_weights(...))` of two scalar latents written out and evaluated in cache-sized parts.

    For sweeps over millions of worlds; tests hold it to the general route.
    """
    alpha, beta, si, ss = (worlds.mu_inv, worlds.mu_spu, worlds.sigma_inv, worlds.sigma_spu)
    fields = (
        worlds.p_spu,
        alpha,
        beta,
        si,
        ss,
        worlds.sigma_xi**2 / worlds.dim_image,
        worlds.mention_inv,
        worlds.mention_spu,
    )
    flat = [x if np.ndim(x) == 0 else np.broadcast_to(x, worlds.shape).ravel() for x in fields]
    common, counter = np.empty(worlds.size), np.empty(worlds.size)
    for start in range(0, worlds.size, CACHED):
        part = slice(start, start + CACHED)
        z = _scores(prompt, *(x if np.ndim(x) == 0 else np.asarray(x)[part] for x in flat))
        common[part], counter[part] = ndtr(z[0]), ndtr(z[1])
    return Accuracy(common.reshape(worlds.shape), counter.reshape(worlds.shape))


def _scores(prompt: Prompt, p, alpha, beta, si, ss, nu, pi_inv, pi_spu):
    """z-scores (common, counter), (u alpha +- w beta)/s."""
    si2, ss2 = si * si, ss * ss
    u, w = two_block_weights(alpha, beta, si2, ss2, 2 * p - 1, pi_inv, pi_spu, prompt)
    common, counter, s = two_block_scores(u, w, alpha, beta, si2 + nu, ss2 + nu)
    if np.all(s):
        return common / s, counter / s
    return standardise(common, s), standardise(counter, s)  # rare, and costs a second pass

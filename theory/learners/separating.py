"""Linear CLIP with the prompt of a family that separates the classes most.

A prompt (a, b) is the caption (a mu_inv y, b mu_spu y): a times the typical appearance, on b times the usual
background. Its separation is the root mean square, over test images, of the difference of both classes' cosine scores,

    sqrt(u' E[x x'] u)/|W_T q|,   u = A q,   |W_T q|^2 = q' V S V' q for balanced towers, A = U S V'.

This is how "SAGE" (Ye et al., arXiv 2511.13005) selects prompts, for a data set in the place of one image.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from simulator.world import World
from theory.learners.base import Learner
from theory.population import latent_cross_covariance


@dataclass(frozen=True)
class Separating(Learner):
    """Linear CLIP with the most separating prompt of a family of pairs (a, b); two classes, one background.

    Examples
    --------
    >>> Separating(((1.0, 0.0), (1.0, 1.0))).chosen(World(mu_spu=2.0)).tolist()
    1
    """

    name: ClassVar[str] = "separating"
    words: ClassVar[str] = "linear CLIP with the prompt that separates the classes most"
    prompts: tuple[tuple[float, float], ...] = ((1.0, 0.0),)

    def chosen(self, worlds: World) -> np.ndarray:
        """The number of the chosen prompt in each world; the first of equal ones."""
        return np.asarray(np.argmax(self._of_prompts(worlds)[1], axis=-1))

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """u = A q of the chosen prompt q."""
        u = self._of_prompts(worlds)[0]
        return np.take_along_axis(u, self.chosen(worlds)[..., None, None], axis=-2)[..., 0, :]

    def _of_prompts(self, worlds: World) -> tuple[Float[np.ndarray, "*w P B"], Float[np.ndarray, "*w P"]]:
        """(u, separation) of every prompt; one that shows nothing separates nothing."""
        if not worlds.binary:
            raise ValueError("the most separating prompt is known in worlds of two classes and one background")
        A = latent_cross_covariance(worlds)
        _, values, right = np.linalg.svd(A)
        q = np.array(self.prompts) * worlds.mean[..., None, :]
        u = np.einsum("...ij,...pj->...pi", A, q)
        variance = (u**2 * (worlds.mean**2 + worlds.image_variance)[..., None, :]).sum(-1)
        length = (np.einsum("...rj,...pj->...pr", right, q) ** 2 * values[..., None, :]).sum(-1)
        return u, np.sqrt(np.divide(variance, length, out=np.zeros_like(variance), where=length > 0))

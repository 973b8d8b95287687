"""Linear CLIP with the prompt of a family that separates the classes most.

A prompt (a, b) is the caption (a mu_inv y, b mu_spu y): a times the typical appearance, on b times
the usual background. Its separation is the root mean square, over test images, of the difference of
both classes' cosine scores,

    sqrt(u' E[x x'] u)/|W_T q|,   u = A q,   |W_T q|^2 = q' V S V' q for balanced towers, A = U S
                                  V'.

This is how "SAGE" (Ye et al., arXiv 2511.13005) selects prompts, for a data set in the place of one
image.
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
    """Linear CLIP with the most separating prompt of a family of pairs (a, b); two classes, one
    background.

    Examples
    --------
    >>> Separating(((1.0, 0.0), (1.0, 1.0))).direction(World(mu_spu=2.0)).round(2).tolist()
    [5.2, 10.1]
    """

    name: ClassVar[str] = "separating"
    words: ClassVar[str] = "linear CLIP with the prompt that separates the classes most"
    prompts: tuple[tuple[float, float], ...] = ((1.0, 0.0),)

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """u = A q of the chosen prompt q, the first of equal ones; a prompt that shows nothing
        separates nothing.
        """
        if not worlds.binary:
            raise ValueError(
                "the most separating prompt is known in worlds of two classes and one background"
            )
        A = latent_cross_covariance(worlds)
        _, values, right = np.linalg.svd(A)
        q = np.array(self.prompts) * worlds.mean[..., None, :]
        u = np.einsum("...ij,...pj->...pi", A, q)
        variance = (u**2 * (worlds.mean**2 + worlds.image_variance)[..., None, :]).sum(-1)
        length = (np.einsum("...rj,...pj->...pr", right, q) ** 2 * values[..., None, :]).sum(-1)
        separation = np.sqrt(
            np.divide(variance, length, out=np.zeros_like(variance), where=length > 0)
        )
        return np.take_along_axis(u, separation.argmax(axis=-1)[..., None, None], axis=-2)[
            ..., 0, :
        ]

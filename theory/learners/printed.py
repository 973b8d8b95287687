"""The published law of linear CLIP, as a learner: what Theorem 6.2 of Wang et al. prints, right or
wrong.

The theorem has lower bounds on the error of the counter group and on the accuracy of the common
group. A world contradicts it if linear CLIP is more accurate than this learner on the counter
group, or less on the common group.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.world import World
from theory.learners.base import Learner
from theory.published import papers, smallest_mu_spu, theorem_62_kappas

# Fields of which the theorem has one value; others are in its formulas, or change no decision as n
# grows.
STATED = {
    "mu_inv": 1.0,
    "mention_inv": 1.0,
    "mention_spu": 1.0,
    "p_inv": 1.0,
    "detail_inv": 1.0,
    "detail_spu": 1.0,
    "bare": 0.0,
}


@dataclass(frozen=True)
class Printed(Learner):
    """The printed bounds as accuracies: an upper bound on the counter group, a lower bound on the
    common group.

    The theorem is about p_spu = 1 - o(1) and about views so wide that their noise vanishes. Its
    formulas contain neither condition, so any p_spu and any view noise have an answer.
    """

    name: ClassVar[str] = "printed"
    words: ClassVar[str] = "linear CLIP as Theorem 6.2 prints it"
    on_images: ClassVar[bool] = False  # a formula that is not trained

    def accuracy(self, worlds: World) -> Accuracy:
        """The printed bounds, exact to rounding."""
        x = worlds
        if not x.binary:
            raise ValueError("Theorem 6.2 is about two classes and one background")
        # Broadcasts over fields that the formulas do not contain. Pixels have no mean, and tables
        # no p_spu.
        whole = 0 * (x.mean + x.agreement)[..., 0]
        common, counter = self.deviations(x)
        if np.any(np.asarray(x.sigma_inv) <= x.sigma_spu):
            raise ValueError("Theorem 6.2 is about sigma_inv > sigma_spu")
        if np.any(np.asarray(x.mu_spu) < smallest_mu_spu(x.sigma_inv)):
            raise ValueError("Theorem 6.2 is about mu_spu >= 1 + sigma_inv^2/2")
        return Accuracy(whole + ndtr(common), whole + ndtr(counter))

    def deviations(self, x):
        """-kappa_2 and kappa_1 of the theorem; see `Learner.deviations`."""
        for name, only in STATED.items():
            if np.any(np.asarray(getattr(x, name)) != only):
                raise ValueError(f"Theorem 6.2 is about {name} = {only:g}")
        kappa_1, kappa_2 = theorem_62_kappas(*papers(x))
        return -kappa_2, kappa_1

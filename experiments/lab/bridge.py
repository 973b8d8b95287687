"""The bridge from theory to pictures: which Gaussian world a tower's embeddings are of, and what it says of the head.

Embeddings of training pairs, less what object and attribute add to them on average, scatter about 0. In units of that
scatter the class means of objects and of attributes have distances, and so they have in a Gaussian world with the pixel
world's labels and correlations: its mu_inv/sigma_inv and mu_spu/sigma_spu. A head is a linear rule on embeddings, so
what it does there is what the objective becomes with linear towers. Nothing is fitted to accuracies, and no test image
is looked at. It is a weak test of the theory: where classes lie many deviations apart, as they do in trained towers,
the answer follows from p_inv and p_spu and hardly from the distances.
"""

from typing import Any

import numpy as np

from simulator.towers.ensemble import Ensemble
from simulator.towers.kinds import Parameters
from simulator.towers.probes import separation
from simulator.world import Worlds
from theory.learners import named

LARGEST = 40.0  # deviations, beyond which no pair is on the wrong side


def bridge(ensemble: Ensemble, parameters: Parameters) -> dict[str, Any] | None:
    """Distances and predicted accuracies of every model of one world, a list each; None where it is not defined.

    "rand" and "rev" are those of a world whose classes are all tied: any attribute alike, and another's.
    """
    world, recipe = ensemble.worlds[0], ensemble.recipe
    learner = recipe.objective.population_learner.get("linear")
    as_drawn = recipe.objective.sampler == recipe.sampler == "drawn" and recipe.last_layer == "trained"
    K = world.classes
    if world.views is None or not recipe.objective.heads or learner is None or not as_drawn:
        return None
    if len(world.views.tied_of(K)) < K:
        return None
    mu_inv, mu_spu = np.minimum(separation(ensemble, parameters), LARGEST).T
    shared = {"classes": K, "p_inv": world.p_inv, "p_spu": world.p_spu}
    worlds = Worlds(**shared, mu_inv=mu_inv, mu_spu=mu_spu, sigma_inv=1.0, sigma_spu=1.0, sigma_xi=0.0)
    common, counter = named(learner).accuracy(worlds)
    rand = (common + (K - 1) * counter) / K
    found = {"mu_inv": mu_inv, "mu_spu": mu_spu, "common": common, "counter": counter, "rand": rand, "rev": counter}
    return {name: np.asarray(values).tolist() for name, values in found.items()}

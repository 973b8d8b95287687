"""The bridge from theory to pixels: the Gaussian world of a tower's embeddings, and its prediction for the head.

Embeddings of training pairs scatter around the mean of their object and attribute. The distances between the class
means of objects, and of attributes, in units of that scatter, become mu_inv/sigma_inv and mu_spu/sigma_spu of a
Gaussian world. It has the pixel world's labels and correlations. A head is a linear rule on embeddings, so the optimum
of the objective with linear towers predicts its accuracy. Nothing is fitted to accuracies, and no test image is used.

It is a weak test of the theory: where classes lie many deviations apart, as in trained towers, the prediction depends
on p_inv and p_spu and hardly on the distances.
"""

from typing import Any

import numpy as np

from simulator.towers.ensemble import Ensemble
from simulator.towers.layers import Parameters
from simulator.towers.probes import separation
from simulator.world import Worlds
from theory.learners import named

LARGEST = 40.0  # deviations; beyond this no pair is on the wrong side


def bridge(ensemble: Ensemble, parameters: Parameters) -> dict[str, Any] | None:
    """Lists of distances and predicted accuracies, one value per model; None where they are not defined.

    "rand" (each attribute equally often) and "rev" (another class's attribute) need worlds whose classes are all tied.
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
    numbers = {"mu_inv": mu_inv, "mu_spu": mu_spu, "common": common, "counter": counter, "rand": rand, "rev": counter}
    return {name: np.asarray(values).tolist() for name, values in numbers.items()}

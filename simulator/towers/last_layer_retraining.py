"""Last-layer retraining, DFR (Kirichenko et al. 2023, arXiv 2204.02937): a new head on balanced
groups.

The head regresses labels on embeddings of fresh pairs of the balanced law by least squares. Linear
towers that keep all latents, as trained ones did, become the least-squares rule at p = 1/K. For
other towers no law is known.
"""

import torch
from torch.nn import functional as F

from simulator.samplers import SAMPLERS
from simulator.towers.ensemble import Ensemble
from simulator.towers.layers import Parameters, embed, scored

ROUNDING = 1e-10  # of the largest eigenvalue: float32 leaves about 1e-14
BLOCKS = 4  # of pairs to which the head is fitted, 4096 pairs each in narrow views


def with_retrained_head(ensemble: Ensemble, parameters: Parameters) -> Parameters:
    """The parameters; with a new head if the recipe refits the last layer."""
    if ensemble.recipe.last_layer == "trained":
        return parameters
    worlds = tuple(SAMPLERS["balanced"].law(world) for world in ensemble.worlds)
    embeddings = []
    labels = []
    for index in range(BLOCKS):
        block = ensemble.views.block(ensemble._replace(worlds=worlds), "refit", index)
        embeddings.append(
            scored(ensemble.recipe, embed(ensemble.recipe, parameters, "image", block.images))
        )
        labels.append(block.labels)
    I = torch.cat(embeddings, dim=1).double()
    K = worlds[0].classes
    targets = F.one_hot(torch.cat(labels, dim=1), K).double() - 1 / K
    # The best linear rule has no intercept without a table, see `layers.initialise`.
    offset = ensemble.recipe.towers != "linear" or worlds[0].table is not None
    A = torch.cat([I, torch.ones_like(I[..., :1])], dim=-1) if offset else I
    # Embeddings wider than the latents have low rank plus float32 rounding errors, which must not
    # be fitted.
    solution = (torch.linalg.pinv(A.mT @ A, rtol=ROUNDING, hermitian=True) @ (A.mT @ targets)).to(
        embeddings[0].dtype
    )
    head = {"head.weight": solution[:, : I.shape[-1]]}
    if offset:
        head["head.bias"] = solution[:, -1]
    return {**parameters, **head}

"""Reliance of a trained ensemble's scores on the background, and the separation of its
embeddings.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import one_hot

from simulator.gaussian.critic import LinearCritic, reliance
from simulator.gaussian.pairs import draw_latents
from simulator.mixture import class_means
from simulator.pixels import pairs as pixels
from simulator.pixels.scenery import scenery
from simulator.prompts import Prompt
from simulator.streams import independent
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import class_vectors, linear_critics, linear_scores, scores
from simulator.towers.layers import Parameters, embed

ROUNDING = 1e-6  # of the largest eigenvalue of a scatter, below which embeddings have no width
PAIRS = 4096  # for `separation`


def score_reliance(
    ensemble: Ensemble, parameters: Parameters, prompt: Prompt | None
) -> Float[np.ndarray, " E"]:
    """Reliance t of linear critics, exact; else that of the best linear function of the latents
    under the test law.
    """
    K = ensemble.worlds[0].classes
    if linear_scores(ensemble.recipe, prompt):
        u = linear_critics(ensemble, parameters, prompt).inside
    else:
        x, z = images_of_the_test_law(ensemble)
        s = scores(ensemble, parameters, [class_vectors(ensemble, parameters, prompt)], x)[
            0
        ].double()
        z, s = ((x - x.mean(1, keepdim=True)).cpu() for x in (z.double(), s))
        # gelsd also solves for latents without variance; it runs on a CPU only.
        u = torch.linalg.lstsq(z, s, driver="gelsd").solution.mT.numpy()  # (E, K, l)
        if K == 2:
            u = u[:, :1] - u[:, 1:]
    return reliance(LinearCritic(u, np.empty((len(u), 0, 0))), ensemble.worlds[0])


def images_of_the_test_law(
    ensemble: Ensemble,
) -> tuple[Float[torch.Tensor, "E n dI"], Float[torch.Tensor, "E n l"]]:
    """Images of one block of every model's test law, and the latents behind them."""
    worlds = tuple(world.test_law() for world in ensemble.worlds)
    random = {"points": "random"}
    tested = ensemble._replace(worlds=worlds, recipe=ensemble.recipe.model_copy(update=random))
    images = tested.views.block(tested, "evaluation", 0).images
    source = independent(ensemble.seed, 0, [f"evaluation/{k}" for k in ensemble.models])
    _, _, z, _ = draw_latents(
        worlds, images.shape[1], source, device=ensemble.source, dtype=ensemble.dtype
    )
    return images, z.to(ensemble.device)


def separation(ensemble: Ensemble, parameters: Parameters) -> Float[np.ndarray, "E 2"]:
    """mu/sigma of objects and of attributes in the Gaussian world with equally separated class
    means.

    Means of embeddings by object and by attribute are fitted to training pairs. Distances are
    Mahalanobis, in the residual scatter. Each ignores the other, although the two are not
    orthogonal in general.
    """
    world = ensemble.worlds[0]
    streams = [f"train/{k}" for k in ensemble.models]
    K = world.classes
    size = pixels.block_size(world)
    scene = scenery(world, ensemble.source)
    codes = []
    embeddings = []
    for index in range(-(-PAIRS // size)):
        scenes = pixels.draw_scenes(
            ensemble.worlds, size, ensemble.seed, index, streams=streams, device=ensemble.source
        )
        images = pixels.rendered(scene, scenes).images.to(ensemble.device)
        embeddings.append(embed(ensemble.recipe, parameters, "image", images).double().cpu())
        codes.append(
            torch.cat(
                [one_hot(code.cpu(), K).double() for code in (scenes.objects, scenes.attributes)],
                -1,
            )
        )
    X = torch.cat(codes, dim=1)
    I = torch.cat(embeddings, dim=1)
    # (E, 2 K, h); the two share a constant
    means = torch.linalg.lstsq(X, I, driver="gelsd").solution
    rest = I - X @ means
    scatter = rest.mT @ rest / (I.shape[1] - (2 * K - 1))
    precision = torch.linalg.pinv(scatter, rtol=ROUNDING, hermitian=True)
    centred = means.unflatten(1, (2, K))
    centred = centred - centred.mean(2, keepdim=True)
    distance = (centred @ precision[:, None] @ centred.mT).diagonal(dim1=2, dim2=3).sum(2)
    pattern = torch.as_tensor(class_means(K) - class_means(K).mean(0))
    return (distance / pattern.square().sum()).sqrt().numpy()

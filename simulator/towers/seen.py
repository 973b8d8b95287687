"""How the trainer looks at a world: what towers read, where pairs come from, what asks, what is measured.

One object a kind of views, and `seen` alone asks which kind a world has. All else of training is the same for all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from simulator.gaussian.pairs import Pairs
from simulator.prompts import Prompt
from simulator.towers.affine import Parameters, View
from simulator.world import World

if TYPE_CHECKING:
    from simulator.towers.evaluation import Recovery
    from simulator.towers.training import Ensemble

Accuracies = Mapping[str, Float[np.ndarray, "R E"]]


@dataclass(frozen=True)
class Seen:
    """What training asks of worlds of one kind of views.

    Parameters
    ----------
    views
        World -> what "image" and "text" towers read.
    block_size
        World -> pairs in a block.
    block
        (ensemble, stream, index, over=None) -> that block of every model's stream of that name, of the ensemble's
        worlds; it may take the memory of a block `over`, which nobody reads any more.
    contradicted
        (ensemble, block, stream, index) -> the block with backgrounds of other draws in its captions; None: it cannot
        be had.
    texts
        (ensemble, prompt) -> one caption a class, (E, K, ...), for a prompt that is a single caption.
    trial
        (ensemble, prompts, power, replicates) -> the images at which accuracies are measured, about 2^power of each
        group, as many times; None where accuracies under these prompts are exact without.
    accuracies
        (ensemble, parameters, prompt, trial) -> every model's accuracy by group, "common" and "counter" among them.
    relied
        (ensemble, parameters, prompt) -> weight of the score on background per weight on object; None: not defined.
    recovery
        (ensemble, parameters) -> what could be read out of the embeddings; None: not defined.
    separation
        (ensemble, parameters) -> how far objects, and backgrounds, lie apart in image embeddings of training pairs, in
        deviations of the rest; None: not defined.
    refuse_net
        (world, n) -> nothing, or a ValueError if no Sobol sequence has n such pairs; None: none has any.
    identity
        World -> what a resumed run must share beyond the world's own numbers, such as pictures and words.
    """

    views: Callable[[World], dict[str, View]]
    block_size: Callable[[World], int]
    block: Callable[..., Pairs]
    texts: Callable[["Ensemble", Prompt], torch.Tensor]
    trial: Callable[["Ensemble", Iterable[Prompt | None], int, int], Any]
    accuracies: Callable[["Ensemble", Parameters, Prompt | None, Any], Accuracies]
    contradicted: Callable[["Ensemble", Pairs, str, int], Pairs] | None = None
    relied: Callable[["Ensemble", Parameters, Prompt | None], Float[np.ndarray, " E"]] | None = None
    recovery: Callable[["Ensemble", Parameters], "Recovery"] | None = None
    separation: Callable[["Ensemble", Parameters], Float[np.ndarray, "E 2"]] | None = None
    refuse_net: Callable[[World, int], None] | None = None
    identity: Callable[[World], dict[str, Any]] = lambda world: {}


def seen(world: World) -> Seen:
    """How a world is looked at.

    Parameters
    ----------
    world : World
    """
    if world.views is None:
        from simulator.towers.gaussian_views import GAUSSIAN

        return GAUSSIAN
    from simulator.towers.pixel_views import PIXELS

    return PIXELS
